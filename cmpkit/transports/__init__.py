"""How roads are found by address, and a road that stays in memory."""

from cmpkit.transports.address import open_transport
from cmpkit.transports.memory import MemoryRoad

__all__ = ["MemoryRoad", "open_transport"]
