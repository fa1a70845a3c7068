"""Proof of possession by a MAC under a secret that two keys agree on."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    BitString,
    CertReqMsg,
    CertRequest,
    CertTemplate,
    DHBMParameter,
    Null,
    PKMACValue,
    POPOPrivKey,
    POPOSigningKey,
    RDNSequence,
    SubjectPublicKeyInfo,
    Variant,
    decode,
    directory_name,
    encode,
    make_element,
    read_element,
)
from cmpkit.crypto.agreed_proof import AgreedProof, prove_by_agreement
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.later_proof import later_popo, proof_method
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.pop import verify_popo
from cmpkit.crypto.x509 import CertificateContent, build_certificate
from cmpkit.enums import PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError
from cmpkit.parts import PrivateKey
from cmpkit.plugins import Plugins
from cmpkit.tolerances import STRICT, Leniency

NAME = parse_name("CN=device")
SENDER = directory_name(NAME)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
TAKEN = (ProofMethod.AGREED_MAC,)


async def certified(key: PrivateKey, plugins: Plugins) -> bytes:
    content = CertificateContent(
        serial_number=7,
        issuer=NAME.public_bytes(),
        subject=NAME,
        not_before=NOW,
        not_after=NOW + timedelta(days=1),
        public_key_info=key.public_key_info,
    )
    return await build_certificate(content, generate_key("p256", plugins))


def request_for(key: PrivateKey, subject: x509.Name | None = NAME) -> CertRequest:
    public_key = decode(SubjectPublicKeyInfo, key.public_key_info)
    named = None if subject is None else RDNSequence.of(subject)
    return CertRequest(cert_req_id=0, cert_template=CertTemplate(subject=named, public_key=public_key))


async def asked(key: PrivateKey, servers: PrivateKey, plugins: Plugins, *, as_signature: bool = False) -> CertReqMsg:
    """A request with its proof, as it came."""
    request, how = request_for(key), AgreedProof(await certified(servers, plugins), as_signature)
    popo = await prove_by_agreement(request, key, how, plugins=plugins)
    return decode(CertReqMsg, encode(CertReqMsg.build(request, popo)))


async def refusal(message: CertReqMsg, plugins: Plugins, *keys: PrivateKey, leniency: Leniency = STRICT) -> CMPError:
    with pytest.raises(CMPError) as caught:
        await verify_popo(message, sender=SENDER, plugins=plugins, others=TAKEN, keys=keys, leniency=leniency)
    return caught.value


@pytest.mark.parametrize("as_signature", [False, True])
@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "brainpoolp256r1", "x25519", "x448"])
async def test_a_key_is_proven_to_who_has_the_other_one(kind: str, as_signature: bool, plugins: Plugins) -> None:
    key, servers, other = (generate_key(kind, plugins) for _ in range(3))
    message = await asked(key, servers, plugins, as_signature=as_signature)
    method = ProofMethod.DH_BASED_MAC if as_signature else ProofMethod.AGREED_MAC
    assert proof_method(message) is method
    strange = generate_key("x448" if kind == "p256" else "p256", plugins)
    await verify_popo(message, sender=SENDER, plugins=plugins, others=TAKEN, keys=[strange, other, servers])
    error = await refusal(message, plugins, other)
    assert (error.fail_info, error.rule) == (PKIFailureInfo.BAD_POP, "RFC 4211 section 4.3")


async def test_the_mac_is_what_the_rfc_says(plugins: Plugins) -> None:
    """RFC 9810 section 5.1.3.2, computed with other means: the key is the hash of the x-coordinate that ECDH gives."""
    key, servers = generate_key("p256", plugins), generate_key("p256", plugins)
    message = await asked(key, servers, plugins)
    assert message.popo is not None
    proof = read_element(message.popo.value, POPOPrivKey)
    params = proof.value.alg_id.parse(DHBMParameter)
    assert (proof.tag, proof.value.alg_id.algorithm) == ("agree_mac", oids.DH_BASED_MAC)
    assert (params.owf.algorithm, params.mac.algorithm) == (oids.SHA256, oids.HMAC_SHA256)
    private = serialization.load_der_private_key(servers.to_pkcs8(), None)
    public = serialization.load_der_public_key(key.public_key_info)
    secret = private.exchange(ec.ECDH(), public)
    expected = hmac.digest(hashlib.sha256(secret).digest(), encode(message.cert_req), "sha256")
    assert proof.value.value.as_bytes() == expected


@pytest.mark.parametrize("as_signature", [False, True])
async def test_another_request_than_the_proven_one_is_refused(as_signature: bool, plugins: Plugins) -> None:
    key, servers = generate_key("x25519", plugins), generate_key("x25519", plugins)
    message = await asked(key, servers, plugins, as_signature=as_signature)
    other = CertReqMsg.build(request_for(key, parse_name("CN=admin")), message.popo)
    error = await refusal(other, plugins, servers)
    assert error.fail_info is PKIFailureInfo.BAD_POP
    assert "does not fit" in error.detail


async def test_the_key_of_somebody_else_is_refused(plugins: Plugins) -> None:
    key, servers, other = (generate_key("x25519", plugins) for _ in range(3))
    message = await asked(key, servers, plugins)
    error = await refusal(CertReqMsg.build(request_for(other), message.popo), plugins, servers)
    assert error.fail_info is PKIFailureInfo.BAD_POP


@pytest.mark.parametrize("servers", [None, "p384", "x448", "rsa2048"])
async def test_a_server_without_such_a_key_says_so(servers: str | None, plugins: Plugins) -> None:
    message = await asked(generate_key("p256", plugins), generate_key("p256", plugins), plugins)
    keys = [] if servers is None else [generate_key(servers, plugins)]
    error = await refusal(message, plugins, *keys)
    assert error.fail_info is PKIFailureInfo.BAD_POP
    assert "caProtEncCert" in error.hint


async def test_it_is_taken_only_where_it_is_said_to_be(plugins: Plugins) -> None:
    key = generate_key("x25519", plugins)
    message = await asked(key, key, plugins)
    with pytest.raises(CMPError, match="keyAgreement is not supported"):
        await verify_popo(message, sender=SENDER, plugins=plugins, keys=[key])


def dh_based(owf: Any = oids.SHA256, mac: Any = oids.HMAC_SHA256) -> AlgorithmIdentifier:
    params = DHBMParameter(owf=AlgorithmIdentifier(owf, Null()), mac=AlgorithmIdentifier(mac, Null()))
    return AlgorithmIdentifier(oids.DH_BASED_MAC, params)


@pytest.mark.parametrize(
    "algorithm",
    [
        AlgorithmIdentifier(oids.PASSWORD_BASED_MAC),
        AlgorithmIdentifier(oids.ECDSA_SHA256),
        AlgorithmIdentifier(oids.SHA256),
        dh_based(owf=oids.HMAC_SHA256),
        dh_based(mac=oids.SHA256),
        dh_based(owf=oids.SHA1),
    ],
    ids=["password", "signature", "hash", "owf", "mac", "weak"],
)
async def test_what_is_no_such_mac_is_bad_alg(algorithm: AlgorithmIdentifier, plugins: Plugins) -> None:
    key = generate_key("x25519", plugins)
    made = Variant(PKMACValue(alg_id=algorithm, value=BitString(bytes(32), 0)), "agree_mac")
    message = CertReqMsg.build(request_for(key), Variant(make_element(made, POPOPrivKey), "key_agreement"))
    assert (await refusal(message, plugins, key)).fail_info is PKIFailureInfo.BAD_ALG


async def test_sha_1_is_for_those_who_tolerate_it(plugins: Plugins) -> None:
    key = generate_key("x25519", plugins)
    made = POPOSigningKey(algorithm_identifier=dh_based(owf=oids.SHA1), signature=BitString(bytes(32), 0))
    message = CertReqMsg.build(request_for(key), Variant(made, "signature"))
    leniency = Leniency(frozenset({"hmac-sha1"}))
    assert (await refusal(message, plugins, key, leniency=leniency)).fail_info is PKIFailureInfo.BAD_POP
    assert list(leniency.used) == ["hmac-sha1"]


async def test_a_request_without_subject_cannot_be_proven_so(plugins: Plugins) -> None:
    key = generate_key("x25519", plugins)
    how = AgreedProof(await certified(key, plugins))
    with pytest.raises(CMPError, match="needs subject and public key"):
        await prove_by_agreement(request_for(key, None), key, how, plugins=plugins)
    message = CertReqMsg.build(request_for(key, None), (await asked(key, key, plugins)).popo)
    error = await refusal(message, plugins, key)
    assert error.fail_info is PKIFailureInfo.BAD_POP
    assert "agreeMAC needs a subject" in error.detail


@pytest.mark.parametrize("kind", ["ed25519", "rsa2048", "p384"])
async def test_a_key_that_cannot_agree_with_that_of_the_server_is_told_at_once(kind: str, plugins: Plugins) -> None:
    how, key = AgreedProof(await certified(generate_key("p256", plugins), plugins)), generate_key(kind, plugins)
    with pytest.raises(CMPError, match="cannot agree on a secret") as caught:
        await prove_by_agreement(request_for(key), key, how, plugins=plugins)
    assert caught.value.fail_info is PKIFailureInfo.BAD_POP


async def test_it_does_not_stand_in_key_encipherment(plugins: Plugins) -> None:
    key = generate_key("x25519", plugins)
    message = await asked(key, key, plugins)
    assert message.popo is not None
    moved = dataclasses.replace(message, popo=Variant(message.popo.value, "key_encipherment"))
    assert proof_method(moved) is None
    assert (await refusal(moved, plugins, key)).fail_info is PKIFailureInfo.BAD_POP


def test_it_does_not_come_later(plugins: Plugins) -> None:
    with pytest.raises(CMPError, match="agreeMAC does not come after the request"):
        later_popo(generate_key("x25519", plugins), ProofMethod.AGREED_MAC)
