"""Each tolerance: what it allows is refused without it, naming it, and served with it, which is logged once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from writing_ber import indefinite

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    BitString,
    CertReqMsg,
    CertTemplate,
    ErrorMsgContent,
    Extension,
    Null,
    PBMParameter,
    PKIBody,
    PKIMessage,
    PKIStatusInfo,
    POPOSigningKey,
    POPOSigningKeyInput,
    RDNSequence,
    RevDetails,
    Variant,
    decode_message,
    directory_name,
    encode,
    encode_general_name,
)
from cmpkit.ca.certificates import read_issuer_certificate
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.profiles import load_profile
from cmpkit.crypto.keys import generate_key, load_private_key
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.endpoints.protector import protection_for, seal
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError, PeerRefusal, TransportError, TrustError
from cmpkit.parts import PrivateKey, SharedSecret
from cmpkit.tolerances import TOLERANCES, Side, peers, tolerances_for

from .conftest import World
from .forge import Forge

DEV = parse_name("CN=dev-42,O=Example")
SHA1 = AlgorithmIdentifier(
    oids.PASSWORD_BASED_MAC,
    PBMParameter(
        salt=bytes(16),
        owf=AlgorithmIdentifier(oids.SHA256, Null()),
        iteration_count=500,
        mac=AlgorithmIdentifier(oids.HMAC_SHA1, Null()),
    ),
)


class Device:
    """Somebody with a shared secret, and a certificate that it brought."""

    def __init__(self, world: World, secret: SharedSecret, enrolled: SigningCredentials, key: PrivateKey) -> None:
        self.world, self.key, self.enrolled, self.unfit = world, key, enrolled, enrolled
        self.by_secret = Forge(world.plugins, secret, world.clock)
        self.by_certificate = Forge(world.plugins, enrolled, world.clock)

    async def ir(self, **header: Any) -> bytes:
        return (await self.by_secret.request(self.key, DEV, **header)).raw

    async def cr(self, **header: Any) -> bytes:
        return (await self.by_certificate.request(self.key, DEV, BodyType.CR, **header)).raw


@pytest.fixture
async def device(world: World) -> Device:
    secret = await world.secret(subject=DEV, uses=None)
    async with world.client(secret) as client:
        enrolled = (await client.enroll(subject=DEV)).credentials
    return Device(world, secret, enrolled, generate_key("p256", world.plugins))


async def trailing(device: Device) -> bytes:
    return await device.ir() + b"\r\n"


async def in_ber(device: Device) -> bytes:
    return indefinite(await device.ir())


async def from_mallory(device: Device) -> bytes:
    return await device.ir(sender=directory_name(parse_name("CN=mallory")))


async def with_foreign_kid(device: Device) -> bytes:
    return await device.cr(sender_kid=b"another")


async def by_sha1(device: Device) -> bytes:
    return await device.ir(protection_alg=SHA1)


async def without_id(device: Device) -> bytes:
    return await device.ir(transaction_id=None)


async def without_kid(device: Device) -> bytes:
    return await device.cr(sender_kid=None)


async def from_nobody(device: Device) -> bytes:
    return await device.cr(sender=directory_name(x509.Name([])))


async def reordered(device: Device) -> bytes:
    return await device.cr(sender=directory_name(x509.Name(list(reversed(DEV.rdns)))))


async def with_recip_nonce(device: Device) -> bytes:
    return await device.ir(recip_nonce=bytes(16))


async def with_short_nonce(device: Device) -> bytes:
    return await device.ir(sender_nonce=b"8 octets")


async def with_poposk_input(device: Device) -> bytes:
    request = decode_message(await device.ir())
    sender = Variant(encode_general_name(request.header.sender), "sender")
    public_key = request.body.content[0].request.cert_template.public_key
    signed = POPOSigningKeyInput(auth_info=sender, public_key=public_key)
    algorithm = device.key.signature_algorithm
    signature = BitString(await device.key.sign(encode(signed), algorithm), 0)
    proof = POPOSigningKey(poposk_input=signed, algorithm_identifier=algorithm, signature=signature)
    proven = CertReqMsg.build(request.body.content[0].request, Variant(proof, "signature"))
    return (await device.by_secret.message(PKIBody(BodyType.IR, [proven]))).raw


async def without_digital_signature(device: Device) -> bytes:
    world = device.world
    key = load_private_key((world.directory / "keys/issuing.key.pem").read_bytes(), None, world.plugins)
    profiles = {"device": load_profile("device", {"key_usage": ["keyAgreement"]}, world.plugins)}
    issuer = LocalIssuer(read_issuer_certificate(world.issuing), key, world.store, profiles)
    async with world.with_(front=issuer).client(device.by_secret.credentials) as client:
        unfit = (await client.enroll(subject=DEV)).credentials
    device.unfit = unfit
    return await Device(world, device.by_secret.credentials, unfit, device.key).cr()


def odd_details(*values: bytes) -> Callable[[Device], Awaitable[bytes]]:
    """Revocations of the device's certificate, with those reasonCodes."""

    async def rr(device: Device) -> bytes:
        found = x509.load_der_x509_certificate(device.enrolled.certificate)
        template = CertTemplate(serial_number=found.serial_number, issuer=RDNSequence.of(found.issuer))
        entries = [Extension(extn_id=oids.CRL_REASON, extn_value=value) for value in values]
        details = RevDetails(cert_details=template, crl_entry_details=entries)
        return (await device.by_certificate.message(PKIBody(BodyType.RR, [details]))).raw

    return rr


