"""For authors of parts, researchers, and tests.

Checks
    A conformance check for each kind of part: a function (``async`` where the part is) that a test calls with a part
    and the context that it needs. It raises :exc:`AssertionError` with a sentence that says what the contract demands
    and what the part did. The contracts are in :mod:`cmpkit.parts`.
Experiments
    A CA and its server in this process, messages with faults, a road that loses some of them, both engines face to
    face, time that a test moves, and transactions that are recorded and played again.

Nothing here needs a test framework, and nothing but :class:`InProcessCA` needs ``cmpkit[server]``. Fixtures for pytest
are in :mod:`cmpkit.pytest_plugin`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cmpkit.errors import ConfigurationError
from cmpkit.testing.client_end import ClientEnd, run_to_the_end
from cmpkit.testing.clock import VirtualClock
from cmpkit.testing.factories import check_factory
from cmpkit.testing.info_type import check_info_type
from cmpkit.testing.issuer import check_issuer
from cmpkit.testing.keys import check_key_algorithm, check_key_provider, check_private_key
from cmpkit.testing.mutants import Mutant, Mutation, MutationPlace, mutate, mutations
from cmpkit.testing.observer import check_observer
from cmpkit.testing.policy import check_policy
from cmpkit.testing.profile import check_profile
from cmpkit.testing.protection import check_protection
from cmpkit.testing.recording import RecordedExchange, RecordedKey, Recording, load_recording
from cmpkit.testing.responder_end import ResponderEnd, known_sender
from cmpkit.testing.road import LossyRoad, RoadFault, random_schedule
from cmpkit.testing.secret_source import check_secret_source
from cmpkit.testing.store import check_store
from cmpkit.testing.tapes import Tape, record, replay
from cmpkit.testing.transports import (
    check_client_transport,
    check_client_transport_factory,
    check_server_transport,
    check_transport,
)

if TYPE_CHECKING:
    from cmpkit.testing.authority import InProcessCA

__all__ = [
    "ClientEnd",
    "InProcessCA",
    "LossyRoad",
    "Mutant",
    "Mutation",
    "MutationPlace",
    "RecordedExchange",
    "RecordedKey",
    "Recording",
    "ResponderEnd",
    "RoadFault",
    "Tape",
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
    "check_transport",
    "known_sender",
    "load_recording",
    "mutate",
    "mutations",
    "random_schedule",
    "record",
    "replay",
    "run_to_the_end",
]


def __getattr__(name: str) -> Any:
    if name != "InProcessCA":
        raise AttributeError(f"module 'cmpkit.testing' has no attribute {name!r}")
    try:
        return importlib.import_module("cmpkit.testing.authority").InProcessCA
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"a CA in this process needs the package {error.name}", hint="pip install 'cmpkit[server]'"
        ) from error
