"""Revocation passphrases: chosen by requesters, for when their keys are lost (RFC 9810 section 5.3.19.9, appendix B).

Who knows one may revoke the certificates of whoever chose it, and do nothing else, whatever a policy allows to shared
secrets: :func:`check_purpose` and :func:`check_owner` are asked before it.
"""

from __future__ import annotations

from typing import Final

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import TLV, EncryptedKey, EnvelopedData, InfoTypeAndValue, decode, parse_tlv, read_element
from cmpkit.crypto.enveloping import OpeningKey, open_envelope
from cmpkit.crypto.x509 import outline
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import (
    Authenticated,
    CertificateRecord,
    Grant,
    InfoContext,
    KeptValue,
    PassphrasePolicy,
    RevocationRequest,
    SecretRecord,
    SharedSecret,
    Store,
    Told,
)

__all__ = ["MIN_PASSPHRASE", "Passphrases", "RevPassphraseInfo", "check_owner", "check_purpose"]

MIN_PASSPHRASE: Final = 8
"""Octets that a passphrase must have."""

_RULE: Final = "RFC 9810 appendix B"
_KIND: Final = "revPassphrase"
_MAX_PASSPHRASE = 1024
_MAX_REFERENCE = 128


class RevPassphraseInfo:
    """revPassphrase: keeps a passphrase, in place of the one that the sender chose before."""

    oid: ObjectIdentifier = oids.REV_PASSPHRASE
    name = _KIND

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue | Told:
        """The absent value that says that it is kept (R-187)."""
        policy, store = context.policy, context.store
        if policy is None or store is None or not isinstance(policy, PassphrasePolicy):
            raise CMPError("no revocation passphrases are kept here", PKIFailureInfo.NOT_AUTHORIZED, rule=_RULE)
        await policy.authorize_passphrase(context.auth, now=context.now)
        enveloped = _enveloped(value)
        owner = _owner(context.auth)
        reference = _reference(enveloped, context.auth)
        taken = await store.kept_value(_KIND, reference)
        if await store.find_secret(reference) is not None or (taken is not None and taken.owner != owner):
            raise _unfit(
                "the reference of the passphrase is taken", "name another by localKeyId", PKIFailureInfo.BAD_REQUEST
            )
        passphrase = await open_envelope(enveloped, _opening_key(enveloped, context), read=_read_passphrase)
        return Told(InfoTypeAndValue(self.oid), (KeptValue(_KIND, owner, reference, passphrase),))


def _enveloped(value: TLV | None) -> EnvelopedData:
    if value is None:
        raise _unfit("revPassphrase has no value", "send the passphrase, encrypted")
    key = read_element(value, EncryptedKey)
    if not isinstance(key.value, EnvelopedData):
        raise _unfit(
            "the passphrase is in EncryptedValue, which is not taken", "send EnvelopedData", PKIFailureInfo.BAD_ALG
        )
    return key.value


def _read_passphrase(octets: bytes) -> bytes:
    if not MIN_PASSPHRASE <= len(octets) <= _MAX_PASSPHRASE:
        raise _unfit("the passphrase is too short or too long", "")
    return octets


def _opening_key(enveloped: EnvelopedData, context: InfoContext) -> OpeningKey:
    by_password = any(recipient.tag == "pwri" for recipient in enveloped.recipient_infos.as_list())
    if by_password and context.auth.credential.secret is not None:
        return context.auth.credential.secret
    if by_password or context.encryption is None:
        raise _unfit(
            "the passphrase is encrypted for nobody here",
            "encrypt it under the shared secret of the message, or to the certificate that caProtEncCert names",
            PKIFailureInfo.BAD_ALG,
        )
    return context.encryption.key


def _reference(enveloped: EnvelopedData, auth: Authenticated) -> bytes:
    """By what the passphrase is known later, as senderKID: localKeyId, else the key identifier of the signer."""
    attributes = () if enveloped.unprotected_attrs is None else enveloped.unprotected_attrs.as_list()
    for attribute in attributes:
        if attribute.attr_type == oids.LOCAL_KEY_ID:
            values = attribute.attr_values.as_list()
            reference = parse_tlv(values[0], bytes) if len(values) == 1 else b""
            if not 0 < len(reference) <= _MAX_REFERENCE:
                raise _unfit(f"localKeyId is not one value of 1 to {_MAX_REFERENCE} octets", "name the passphrase once")
            return reference
    certificate = auth.credential.certificate
    identifier = None if certificate is None else outline(certificate).extension(oids.SUBJECT_KEY_IDENTIFIER)
    if identifier is None:
        raise _unfit("the passphrase has no reference", "name one by the attribute localKeyId of the EnvelopedData")
    return decode(bytes, identifier)


def _unfit(detail: str, hint: str, fail_info: PKIFailureInfo = PKIFailureInfo.BAD_DATA_FORMAT) -> CMPError:
    return CMPError(detail, fail_info, rule=_RULE, hint=hint)


def _owner(auth: Authenticated) -> str:
    """Whose certificates a passphrase revokes: those that were enrolled with a secret which is for one subject; those
    of the line and the subject of a certificate.

    :raises CMPError: notAuthorized for a secret that others may have, too.
    """
    if auth.record is not None:
        return _holder(auth.record)
    if auth.grant is not None and auth.grant.subject is not None:
        return f"enrolled by {auth.credential.id}"
    raise CMPError(
        f"{auth.identity!r} may enrol several, whose certificates are not for one of them to revoke",
        PKIFailureInfo.NOT_AUTHORIZED,
        rule=_RULE,
        hint="sign with the certificate that a passphrase is to be chosen for",
    )


def _holder(record: CertificateRecord) -> str:
    if not record.subject:
        return f"certificate {record.fingerprint.hex()}"
    return f"holder {record.enrolled_by or 'unknown'} {record.subject}"


def check_purpose(body_type: BodyType, auth: Authenticated) -> None:
    """Whether the credential may open this kind of operation at all.

    :raises CMPError: notAuthorized if it is a passphrase, and this is no revocation.
    """
    if auth.grant is not None and auth.grant.revokes and body_type is not BodyType.RR:
        raise _not_for_that(f"a {body_type.wire_name} comes under a revocation passphrase")


def check_owner(request: RevocationRequest, record: CertificateRecord, auth: Authenticated) -> None:
    """Whether the credential may revoke a certificate, as far as it is a passphrase.

    :param record: of the certificate that the request names.
    :raises CMPError: notAuthorized if it is one, and the certificate is another's, or a hold is to be lifted.
    """
    owner = "" if auth.grant is None else auth.grant.revokes
    if owner and request.reason is CRLReason.REMOVE_FROM_CRL:
        raise _not_for_that("a hold is to be lifted by a revocation passphrase")
    if owner and owner not in (_holder(record), f"enrolled by {record.enrolled_by}"):
        raise _not_for_that(f"the certificate {record.serial_number:x} is not one of whoever chose the passphrase")


def _not_for_that(detail: str) -> CMPError:
    return CMPError(
        detail,
        PKIFailureInfo.NOT_AUTHORIZED,
        rule=_RULE,
        hint="a revocation passphrase revokes the certificates of who chose it, and nothing else",
    )


class Passphrases:
    """A :class:`~cmpkit.parts.SecretSource`: the passphrases that requesters chose."""

    name = _KIND

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, reference: bytes) -> SecretRecord | None:
        """The passphrase with that reference, as a secret that revokes."""
        kept = await self._store.kept_value(_KIND, reference)
        if kept is None:
            return None
        return SecretRecord(SharedSecret(reference, kept.value), Grant(None, uses=None, revokes=kept.owner))
