"""How roads are found by address, whether a host can be reached, and a road that stays in memory."""

from cmpkit.transports.address import open_transport
from cmpkit.transports.memory import MemoryRoad
from cmpkit.transports.reaching import examine_connection, examine_name

__all__ = ["MemoryRoad", "examine_connection", "examine_name", "open_transport"]