AT_A_SERVER: dict[str, Callable[[Device], Awaitable[bytes]]] = {
    "ber": in_ber,
    "foreign-mac-sender": from_mallory,
    "foreign-sender-kid": with_foreign_kid,
    "hmac-sha1": by_sha1,
    "missing-sender-kid": without_kid,
    "missing-transaction-id": without_id,
    "needless-poposk-input": with_poposk_input,
    "no-digital-signature": without_digital_signature,
    "null-sender": from_nobody,
    "odd-revocation-details": odd_details(),
    "recip-nonce-in-first": with_recip_nonce,
    "reordered-sender": reordered,
    "short-nonces": with_short_nonce,
    "trailing-octets": trailing,
}


ELSEWHERE = {
    "envelope-rsa-pkcs1": "tests/endpoints/test_end_to_end.py",
    "envelope-sha1": "tests/endpoints/test_end_to_end.py",
    "legacy-encryption": "tests/endpoints/test_proofs_of_version_2.py",
    "loose-nested": "tests/endpoints/test_nested.py",
    "openssl-central-keygen": "tests/endpoints/test_central_keys.py",
    "openssl-encrypted-cert": "tests/endpoints/test_encrypted_certificates.py",
    "self-issued-in-ip": "tests/endpoints/test_first_use.py",
}
"""Where those are tried that need more than a message: served with them, refused without, which the text names."""


def test_what_is_tried_elsewhere_is() -> None:
    for name, file in ELSEWHERE.items():
        assert name in TOLERANCES
        text = (Path(__file__).parents[2] / file).read_text()
        assert "tolerances=" in text
        assert f'"{name}"' in text or f"--tolerate {name}" in text


def tolerant(world: World, *names: str) -> World:
    return world.with_(tolerances=frozenset(names))


async def answered(world: World, octets: bytes) -> PKIMessage:
    answer = await world.handle(octets)
    assert answer.der is not None
    return decode_message(answer.der)


def granted(answer: PKIMessage) -> bool:
    if answer.body.type is BodyType.RP:
        return bool(answer.body.content.status[0].status is PKIStatus.ACCEPTED)
    if answer.body.type not in (BodyType.IP, BodyType.CP):
        return False
    return bool(answer.body.content.response[0].status.status is PKIStatus.ACCEPTED)


