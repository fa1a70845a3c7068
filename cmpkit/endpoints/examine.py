"""Whether a certificate that came is the one that was asked for (R-083)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509

from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.paths import validate_path
from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, TrustError
from cmpkit.plugins import Plugins

__all__ = ["examine_certificate"]

_CLOCK_SKEW = timedelta(minutes=5)


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
