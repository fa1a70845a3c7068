"""A CA that exists already: its key and certificates from the files that people have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509

from cmpkit.asn1 import CertificateWire, decode, encode
from cmpkit.ca.certificates import IssuerCertificate, is_self_issued, read_issuer_certificate
from cmpkit.ca.sources import read_file
from cmpkit.crypto.keys import load_pkcs12, load_private_key
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.x509 import certificate_public_key_info, load_certificates
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import PrivateKey
from cmpkit.plugins import Plugins

__all__ = ["check_authority", "load_authority", "match_authority"]


async def load_authority(
    certificate: Path, key: Path | None, password: bytes | None, plugins: Plugins
) -> tuple[IssuerCertificate, PrivateKey]:
    """The certificate of a CA, those above it, and its key.

    :param certificate: PEM with the certificate and those above it in any order, DER, or PKCS#12.
    :param key: PEM or DER of the key; without it, the key is in the same file as the certificate.
    :param password: of the key, or of the PKCS#12 file.
    :raises ConfigurationError: if something cannot be read, is missing, or does not belong together.
    """
    data = await read_file(certificate, Path())
    try:
        ders, found = _read(data, password, plugins)
        if key is not None:
            found = load_private_key(await read_file(key, Path()), password, plugins)
    except ConfigurationError as error:
        raise ConfigurationError(f"{key or certificate}: {error.detail}", hint=error.hint) from error
    if found is None:
        raise ConfigurationError(f"{certificate} has no private key", hint="give the key of the CA with --ca-key")
    return match_authority(ders, found.public_key_info), found


def _read(data: bytes, password: bytes | None, plugins: Plugins) -> tuple[Sequence[bytes], PrivateKey | None]:
    if b"-----BEGIN " in data:
        key = load_private_key(data, password, plugins) if b"PRIVATE KEY-----" in data else None
        return load_certificates(data), key
    try:
        return load_certificates(data), None
    except ConfigurationError:
        key, ders = load_pkcs12(data, password, plugins)
        return ders, key


def match_authority(ders: Sequence[bytes], public_key_info: bytes) -> IssuerCertificate:
    """Which of the certificates has that key, and the chain that the others make above it.

    :raises ConfigurationError: if none has it, it is not a CA, or one is left over.
    """
    own = next((der for der in ders if certificate_public_key_info(der) == public_key_info), None)
    if own is None:
        raise ConfigurationError(
            "the certificate of the CA is not for its private key",
            hint="give the key and the certificate that belong together",
        )
    path, rest = [own], [der for der in ders if der != own]
    while not is_self_issued(path[-1]) and (above := _find_issuer(path[-1], rest)) is not None:
        path.append(above)
        rest.remove(above)
    if rest:
        subject = x509.load_der_x509_certificate(rest[0]).subject
        raise ConfigurationError(
            f"{format_name(subject)} is not above the CA in its chain",
            hint="give the certificate of the CA and those above it, no others",
        )
    return read_issuer_certificate(path)


def _find_issuer(der: bytes, candidates: Sequence[bytes]) -> bytes | None:
    issuer = x509.load_der_x509_certificate(der).issuer
    return next((c for c in candidates if names_match(x509.load_der_x509_certificate(c).subject, issuer)), None)


def check_authority(authority: IssuerCertificate, now: datetime, plugins: Plugins) -> None:
    """Whether the certificates of a CA are valid now and each is signed by the next.

    :raises ConfigurationError: naming the one that is not.
    """
    for der in authority.all:
        certificate = x509.load_der_x509_certificate(der)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise ConfigurationError(
                f"the certificate of {format_name(certificate.subject)} is valid from "
                f"{certificate.not_valid_before_utc} to {certificate.not_valid_after_utc} only"
            )
    top = authority.all[-1]
    pairs = [*zip(authority.all, authority.chain, strict=False), *([(top, top)] if is_self_issued(top) else [])]
    for lower, upper in pairs:
        if not _is_signed_by(lower, upper, plugins):
            raise ConfigurationError(
                f"the certificate of {format_name(x509.load_der_x509_certificate(lower).subject)} is not signed by the "
                "key of the certificate above it",
                hint="give the chain that belongs to the certificate",
            )


def _is_signed_by(lower: bytes, upper: bytes, plugins: Plugins) -> bool:
    wire = decode(CertificateWire, lower)
    algorithm = wire.signature_algorithm
    try:
        return plugins.key_algorithm(algorithm.algorithm).verify(
            certificate_public_key_info(upper),
            algorithm,
            encode(wire.tbs_certificate),
            wire.signature_value.as_bytes(),
        )
    except CMPError as error:
        raise ConfigurationError(
            f"a certificate of the chain cannot be checked: {error.detail}", hint=error.hint
        ) from error
