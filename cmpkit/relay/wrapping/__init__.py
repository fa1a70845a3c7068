"""What a registration authority does to messages on their way up and down (RFC 9483 section 5.2).

A message goes upstream unchanged, inside a message of the authority (nested), or under the authority's protection
instead of its own, perhaps with another template. :class:`Wrapper` decides which, by the name in the configuration.
"""

from cmpkit.relay.wrapping.contract import Manner, Wrapping
from cmpkit.relay.wrapping.own import OwnProtection
from cmpkit.relay.wrapping.wrapper import FORWARD, Wrapper

__all__ = ["FORWARD", "Manner", "OwnProtection", "Wrapper", "Wrapping"]
