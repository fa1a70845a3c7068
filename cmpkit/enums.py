"""The numbers of the protocol: body types, statuses, failure bits, versions, revocation reasons."""

from __future__ import annotations

import enum

__all__ = ["PVNO", "BodyType", "CRLReason", "PKIFailureInfo", "PKIStatus", "ProofMethod", "SubsequentMessage"]


class PVNO(enum.IntEnum):
    """The protocol version number of a PKIHeader (RFC 9810 section 7)."""

    CMP1999 = 1
    CMP2000 = 2
    CMP2021 = 3


class BodyType(enum.IntEnum):
    """The alternatives of PKIBody; the value is the context tag (RFC 9810 section 5.1.2)."""

    IR = 0
    IP = 1
    CR = 2
    CP = 3
    P10CR = 4
    POPDECC = 5
    POPDECR = 6
    KUR = 7
    KUP = 8
    KRR = 9
    KRP = 10
    RR = 11
    RP = 12
    CCR = 13
    CCP = 14
    CKUANN = 15
    CANN = 16
    RANN = 17
    CRLANN = 18
    PKICONF = 19
    NESTED = 20
    GENM = 21
    GENP = 22
    ERROR = 23
    CERT_CONF = 24
    POLL_REQ = 25
    POLL_REP = 26

    @property
    def wire_name(self) -> str:
        """The name that the RFC uses, for logs and messages to people: ``ir``, ``certConf``, ``pollReq``."""
        return _WIRE_NAMES[self]


_WIRE_NAMES = {
    **{body_type: body_type.name.lower() for body_type in BodyType},
    BodyType.CERT_CONF: "certConf",
    BodyType.POLL_REQ: "pollReq",
    BodyType.POLL_REP: "pollRep",
}


class PKIStatus(enum.IntEnum):
    """The outcome that a PKIStatusInfo reports (RFC 9810 section 5.2.3)."""

    ACCEPTED = 0
    GRANTED_WITH_MODS = 1
    REJECTION = 2
    WAITING = 3
    REVOCATION_WARNING = 4
    REVOCATION_NOTIFICATION = 5
    KEY_UPDATE_WARNING = 6

    @property
    def wire_name(self) -> str:
        """The name that the RFC uses: ``accepted``, ``grantedWithMods``, ``rejection`` ..."""
        return _camel_case(self.name)


class PKIFailureInfo(enum.IntFlag):
    """Why a request was refused: flags whose bit number is the named bit of the BIT STRING (RFC 9810 section 5.2.3)."""

    BAD_ALG = 1 << 0
    BAD_MESSAGE_CHECK = 1 << 1
    BAD_REQUEST = 1 << 2
    BAD_TIME = 1 << 3
    BAD_CERT_ID = 1 << 4
    BAD_DATA_FORMAT = 1 << 5
    WRONG_AUTHORITY = 1 << 6
    INCORRECT_DATA = 1 << 7
    MISSING_TIME_STAMP = 1 << 8
    BAD_POP = 1 << 9
    CERT_REVOKED = 1 << 10
    CERT_CONFIRMED = 1 << 11
    WRONG_INTEGRITY = 1 << 12
    BAD_RECIPIENT_NONCE = 1 << 13
    TIME_NOT_AVAILABLE = 1 << 14
    UNACCEPTED_POLICY = 1 << 15
    UNACCEPTED_EXTENSION = 1 << 16
    ADD_INFO_NOT_AVAILABLE = 1 << 17
    BAD_SENDER_NONCE = 1 << 18
    BAD_CERT_TEMPLATE = 1 << 19
    SIGNER_NOT_TRUSTED = 1 << 20
    TRANSACTION_ID_IN_USE = 1 << 21
    UNSUPPORTED_VERSION = 1 << 22
    NOT_AUTHORIZED = 1 << 23
    SYSTEM_UNAVAIL = 1 << 24
    SYSTEM_FAILURE = 1 << 25
    DUPLICATE_CERT_REQ = 1 << 26

    @property
    def wire_names(self) -> tuple[str, ...]:
        """The names that the RFC uses for the bits that are set, lowest bit first: ``("badPOP",)``."""
        return tuple(_FAILURE_NAMES.get(bit, _camel_case(bit.name or "")) for bit in PKIFailureInfo if bit in self)


_FAILURE_NAMES = {
    PKIFailureInfo.BAD_POP: "badPOP",
    PKIFailureInfo.TRANSACTION_ID_IN_USE: "transactionIdInUse",
}


class SubsequentMessage(enum.IntEnum):
    """How a key that does not sign is proven later (RFC 4211 section 4.2)."""

    ENCR_CERT = 0
    CHALLENGE_RESP = 1

    @property
    def wire_name(self) -> str:
        """The name that the RFC uses: ``encrCert``, ``challengeResp``."""
        return _camel_case(self.name)


class ProofMethod(enum.Enum):
    """How a requester shows that it has the private key (RFC 9810 section 5.2.8.4); the values are the RFC's names."""

    RA_VERIFIED = "raVerified"
    SIGNATURE = "signature"
    ENCRYPTED_CERTIFICATE = "encrCert"
    CHALLENGE_RESPONSE = "challengeResp"
    AGREED_MAC = "agreeMAC"
    DH_BASED_MAC = "DHBasedMac"
    ENCRYPTED_KEY = "encryptedKey"


class CRLReason(enum.IntEnum):
    """Why a certificate was revoked (RFC 5280 section 5.3.1); value 7 is not used."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    CA_COMPROMISE = 2
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5
    CERTIFICATE_HOLD = 6
    REMOVE_FROM_CRL = 8
    PRIVILEGE_WITHDRAWN = 9
    AA_COMPROMISE = 10

    @property
    def wire_name(self) -> str:
        """The name that RFC 5280 uses: ``keyCompromise``, ``removeFromCRL`` ..."""
        name = _camel_case(self.name)
        return {"caCompromise": "cACompromise", "removeFromCrl": "removeFromCRL", "aaCompromise": "aACompromise"}.get(
            name, name
        )


def _camel_case(name: str) -> str:
    first, *rest = name.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)
