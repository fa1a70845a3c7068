"""Endpoints: clients and servers that drive the engine over roads, with parts and a store.

Each module is imported by its own name; applications find the client at :mod:`cmpkit`.
"""

__all__: list[str] = []
