"""Messages for people: every field of any PKIMessage, and the rules that it breaks.

The rules are those of :mod:`cmpkit.engine`: what inspection finds first is what a server, or a client, would refuse.
"""

__all__: list[str] = []