class TestServer:
    def test_each_tolerance_of_a_server_is_tried(self) -> None:
        known = tolerances_for(Side.SERVER)
        assert AT_A_SERVER.keys() == known - ELSEWHERE.keys()

    @pytest.mark.parametrize("name", AT_A_SERVER)
    @pytest.mark.rule("R-002", "R-003", "R-011", "R-012", "R-013", "R-021", "R-023")
    async def test_it_is_refused_by_default_and_the_log_names_the_tolerance(self, device, name, caplog):
        octets = await AT_A_SERVER[name](device)
        others = tolerant(device.world, *(AT_A_SERVER.keys() - {name}))
        for server in (device.world, others):
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                assert not granted(await answered(server, octets))
            assert f'or allow it: tolerances = ["{name}"] at a server' in caplog.text

    @pytest.mark.parametrize("name", AT_A_SERVER)
    @pytest.mark.rule("R-002", "R-003", "R-011", "R-012", "R-013", "R-021", "R-023")
    async def test_it_is_served_where_it_is_tolerated_which_is_logged_once(self, device, name, caplog):
        octets = await AT_A_SERVER[name](device)
        with caplog.at_level(logging.WARNING):
            answer = await answered(tolerant(device.world, name), octets)
        assert granted(answer)
        body = {BodyType.CP: "cr", BodyType.RP: "rr"}.get(answer.body.type, "ir")
        line = f"{body}, transaction {answer.header.transaction_id.hex()}: tolerated {name}"
        assert [record.getMessage() for record in caplog.records if "tolerated" in record.getMessage()] == [line]
        told = device.world.watcher.of("tolerated")
        assert [event.details["names"] for event in told] == [name]

    @pytest.mark.parametrize("value", [b"\x0a\x01\x07", b"\x0a\x01\x63", b"\x02\x01\x01", b"?"])
    @pytest.mark.rule("R-141")
    async def test_a_reason_that_is_none_counts_as_unspecified_where_that_is_tolerated(self, device, value, caplog):
        octets = await odd_details(value)(device)
        assert not granted(await answered(device.world, octets))
        assert 'tolerances = ["odd-revocation-details"]' in caplog.text
        assert granted(await answered(tolerant(device.world, "odd-revocation-details"), octets))
        (record,) = [one for one in await device.world.certificates() if one.der == device.enrolled.certificate]
        assert record.reason is CRLReason.UNSPECIFIED

    async def test_a_reason_that_is_given_twice_is_never_served(self, device):
        twice = await odd_details(b"\x0a\x01\x01", b"\x0a\x01\x04")(device)
        assert not granted(await answered(tolerant(device.world, *AT_A_SERVER), twice))

    async def test_what_needs_no_tolerance_uses_none(self, device, caplog):
        with caplog.at_level(logging.WARNING):
            assert granted(await answered(tolerant(device.world, *AT_A_SERVER), await device.ir()))
            assert granted(await answered(tolerant(device.world, *AT_A_SERVER), await device.cr()))
        assert "tolerated" not in caplog.text

    @pytest.mark.rule("R-013")
    async def test_a_message_may_need_several(self, device, caplog):
        octets = await device.cr(sender=directory_name(x509.Name([])), sender_kid=None, recip_nonce=bytes(16))
        names = ["missing-sender-kid", "null-sender", "recip-nonce-in-first"]
        for name in names:
            with caplog.at_level(logging.WARNING):
                assert not granted(await answered(tolerant(device.world, *names[: names.index(name)]), octets))
            assert f'allow it: tolerances = ["{name}"]' in caplog.text
            caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert granted(await answered(tolerant(device.world, *names), octets))
        assert caplog.records[-1].getMessage().endswith(f"tolerated {', '.join(names)}")

    @pytest.mark.rule("R-021")
    async def test_a_nonce_of_7_octets_and_two_wrong_names_are_never_served(self, device):
        everything = tolerant(device.world, *AT_A_SERVER)
        assert not granted(await answered(everything, await device.ir(sender_nonce=b"7octets")))
        mallory = directory_name(parse_name("CN=mallory"))
        assert not granted(await answered(everything, await device.cr(sender=mallory)))

    @pytest.mark.rule("R-013")
    async def test_without_sender_kid_the_common_name_picks_the_secret(self, device, caplog):
        octets = await device.ir(sender_kid=None)
        with caplog.at_level(logging.WARNING):
            assert not granted(await answered(device.world, octets))
        assert 'tolerances = ["missing-sender-kid"]' in caplog.text
        assert granted(await answered(tolerant(device.world, "missing-sender-kid"), octets))

    @pytest.mark.rule("R-018", "R-022")
    async def test_a_server_makes_one_transaction_id_for_a_message_without(self, device):
        """The rest of the transaction has it, and who repeats the message gets the same."""
        world = tolerant(device.world, "missing-transaction-id")
        octets = await without_id(device)
        answer = await answered(world, octets)
        assert len(answer.header.transaction_id) == 16
        assert await answered(world, octets) == answer
        confirmation = await device.by_secret.message(PKIBody(BodyType.PKICONF, Null()), to=answer)
        assert (await answered(world, confirmation.raw)).body.type is BodyType.PKICONF
        late = await device.by_secret.message(PKIBody(BodyType.PKICONF, Null()), to=answer, transaction_id=None)
        assert (await answered(world, late.raw)).body.type is BodyType.ERROR

    async def test_a_tolerance_excuses_no_wrong_protection(self, device):
        everything = tolerant(device.world, *AT_A_SERVER)
        for make in AT_A_SERVER.values():
            octets = await make(device)
            if octets[:2] == b"\x30\x80" or octets.endswith(b"\r\n"):
                continue
            message = decode_message(octets)
            wrong = message.with_protection(bytes(len(message.protection or b"")), message.extra_certs)
            assert (await answered(everything, wrong.raw)).body.type is BodyType.ERROR

    @pytest.mark.parametrize("name", ["CN=dev-42", "CN=dev-42,O=Elsewhere", "CN=dev-42,O=Example", ""])
    @pytest.mark.rule("R-012")
    async def test_the_sender_of_a_mac_is_its_reference_its_subject_or_empty(self, device, name):
        """The empty name is legal (RFC 9810 section 5.1.1); OpenSSL sends the subject that it asks for."""
        assert granted(await answered(device.world, await device.ir(sender=directory_name(parse_name(name)))))

    @pytest.mark.rule("R-012")
    async def test_a_secret_for_any_subject_fits_any_sender(self, world):
        forge = Forge(world.plugins, await world.secret("any", subject=None), world.clock)
        key = generate_key("p256", world.plugins)
        request = await forge.request(key, DEV, sender=directory_name(DEV))
        assert granted(await answered(world, request.raw))


