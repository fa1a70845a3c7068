"""What a registration authority does to messages on their way up and down (RFC 9483 section 5.2)."""

from cmpkit.relay.wrapping.contract import Manner, Wrapping

__all__ = ["Manner", "Wrapping"]
