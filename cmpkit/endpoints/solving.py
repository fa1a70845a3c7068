"""Challenges that came, answered with the keys that they are for (RFC 9810 section 5.2.8.3.3)."""

from __future__ import annotations

from collections.abc import Mapping

from cmpkit.asn1 import PKIBody
from cmpkit.crypto.challenges import read_challenges
from cmpkit.engine.client import Send
from cmpkit.engine.solving import Solve
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError, ConfigurationError, TrustError
from cmpkit.parts import PrivateKey

__all__ = ["solve"]


async def solve(step: Solve, keys: Mapping[bytes, PrivateKey], tolerances: frozenset[str]) -> Send:
    """The popdecr with the numbers.

    :param keys: the private keys, by DER of the SubjectPublicKeyInfo that was asked to be certified.
    :param tolerances: see :func:`cmpkit.crypto.enveloping.open_envelope`.
    :raises TrustError: if a challenge cannot be read, or is none.
    :raises ConfigurationError: if a key is not there: with it, the operation can be resumed.
    """
    missing = [key for key in step.keys if key not in keys]
    if missing:
        raise ConfigurationError(
            "the server wants the private key to be proven, and that key is not known",
            hint="resume the operation with that key",
        )
    try:
        numbers = await read_challenges(
            step.challenges, [keys[key] for key in step.keys], step.sender, tolerances=tolerances
        )
    except CMPError as error:
        raise TrustError(error.detail, error.fail_info, rule=error.rule, hint=error.hint) from error
    return Send(step.transaction, PKIBody(BodyType.POPDECR, list(numbers)))
