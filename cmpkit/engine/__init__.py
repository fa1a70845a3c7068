"""The engine: sans-I/O state machines for client and responder. Values in, decisions out; ``now`` is an argument.

Each module is imported by its own name; nothing is offered here.
"""

__all__: list[str] = []
