"""What the responder asks for: everything that signs, stores, decides or may take time lies outside the engine.

Each need is a value; whoever drives the engine (:mod:`cmpkit.endpoints`) answers it with the result named here, or
throws the :class:`~cmpkit.errors.CMPError` that came of it into the engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from cryptography.x509 import Name

from cmpkit.asn1 import CertificationRequest, CertReqMsg, CertStatus, GeneralName, InfoTypeAndValue, PKIMessage
from cmpkit.enums import BodyType
from cmpkit.parts import CertificateRecord, CertificateRequest, RecoveryRequest, RevocationRequest, Transaction
from cmpkit.tolerances import STRICT, Leniency
from cmpkit.values import quick

__all__ = [
    "Authorize",
    "Await",
    "CheckProof",
    "Collect",
    "Confirm",
    "Consider",
    "FindCertificate",
    "FindNamed",
    "Inform",
    "Issue",
    "MakeChallenge",
    "Need",
    "Pass",
    "Recover",
    "Revoke",
    "Unwrap",
]


@quick
@dataclass(frozen=True)
class Authorize:
    """May this sender open this kind of operation? Answered by ``None``."""

    body_type: BodyType


@quick
@dataclass(frozen=True)
class CheckProof:
    """Does the requester have the private key? Answered by ``None``.

    :param sender: the header's sender, which a POPOSigningKeyInput must repeat.
    :param leniency: what is let pass.
    """

    request: CertReqMsg | CertificationRequest
    sender: GeneralName
    leniency: Leniency = STRICT


@quick
@dataclass(frozen=True)
class Issue:
    """A certificate, once the policy agreed. Answered by ``Issued``, ``Pending`` or ``Rejected``.

    :param key: the idempotency key: the same request gets the same certificate, however often it is asked.
    :param again: whether it was answered by ``Pending`` before.
    :param by_rsa: whether a certificate that comes encrypted is to be in the form of pvno 2, EncryptedValue.
    """

    request: CertificateRequest
    key: str
    again: bool = False
    by_rsa: bool = False


@dataclass(frozen=True, slots=True)
class MakeChallenge:
    """A number that only the holder of the private key can read. Answered by a ``Challenge``.

    :param by_rsa: whether it is to be in the form of pvno 2, encrypted by RSA itself.
    :param sender: of the message that will bring it, which only who drives the engine knows.
    """

    request: CertReqMsg
    by_rsa: bool = False
    sender: GeneralName | None = None


@quick
@dataclass(frozen=True)
class FindCertificate:
    """Our record of a certificate, and its certHash. Answered by ``(CertificateRecord, bytes)``.

    :param status: what certConf says of it: its hashAlg, else the certificate's signature, names the hash. ``None``
        asks for no certHash: not every certificate has one that its signature names.
    """

    issuer_key: str
    serial_number: int
    status: CertStatus | None = None


@quick
@dataclass(frozen=True)
class FindNamed:
    """Our record of a certificate that a registration authority names. Answered by ``CertificateRecord``.

    :param issuer: who issued it, as the message says.
    """

    issuer: Name
    serial_number: int


@quick
@dataclass(frozen=True)
class Confirm:
    """The certificate was accepted, or it was not. Answered by ``CertificateChange`` or ``Pending``."""

    certificate: CertificateRecord
    accepted: bool


@dataclass(frozen=True, slots=True)
class Revoke:
    """A revocation, once the policy agreed. Answered by ``Revoked``, ``Pending`` or ``Rejected``."""

    request: RevocationRequest


@dataclass(frozen=True, slots=True)
class Recover:
    """Archived keys, once the policy agreed. Answered by ``Recovered``."""

    request: RecoveryRequest


@dataclass(frozen=True, slots=True)
class Inform:
    """The answers to what a genm asks. Answered by a tuple of what information types give, unsupportedOIDs included.

    That is ``InfoTypeAndValue``, ``Told`` or ``Pending``.

    :param questions: none means "all you like" (RFC 9810 section 5.3.19).
    :param profile: the certificate profile that they are about, if one is named (RFC 9483 section 4.3.3).
    :param key: names the message: the same one has the same key, however often it is put.
    :param again: whether it was answered by ``Pending`` before.
    """

    questions: tuple[InfoTypeAndValue, ...]
    profile: str | None = None
    key: str = ""
    again: bool = False


@dataclass(frozen=True, slots=True)
class Consider:
    """May these certificates be asked for upstream? Answered by a tuple: of what is to be changed, or of ``Pending``.

    :param message: the request.
    :param profile: the profile that the address names.
    :param key: the idempotency key of the request.
    :param again: whether it was answered by ``Pending`` before.
    """

    message: PKIMessage
    profile: str | None
    key: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Pass:
    """A message on its way upstream. Answered by the transaction as it is stored then, and what the upstream answered.

    There is no answer, ``None``, if none came for a while. A message that needed not be written down has left no trace:
    the transaction is the one that is to be stored then, without a request.

    :param key: of the message, see :class:`cmpkit.parts.Relayed`.
    :param transaction: to be stored before the message leaves.
    :param changed: the requests in it that go upstream as other ones.
    :param spent: references of shared secrets of which a use is taken.
    """

    message: PKIMessage
    key: str
    transaction: Transaction
    changed: tuple[CertificateRequest, ...] = ()
    spent: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Await:
    """What the upstream answers to a message that is under way. Answered by that, or ``None`` as :class:`Pass`."""

    key: str


@dataclass(frozen=True, slots=True)
class Collect:
    """A message that is under way, with its answer if that is here. Answered by ``Relayed``, or ``None``."""

    key: str


@dataclass(frozen=True, slots=True)
class Unwrap:
    """An answer of the upstream as the requester gets it. Answered by the message.

    :param request: what it answers, as the requester sent it.
    :param manner: how that went upstream, :attr:`cmpkit.parts.Transaction.manner`.
    """

    answer: PKIMessage
    request: PKIMessage
    manner: str


Need: TypeAlias = (
    Authorize
    | CheckProof
    | MakeChallenge
    | Issue
    | FindCertificate
    | FindNamed
    | Confirm
    | Revoke
    | Recover
    | Inform
    | Consider
    | Pass
    | Await
    | Collect
    | Unwrap
)
"""Any of them."""
