"""Whether a certificate that came is the one that was asked for (R-083), and a key that came with it is its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, decode, read_name
from cmpkit.ca.certificates import read_issuer_certificate, room_below
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.paths import validate_path
from cmpkit.crypto.x509 import cert_hash, certificate_public_key_info, outline
from cmpkit.endpoints.central_keys import check_deliverer, take_key
from cmpkit.endpoints.credentials import Credentials
from cmpkit.endpoints.signer import subject_key_identifier
from cmpkit.engine.judging import Judgement
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError, TrustError
from cmpkit.parts import PrivateKey
from cmpkit.plugins import Plugins

__all__ = ["Examiner", "examine_certificate", "judgement"]

_CLOCK_SKEW = timedelta(minutes=5)
_CROSS_RULE = "RFC 9810 section 6.6 and appendix D.6"


@dataclass(frozen=True)
class Examiner:
    """Judges what came.

    :param credentials: what the requests are protected with; it opens a key that the server generated.
    :param anchors: DER trust anchors.
    :param candidates: DER certificates that paths may go through.
    :param tolerances: names of what is accepted beyond the default.
    """

    plugins: Plugins
    credentials: Credentials
    anchors: Sequence[bytes]
    candidates: Sequence[bytes]
    now: datetime
    tolerances: frozenset[str] = frozenset()

    async def examine(
        self, one: SoughtCertificate, *, granted_with_mods: bool
    ) -> tuple[tuple[bytes, ...], PrivateKey | None]:
        """The path of a certificate to a trust anchor, and its key if the server generated it.

        :param granted_with_mods: whether the server says that it changed something.
        :raises TrustError: naming what is not acceptable.
        """
        delivered = None
        if one.is_central:
            delivered = await take_key(one, self.credentials, self.plugins, self.tolerances)
        path = examine_certificate(
            one.certificate,
            public_key_info=one.public_key_info if delivered is None else delivered.key.public_key_info,
            subject=decode(x509.Name, one.subject) if one.subject else None,
            granted_with_mods=granted_with_mods,
            candidates=self.candidates,
            anchors=self.anchors,
            now=self.now,
            plugins=self.plugins,
        )
        if one.issuer:
            _check_cross_certificate(one, path)
        if delivered is None:
            return path, None
        check_deliverer(
            delivered,
            path,
            candidates=self.candidates,
            anchors=self.anchors,
            now=self.now,
            plugins=self.plugins,
        )
        return path, delivered.key


def judgement(certificate: bytes, fault: CMPError | None, plugins: Plugins) -> Judgement:
    """What certConf says of a certificate that came.

    :param fault: why it is refused, or ``None``.
    """
    try:
        return Judgement(cert_hash(certificate, plugins), fault=fault)
    except CMPError:
        # The signature does not name a hash: certConf must (RFC 9810 section 5.3.18). SHA-256 is what OpenSSL
        # takes, and the only one that its server understands.
        value = hashlib.sha256(certificate).digest()
        return Judgement(value, hash_alg=AlgorithmIdentifier(oids.SHA256), fault=fault)


def examine_certificate(
    certificate: bytes,
    *,
    public_key_info: bytes,
    subject: x509.Name | None,
    granted_with_mods: bool,
    candidates: Sequence[bytes],
    anchors: Sequence[bytes],
    now: datetime,
    plugins: Plugins,
) -> tuple[bytes, ...]:
    """The path from the certificate to a trust anchor.

    :param public_key_info: DER of the key that was asked to be certified.
    :param subject: the subject that was asked for, ``None`` if any will do.
    :param granted_with_mods: whether the server says that it changed something.
    :param candidates: DER certificates that the path may go through.
    :raises TrustError: naming what is not acceptable.
    """
    try:
        if certificate_public_key_info(certificate) != public_key_info:
            raise TrustError(
                "the certificate has another public key than the one that was sent",
                PKIFailureInfo.BAD_CERT_TEMPLATE,
                rule="RFC 4211 section 5",
            )
        loaded = x509.load_der_x509_certificate(certificate)
        changed = subject is not None and not names_match(loaded.subject, subject)
        if changed and not granted_with_mods:
            assert subject is not None
            raise TrustError(
                f"the certificate is for {format_name(loaded.subject)}, {format_name(subject)} was asked for, "
                "and the server does not say that it changed anything",
                PKIFailureInfo.BAD_CERT_TEMPLATE,
                rule="RFC 4211 section 5",
            )
        # A CA whose clock is a little ahead of ours issues certificates that are not valid yet.
        starts = loaded.not_valid_before_utc
        at = starts if now < starts <= now + _CLOCK_SKEW else now
        return validate_path(certificate, candidates=candidates, anchors=anchors, now=at, plugins=plugins)
    except TrustError:
        raise
    except (CMPError, ValueError) as error:
        fail_info = error.fail_info if isinstance(error, CMPError) else PKIFailureInfo.BAD_DATA_FORMAT
        raise TrustError(
            f"the new certificate is not acceptable: {error}",
            fail_info,
            rule="RFC 9810 section 5.3.4",
            hint="is its CA among the trust anchors (--trusted)?",
        ) from error


def _check_cross_certificate(one: SoughtCertificate, path: Sequence[bytes]) -> None:
    """Whether a cross certificate serves those that have certificates of the CA that asked (R-193).

    :param path: DER of the certificate and of those above it, to a trust anchor.
    :raises TrustError: naming what is not acceptable.
    """
    try:
        issuer = read_name(outline(read_issuer_certificate(path[:1]).der).issuer_der)
    except ConfigurationError as error:
        raise _unacceptable(error.detail) from error
    wanted = decode(x509.Name, one.issuer)
    if not names_match(issuer, wanted):
        raise _unacceptable(f"it is issued by {format_name(issuer)}, {format_name(wanted)} was asked")
    if subject_key_identifier(path[0]) != one.key_identifier:
        raise _unacceptable("it has another subjectKeyIdentifier than certificates of the CA that asked name")
    room = room_below(path)
    if room is not None and room < 0:
        raise _unacceptable("a certificate above it forbids CAs below (pathLenConstraint)")


def _unacceptable(detail: str) -> TrustError:
    return TrustError(
        f"the cross certificate is not acceptable: {detail}", PKIFailureInfo.BAD_CERT_TEMPLATE, rule=_CROSS_RULE
    )