Change = Callable[["Road", PKIMessage], Awaitable[bytes]]


class Road:
    """A road whose answers are changed, and protected anew by who made them."""

    def __init__(self, device: Device, change: Change) -> None:
        self.device, self.change = device, change
        self.credentials: Credentials = device.by_secret.credentials
        self.inner = device.world.road()
        self.sent: list[BodyType] = []

    async def exchange(self, request: bytes) -> bytes:
        self.sent.append(decode_message(request).body.type)
        answer = decode_message(await self.inner.exchange(request))
        return await self.change(self, answer)

    async def aclose(self) -> None:
        pass

    async def protected(self, answer: PKIMessage, credentials: Credentials | None = None, **header: Any) -> bytes:
        """The answer with other header fields, under good protection."""
        by_mac = answer.header.protection_alg.algorithm == oids.PASSWORD_BASED_MAC
        by = credentials or (self.credentials if by_mac else self.device.world.signer)
        protection, algorithm, key = protection_for(by, self.device.world.plugins)
        made = replace(answer.header, **{"protection_alg": algorithm, **header})
        own = by.extra_certs if isinstance(by, SigningCredentials) else ()
        sealed = await seal(made, answer.body, protection, key, (*own, *answer.extra_certs))
        return bytes(sealed.raw)


def header(**fields: Any) -> Change:
    return lambda road, answer: road.protected(answer, **fields)


