"""How roads are found by address, what they share, and two that stay in memory."""

from cmpkit.transports.address import configure_server, open_transport
from cmpkit.transports.forwarding import CrashPoint, Inbox, Parcel, work_off
from cmpkit.transports.memory import MemoryRoad
from cmpkit.transports.memory_post import MemoryPost
from cmpkit.transports.own_options import (
    TLS_OPTIONS,
    Password,
    named_options,
    read_own_options,
    refuse_other_options,
    split_query,
)
from cmpkit.transports.postbox import Postbox, answers_to, with_answers
from cmpkit.transports.reaching import examine_connection, examine_name
from cmpkit.transports.tls import ServerTLSOptions, client_context, server_context

__all__ = [
    "TLS_OPTIONS",
    "CrashPoint",
    "Inbox",
    "MemoryPost",
    "MemoryRoad",
    "Parcel",
    "Password",
    "Postbox",
    "ServerTLSOptions",
    "answers_to",
    "client_context",
    "configure_server",
    "examine_connection",
    "examine_name",
    "named_options",
    "open_transport",
    "read_own_options",
    "refuse_other_options",
    "server_context",
    "split_query",
    "with_answers",
    "work_off",
]
