from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from pyasn1.codec.der import decoder
from pyasn1_modules import rfc5280

from cmpkit.ca.certificates import read_issuer_certificate
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import extension, fingerprint, key_identifier
from cmpkit.enums import CRLReason, PKIFailureInfo
from cmpkit.errors import ConfigurationError, ConflictError
from cmpkit.parts import (
    CertificateState,
    Issued,
    PrivateKey,
    Registration,
    Rejected,
    RevocationRequest,
    UnitOfWork,
)

STATE = CertificateState


async def issue(ca: Any, request: Any, *, issuer: LocalIssuer | None = None, now: datetime | None = None) -> Any:
    return await (issuer or ca.issuer).issue(request, ca.ask.by_secret(), idempotency_key="key", now=now or ca.ask.now)


# issuing


async def test_a_certificate_is_signed_by_the_ca_for_the_key_that_was_asked_for(ca: Any, ask: Any) -> None:
    record = await ca.issue()
    certificate = x509.load_der_x509_certificate(record.der)
    certificate.verify_directly_issued_by(x509.load_der_x509_certificate(ca.certificate.der))
    assert certificate.subject == parse_name("CN=dev-42")
    assert certificate.issuer == parse_name("CN=Example CA,O=Example")
    read, rest = decoder.decode(record.der, asn1Spec=rfc5280.Certificate())
    assert not rest
    assert int(read["tbsCertificate"]["version"]) == 2
    key, _ = decoder.decode(ask.key.public_key_info, asn1Spec=rfc5280.SubjectPublicKeyInfo())
    assert read["tbsCertificate"]["subjectPublicKeyInfo"] == key


async def test_the_record_says_what_is_in_the_certificate(ca: Any, ask: Any) -> None:
    result = await issue(ca, ask.request())
    record = result.certificate
    certificate = x509.load_der_x509_certificate(record.der)
    assert record.serial_number == certificate.serial_number
    assert (record.not_before, record.not_after) == (
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )
    assert record.fingerprint == fingerprint(record.der)
    assert record.subject == "CN=dev-42"
    assert (record.profile, record.request_key, record.issuer_key) == ("device", "key", ca.certificate.key_id)
    assert record.state is STATE.ISSUED


async def test_key_identifiers_and_the_place_of_the_crl_are_added(ca: Any, ask: Any) -> None:
    url = "http://crl.example/ca.crl"
    result = await issue(ca, ask.request(), issuer=ca.reopened(crl_urls=[url]))
    extensions = x509.load_der_x509_certificate(result.certificate.der).extensions
    own = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert own.digest == key_identifier(ask.key.public_key_info)
    issuer = x509.load_der_x509_certificate(ca.certificate.der).extensions
    authority = extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert authority.key_identifier == issuer.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    points = extensions.get_extension_for_class(x509.CRLDistributionPoints)
    assert [name.value for point in points.value for name in point.full_name or ()] == [url]
    assert not points.critical
    without = x509.load_der_x509_certificate((await ca.issue()).der).extensions
    assert [item for item in without if isinstance(item.value, x509.CRLDistributionPoints)] == []


async def test_every_certificate_has_another_serial_number(ca: Any) -> None:
    assert (await ca.issue()).serial_number != (await ca.issue()).serial_number


async def test_the_chain_is_without_the_root(ca: Any, ask: Any) -> None:
    assert (await issue(ca, ask.request())).chain == (ca.certificate.der,)
    assert await ca.issuer.ca_certificates() == (ca.certificate.der, ca.hierarchy.root)


async def test_a_root_that_issues_itself_gives_no_chain(ca: Any, ask: Any, root_key: PrivateKey) -> None:
    root = LocalIssuer(read_issuer_certificate([ca.hierarchy.root]), root_key, ca.store, ca.profiles)
    assert (await issue(ca, ask.request(), issuer=root)).chain == ()
    assert await root.ca_certificates() == (ca.hierarchy.root,)


async def test_a_certificate_does_not_outlive_its_issuer(ca: Any, ask: Any) -> None:
    end = ca.certificate.not_after
    result = await issue(ca, ask.request(), now=end - timedelta(days=1))
    assert result.certificate.not_after == end
    assert not result.modified
    wanted = ask.request(not_after=end + timedelta(hours=1))
    assert (await issue(ca, wanted, now=end - timedelta(days=1))).modified


async def test_a_ca_that_ended_issues_nothing(ca: Any, ask: Any) -> None:
    result = await issue(ca, ask.request(), now=ca.certificate.not_after)
    assert isinstance(result, Rejected)
    assert result.error.fail_info is PKIFailureInfo.SYSTEM_UNAVAIL
    assert "renew" in result.error.hint


async def test_what_the_profile_refuses_is_rejected(ca: Any, ask: Any) -> None:
    result = await issue(ca, ask.request("CN=dev-42", ask.constraints(ca=True)))
    assert isinstance(result, Rejected)
    assert result.error.fail_info is PKIFailureInfo.NOT_AUTHORIZED


