"""Whether certificates and CRLs are what their issuer says of them, for :func:`cmpkit.testing.check_issuer`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from cmpkit.asn1 import CertificateList, CertificateWire, decode, encode
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.x509 import certificate_public_key_info, fingerprint, issuer_key_id
from cmpkit.enums import CRLReason
from cmpkit.parts import CertificateState, Issued
from cmpkit.plugins import Plugins
from cmpkit.testing.contract import require, require_type, success

__all__ = ["Authority", "require_crl", "require_issued"]

_MAX_SERIAL_BITS = 159
_REASONS = {reason.wire_name: reason for reason in CRLReason}


@dataclass(frozen=True, slots=True)
class Authority:
    """The CA as its own certificates show it.

    :param certificates: DER, the issuing one first, the root last.
    :param name: the subject of the issuing one.
    :param public_key_info: DER of its key.
    :param plugins: with the key algorithms of the certificates.
    """

    certificates: tuple[bytes, ...]
    name: x509.Name
    public_key_info: bytes
    plugins: Plugins

    @classmethod
    def of(cls, certificates: tuple[bytes, ...], plugins: Plugins) -> Authority:
        """Check what ``ca_certificates()`` gave.

        :raises AssertionError: if it is not a chain of CA certificates up to a root.
        """
        require(bool(certificates), "ca_certificates() must have the issuing certificate at least")
        loaded = [_load(der, "each of ca_certificates()") for der in certificates]
        for certificate in loaded:
            require(_is_ca(certificate), f"{format_name(certificate.subject)} must be a CA: basicConstraints, CA=TRUE")
        self = cls(tuple(certificates), loaded[0].subject, certificate_public_key_info(certificates[0]), plugins)
        above = [*certificates[1:], certificates[-1]]
        for lower, upper in zip(certificates, above, strict=True):
            self._require_signed(lower, upper, "ca_certificates() must go from the issuing one up to the root, each")
        return self

    def require_own(self, der: bytes) -> None:
        """Demand that a certificate is signed by this CA.

        :raises AssertionError: otherwise.
        """
        self._require_signed(der, self.certificates[0], "a certificate must be")

    def _require_signed(self, lower: bytes, upper: bytes, demand: str) -> None:
        issuer, subject = _load(lower, "a certificate").issuer, _load(upper, "a certificate").subject
        require(
            names_match(issuer, subject),
            f"{demand} issued by {format_name(subject)}, not by {format_name(issuer)}",
        )
        wire = decode(CertificateWire, lower)
        algorithm = self.plugins.key_algorithm(wire.signature_algorithm.algorithm)
        signature = wire.signature_value.as_bytes()
        signed = encode(wire.tbs_certificate)
        require(
            algorithm.verify(certificate_public_key_info(upper), wire.signature_algorithm, signed, signature),
            f"{demand} signed with the key of {format_name(subject)}",
        )

    def require_own_list(self, der: bytes) -> None:
        """Demand that a CRL is signed by this CA.

        :raises AssertionError: otherwise.
        """
        wire = decode(CertificateList, der)
        algorithm = self.plugins.key_algorithm(wire.signature_algorithm.algorithm)
        signed, signature = encode(wire.tbs_cert_list), wire.signature_value.as_bytes()
        require(
            algorithm.verify(self.public_key_info, wire.signature_algorithm, signed, signature),
            "the CRL must be signed with the key of the CA",
        )


def _load(der: bytes, what: str) -> x509.Certificate:
    with success(f"{what} must be a DER certificate"):
        return x509.load_der_x509_certificate(der)


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def require_issued(result: Issued, public_key_info: bytes, idempotency_key: str, authority: Authority) -> None:
    """Demand that a certificate is what was asked for, and its record what it is.

    :param public_key_info: DER of the key that was to be certified.
    :raises AssertionError: otherwise.
    """
    record = result.certificate
    require_type(record.der, bytes, "the certificate of a record")
    certificate = _load(record.der, "the certificate of a record")
    require(certificate_public_key_info(record.der) == public_key_info, "a certificate must be for the key asked for")
    authority.require_own(record.der)
    require(
        certificate.serial_number > 0 and certificate.serial_number.bit_length() <= _MAX_SERIAL_BITS,
        f"a serial number must be positive and have 20 octets at most, not {certificate.serial_number:#x}",
    )
    facts = {
        "serial_number": certificate.serial_number,
        "fingerprint": fingerprint(record.der),
        "issuer_key": issuer_key_id(authority.public_key_info),
        "subject": format_name(certificate.subject),
        "not_before": certificate.not_valid_before_utc,
        "not_after": certificate.not_valid_after_utc,
        "request_key": idempotency_key,
        "state": CertificateState.ISSUED,
    }
    for attribute, fact in facts.items():
        said = getattr(record, attribute)
        # A record may be more exact than a certificate, whose times have no fractions of a second.
        said = said.replace(microsecond=0) if isinstance(said, datetime) else said
        require(said == fact, f"the {attribute} of a record must be {fact!r}, as the certificate has it, not {said!r}")
    require_type(result.modified, bool, "modified")
    _require_chain(result.chain, authority)


def _require_chain(chain: Sequence[bytes], authority: Authority) -> None:
    above = [der for der in authority.certificates if not _is_self_issued(der)]
    require(
        list(chain) == above,
        "the chain of a certificate must be the certificates of the CA, its issuer first, without the trust anchor",
    )


def _is_self_issued(der: bytes) -> bool:
    certificate = _load(der, "a certificate")
    return names_match(certificate.issuer, certificate.subject)


def require_crl(der: bytes, authority: Authority, now: datetime) -> dict[int, CRLReason | None]:
    """Demand that a CRL is signed by the CA and current.

    :return: serial number and reason of everything that it lists.
    :raises AssertionError: otherwise.
    """
    with success("crl() must be a DER certificate list"):
        crl = x509.load_der_x509_crl(der)
    require(names_match(crl.issuer, authority.name), f"the CRL must be by the CA, not by {format_name(crl.issuer)}")
    authority.require_own_list(der)
    until = crl.next_update_utc
    require(until is not None, "the CRL must have nextUpdate (RFC 5280 section 5.1.2.5)")
    assert until is not None
    require(
        crl.last_update_utc <= now < until,
        f"the CRL must be current at {now}, not from {crl.last_update_utc} to {until}",
    )
    return {entry.serial_number: _reason(entry) for entry in crl}


def _reason(entry: x509.RevokedCertificate) -> CRLReason | None:
    try:
        return _REASONS[entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value]
    except x509.ExtensionNotFound:
        return None