async def ber_answer(road: Road, answer: PKIMessage) -> bytes:
    return bytes(indefinite(answer.raw))


async def longer_answer(road: Road, answer: PKIMessage) -> bytes:
    return answer.raw + b"\0"


async def mixed(road: Road, answer: PKIMessage) -> bytes:
    signer = road.device.world.signer
    kid, sender = signer.key_identifier, directory_name(signer.subject)
    return await road.protected(answer, signer, sender_kid=kid, sender=sender)


async def reordered_signer(road: Road, answer: PKIMessage) -> bytes:
    rdns = road.device.world.signer.subject.rdns
    assert len(rdns) > 1
    return await road.protected(answer, sender=directory_name(x509.Name(list(reversed(rdns)))))


async def no_answer_to_cert_conf(road: Road, answer: PKIMessage) -> bytes:
    if answer.body.type is BodyType.PKICONF:
        raise TransportError("HTTP 200 without a body")
    return answer.raw


def refusing(*, protected: bool, **fields: Any) -> Change:
    """A refusal in place of the answer."""

    async def change(road: Road, answer: PKIMessage) -> bytes:
        status = PKIStatusInfo.of(PKIStatus.REJECTION, ["go away"], PKIFailureInfo.BAD_REQUEST)
        refusal = replace(answer, body=PKIBody(BodyType.ERROR, ErrorMsgContent(pki_status_info=status)))
        if protected:
            return await road.protected(refusal, **fields)
        return PKIMessage(replace(answer.header, protection_alg=None, **fields), refusal.body).raw

    return change


ENROL: dict[str, Change] = {
    "ber": ber_answer,
    "hmac-sha1": header(protection_alg=SHA1),
    "missing-pkiconf": no_answer_to_cert_conf,
    "mixed-protection": mixed,
    "short-nonces": header(sender_nonce=b"8 octets"),
    "trailing-octets": longer_answer,
}
"""Answers to an ir and a certConf under a shared secret."""

UPDATE: dict[str, Change] = {
    "foreign-sender-kid": header(sender_kid=b"another"),
    "missing-sender-kid": header(sender_kid=None),
    "null-sender": header(sender=directory_name(x509.Name([]))),
    "reordered-sender": reordered_signer,
}
"""Answers to a signed request."""

REFUSED: dict[str, Change] = {
    "uncorrelated-errors": refusing(protected=True, transaction_id=None, recip_nonce=None),
    "unprotected-errors": refusing(protected=False),
}
"""Refusals."""


