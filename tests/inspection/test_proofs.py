"""MACs, signatures and hashes of OpenSSL's messages, with what is at hand and without it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    BitString,
    CertStatus,
    DHBMParameter,
    PKIBody,
    PKIMessage,
    PKMACValue,
    POPOPrivKey,
    POPOSigningKey,
    Variant,
    decode_message,
    encode,
    make_element,
)
from cmpkit.enums import BodyType, SubsequentMessage
from cmpkit.inspection.findings import Severity
from cmpkit.inspection.inspecting import inspect, prove
from cmpkit.inspection.proofs import Evidence, Outcome, check_proofs
from cmpkit.inspection.sources import Source
from cmpkit.plugins import Plugins, load_plugins

MESSAGES = Path(__file__).parent.parent / "asn1" / "messages" / "openssl-3.6"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PLUGINS = load_plugins()
EVIDENCE = Evidence(PLUGINS, NOW)
DH_BASED = AlgorithmIdentifier(
    oids.DH_BASED_MAC,
    DHBMParameter(owf=AlgorithmIdentifier(oids.SHA256), mac=AlgorithmIdentifier(oids.HMAC_SHA256)),
)


def read(name: str) -> PKIMessage:
    return decode_message((MESSAGES / f"{name}.der").read_bytes())


def changed(message: PKIMessage, old: bytes, new: bytes) -> PKIMessage:
    return decode_message(message.raw.replace(old, new))


async def outcomes(message: PKIMessage, evidence: Evidence = EVIDENCE, **more: PKIMessage) -> dict[str, Outcome]:
    return {proof.what: proof.outcome for proof in await check_proofs(message, evidence, **more)}


def root() -> bytes:
    return encode(read("ip").body.content.ca_pubs[0])


class TestProtection:
    async def test_a_mac_needs_the_secret(self) -> None:
        [proof] = await check_proofs(read("pkiconf-mac"), EVIDENCE)
        assert proof.outcome is Outcome.UNKNOWN
        assert "--secret" in proof.text

    @pytest.mark.parametrize(("secret", "outcome"), [(b"secret", Outcome.GOOD), (b"other", Outcome.BAD)])
    async def test_a_mac_fits_its_secret_and_no_other(self, secret: bytes, outcome: Outcome) -> None:
        [proof] = await check_proofs(read("pkiconf-mac"), replace(EVIDENCE, secret=secret))
        assert proof.outcome is outcome
        assert (proof.finding is not None) == (outcome is Outcome.BAD)

    async def test_a_signature_is_checked_without_trust_anchors_the_signer_is_not(self) -> None:
        found = await outcomes(read("pkiconf"))
        assert found == {"protection": Outcome.GOOD, "signer": Outcome.UNKNOWN}

    async def test_a_signer_is_checked_with_trust_anchors(self) -> None:
        assert (await outcomes(read("pkiconf"), replace(EVIDENCE, anchors=(root(),))))["signer"] is Outcome.GOOD
        other = read("ir").extra_certs[0]
        assert (await outcomes(read("pkiconf"), replace(EVIDENCE, anchors=(other,))))["signer"] is Outcome.BAD

    async def test_a_changed_message_does_not_fit_its_signature(self) -> None:
        message = read("pkiconf")
        broken = changed(message, message.header.sender_nonce or b"", bytes(16))
        [proof, _] = await check_proofs(broken, EVIDENCE)
        assert proof.outcome is Outcome.BAD
        assert proof.finding is not None
        assert proof.finding.fail_info.wire_names == ("badMessageCheck",)

    async def test_certificates_of_other_messages_are_known(self) -> None:
        bare = replace(read("pkiconf"), extra_certs=())
        assert (await outcomes(bare))["protection"] is Outcome.UNKNOWN
        known = replace(EVIDENCE, known=read("pkiconf").extra_certs)
        assert (await outcomes(bare, known))["protection"] is Outcome.GOOD

    async def test_algorithms_that_no_plugin_brings_are_not_checked(self) -> None:
        [proof] = await check_proofs(read("pkiconf"), Evidence(Plugins(), NOW))
        assert proof.outcome is Outcome.UNKNOWN
        assert "no protection for protectionAlg" in proof.text

    async def test_what_an_agreed_secret_protects_is_not_checked(self) -> None:
        message = read("pkiconf")
        header = replace(message.header, protection_alg=DH_BASED)
        [proof] = await check_proofs(replace(message, header=header), EVIDENCE)
        assert (proof.outcome, proof.text) == (Outcome.UNKNOWN, "it is by key agreement")

    async def test_an_unprotected_message_has_nothing_to_check(self) -> None:
        assert await check_proofs(read("error-unprotected"), EVIDENCE) == ()


class TestPossession:
    @pytest.mark.parametrize("name", ["ir", "cr", "kur", "p10cr"])
    async def test_signatures_by_the_new_key_are_checked(self, name: str) -> None:
        assert (await outcomes(read(name)))["proof of possession"] is Outcome.GOOD

    async def test_a_request_that_was_changed_is_not_proven(self) -> None:
        broken = changed(read("ir"), b"device-42.example", b"device-43.example")
        assert (await outcomes(broken))["proof of possession"] is Outcome.BAD

    async def test_a_changed_p10_is_not_proven(self) -> None:
        request = read("p10cr").body.content
        info = encode(request.certification_request_info)
        broken = changed(read("p10cr"), info, info.replace(b"device-42", b"device-43"))
        assert (await outcomes(broken))["proof of possession"] is Outcome.BAD

    async def test_who_vouches_is_not_checked(self) -> None:
        assert (await outcomes(read("ir-ra-verified")))["proof of possession"] is Outcome.UNKNOWN

    @pytest.mark.parametrize(
        ("private", "text"),
        [
            (Variant(SubsequentMessage.ENCR_CERT, "subsequent_message"), "encrCert"),
            (Variant(SubsequentMessage.CHALLENGE_RESP, "subsequent_message"), "challengeResp"),
            (Variant(PKMACValue(alg_id=DH_BASED, value=BitString(bytes(32), 0)), "agree_mac"), "agreeMAC"),
            (None, "DHBasedMac"),
        ],
        ids=["encrCert", "challengeResp", "agreeMAC", "DHBasedMac"],
    )
    async def test_what_only_the_two_sides_can_check_is_not(self, private: Any, text: str) -> None:
        message = read("ir")
        (asked,) = message.body.content
        by_mac = POPOSigningKey(algorithm_identifier=DH_BASED, signature=BitString(bytes(32), 0))
        popo: Any = Variant(by_mac, "signature")
        if private is not None:
            popo = Variant(make_element(private, POPOPrivKey), "key_agreement")
        body = PKIBody(message.body.type, [asked.build(asked.request, popo)])
        [*_, proof] = await check_proofs(PKIMessage(message.header, body), EVIDENCE)
        assert (proof.what, proof.outcome) == ("proof of possession", Outcome.UNKNOWN)
        assert proof.text.startswith(f"{text}: ")

    async def test_a_request_without_proof_has_none_to_check(self) -> None:
        assert "proof of possession" not in await outcomes(read("ir-central"))


class TestHashes:
    async def test_cert_hash_is_that_of_the_certificate_that_was_issued(self) -> None:
        assert (await outcomes(read("certConf"), answers=read("ip")))["certHash"] is Outcome.GOOD

    async def test_another_hash_is_bad(self) -> None:
        conf = read("certConf")
        wrong = changed(conf, conf.body.content[0].cert_hash, bytes(32))
        found = [proof for proof in await check_proofs(wrong, EVIDENCE, answers=read("ip")) if proof.what == "certHash"]
        assert [proof.outcome for proof in found] == [Outcome.BAD]
        assert found[0].finding is not None
        assert found[0].finding.fail_info.wire_names == ("badCertId",)

    async def test_without_the_answer_there_is_nothing_to_compare(self) -> None:
        assert "certHash" not in await outcomes(read("certConf"))
        assert "certHash" not in await outcomes(read("certConf"), answers=read("error"))

    async def test_a_hash_that_is_not_known_is_not_checked(self) -> None:
        conf, odd = read("certConf"), AlgorithmIdentifier(ObjectIdentifier("1.2.3.4"))
        status = CertStatus(cert_hash=bytes(32), cert_req_id=0, hash_alg=odd)
        message = replace(conf, body=PKIBody(BodyType.CERT_CONF, [status]))
        assert (await outcomes(message, answers=read("ip")))["certHash"] is Outcome.UNKNOWN


async def test_what_does_not_fit_is_a_finding_and_a_broken_message_is_left_alone() -> None:
    message = read("pkiconf")
    broken = changed(message, message.header.sender_nonce or b"", bytes(16))
    one, other = await prove(inspect([Source("a", broken.raw), Source("b", b"")]), EVIDENCE)
    assert one.findings[0].severity is Severity.FAULT
    assert "does not fit" in one.findings[0].detail
    assert other.proofs == ()
