"""Which CAs may have a cross certificate, and by whom they may ask for it (RFC 9810 section 6.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import decode_list, read_name
from cmpkit.ca.certificates import IssuerCertificate, read_issuer_certificate
from cmpkit.ca.cross_profiles import CrossProfile
from cmpkit.ca.settings import Settings, naming
from cmpkit.ca.sources import read_certificates
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.stand_ins import check_signature
from cmpkit.crypto.x509 import outline
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import Authenticated, CertificateRecord, CertificateRequest, OpenContext
from cmpkit.plugins import Plugins

__all__ = ["CrossCertificationSettings", "CrossRule", "CrossRules", "read_cross_rules"]

_RULE: Final = "RFC 9810 section 6.6"


class CrossCertificationSettings(Settings):
    """A table ``[[policy.cross_certification]]``: a CA that may have a cross certificate.

    :param authority: file with its certificate: what name and key may be certified. Its own key may ask for that, and
        whom it gave the extended key usage cmcCA.
    :param profile: the profile, of the kind ``cross-certificate``.
    """

    authority: str
    profile: str


@dataclass(frozen=True, slots=True)
class CrossRule:
    """A CA that may have a cross certificate.

    :param profile: the name of the profile that it may have it under.
    :param plugins: the key algorithms check whom the CA gave cmcCA.
    """

    authority: IssuerCertificate
    profile: str
    plugins: Plugins = field(repr=False)

    def speaks_for(self, certificate: bytes) -> bool:
        """Whether a certificate is for the key of the CA, or the CA made its holder cmcCA (RFC 9810 section 4.5).

        :param certificate: DER.
        """
        found = outline(certificate)
        if found.public_key_info == self.authority.public_key_info:
            return names_match(read_name(found.subject_der), self.authority.name)
        usage = found.extension(oids.EXTENDED_KEY_USAGE)
        if usage is None or oids.KP_CMC_CA not in decode_list(ObjectIdentifier, usage):
            return False
        if not names_match(read_name(found.issuer_der), self.authority.name):
            return False
        try:
            check_signature(certificate, self.authority.der, self.plugins)
        except CMPError:
            return False
        return True

    def is_about(self, request: CertificateRequest) -> bool:
        """Whether a request is for the name and the key of the CA."""
        same_name = request.subject is not None and names_match(request.subject, self.authority.name)
        return same_name and request.public_key_info == self.authority.public_key_info


@dataclass(frozen=True, slots=True)
class CrossRules:
    """All of them."""

    rules: tuple[CrossRule, ...] = ()

    def of_sender(self, auth: Authenticated) -> tuple[CrossRule, ...]:
        """Those of the CA that a sender is, or speaks for."""
        certificate = auth.credential.certificate
        return () if certificate is None else tuple(rule for rule in self.rules if rule.speaks_for(certificate))

    def check_sender(self, auth: Authenticated) -> None:
        """Whether a CA that may have a cross certificate asks, by itself or by whom it authorised.

        :raises CMPError: notAuthorized.
        """
        if not self.of_sender(auth):
            raise CMPError(
                f"{auth.identity!r} speaks for no CA that may have a cross certificate",
                PKIFailureInfo.NOT_AUTHORIZED,
                rule=_RULE,
                hint="name the certificate of the CA in [[policy.cross_certification]]",
            )

    def decide(self, request: CertificateRequest, auth: Authenticated) -> CertificateRequest:
        """The request with its profile, if it is for the name and the key of the CA that asks.

        :raises CMPError: notAuthorized.
        """
        for rule in self.of_sender(auth):
            if request.profile in (None, rule.profile) and rule.is_about(request):
                return request.under(rule.profile)
        named = "without a name" if request.subject is None else format_name(request.subject)
        raise CMPError(
            f"{auth.identity!r} may not have a cross certificate for the CA {named} with that key"
            + ("" if request.profile is None else f" of profile {request.profile}"),
            PKIFailureInfo.NOT_AUTHORIZED,
            rule=_RULE,
            hint="ask for the name and the key in the certificate that [[policy.cross_certification]] names",
        )

    def covers(self, auth: Authenticated, record: CertificateRecord) -> bool:
        """Whether a certificate is the cross certificate of the CA that asks, which may revoke it."""
        found = outline(record.der)
        return any(
            rule.profile == record.profile and found.public_key_info == rule.authority.public_key_info
            for rule in self.of_sender(auth)
        )


async def read_cross_rules(tables: Sequence[CrossCertificationSettings], context: OpenContext) -> CrossRules:
    """What the tables ``[[policy.cross_certification]]`` say.

    :raises ConfigurationError: naming the file or the profile that will not do.
    """
    rules = []
    for table in tables:
        if not isinstance(context.profiles.get(table.profile), CrossProfile):
            raise ConfigurationError(
                f"[[policy.cross_certification]] profile: {table.profile!r} is no profile of the kind "
                "cross-certificate",
                hint=f'add a table [profiles.{table.profile}] with: kind = "cross-certificate"',
            )
        with naming("[[policy.cross_certification]] authority"):
            certificates = await read_certificates(table.authority, context.directory)
            rules.append(CrossRule(read_issuer_certificate(certificates[:1]), table.profile, context.plugins))
    return CrossRules(tuple(rules))
