"""From the ``[issuer]`` table of kind ``local`` to the issuer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
from pydantic import Field, field_validator

from cmpkit.ca.certificates import read_issuer_certificate
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.settings import Duration, Settings, naming, read_settings
from cmpkit.ca.sources import load_key, read_certificates
from cmpkit.errors import ConfigurationError
from cmpkit.parts import OpenContext

__all__ = ["IssuerSettings", "open_local_issuer"]


class IssuerSettings(Settings):
    """The table ``[issuer]`` of kind ``local``.

    :param certificate: file with the certificate of the CA, then those above it.
    :param key: URI of its private key: ``file:keys/issuing.key.pem``, or what a key provider knows.
    :param key_password: where the password of the key is: ``file:PATH`` or ``env:NAME``.
    :param crl_validity: from thisUpdate to nextUpdate.
    :param crl_urls: where the CRL can be fetched; in every certificate.
    """

    certificate: str
    key: str
    key_password: str | None = None
    crl_validity: Duration = timedelta(days=7)
    crl_urls: tuple[str, ...] = Field(default=())

    @field_validator("crl_urls")
    @classmethod
    def _check_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.isascii() or not url.startswith(("http://", "https://", "ldap://")):
                raise ValueError(f"{url!r} is no http or ldap URL (RFC 5280 section 4.2.1.13)")
        return urls


async def open_local_issuer(table: Mapping[str, Any], context: OpenContext) -> LocalIssuer:
    """The issuer.

    :raises ConfigurationError: naming the key that is wrong, or the file.
    """
    settings = read_settings(IssuerSettings, table, "issuer")
    path = Path(context.directory, settings.certificate)
    if not await anyio.Path(path).exists():
        raise ConfigurationError(
            f"[issuer] certificate: {path} is not there",
            hint=f"if the CA still waits for its certificate: cmpkit init {context.directory} --ca-cert SIGNED.pem",
        )
    with naming("[issuer] certificate"):
        certificate = read_issuer_certificate(await read_certificates(settings.certificate, context.directory))
    with naming("[issuer] key"):
        key = await load_key(settings.key, settings.key_password, context.directory, context.plugins)
        return LocalIssuer(
            certificate,
            key,
            context.store,
            context.profiles,
            crl_validity=settings.crl_validity,
            crl_urls=settings.crl_urls,
        )
