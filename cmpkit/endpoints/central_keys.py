"""Keys that the server generates: asked for, taken out of the answer, and judged (RFC 9483 section 4.1.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    BitString,
    EnvelopedData,
    SubjectPublicKeyInfo,
    decode,
    read_public_key_info,
)
from cmpkit.crypto.key_packages import DeliveredKey, open_key_package
from cmpkit.crypto.key_specs import key_algorithm_name
from cmpkit.crypto.paths import check_digital_signature_usage, validate_path
from cmpkit.crypto.x509 import outline
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, TrustError
from cmpkit.plugins import Plugins

__all__ = ["CentralKey", "check_deliverer", "take_key"]

_RULE: Final = "RFC 9483 section 4.1.6"


@dataclass(frozen=True, slots=True)
class CentralKey:
    """In place of a key to certify: the server is to generate one and to hand it over.

    :param algorithm: of the key; ``None`` leaves it to the server.
    """

    algorithm: AlgorithmIdentifier | None = None

    @classmethod
    def of_type(cls, key_type: str, plugins: Plugins) -> Self:
        """A key of a type as ``--newkey-type`` knows it; of RSA keys, the server chooses the length.

        :raises ConfigurationError: if no plugin brings that type.
        """
        return cls(key_algorithm_name(key_type, plugins))

    @property
    def template_key(self) -> SubjectPublicKeyInfo | None:
        """What stands in the template: nothing, or an empty key that names the algorithm (R-170)."""
        if self.algorithm is None:
            return None
        return SubjectPublicKeyInfo(algorithm=self.algorithm, subject_public_key=BitString(b"", 0))


async def take_key(
    one: SoughtCertificate, credentials: Credentials, plugins: Plugins, tolerances: frozenset[str]
) -> DeliveredKey:
    """The key that came with a certificate, opened by what protects the requests; nobody has judged its signer yet.

    :param tolerances: see :func:`cmpkit.crypto.key_packages.open_key_package`.
    :raises TrustError: if it is not what it should be, or of another algorithm than was asked for.
    """
    opening_key = credentials.key if isinstance(credentials, SigningCredentials) else credentials
    try:
        enveloped = decode(EnvelopedData, one.enveloped_key)
        delivered = await open_key_package(enveloped, opening_key, plugins=plugins, tolerances=tolerances)
    except CMPError as error:
        rule = error.rule or _RULE
        raise TrustError(
            error.detail, error.fail_info, rule=rule, hint=error.hint, tolerance=error.tolerance
        ) from error
    algorithm = read_public_key_info(delivered.key.public_key_info).algorithm
    if one.key_algorithm and algorithm != decode(AlgorithmIdentifier, one.key_algorithm):
        raise TrustError(
            f"the key that came is of the type {delivered.key.key_type}, which was not asked for",
            PKIFailureInfo.BAD_CERT_TEMPLATE,
            rule=_RULE,
        )
    return delivered


def check_deliverer(
    delivered: DeliveredKey,
    path: Sequence[bytes],
    *,
    candidates: Sequence[bytes],
    anchors: Sequence[bytes],
    now: datetime,
    plugins: Plugins,
    is_archived: bool = False,
) -> None:
    """Whether who signed a key may hand it over: the CA that issued the certificate, or whom that CA lets (R-173).

    :param path: of the certificate, to the trust anchor.
    :param candidates: DER certificates that the signer's path may go through, besides those that came with the key.
    :param is_archived: whether the certificate may be of a former key of the CA: then whom the present one lets does.
    :raises TrustError: if not.
    """
    authority, signer = path[min(1, len(path) - 1)], delivered.signer
    if _same_authority(signer, authority):
        return
    try:
        found = validate_path(
            signer, candidates=(*delivered.certificates, *candidates), anchors=anchors, now=now, plugins=plugins
        )
        check_digital_signature_usage(signer)
    except CMPError as error:
        raise _not_believed(error.detail, error.hint) from error
    if not _generates_keys(signer):
        raise _not_believed("its certificate has no extended key usage cmKGA")
    if not is_archived and not _same_authority(found[min(1, len(found) - 1)], authority):
        raise _not_believed("another CA than that of the new certificate certified it")


def _same_authority(one: bytes, other: bytes) -> bool:
    """Whether two certificates are for one name with one key."""
    first, second = outline(one), outline(other)
    return first.subject_der == second.subject_der and first.public_key_info == second.public_key_info


def _generates_keys(certificate: bytes) -> bool:
    try:
        usage = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return oids.KP_CM_KGA in usage.value


def _not_believed(why: str, hint: str = "") -> TrustError:
    return TrustError(
        f"whoever signed the private key that came is no key generation authority for it: {why}",
        PKIFailureInfo.SIGNER_NOT_TRUSTED,
        rule=_RULE,
        hint=hint,
    )
