"""Answers to genm that no server of ours gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, InfoTypeAndValue, Null, encode_list
from cmpkit.cli.info import operation
from cmpkit.cli.jobs import Wanted
from cmpkit.cli.options import InfoOptions
from cmpkit.errors import TrustError
from cmpkit.plugins import load_plugins

WORK: Any = SimpleNamespace(
    job=SimpleNamespace(url="test:", wanted=Wanted(), info=InfoOptions()), plugins=load_plugins(), anchors=()
)


@pytest.mark.parametrize(
    "oid",
    [
        *(oids.CA_CERTS, oids.CURRENT_CRL, oids.UNSUPPORTED_OIDS),
        *(oids.CRLS, oids.ROOT_CA_KEY_UPDATE, oids.CERT_REQ_TEMPLATE),
        *(oids.SIGN_KEY_PAIR_TYPES, oids.ENC_KEY_PAIR_TYPES, oids.PREFERRED_SYMM_ALG),
    ],
)
def test_a_value_that_cannot_be_read_is_not_believed(oid: ObjectIdentifier) -> None:
    with pytest.raises(TrustError, match=oid.dotted_string.replace(".", r"\.")):
        operation().finish((InfoTypeAndValue(oid, Null()),), WORK)


def test_algorithms_are_told_by_their_names() -> None:
    kinds = [
        AlgorithmIdentifier(oids.RSA_ENCRYPTION, Null()),
        AlgorithmIdentifier(oids.EC_PUBLIC_KEY, oids.SECP256R1),
        AlgorithmIdentifier(oids.X25519),
        AlgorithmIdentifier(ObjectIdentifier("1.2.3")),
    ]
    keys = InfoTypeAndValue(oids.ENC_KEY_PAIR_TYPES, encode_list(kinds))
    cipher = InfoTypeAndValue(oids.PREFERRED_SYMM_ALG, AlgorithmIdentifier(oids.AES256_CBC))
    result = operation().finish((keys, cipher), WORK)
    assert result.facts == [
        ("encKeyPairTypes", "rsaEncryption, p256, x25519, 1.2.3"),
        ("preferredSymmAlg", "aes256-CBC"),
    ]
    assert result.values["answers"][0]["keys"] == ["rsaEncryption", "p256", "x25519", "1.2.3"]


def test_a_value_of_an_unknown_type_is_shown_as_it_is() -> None:
    result = operation().finish((InfoTypeAndValue(ObjectIdentifier("1.2.3"), Null()),), WORK)
    assert result.facts == [("1.2.3", "BQA=")]
    assert result.values["answers"] == [{"type": "1.2.3", "oid": "1.2.3", "value": "BQA="}]


def test_an_absent_value_means_that_there_is_nothing_to_give() -> None:
    result = operation().finish((InfoTypeAndValue(oids.CA_CERTS),), WORK)
    assert result.facts == [("caCerts", "nothing")]
