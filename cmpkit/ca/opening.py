"""From the ``[issuer]`` table of kind ``local`` to the issuer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
from pydantic import field_validator, model_validator

from cmpkit.ca.addresses import check_urls
from cmpkit.ca.certificates import IssuerCertificate, is_self_issued, read_issuer_certificate
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.settings import Duration, Settings, naming, read_settings
from cmpkit.ca.sources import load_key, read_certificates
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.root_update import check_root_update, is_update_of
from cmpkit.errors import ConfigurationError
from cmpkit.parts import OpenContext, RootKeyUpdate, StatusAddresses

__all__ = ["FormerKeySettings", "IssuerSettings", "RootUpdateSettings", "open_local_issuer"]


class FormerKeySettings(Settings):
    """A table ``[[issuer.former]]``: a key that the CA issued with before.

    What it issued can be updated and revoked, and is on a CRL of its own, as long as the table is there.

    :param certificate: file with the certificate of the CA for that key, then those above it.
    :param key: URI of the private key.
    :param key_password: where its password is.
    :param crl_urls: where the CRL under that key can be fetched.
    :param delta_crl_urls: where the delta CRL under that key can be fetched.
    :param ca_issuers_urls: where that certificate can be fetched.
    :param cross_certificates: files with certificates that other CAs gave that key (``cmpkit ca cross-certify`` writes
        them).
    """

    certificate: str
    key: str
    key_password: str | None = None
    crl_urls: tuple[str, ...] = ()
    delta_crl_urls: tuple[str, ...] = ()
    ca_issuers_urls: tuple[str, ...] = ()
    cross_certificates: tuple[str, ...] = ()

    @field_validator("crl_urls", "delta_crl_urls", "ca_issuers_urls")
    @classmethod
    def _check_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        return check_urls(urls, "http", "https", "ldap")


class RootUpdateSettings(Settings):
    """A table of ``earlier_root_updates``: a key that the root CA got before its present one.

    :param new_with_new: file with the certificate of the root CA for that key.
    :param new_with_old: file with that key, signed by the one before it.
    :param old_with_new: file with the key before it, signed by that key.
    """

    new_with_new: str
    new_with_old: str
    old_with_new: str | None = None


class IssuerSettings(FormerKeySettings):
    """The table ``[issuer]`` of kind ``local``.

    :param certificate: file with the certificate of the CA, then those above it.
    :param key: URI of its private key: ``file:keys/issuing.key.pem``, or what a key provider knows.
    :param key_password: where the password of the key is: ``file:PATH`` or ``env:NAME``.
    :param crl_urls: where the CRL can be fetched; in every certificate.
    :param delta_crl_urls: where the delta CRL can be fetched; in every certificate and complete CRL (freshestCRL).
    :param ca_issuers_urls: where the certificate of the CA can be fetched; in every certificate (authorityInfoAccess).
    :param cross_certificates: files with certificates that other CAs gave its key (``cmpkit ca cross-certify`` writes
        them): who asks for caCerts gets them, and they are published.
    :param crl_validity: from thisUpdate to nextUpdate.
    :param delta_crl_validity: from thisUpdate to nextUpdate of delta CRLs; absent, none are made.
    :param ocsp_urls: where OCSP is answered; in every certificate (authorityInfoAccess).
    :param new_with_new: file with the new certificate of the root CA, once its key was replaced (RFC 9810 section 4.4):
        who asks for rootCaCert gets it.
    :param new_with_old: file with the new key, signed by the old one.
    :param old_with_new: file with the old key, signed by the new one.
    :param earlier_root_updates: the same for rollovers before that, the latest first: who missed some learns of each
        root from the one before it (``cmpkit ca rollover`` writes them).
    :param former: keys that the CA issued with before, the latest first (``cmpkit ca rollover`` writes them).
    """

    crl_validity: Duration = timedelta(days=7)
    delta_crl_validity: Duration | None = None
    ocsp_urls: tuple[str, ...] = ()
    new_with_new: str | None = None
    new_with_old: str | None = None
    old_with_new: str | None = None
    earlier_root_updates: tuple[RootUpdateSettings, ...] = ()
    former: tuple[FormerKeySettings, ...] = ()

    @field_validator("ocsp_urls")
    @classmethod
    def _check_addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        return check_urls(urls, "http", "https", "ldap")

    @model_validator(mode="after")
    def _check_delta_crl(self) -> IssuerSettings:
        if self.delta_crl_urls and self.delta_crl_validity is None:
            raise ValueError("delta_crl_urls: no delta CRLs are made without delta_crl_validity")
        if self.delta_crl_validity is not None and self.delta_crl_validity > self.crl_validity:
            raise ValueError("delta_crl_validity: a delta CRL is not valid longer than crl_validity")
        return self

    @model_validator(mode="after")
    def _check_root_update(self) -> IssuerSettings:
        if (self.new_with_new is None) != (self.new_with_old is None) or (self.old_with_new and not self.new_with_new):
            raise ValueError(
                "new_with_new and new_with_old belong together, and old_with_new may be added (RFC 9483 section 4.3.2)"
            )
        return self


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
    certificate = await _certificate("issuer", settings, context)
    cross_certificates = await _cross_certificates("issuer", settings, certificate, context)
    top = certificate.all[-1]
    root_update = await _root_update(settings, "issuer", top, context)
    earlier = [
        await _root_update(table, "issuer.earlier_root_updates", top, context)
        for table in settings.earlier_root_updates
    ]
    former = [await _former(table, settings, context) for table in settings.former]
    with naming("[issuer] key"):
        return LocalIssuer(
            certificate,
            await load_key(settings.key, settings.key_password, context.directory, context.plugins),
            context.store,
            context.profiles,
            crl_validity=settings.crl_validity,
            crl_urls=settings.crl_urls,
            delta_crl_validity=settings.delta_crl_validity,
            addresses=StatusAddresses(settings.delta_crl_urls, settings.ocsp_urls, settings.ca_issuers_urls),
            root_update=root_update,
            earlier_root_updates=[update for update in earlier if update is not None],
            former=former,
            cross_certificates=cross_certificates,
        )


async def _certificate(where: str, settings: FormerKeySettings, context: OpenContext) -> IssuerCertificate:
    with naming(f"[{where}] certificate"):
        return read_issuer_certificate(await read_certificates(settings.certificate, context.directory))


async def _former(settings: FormerKeySettings, present: IssuerSettings, context: OpenContext) -> LocalIssuer:
    certificate = await _certificate("issuer.former", settings, context)
    cross_certificates = await _cross_certificates("issuer.former", settings, certificate, context)
    with naming("[issuer.former] key"):
        return LocalIssuer(
            certificate,
            await load_key(settings.key, settings.key_password, context.directory, context.plugins),
            context.store,
            {},
            crl_validity=present.crl_validity,
            crl_urls=settings.crl_urls,
            delta_crl_validity=present.delta_crl_validity,
            addresses=StatusAddresses(settings.delta_crl_urls, present.ocsp_urls, settings.ca_issuers_urls),
            cross_certificates=cross_certificates,
        )


async def _cross_certificates(
    where: str, settings: FormerKeySettings, authority: IssuerCertificate, context: OpenContext
) -> dict[str, bytes]:
    """The cross certificates of a key, by the names of their files.

    :raises ConfigurationError: naming the file that has none.
    """
    found: dict[str, bytes] = {}
    for file in settings.cross_certificates:
        with naming(f"[{where}] cross_certificates"):
            certificate = read_issuer_certificate((await read_certificates(file, context.directory))[:1])
            if certificate.public_key_info != authority.public_key_info:
                raise ConfigurationError(f"{file} is not for the key of this CA")
            if not names_match(certificate.name, authority.name):
                raise ConfigurationError(f"{file} is for {format_name(certificate.name)}")
        found[Path(file).stem] = certificate.der
    return found


async def _root_update(
    settings: IssuerSettings | RootUpdateSettings, where: str, top: bytes, context: OpenContext
) -> RootKeyUpdate | None:
    """The certificates of a root CA whose key was replaced, if they hold together.

    :param where: the name of the table.
    :param top: DER of the certificate at the top of the CA: under the old root still, or under the new one already.
    :raises ConfigurationError: naming the one that does not.
    """
    if settings.new_with_new is None:
        return None
    files = {key: getattr(settings, key) for key in ("new_with_new", "new_with_old", "old_with_new")}
    found = {key: await _one_certificate(f"[{where}] {key}", file, context) for key, file in files.items()}
    new_with_new = found["new_with_new"]
    assert new_with_new is not None
    update = RootKeyUpdate(new_with_new, found["new_with_old"], found["old_with_new"])
    old_root = top if is_self_issued(top) and is_update_of(update, top) else None
    with naming(f"[{where}] new_with_new"):
        check_root_update(update, old_root, plugins=context.plugins)
    return update


async def _one_certificate(key: str, file: str | None, context: OpenContext) -> bytes | None:
    if file is None:
        return None
    with naming(key):
        return (await read_certificates(file, context.directory))[0]
