"""From the ``[issuer]`` table of kind ``cmp`` to the issuer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, StrictStr, field_validator

from cmpkit.ca.addresses import check_urls
from cmpkit.ca.certificates import IssuerCertificate, read_issuer_certificate
from cmpkit.ca.settings import Duration, naming, read_settings
from cmpkit.ca.sources import read_certificates
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.options import ClientOptions
from cmpkit.errors import ConfigurationError
from cmpkit.issuers.authority import Authority
from cmpkit.issuers.cmp import CMPIssuer
from cmpkit.issuers.correspondence import Correspondence
from cmpkit.parts import OpenContext
from cmpkit.relay.peers import PeerTable, credential_mistakes, open_credentials, open_trust, read_tolerances

__all__ = ["CMPIssuerSettings", "open_authority", "open_cmp_issuer"]

_WHERE = "[issuer]"


class CMPIssuerSettings(PeerTable):
    """The table ``[issuer]`` of kind ``cmp``: another CMP server issues, and this one asks on behalf of its requesters.

    Without ``trusted``, the last certificate of ``authority`` is the trust anchor for its answers.

    :param authority: file with the certificate of the CA there, then those above it.
    :param profiles: what it calls certificate profiles, by their names here; others are not named to it.
    :param confirm: when certificates are confirmed there: ``with-requester``, when the requester confirms; ``at-once``.
    :param timeout: how long one message waits for its answers before the requester is told to come again.
    :param check_after: how soon it may come again then.
    :param deadline: how long an answer may take; after that the requester gets an error.
    :param late: what happens to a certificate that comes when its requester is gone: ``revoke`` or ``keep``.
    :param crl_file: where the CRL of the CA is; absent, the server is asked for it.
    :param crl_urls: where the CRL can be fetched.
    """

    authority: StrictStr
    profiles: dict[StrictStr, StrictStr] = Field(default={})
    confirm: Literal["with-requester", "at-once"] = "with-requester"
    timeout: Duration = timedelta(seconds=20)
    check_after: Duration = timedelta(seconds=10)
    deadline: Duration = timedelta(days=7)
    late: Literal["revoke", "keep"] = "revoke"
    crl_file: StrictStr | None = None
    crl_urls: tuple[StrictStr, ...] = ()

    @field_validator("crl_urls")
    @classmethod
    def _check_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        return check_urls(urls, "http", "https", "ldap")


async def open_cmp_issuer(table: Mapping[str, Any], context: OpenContext) -> CMPIssuer:
    """The issuer; the other server is not asked anything yet.

    :raises ConfigurationError: naming the key that is wrong, or the file.
    """
    settings = read_settings(CMPIssuerSettings, table, "issuer")
    mistakes = [*credential_mistakes(settings)]
    if settings.secret is None and settings.certificate is None:
        mistakes.append("certificate: is missing, as is secret; one of them protects what is sent")
    if mistakes:
        raise ConfigurationError(f"{_WHERE} {'; '.join(mistakes)}")
    unknown = [name for name in settings.profiles if name not in context.profiles]
    if unknown:
        raise ConfigurationError(f"{_WHERE} profiles: there is no profile {', '.join(unknown)} here")
    certificate = await open_authority(settings.authority, context.directory)
    patience, check_after = settings.timeout.total_seconds(), round(settings.check_after.total_seconds())
    client = await _client(settings, certificate, context)
    return CMPIssuer(
        Authority(certificate, context.store, context.plugins, context.profiles),
        Correspondence(client, context.store, patience, check_after),
        profiles=settings.profiles,
        at_once=settings.confirm == "at-once",
        late=settings.late,
        deadline=settings.deadline,
        crl_file=None if settings.crl_file is None else Path(context.directory, settings.crl_file),
        crl_urls=settings.crl_urls,
    )


async def open_authority(file: str, directory: Path) -> IssuerCertificate:
    """The certificate of a CA whose key is elsewhere, with those above it.

    :raises ConfigurationError: naming the file, if it is none.
    """
    with naming(f"{_WHERE} authority"):
        return read_issuer_certificate(await read_certificates(file, directory))


async def _client(settings: CMPIssuerSettings, authority: IssuerCertificate, context: OpenContext) -> Client:
    credentials = await open_credentials(settings, _WHERE, context.directory, context.plugins)
    assert credentials is not None
    trust = await open_trust(settings, _WHERE, context.directory)
    options = ClientOptions(
        total_timeout=settings.timeout.total_seconds(),
        recipient=authority.name,
        untrusted=authority.without_root,
        pinned=trust.pinned,
        expected_sender=trust.expected_sender,
        tolerances=read_tolerances(settings, _WHERE, context.plugins),
        transport=settings.options(context.directory),
    )
    with naming(f"{_WHERE} url"):
        return Client(
            settings.url,
            credentials=credentials,
            trust=trust.anchors or authority.all[-1:],
            options=options,
            plugins=context.plugins,
        )
