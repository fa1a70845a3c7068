"""From wire to value: which certificates an rr names, and why (RFC 9810 section 5.3.9, RFC 9483 section 4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cmpkit import oids
from cmpkit.asn1 import Extension, GeneralizedTime, RevDetails, decode
from cmpkit.engine.wording import number_text
from cmpkit.enums import CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError, fault_of, raise_first
from cmpkit.parts import RevocationRequest
from cmpkit.tolerances import STRICT, Leniency

__all__ = ["read_rev_details", "rev_details_faults", "revocation_faults"]

_LONGEST_SERIAL = 160
"""Bits; RFC 5280 section 4.1.2.2 allows 20 octets."""
_KNOWN = (oids.CRL_REASON, oids.INVALIDITY_DATE)
_ODD = "odd-revocation-details"


def revocation_faults(details: list[RevDetails], most: int = 1) -> Iterator[CMPError]:
    """What a server refuses an rr as a whole for: how many certificates it names, and which more than once (R-141).

    :param most: how many it may name.
    """
    if not 1 <= len(details) <= most:
        yield CMPError(
            f"{len(details)} certificates in one rr, {'one is' if most == 1 else f'at most {most} are'} allowed",
            rule="RFC 9483 section 4.2",
            hint="revoke each certificate in a transaction of its own"
            if most == 1
            else "revoke the others by further requests",
        )
    serials = [one.cert_details.serial_number for one in details]
    twice = next((serial for serial in serials if serial is not None and serials.count(serial) > 1), None)
    if twice is not None:
        yield CMPError(
            f"the certificate with serial number {number_text(twice)} is named more than once in one rr",
            rule="RFC 9810 section 5.3.9",
            hint="name each certificate once",
        )


def rev_details_faults(details: RevDetails) -> Iterator[CMPError]:
    """What a server refuses in one entry of an rr (R-141)."""
    template = details.cert_details
    if template.serial_number is None or template.issuer is None:
        yield CMPError(
            "issuer and serialNumber of the certificate to revoke are needed",
            rule="RFC 9483 section 4.2",
            hint="put both into certDetails, as the certificate has them",
        )
    elif template.serial_number.bit_length() > _LONGEST_SERIAL:
        yield CMPError(
            f"there is no certificate with a serial number of {template.serial_number.bit_length()} bits",
            PKIFailureInfo.BAD_CERT_ID,
            rule="RFC 5280 section 4.1.2.2",
            hint="copy the serial number of the certificate",
        )
    extensions = details.crl_entry_details or []
    if details.crl_entry_details == []:
        yield CMPError(
            "crlEntryDetails is empty",
            PKIFailureInfo.BAD_DATA_FORMAT,
            rule="RFC 5280 section 4.1",
            hint="leave it out, or give a reasonCode",
            tolerance=_ODD,
        )
    yield from fault_of(_reason, extensions)
    yield from fault_of(_invalidity_date, extensions)
    for extension in extensions:
        if extension.critical and extension.extn_id not in _KNOWN:
            yield CMPError(
                f"the critical CRL entry extension {extension.extn_id.dotted_string} is not known",
                rule="RFC 5280 section 5.3",
                hint="leave it out, or let it not be critical",
            )
    if template.issuer is not None:
        yield from fault_of(getattr, template.issuer, "name")


def read_rev_details(details: RevDetails, leniency: Leniency = STRICT) -> RevocationRequest:
    """One certificate that an rr names, by issuer and serial number (R-141).

    :param leniency: what is let pass.
    :raises CMPError: the first of :func:`rev_details_faults`.
    """
    raise_first(rev_details_faults(details), leniency)
    template, extensions = details.cert_details, details.crl_entry_details or []
    assert template.issuer is not None
    assert template.serial_number is not None
    return RevocationRequest(
        template.issuer.name, template.serial_number, _tolerated_reason(extensions), _invalidity_date(extensions)
    )


def _tolerated_reason(extensions: list[Extension]) -> CRLReason:
    """The reasonCode, which was looked at before: one that is none counts as unspecified."""
    try:
        return _reason(extensions)
    except CMPError:
        return CRLReason.UNSPECIFIED


def _only(extensions: list[Extension], kind: object, name: str, hint: str) -> bytes | None:
    """The value of the entry extension of a kind, if there is one."""
    found = [extension.extn_value for extension in extensions if extension.extn_id == kind]
    if len(found) > 1:
        raise CMPError(f"more than one {name}", PKIFailureInfo.BAD_DATA_FORMAT, rule="RFC 9483 section 4.2", hint=hint)
    return found[0] if found else None


def _reason(extensions: list[Extension]) -> CRLReason:
    """The reasonCode; RFC 9810 section 5.3.9 lets it be absent, which means unspecified."""
    octets = _only(extensions, oids.CRL_REASON, "reasonCode", "give one, unspecified (0) if there is none")
    if octets is None:
        return CRLReason.UNSPECIFIED
    # ENUMERATED (tag 10) is an INTEGER but for its tag.
    value = decode(int, b"\x02" + octets[1:]) if octets[:1] == b"\x0a" else -1
    try:
        return CRLReason(value)
    except ValueError:
        raise CMPError(
            f"reasonCode {octets[:16].hex()} is none",
            PKIFailureInfo.BAD_DATA_FORMAT,
            rule="RFC 5280 section 5.3.1",
            hint="it is an ENUMERATED from 0 to 10, without 7",
            tolerance=_ODD,
        ) from None


def _invalidity_date(extensions: list[Extension]) -> datetime | None:
    octets = _only(extensions, oids.INVALIDITY_DATE, "invalidityDate", "give one, or none")
    if octets is None:
        return None
    try:
        return decode(GeneralizedTime, octets).as_datetime()
    except CMPError as error:
        raise CMPError(
            f"invalidityDate {octets[:24].hex()} is none",
            PKIFailureInfo.BAD_DATA_FORMAT,
            rule="RFC 5280 section 5.3.2",
            hint="it is a GeneralizedTime in UTC, without a fraction",
        ) from error
