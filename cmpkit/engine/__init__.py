"""The engine: sans-I/O state machines for client and responder. Values in, decisions out; ``now`` is an argument."""
