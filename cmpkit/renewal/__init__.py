"""Unattended renewal: certificates that are kept valid, with retries, a deploy hook, and state that survives anything.

:class:`~cmpkit.renewal.keeper.Keeper` does it for a folder; ``cmpkit renew`` is its command line.
"""

__all__: list[str] = []
