"""Cross-certification at the CA that asks: its request, which is complete (RFC 9810 section 6.6)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from cryptography import x509

from cmpkit.asn1 import AlgorithmIdentifier, CertificateWire, decode, read_name
from cmpkit.ca.extensions import key_usage_extension
from cmpkit.crypto.x509 import certificate_public_key_info, extension, key_identifier, outline
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.endpoints.requests import Wish
from cmpkit.endpoints.signer import subject_key_identifier
from cmpkit.endpoints.support import SupportMessages
from cmpkit.enums import BodyType
from cmpkit.errors import ConfigurationError
from cmpkit.parts import CrossCertification, PrivateKey
from cmpkit.plugins import Plugins

__all__ = ["CrossCertifying", "cross_wish"]

_RULE: Final = "RFC 9810 section 6.6 and appendix D.6"


class CrossCertifying(SupportMessages):
    """What a client does for a CA that wants a certificate of another CA, and its questions."""

    async def cross_certify(
        self,
        authority: bytes,
        key: PrivateKey,
        *,
        responder: bytes,
        not_after: datetime,
        path_length: int = 0,
        signing_algorithm: AlgorithmIdentifier | None = None,
        profile: str = "",
        context: Mapping[str, str] | None = None,
    ) -> Enrolled:
        """A cross certificate: the key of a CA, certified by another one (ccr).

        :param authority: DER of the certificate of the CA that asks; its name, key and key identifier are certified.
        :param key: its private key, to prove that; the client's credentials sign the message.
        :param responder: DER of the certificate of the CA that is asked.
        :param not_after: until when the certificate should be valid; it begins now.
        :param path_length: how many CAs may be below the one that asks.
        :param signing_algorithm: by which the other CA signs; ``None`` takes that of ``responder``, where its key can.
        :param profile: the certificate profile to ask for.
        :param context: kept in the saved transaction, for whoever resumes it.
        :raises ConfigurationError: if key and certificate do not belong together, or the algorithm must be named.
        """
        if key.public_key_info != certificate_public_key_info(authority):
            raise ConfigurationError("the key is not that of the certificate of the CA")
        wish = cross_wish(
            authority,
            key,
            cross=CrossCertification(
                read_name(outline(responder).subject_der),
                signing_algorithm or _usual_algorithm(responder, self.plugins),
            ),
            validity=(self.options.clock(), not_after),
            path_length=path_length,
            profile=profile,
        )
        return await self.obtain(wish, operation=BodyType.CCR, context=context)

    @abstractmethod
    async def obtain(
        self, wish: Wish, *, operation: BodyType = BodyType.IR, context: Mapping[str, str] | None = None
    ) -> Enrolled:
        """A certificate with everything that can be asked for."""


def cross_wish(
    authority: bytes,
    key: PrivateKey,
    *,
    cross: CrossCertification,
    validity: tuple[datetime, datetime],
    path_length: int = 0,
    profile: str = "",
) -> Wish:
    """What to ask for, to get a cross certificate.

    :param authority: DER of the certificate of the CA that asks.
    :param validity: its beginning and its end.
    """
    identifier = subject_key_identifier(authority) or key_identifier(key.public_key_info)
    return Wish(
        key=key,
        subject=read_name(outline(authority).subject_der),
        extensions=(
            extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True),
            key_usage_extension({"keyCertSign", "cRLSign"}),
            extension(x509.SubjectKeyIdentifier(identifier)),
        ),
        not_before=validity[0].replace(microsecond=0),
        not_after=validity[1].replace(microsecond=0),
        profile=profile,
        cross=cross,
    )


def _usual_algorithm(responder: bytes, plugins: Plugins) -> AlgorithmIdentifier:
    """By what a CA may be thought to sign: by what its certificate is signed, if its key can."""
    algorithm = decode(CertificateWire, responder).signature_algorithm
    part = plugins.key_algorithm_of(certificate_public_key_info(responder))
    if algorithm.algorithm not in part.signature_oids:
        raise ConfigurationError(
            "the certificate of the other CA does not show by which algorithm that CA signs",
            rule=_RULE,
            hint="give one that it issued, with --signed-like",
        )
    return algorithm
