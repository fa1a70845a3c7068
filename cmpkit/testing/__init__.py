"""For authors of parts, and for tests: a conformance check for each kind of part, and a clock that a test moves.

A check is a function (``async`` where the part is) that a test calls with a part and the context that it needs. It
raises :exc:`AssertionError` with a sentence that says what the contract demands and what the part did. The contracts
are in :mod:`cmpkit.parts`. Nothing here needs ``cmpkit[server]`` or a test framework.
"""

from cmpkit.testing.clock import VirtualClock
from cmpkit.testing.factories import check_factory
from cmpkit.testing.info_type import check_info_type
from cmpkit.testing.issuer import check_issuer
from cmpkit.testing.keys import check_key_algorithm, check_key_provider, check_private_key
from cmpkit.testing.observer import check_observer
from cmpkit.testing.policy import check_policy
from cmpkit.testing.profile import check_profile
from cmpkit.testing.protection import check_protection
from cmpkit.testing.secret_source import check_secret_source
from cmpkit.testing.store import check_store
from cmpkit.testing.transports import (
    check_client_transport,
    check_client_transport_factory,
    check_server_transport,
)

__all__ = [
    "VirtualClock",
    "check_client_transport",
    "check_client_transport_factory",
    "check_factory",
    "check_info_type",
    "check_issuer",
    "check_key_algorithm",
    "check_key_provider",
    "check_observer",
    "check_policy",
    "check_private_key",
    "check_profile",
    "check_protection",
    "check_secret_source",
    "check_server_transport",
    "check_store",
]
