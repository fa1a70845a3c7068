"""A new root for a CA, in steps that leave it working at each moment (RFC 9810 section 4.4).

:func:`prepare_rollover` makes the keys and tells of the new root, :func:`switch_keys` issues by them,
:func:`finish_rollover` forgets the old ones. The configuration file is replaced last in each, as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import anyio
import anyio.to_thread
from cryptography import x509

from cmpkit.ca.certificates import IssuerCertificate, is_self_issued, path_length, read_issuer_certificate
from cmpkit.ca.generation import Generation, build_generation, find_root, read_generation
from cmpkit.ca.hierarchy import SIGNER_PROFILE
from cmpkit.ca.opening import FormerKeySettings, IssuerSettings, RootUpdateSettings
from cmpkit.ca.setup import TRUST
from cmpkit.ca.sources import load_key, read_certificates, read_file
from cmpkit.ca.succession import SuccessorKeys, make_successor, successor_name
from cmpkit.config.changing import alone, read_own_ca, replace_configuration
from cmpkit.config.editing import edit_table
from cmpkit.config.opening import open_store
from cmpkit.config.reading import Configuration
from cmpkit.config.tables import FormerSignerTable
from cmpkit.crypto.keys import generate_key, write_file_atomically
from cmpkit.crypto.names import format_name
from cmpkit.crypto.root_update import check_root_update
from cmpkit.crypto.x509 import load_certificates, outline, to_pem
from cmpkit.endpoints.checkpoints import Checkpoint, reach
from cmpkit.errors import ConfigurationError
from cmpkit.parts import UnitOfWork
from cmpkit.plugins import Plugins

__all__ = ["Switched", "finish_rollover", "prepare_rollover", "switch_keys"]

_ADDRESSES = {
    "crl_urls": "--crl-url",
    "delta_crl_urls": "--delta-crl-url",
    "ca_issuers_urls": "--ca-issuers-url",
}
_NO_ADDRESSES: Mapping[str, Sequence[str]] = {}


@dataclass(frozen=True, slots=True)
class Switched:
    """What issues now.

    :param addresses: where its CRL, its delta CRL and its certificate are to be published, by their keys in
        ``[issuer]``.
    """

    generation: Generation
    addresses: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _CA:
    """The CA of a configuration file, as it is before a step.

    :param text: the file.
    """

    configuration: Configuration
    text: str
    settings: IssuerSettings
    certificate: IssuerCertificate
    plugins: Plugins
    now: datetime

    @property
    def base(self) -> Path:
        return self.configuration.directory

    @property
    def generation(self) -> int:
        """1 for what ``cmpkit init`` made."""
        number = Path(self.settings.certificate).parent.name.removeprefix("ca-")
        return int(number) if number.isdecimal() else 1

    async def replace_text(self, text: str) -> None:
        """Put another configuration file in the place of this one, once it was found to be without mistakes."""
        await replace_configuration(self.configuration.path, text, self.plugins, now=self.now)


async def prepare_rollover(
    path: Path,
    plugins: Plugins,
    *,
    root: Path | None = None,
    subject: x509.Name | None = None,
    key_type: str | None = None,
    again: bool = False,
    now: datetime,
) -> Generation:
    """Make a new root, an issuing CA and a signer below it, and have the server tell of the new root.

    What was prepared before is given again. After a crash the same call goes on where it was.

    :param path: the configuration file.
    :param root: the directory with the old root, if it is no longer where it was made.
    :param subject: of the new issuing CA; without it, the old name with a number.
    :param key_type: of all keys that are made; without it, that of the old issuing key.
    :param again: whether the keys may be replaced though former ones are in use, which stay in use.
    :raises ConfigurationError: if that cannot be done; the CA then works as before.
    """
    with alone(path.parent):
        ca = await _open(path, plugins, now)
        if ca.settings.former and not again:
            raise ConfigurationError(
                "the keys were replaced already, and the former ones are still in use",
                hint="see: cmpkit ca finish; to replace the keys once more: --again",
            )
        directory = Path(f"ca-{ca.generation + 1}")
        if not await anyio.Path(ca.base, directory).exists():
            await _make(ca, directory, root, subject, key_type)
        made = await _read(ca, directory)
        reach(plugins, Checkpoint.KEYS_WRITTEN, None)
        async with open_store(ca.configuration, plugins) as store:
            for record in (made.signer, made.ocsp):
                if await store.certificate_by_fingerprint(record.fingerprint) is None:
                    await store.commit(UnitOfWork(certificates=(record,)))
        await _write_trust(ca, (*await _trusted(ca), made.update.new_with_new))
        if ca.settings.new_with_new != made.update_settings["new_with_new"]:
            await ca.replace_text(_telling(ca, made, await _earlier_updates(ca)))
        return made


async def switch_keys(
    path: Path, plugins: Plugins, *, addresses: Mapping[str, Sequence[str]] = _NO_ADDRESSES, now: datetime
) -> Switched:
    """Issue by the keys that were prepared; the old ones become former keys.

    Each key has addresses of its own for what is published of it: those of the old one with a number.

    :param addresses: others, by their keys in ``[issuer]``: ``crl_urls``, ``delta_crl_urls``, ``ca_issuers_urls``.
    :raises ConfigurationError: if nothing was prepared, or it cannot be used; the CA then works as before.
    """
    with alone(path.parent):
        ca = await _open(path, plugins, now)
        directory = Path(f"ca-{ca.generation + 1}")
        if not await anyio.Path(ca.base, directory).exists():
            raise ConfigurationError("no new keys were prepared", hint="run: cmpkit ca rollover")
        made = await _read(ca, directory)
        if ca.settings.new_with_new != made.update_settings["new_with_new"]:
            raise ConfigurationError(f"the keys in {directory} are not ready", hint="run: cmpkit ca rollover")
        chosen = {
            key: tuple(addresses.get(key) or ()) or _next_urls(ca, getattr(ca.settings, key), option)
            for key, option in _ADDRESSES.items()
        }
        await ca.replace_text(_issuing(ca, made, chosen))
        return Switched(made, chosen)


async def finish_rollover(path: Path, plugins: Plugins, *, force: bool = False, now: datetime) -> tuple[str, ...]:
    """Forget the former keys, and the old root as a trust anchor, once nothing is left that they issued.

    Who knows only the old root still learns of the new one.

    :param force: also if there are certificates that are valid: they can then no longer be used here or revoked.
    :returns: the key files that are not needed any more.
    :raises ConfigurationError: if there is nothing to finish, or the former keys are still needed.
    """
    with alone(path.parent):
        ca = await _open(path, plugins, now)
        if not ca.settings.former:
            raise ConfigurationError("there are no former keys", hint="see: cmpkit ca rollover")
        former = [
            read_issuer_certificate(await read_certificates(table.certificate, ca.base)) for table in ca.settings.former
        ]
        if not force:
            await _check_expired(ca, former)
        old = {authority.all[-1] for authority in former} - {ca.certificate.all[-1]}
        await _write_trust(ca, tuple(anchor for anchor in await _trusted(ca) if anchor not in old))
        text = edit_table(ca.text, "issuer", {"former": None})
        await ca.replace_text(edit_table(text, "signer", {"former": None}))
        signers = ca.configuration.signer.former
        return (*(table.key for table in ca.settings.former), *(table.key for table in signers))


async def _earlier_updates(ca: _CA) -> tuple[dict[str, Any], ...]:
    """The updates of the root that were told of so far, without those that nobody can verify any more."""
    names = set(RootUpdateSettings.model_fields)
    told = [table.model_dump(include=names) for table in (ca.settings, *ca.settings.earlier_root_updates)]
    found = []
    for table in told:
        if table["new_with_new"] is not None:
            link = (await read_certificates(table["new_with_old"], ca.base))[0]
            if outline(link).validity_period[1] >= ca.now:
                found.append(table)
    return tuple(found)


def _telling(ca: _CA, made: Generation, earlier: tuple[dict[str, Any], ...]) -> str:
    """The configuration of a server that tells of the new root, and publishes its CRL."""
    text = edit_table(ca.text, "issuer", {**made.update_settings, "earlier_root_updates": earlier})
    published = ca.configuration.publication
    if published is None:
        return text
    return edit_table(text, "publication", {"crl_files": (*published.crl_files, made.root_crl)})


def _issuing(ca: _CA, made: Generation, addresses: Mapping[str, Sequence[str]]) -> str:
    """The configuration of a server that issues by the new keys."""
    former = [_key_table(table) for table in (ca.settings, *ca.settings.former)]
    # What others certified was the old key: it goes with that.
    kept = {"key_password": None, "cross_certificates": (), "former": former}
    changes = {**made.issuer_settings, **addresses, **kept}
    text = edit_table(ca.text, "issuer", changes)
    signer = ca.configuration.signer
    signers = [_signer_table(table) for table in (signer, *signer.former)]
    text = edit_table(text, "signer", {**made.signer_settings, "key_password": None, "former": signers})
    if ca.configuration.ocsp is None:
        return text
    return edit_table(text, "ocsp", {**made.ocsp_settings, "key_password": None})


def _next_urls(ca: _CA, urls: Sequence[str], option: str) -> tuple[str, ...]:
    """The addresses for the next generation: a number before the suffix of the path, in place of an earlier one.

    :param option: by which others can be given.
    :raises ConfigurationError: if one is none of http.
    """
    return tuple(_next_url(url, ca.generation, option) for url in urls)


def _next_url(url: str, generation: int, option: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ConfigurationError(
            f"each key of the CA needs an address of its own, and none can be made of {url}", hint=f"give {option}"
        )
    path = PurePosixPath(parts.path)
    stem = f"{path.stem.removesuffix(f'-{generation}')}-{generation + 1}"
    return urlunsplit(parts._replace(path=str(path.with_name(f"{stem}{path.suffix}"))))


async def _open(path: Path, plugins: Plugins, now: datetime) -> _CA:
    configuration, settings, certificate = await read_own_ca(path, plugins)
    text = (await read_file(path, Path())).decode()
    return _CA(configuration, text, settings, certificate, plugins, now)


async def _make(ca: _CA, directory: Path, root: Path | None, subject: x509.Name | None, key_type: str | None) -> None:
    old_root = ca.certificate.all[-1]
    if len(ca.certificate.all) < 2 or not is_self_issued(old_root):
        raise ConfigurationError(
            f"the root above {format_name(ca.certificate.name)} is not known here, or is the issuing CA itself",
            hint="have a new root made where its key is; the how-to guide about rolling over the root says the rest",
        )
    old_key = await find_root(old_root, ca.base, root, ca.plugins)
    if key_type is None:
        issuing = await load_key(ca.settings.key, ca.settings.key_password, ca.base, ca.plugins)
        key_type = issuing.key_type
    keys = SuccessorKeys(*(generate_key(key_type, ca.plugins) for _ in fields(SuccessorKeys)))
    successor = await make_successor(
        old_root,
        subject or successor_name(ca.certificate.name, ca.generation + 1),
        old_key=old_key,
        keys=keys,
        plugins=ca.plugins,
        now=ca.now,
        path_length=path_length(ca.certificate.der),
    )
    links = [(await read_certificates(table["new_with_old"], ca.base))[0] for table in await _earlier_updates(ca)]
    await build_generation(ca.base / directory, successor, keys, links=links)


async def _read(ca: _CA, directory: Path) -> Generation:
    made = await read_generation(directory, ca.base)
    check_root_update(made.update, ca.certificate.all[-1], plugins=ca.plugins, now=ca.now)
    return made


async def _trusted(ca: _CA) -> tuple[bytes, ...]:
    path = ca.base / TRUST
    if not await anyio.Path(path).exists():
        return (ca.certificate.all[-1],)
    return load_certificates(await read_file(path, Path()))


async def _write_trust(ca: _CA, anchors: Sequence[bytes]) -> None:
    content = to_pem(*dict.fromkeys(anchors))
    await anyio.to_thread.run_sync(write_file_atomically, ca.base / TRUST, content)


async def _check_expired(ca: _CA, former: Sequence[IssuerCertificate]) -> None:
    async with open_store(ca.configuration, ca.plugins) as store:
        for authority in former:
            last = await store.last_expiry(authority.key_id, besides=SIGNER_PROFILE)
            if last is not None and last >= ca.now:
                raise ConfigurationError(
                    f"certificates of {format_name(authority.name)} are valid until {last:%Y-%m-%d %H:%M:%S} UTC",
                    hint="wait until then, or give --force: they can then no longer be updated or revoked",
                )


def _key_table(settings: FormerKeySettings) -> dict[str, Any]:
    return settings.model_dump(include=set(FormerKeySettings.model_fields))


def _signer_table(settings: FormerSignerTable) -> dict[str, Any]:
    return settings.model_dump(include=set(FormerSignerTable.model_fields))