class TestClient:
    def test_each_tolerance_of_a_client_is_tried(self) -> None:
        elsewhere = {"no-confirmation", "no-digital-signature"}
        tried = ENROL.keys() | UPDATE.keys() | REFUSED.keys() | elsewhere
        assert tried == tolerances_for(Side.CLIENT) - ELSEWHERE.keys()

    async def run(self, device: Device, name: str, *names: str) -> None:
        options = {"tolerances": frozenset(names), "implicit_confirm": name != "missing-pkiconf"}
        if name in UPDATE:
            road = Road(device, UPDATE[name])
            async with device.world.client(device.enrolled, transport=road, **options) as client:
                await client.update(device.enrolled)
            return
        road = Road(device, {**ENROL, **REFUSED}[name])
        async with device.world.client(device.by_secret.credentials, transport=road, **options) as client:
            await client.enroll(subject=DEV)

    @pytest.mark.parametrize("name", [*ENROL, *UPDATE, *REFUSED])
    @pytest.mark.rule("R-039", "R-042")
    async def test_it_is_refused_by_default_naming_the_tolerance(self, device, name):
        others = tolerances_for(Side.CLIENT) - {name, "no-confirmation"}
        option = TOLERANCES[name].option or f"--tolerate {name}"
        for names in ((), others - {"missing-pkiconf"}):
            with pytest.raises((TrustError, TransportError)) as caught:
                await self.run(device, name, *names)
            assert option in str(caught.value)

    @pytest.mark.parametrize("name", [*ENROL, *UPDATE])
    @pytest.mark.rule("R-099")
    async def test_it_is_taken_where_it_is_tolerated_which_is_logged(self, device, name, caplog):
        with caplog.at_level(logging.WARNING, "cmpkit.client"):
            await self.run(device, name, name)
        assert f"tolerated {name}" in caplog.text

    @pytest.mark.parametrize("name", REFUSED)
    async def test_a_refusal_is_taken_where_it_is_tolerated(self, device, name, caplog):
        with caplog.at_level(logging.WARNING, "cmpkit.client"), pytest.raises(PeerRefusal, match="go away"):
            await self.run(device, name, name)
        assert f"tolerated {name}" in caplog.text

    async def test_nothing_but_a_refusal_may_be_uncorrelated(self, device):
        road = Road(device, header(transaction_id=bytes(16)))
        everything = tolerances_for(Side.CLIENT) - {"missing-pkiconf"}
        async with device.world.client(device.by_secret.credentials, transport=road, tolerances=everything) as client:
            with pytest.raises(TrustError, match="another transactionID"):
                await client.enroll(subject=DEV)

    @pytest.mark.rule("R-090")
    async def test_a_certificate_is_confirmed_unless_that_is_tolerated(self, device, caplog):
        async def as_it_is(road: Road, answer: PKIMessage) -> bytes:
            return answer.raw

        for names, sent in ((), [BodyType.IR, BodyType.CERT_CONF]), (("no-confirmation",), [BodyType.IR]):
            road, options = Road(device, as_it_is), {"tolerances": frozenset(names)}
            async with device.world.client(device.by_secret.credentials, transport=road, **options) as client:
                with caplog.at_level(logging.WARNING, "cmpkit.client"):
                    await client.enroll(subject=DEV)
            assert road.sent == sent
            assert ("tolerated no-confirmation" in caplog.text) is bool(names)

    async def test_a_signer_may_lack_digital_signature_where_that_is_tolerated(self, device):
        request = decode_message(await without_digital_signature(device))
        unfit = SigningCredentials(request.extra_certs[0], device.unfit.key)

        async def by_unfit(road: Road, answer: PKIMessage) -> bytes:
            sender = directory_name(unfit.subject)
            return await road.protected(answer, unfit, sender=sender, sender_kid=unfit.key_identifier)

        async def update(*names: str) -> None:
            options = {"tolerances": frozenset(names), "expected_sender": unfit.subject}
            road = Road(device, by_unfit)
            async with device.world.client(device.enrolled, transport=road, **options) as client:
                await client.update(device.enrolled)

        with pytest.raises(TrustError, match="--tolerate no-digital-signature"):
            await update()
        await update("no-digital-signature")


def test_a_peer_names_what_it_needs_on_each_side() -> None:
    assert peers(Side.SERVER)["openssl-3.0"] == {"hmac-sha1", "legacy-encryption"}
    assert peers(Side.CLIENT)["ejbca"] == {
        *("mixed-protection", "reordered-sender", "uncorrelated-errors", "unprotected-errors"),
    }
    assert "missing-sender-kid" in peers(Side.SERVER)["3gpp"]
    assert {"3gpp", "ejbca", "openssl-3.0", "openssl-3.5", "openssl-3.6"} <= peers(Side.CLIENT).keys()


@pytest.mark.parametrize("name", TOLERANCES)
def test_a_fault_that_is_tolerable_says_how(name: str) -> None:
    fault = CMPError("what is wrong", hint="mend it", tolerance=name)
    at_server = f'tolerances = ["{name}"] at a server' in fault.hint
    assert at_server is (Side.SERVER in TOLERANCES[name].sides)
    assert ("at a client" in fault.hint) is (Side.CLIENT in TOLERANCES[name].sides)
    assert str(CMPError("what is wrong", hint=fault.hint, tolerance=name)).count("allow it") == 1
