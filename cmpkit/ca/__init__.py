"""The local CA: issuer, certificate profiles, policy, CRL, and what ``cmpkit init`` makes.

:mod:`cmpkit.ca.plugin` brings its parts. Importing this package loads nothing; the modules that read settings need the
packages of ``cmpkit[server]``.
"""

__all__: list[str] = []
