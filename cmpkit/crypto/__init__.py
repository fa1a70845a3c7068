"""Keys, names, certificates, proof of possession, protection by signature and path validation.

Each module is imported by its own name; nothing is offered here.
"""

__all__: list[str] = []
