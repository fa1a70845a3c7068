"""Certificates that came encrypted, opened with the keys that they are for (RFC 9810 section 5.2.8.3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cmpkit.asn1 import EncryptedKey, read_element, to_tlv
from cmpkit.crypto.later_proof import open_certificate
from cmpkit.engine.client import Decide
from cmpkit.engine.judging import Judgement
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.errors import CMPError, ConfigurationError, TrustError
from cmpkit.parts import PrivateKey

__all__ = ["open_certificates"]

_RULE: Final = "RFC 9810 section 5.2.8.3.2"


async def open_certificates(
    step: Decide, keys: Mapping[bytes, PrivateKey], tolerances: frozenset[str]
) -> tuple[Decide, dict[int, Judgement]]:
    """The same step with the certificates that could be opened, and judgements on others by certReqId (R-085).

    :param keys: the private keys, by DER of the SubjectPublicKeyInfo that was asked to be certified.
    :param tolerances: see :func:`cmpkit.crypto.enveloping.open_envelope`.
    :raises ConfigurationError: if a key is not there: with it, the operation can be resumed.
    """
    sealed: dict[int, Judgement] = {}
    opened: list[SoughtCertificate] = []
    for one in step.transaction.sought:
        certificate = one.certificate
        if one.is_open and not certificate:
            try:
                certificate = await _open(one, keys, tolerances)
            except TrustError as error:
                sealed[one.cert_req_id] = Judgement(b"", fault=error)
        opened.append(replace(one, certificate=certificate))
    return replace(step, transaction=replace(step.transaction, sought=tuple(opened))), sealed


async def _open(one: SoughtCertificate, keys: Mapping[bytes, PrivateKey], tolerances: frozenset[str]) -> bytes:
    key = keys.get(one.public_key_info)
    if key is None:
        raise ConfigurationError(
            "the certificate came encrypted, and the private key that opens it is not known",
            hint="resume the operation with that key",
        )
    try:
        encrypted = read_element(to_tlv(one.encrypted), EncryptedKey)
        return await open_certificate(encrypted, key, tolerances=tolerances)
    except CMPError as error:
        raise TrustError(error.detail, error.fail_info, rule=error.rule or _RULE, hint=error.hint) from error