@pytest.mark.parametrize("name", [None, "nobody"])
@pytest.mark.rule("R-027")
async def test_r_027_a_profile_that_does_not_exist_is_rejected(ca: Any, ask: Any, name: str | None) -> None:
    result = await issue(ca, ask.request(profile=name))
    assert result.error.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE


@pytest.mark.rule("R-071")
async def test_r_071_what_the_profile_changes_is_a_modification(ca: Any, ask: Any) -> None:
    assert not (await issue(ca, ask.request())).modified
    assert (await issue(ca, ask.request("CN=dev-42", ask.unknown()))).modified


@pytest.mark.rule("R-071")
async def test_r_071_key_identifiers_that_are_as_asked_for_are_no_modification(ca: Any, ask: Any) -> None:
    own = x509.SubjectKeyIdentifier(key_identifier(ask.key.public_key_info))
    assert not (await issue(ca, ask.request("CN=dev-42", extension(own)))).modified
    other = x509.SubjectKeyIdentifier(bytes(20))
    result = await issue(ca, ask.request("CN=dev-42", extension(other)))
    assert result.modified
    assert own in [item.value for item in x509.load_der_x509_certificate(result.certificate.der).extensions]


def test_a_key_of_another_certificate_is_refused(ca: Any, other_key: PrivateKey) -> None:
    with pytest.raises(ConfigurationError, match="not that of the certificate of CN=Example CA"):
        LocalIssuer(ca.certificate, other_key, ca.store, ca.profiles)


# confirmation


async def test_a_certificate_that_is_accepted_is_valid(ca: Any) -> None:
    assert (await ca.issue()).state is STATE.VALID


async def test_implicit_confirmation_can_be_stored_with_the_certificate(ca: Any, ask: Any) -> None:
    result = await issue(ca, ask.request())
    change = await ca.issuer.confirm(result.certificate, accepted=True, now=ask.now)
    await ca.store.commit(UnitOfWork(certificates=(result.certificate,), changes=(change,)))
    assert (await ca.stored(result.certificate)).state is STATE.VALID


@pytest.mark.rule("R-094")
async def test_r_094_a_certificate_that_is_rejected_is_revoked_and_on_the_crl(ca: Any, ask: Any) -> None:
    record = await ca.issue(confirm=False)
    change = await ca.issuer.confirm(record, accepted=False, now=ask.now)
    await ca.store.commit(UnitOfWork(changes=(change,)))
    stored = await ca.stored(record)
    assert (stored.state, stored.reason) == (STATE.REVOKED, CRLReason.CESSATION_OF_OPERATION)
    crl = x509.load_der_x509_crl(await ca.issuer.crl(now=ask.now))
    assert crl.get_revoked_certificate_by_serial_number(record.serial_number) is not None


async def test_a_certificate_is_confirmed_or_rejected_once(ca: Any, ask: Any) -> None:
    record = await ca.issue()
    change = await ca.issuer.confirm(record, accepted=False, now=ask.now)
    with pytest.raises(ConflictError):
        await ca.store.commit(UnitOfWork(changes=(change,)))


# revocation


async def refusal(ca: Any, request: RevocationRequest, now: datetime | None = None) -> PKIFailureInfo:
    result = await ca.issuer.revoke(request, ca.ask.by_secret(), now=now or ca.ask.now)
    assert isinstance(result, Rejected)
    return result.error.fail_info


@pytest.mark.parametrize("reason", sorted(set(CRLReason) - {CRLReason.CERTIFICATE_HOLD, CRLReason.REMOVE_FROM_CRL}))
async def test_a_certificate_is_revoked_for_the_reason_that_was_given(ca: Any, ask: Any, reason: CRLReason) -> None:
    revoked = await ca.revoke(await ca.issue(), reason)
    assert (revoked.state, revoked.reason, revoked.revoked_at) == (STATE.REVOKED, reason, ask.now)


async def test_since_when_a_certificate_is_suspect_is_kept_until_a_hold_is_lifted(ca: Any, ask: Any) -> None:
    record, since = await ca.issue(), ask.now - timedelta(days=3)
    states = []
    for reason in (CRLReason.CERTIFICATE_HOLD, CRLReason.REMOVE_FROM_CRL, CRLReason.KEY_COMPROMISE):
        wanted = replace(ca.revocation(record, reason), invalidity_date=since)
        result = await ca.issuer.revoke(wanted, ask.by_secret(), now=ask.now)
        await ca.store.commit(UnitOfWork(changes=(result.change,)))
        states.append((await ca.stored(record)).invalidity_date)
    assert states == [since, None, since]


