"""Revocation passphrases: chosen by who has a certificate or its secret, good for its revocation and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cmpkit import oids
from cmpkit.asn1 import EncryptedKey, EnvelopedData, InfoTypeAndValue, Variant, make_element, read_element
from cmpkit.ca.passphrases import Passphrases
from cmpkit.ca.policy import load_policy
from cmpkit.ca.profiles import load_profile
from cmpkit.crypto.enveloping import KeyRecipient, PasswordRecipient
from cmpkit.crypto.keys import generate_key
from cmpkit.endpoints.passphrases import passphrase_question
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo
from cmpkit.errors import ConfigurationError, PeerRefusal, TrustError
from cmpkit.parts import CertificateState, EncryptionCredentials, SharedSecret

from .conftest import World, over_http
from .forge import NOW

REFERENCE = b"dev-42-revocation"
PASSPHRASE = SharedSecret(REFERENCE, b"what only my owner knows")


@dataclass
class Trusting(World):
    """A world in which requesters may choose passphrases."""

    allowed: bool = True
    encryption: EncryptionCredentials | None = None

    @property
    def server(self) -> Any:
        server = super().server
        profiles = {"device": load_profile("device", {}, self.plugins)}
        policy = load_policy({"revocation_by_passphrase": self.allowed}, profiles)
        workshop = replace(server.workshop, policy=policy, encryption=self.encryption)
        sources = (*server.verifier.secrets, Passphrases(self.store))
        return replace(server, workshop=workshop, verifier=replace(server.verifier, secrets=sources))

    async def states(self) -> list[CertificateState]:
        return [record.state for record in await self.certificates()]


@pytest.fixture
async def world(world: World) -> Trusting:
    key = generate_key("x25519", world.plugins)
    made = encryption_certificate(world, key)
    same = {name: getattr(world, name) for name in World.__dataclass_fields__}
    return Trusting(**{**same, "encryption": made})


def encryption_certificate(world: World, key: Any) -> EncryptionCredentials:
    signer = x509.load_der_x509_certificate(world.signer.certificate)
    made = (
        x509.CertificateBuilder()
        .subject_name(signer.subject)
        .issuer_name(signer.subject)
        .public_key(serialization.load_der_public_key(key.public_key_info))
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW.replace(year=NOW.year + 1))
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    return EncryptionCredentials(made.public_bytes(serialization.Encoding.DER), key)


async def revoke(world: World, certificate: bytes, passphrase: SharedSecret = PASSPHRASE) -> None:
    async with world.client(passphrase) as client:
        await client.revoke(certificate)


class TestChoosing:
    @pytest.mark.rule("R-140", "R-187")
    async def test_a_passphrase_chosen_under_the_secret_revokes_what_was_enrolled_with_it(self, world):
        async with world.client(await world.secret()) as client:
            enrolled = await client.enroll(subject="CN=dev-42")
            await client.choose_passphrase(PASSPHRASE)
        await revoke(world, enrolled.certificate)
        assert await world.states() == [CertificateState.REVOKED]

    @pytest.mark.rule("R-140", "R-187")
    async def test_a_passphrase_chosen_by_a_certificate_revokes_it_and_what_took_its_place(self, world):
        async with world.client(await world.secret()) as client:
            enrolled = await client.enroll(subject="CN=dev-42")
        async with world.client(enrolled.credentials) as client:
            await client.choose_passphrase(PASSPHRASE)
            renewed = await client.update(enrolled)
        await revoke(world, renewed.certificate)
        await revoke(world, enrolled.certificate)
        assert await world.states() == [CertificateState.REVOKED] * 2

    async def test_a_new_passphrase_takes_the_place_of_the_old_one(self, world):
        later = SharedSecret(b"later", b"another passphrase")
        async with world.client(await world.secret()) as client:
            enrolled = await client.enroll(subject="CN=dev-42")
            for passphrase in (PASSPHRASE, later):
                await client.choose_passphrase(passphrase)
        with pytest.raises(PeerRefusal):
            await revoke(world, enrolled.certificate)
        await revoke(world, enrolled.certificate, later)

    @pytest.mark.rule("R-022")
    async def test_the_passphrase_and_the_answer_are_stored_together(self, world):
        """The same octets get the stored answer, and the audit says who chose one."""
        async with world.client(await world.secret()) as client:
            await client.choose_passphrase(PASSPHRASE)
        kept = [entry for entry in await world.store.audit_entries() if entry.event == "kept"]
        assert [entry.details["kind"] for entry in kept] == ["revPassphrase"]
        assert PASSPHRASE.value.decode() not in repr(kept)

    async def test_a_passphrase_that_is_too_short_is_not_sent(self, world):
        async with world.client(await world.secret()) as client:
            with pytest.raises(ConfigurationError, match="at least 8"):
                await client.choose_passphrase(SharedSecret(REFERENCE, b"1234567"))


class TestRefusals:
    @pytest.mark.rule("R-187")
    async def test_nothing_is_kept_unless_the_policy_allows_it(self, world):
        refusing = replace(world, allowed=False)
        async with refusing.client(await world.secret()) as client:
            with pytest.raises(PeerRefusal) as caught:
                await client.choose_passphrase(PASSPHRASE)
        assert (caught.value.fail_info, caught.value.body) == (PKIFailureInfo.NOT_AUTHORIZED, "error")
        assert await world.store.kept_value("revPassphrase", REFERENCE) is None

    @pytest.mark.rule("R-140")
    async def test_a_passphrase_is_of_no_use_once_the_policy_changed(self, world):
        async with world.client(await world.secret()) as client:
            enrolled = await client.enroll(subject="CN=dev-42")
            await client.choose_passphrase(PASSPHRASE)
        with pytest.raises(PeerRefusal) as caught:
            await revoke(replace(world, allowed=False), enrolled.certificate)
        assert caught.value.fail_info is PKIFailureInfo.NOT_AUTHORIZED

    @pytest.mark.rule("R-140")
    async def test_a_passphrase_revokes_nothing_of_others(self, world):
        async with world.client(await world.secret()) as client:
            await client.enroll(subject="CN=dev-42")
            await client.choose_passphrase(PASSPHRASE)
        async with world.client(await world.secret("dev-43")) as client:
            other = await client.enroll(subject="CN=dev-43")
        with pytest.raises(PeerRefusal) as caught:
            await revoke(world, other.certificate)
        assert caught.value.fail_info is PKIFailureInfo.NOT_AUTHORIZED
        assert CertificateState.REVOKED not in await world.states()

    @pytest.mark.rule("R-140")
    async def test_one_of_a_fleet_revokes_nothing_of_its_fellows(self, world):
        """Who shares the secret of the enrolment has no passphrase for all of them, and one for its own."""
        fleet = await world.secret("fleet", subject=None, uses=None)
        async with world.client(fleet) as client:
            mine, other = [await client.enroll(subject=f"CN={name}") for name in ("mine", "other")]
            with pytest.raises(PeerRefusal) as caught:
                await client.choose_passphrase(PASSPHRASE)
            assert caught.value.fail_info is PKIFailureInfo.NOT_AUTHORIZED
        async with world.client(mine.credentials) as client:
            await client.choose_passphrase(PASSPHRASE)
        with pytest.raises(PeerRefusal):
            await revoke(world, other.certificate)
        await revoke(world, mine.certificate)

    @pytest.mark.parametrize("ask", ["enroll", "certify", "info", "choose"])
    @pytest.mark.rule("R-140")
    async def test_a_passphrase_is_good_for_nothing_else(self, world, ask):
        async with world.client(await world.secret(uses=None)) as client:
            await client.choose_passphrase(PASSPHRASE)
        async with world.client(PASSPHRASE) as client:
            with pytest.raises(PeerRefusal) as caught:
                await {
                    "enroll": lambda: client.enroll(subject="CN=dev-42"),
                    "certify": lambda: client.certify(subject="CN=dev-42"),
                    "info": client.ca_certificates,
                    "choose": lambda: client.choose_passphrase(PASSPHRASE),
                }[ask]()
        assert caught.value.fail_info is PKIFailureInfo.NOT_AUTHORIZED
        assert await world.states() == []

    @pytest.mark.rule("R-140", "R-144")
    async def test_a_passphrase_puts_on_hold_and_lifts_none(self, world):
        async with world.client(await world.secret()) as client:
            enrolled = await client.enroll(subject="CN=dev-42")
            await client.choose_passphrase(PASSPHRASE)
        async with world.client(PASSPHRASE) as client:
            await client.revoke(enrolled.certificate, CRLReason.CERTIFICATE_HOLD)
            with pytest.raises(PeerRefusal) as caught:
                await client.revoke(enrolled.certificate, CRLReason.REMOVE_FROM_CRL)
        assert caught.value.fail_info is PKIFailureInfo.NOT_AUTHORIZED
        assert await world.states() == [CertificateState.ON_HOLD]

    async def test_a_reference_that_is_taken_is_refused(self, world):
        for reference in ("dev-42", "dev-43"):
            await world.secret(reference)
        async with world.client(SharedSecret("dev-42", "correct horse battery staple")) as client:
            await client.choose_passphrase(PASSPHRASE)
        async with world.client(SharedSecret("dev-43", "correct horse battery staple")) as client:
            for taken in (REFERENCE, b"dev-42"):
                with pytest.raises(PeerRefusal) as caught:
                    await client.choose_passphrase(replace(PASSPHRASE, reference=taken))
                assert caught.value.fail_info is PKIFailureInfo.BAD_REQUEST
        assert (await world.store.kept_value("revPassphrase", REFERENCE)).value == PASSPHRASE.value

    async def test_where_nothing_can_be_encrypted_to_the_secret_of_the_enrolment_is_left(self, world):
        async with world.client(await world.secret()) as client:
            enrolled = await client.enroll(subject="CN=dev-42")
        async with replace(world, encryption=None).client(enrolled.credentials) as client:
            with pytest.raises(ConfigurationError, match="names no certificate"):
                await client.choose_passphrase(PASSPHRASE)

    async def test_what_is_encrypted_for_another_key_or_in_another_form_is_refused(self, world):
        secret = await world.secret()
        stranger = generate_key("x25519", world.plugins)
        question = await passphrase_question(
            PASSPHRASE, KeyRecipient.of_key(stranger.public_key_info), plugins=world.plugins
        )
        for asked, fail_info in (
            (question, PKIFailureInfo.BAD_DATA_FORMAT),
            (InfoTypeAndValue(oids.REV_PASSPHRASE), PKIFailureInfo.BAD_DATA_FORMAT),
        ):
            async with world.client(secret) as client:
                with pytest.raises(PeerRefusal) as caught:
                    await client.info(asked)
            assert caught.value.fail_info is fail_info

    async def test_without_a_reference_the_key_identifier_of_the_signer_is_it(self, world):
        secret = await world.secret()
        async with world.client(secret) as client:
            enrolled = await client.enroll(subject="CN=dev-42")
        assert world.encryption is not None
        to_server = KeyRecipient.of_certificate(world.encryption.certificate)
        for credentials, recipient in ((secret, PasswordRecipient(secret)), (enrolled.credentials, to_server)):
            question = unnamed(await passphrase_question(PASSPHRASE, recipient, plugins=world.plugins))
            async with world.client(credentials) as client:
                if credentials is secret:
                    with pytest.raises(PeerRefusal):
                        await client.info(question)
                else:
                    assert await client.info(question) == (InfoTypeAndValue(oids.REV_PASSPHRASE),)
        identifier = enrolled.credentials.key_identifier
        await revoke(world, enrolled.certificate, SharedSecret(identifier, PASSPHRASE.value))

    async def test_a_server_that_does_not_say_that_it_keeps_it_is_not_believed(self, world, monkeypatch):
        async with world.client(await world.secret()) as client:

            async def silent(*questions: Any, **options: Any) -> tuple[InfoTypeAndValue, ...]:
                return ()

            monkeypatch.setattr(client, "info", silent)
            with pytest.raises(TrustError, match="does not say"):
                await client.choose_passphrase(PASSPHRASE)


def unnamed(question: InfoTypeAndValue) -> InfoTypeAndValue:
    """The same question without localKeyId."""
    enveloped = read_element(question.info_value, EncryptedKey).value
    assert isinstance(enveloped, EnvelopedData)
    bare = replace(enveloped, unprotected_attrs=None)
    return InfoTypeAndValue(oids.REV_PASSPHRASE, make_element(Variant(bare, "enveloped_data"), EncryptedKey))


class PassphraseInHeader:
    """A client that sends its passphrase in the header of each message."""

    def __init__(self, question: InfoTypeAndValue) -> None:
        self.question = question

    async def before_protection(self, message: Any) -> Any:
        info = [*(message.header.general_info or ()), self.question]
        return replace(message, header=replace(message.header, general_info=info))

    async def after_protection(self, octets: bytes) -> bytes:
        return octets


@pytest.mark.parametrize("by", ["secret", "certificate"])
@pytest.mark.rule("R-140", "R-187")
async def test_it_is_chosen_and_used_over_http(world, by):
    secret = await world.secret()
    async with over_http(world) as road:
        async with world.client(secret, transport=road()) as client:
            enrolled = await client.enroll(subject="CN=dev-42")
        credentials = secret if by == "secret" else enrolled.credentials
        async with world.client(credentials, transport=road()) as client:
            await client.choose_passphrase(PASSPHRASE)
        async with world.client(PASSPHRASE, transport=road()) as client:
            await client.revoke(enrolled.certificate)
    assert await world.states() == [CertificateState.REVOKED]


class TestHeader:
    @pytest.mark.rule("R-187")
    async def test_a_passphrase_in_the_header_of_a_request_is_kept_with_it(self, world):
        secret = await world.secret()
        question = await passphrase_question(PASSPHRASE, PasswordRecipient(secret), plugins=world.plugins)
        async with world.client(secret, transform=PassphraseInHeader(question)) as client:
            enrolled = await client.enroll(subject="CN=dev-42")
        sent = [event.details["message"] for event in world.watcher.of("message-sent")]
        answers = [message for message in sent if message.body.type in (BodyType.IP, BodyType.PKICONF)]
        assert answers
        kept = InfoTypeAndValue(oids.REV_PASSPHRASE)
        assert [answer.header.info(oids.REV_PASSPHRASE) for answer in answers] == [kept] * len(answers)
        await revoke(world, enrolled.certificate)

    @pytest.mark.rule("R-187")
    async def test_where_it_cannot_be_kept_nothing_is_done(self, world):
        secret = await world.secret()
        question = await passphrase_question(PASSPHRASE, PasswordRecipient(secret), plugins=world.plugins)
        refusing = replace(world, allowed=False)
        async with refusing.client(secret, transform=PassphraseInHeader(question)) as client:
            with pytest.raises(PeerRefusal):
                await client.enroll(subject="CN=dev-42")
        assert await world.states() == []