async def test_a_line_of_certificates_belongs_to_who_asked_for_the_first(ca: Any, ask: Any) -> None:
    first = await ca.issue()
    assert first.enrolled_by == ask.by_secret().credential.id
    result = await ca.issuer.issue(ask.request(), ask.by_certificate(first), idempotency_key="next", now=ask.now)
    assert result.certificate.enrolled_by == first.enrolled_by


@pytest.mark.rule("R-071")
async def test_r_071_a_certificate_that_should_be_published_is_granted_with_mods(ca: Any, ask: Any) -> None:
    for publish in (True, False, None):
        wanted = replace(ask.request(), registration=Registration(publish=publish))
        assert (await issue(ca, wanted)).modified is bool(publish)


async def test_a_certificate_that_is_not_confirmed_yet_can_be_revoked(ca: Any) -> None:
    assert (await ca.revoke(await ca.issue(confirm=False))).state is STATE.REVOKED


@pytest.mark.rule("R-142")
async def test_r_142_an_unknown_certificate_is_refused(ca: Any) -> None:
    record = await ca.issue()
    other_serial = RevocationRequest(ca.certificate.name, record.serial_number + 1, CRLReason.UNSPECIFIED)
    assert await refusal(ca, other_serial) is PKIFailureInfo.BAD_CERT_ID
    other_issuer = RevocationRequest(parse_name("CN=Other CA"), record.serial_number, CRLReason.UNSPECIFIED)
    assert await refusal(ca, other_issuer) is PKIFailureInfo.BAD_CERT_ID


async def test_the_issuer_may_be_named_in_another_case(ca: Any, ask: Any) -> None:
    record = await ca.issue()
    request = RevocationRequest(parse_name("CN=EXAMPLE CA,O=example"), record.serial_number, CRLReason.UNSPECIFIED)
    assert not isinstance(await ca.issuer.revoke(request, ask.by_secret(), now=ask.now), Rejected)


@pytest.mark.rule("R-142")
async def test_r_142_a_certificate_that_is_revoked_or_expired_is_refused(ca: Any) -> None:
    record = await ca.issue()
    request = ca.revocation(record, CRLReason.KEY_COMPROMISE)
    late = record.not_after + timedelta(seconds=1)
    assert await refusal(ca, request, late) is PKIFailureInfo.CERT_REVOKED
    await ca.revoke(record)
    assert await refusal(ca, request) is PKIFailureInfo.CERT_REVOKED
    hold = ca.revocation(record, CRLReason.CERTIFICATE_HOLD)
    assert await refusal(ca, hold) is PKIFailureInfo.CERT_REVOKED


async def test_a_hold_can_be_lifted_and_made_again(ca: Any) -> None:
    record = await ca.issue()
    held = await ca.revoke(record, CRLReason.CERTIFICATE_HOLD)
    assert (held.state, held.reason) == (STATE.ON_HOLD, CRLReason.CERTIFICATE_HOLD)
    assert await refusal(ca, ca.revocation(record, CRLReason.CERTIFICATE_HOLD)) is PKIFailureInfo.CERT_REVOKED
    valid = await ca.revoke(record, CRLReason.REMOVE_FROM_CRL)
    assert (valid.state, valid.reason, valid.revoked_at) == (STATE.VALID, None, None)
    assert (await ca.revoke(record, CRLReason.CERTIFICATE_HOLD)).state is STATE.ON_HOLD


async def test_a_hold_can_become_a_revocation(ca: Any) -> None:
    held = await ca.revoke(await ca.issue(), CRLReason.CERTIFICATE_HOLD)
    revoked = await ca.revoke(held, CRLReason.KEY_COMPROMISE)
    assert (revoked.state, revoked.reason) == (STATE.REVOKED, CRLReason.KEY_COMPROMISE)


@pytest.mark.rule("R-144")
async def test_r_144_only_a_hold_can_be_lifted(ca: Any) -> None:
    record = await ca.issue()
    lift = ca.revocation(record, CRLReason.REMOVE_FROM_CRL)
    assert await refusal(ca, lift) is PKIFailureInfo.BAD_REQUEST
    await ca.revoke(record)
    assert await refusal(ca, lift) is PKIFailureInfo.BAD_REQUEST


async def test_of_two_revocations_at_once_one_is_a_conflict(ca: Any, ask: Any) -> None:
    record = await ca.issue()
    first = await ca.issuer.revoke(ca.revocation(record, CRLReason.SUPERSEDED), ask.by_secret(), now=ask.now)
    second = await ca.issuer.revoke(ca.revocation(record, CRLReason.KEY_COMPROMISE), ask.by_secret(), now=ask.now)
    await ca.store.commit(UnitOfWork(changes=(first.change,)))
    with pytest.raises(ConflictError):
        await ca.store.commit(UnitOfWork(changes=(second.change,)))


async def test_an_issuer_says_who_it_is(ca: Any, ask: Any) -> None:
    assert (ca.issuer.name, ca.issuer.local) == ("local", True)
    assert isinstance(await issue(ca, ask.request()), Issued)
