"""Tables that name a CMP server that this one asks: how it is reached, what it is shown, what is believed of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from pydantic import StrictStr

from cmpkit.ca.roads import RoadTable
from cmpkit.ca.settings import naming
from cmpkit.ca.sources import load_key, read_certificates
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.endpoints.tolerating import wanted_tolerances
from cmpkit.errors import ConfigurationError
from cmpkit.parts import SharedSecret
from cmpkit.passwords import read_password
from cmpkit.plugins import Plugins
from cmpkit.tolerances import Side

__all__ = ["PeerTable", "Trust", "credential_mistakes", "open_credentials", "open_trust", "read_tolerances"]


class PeerTable(RoadTable):
    """A table that names a CMP server.

    :param trusted: files with trust anchors for its answers; those for TLS are apart.
    :param pinned: file with the one certificate that signs its answers, if that is known.
    :param expected_sender: the name that signs its answers, if that is known.
    :param certificate: file with the certificate that this server signs with there, then those above it.
    :param key: URI of its private key; goes with ``certificate``.
    :param key_password: where the password of the key is: ``file:PATH`` or ``env:NAME``.
    :param reference: of the shared secret that this server has in common with it, in place of a certificate.
    :param secret: where that secret is: ``file:PATH`` (its first line) or ``env:NAME``.
    :param tolerances: what is accepted of its answers although a rule forbids it (:mod:`cmpkit.tolerances`).
    :param peer: a known kind of server, for the tolerances that it needs.
    """

    trusted: tuple[StrictStr, ...] = ()
    pinned: StrictStr | None = None
    expected_sender: StrictStr | None = None
    certificate: StrictStr | None = None
    key: StrictStr | None = None
    key_password: StrictStr | None = None
    reference: StrictStr | None = None
    secret: StrictStr | None = None
    tolerances: tuple[StrictStr, ...] = ()
    peer: StrictStr | None = None


def credential_mistakes(table: PeerTable) -> Iterator[str]:
    """What does not go together in what a table says of credentials."""
    if (table.certificate is None) != (table.key is None):
        yield "certificate: goes with key, and key with certificate"
    if table.key_password is not None and table.key is None:
        yield "key_password: there is no key"
    if (table.secret is None) != (table.reference is None):
        yield "secret: goes with reference, and reference with secret"
    if table.secret is not None and table.certificate is not None:
        yield "secret: there is a certificate, too; one of them protects what is sent"


async def open_credentials(table: PeerTable, where: str, directory: Path, plugins: Plugins) -> Credentials | None:
    """What a table protects messages with; ``None`` if it names nothing.

    :param where: the name of the table, for messages: ``[[upstream]] ca``.
    :param directory: where relative paths start.
    :raises ConfigurationError: naming what cannot be used.
    """
    if table.secret is not None and table.reference is not None:
        with naming(f"{where} secret"):
            return SharedSecret(table.reference.encode(), await read_password(table.secret, directory))
    if table.certificate is None or table.key is None:
        return None
    with naming(f"{where} certificate"):
        certificate, *chain = await read_certificates(table.certificate, directory)
    with naming(f"{where} key"):
        key = await load_key(table.key, table.key_password, directory, plugins)
        if key.public_key_info != certificate_public_key_info(certificate):
            raise ConfigurationError(f"it is not the key of the certificate in {table.certificate}")
    return SigningCredentials(certificate, key, chain)


@dataclass(frozen=True, slots=True)
class Trust:
    """What answers of a server are believed by.

    :param anchors: DER trust anchors.
    :param pinned: DER of the certificate that signs them, if that is known.
    :param expected_sender: the name that signs them, if that is known.
    """

    anchors: tuple[bytes, ...] = ()
    pinned: bytes | None = None
    expected_sender: x509.Name | None = None


async def open_trust(table: PeerTable, where: str, directory: Path) -> Trust:
    """What a table says that is believed.

    :param where: the name of the table, for messages.
    :param directory: where relative paths start.
    :raises ConfigurationError: naming what cannot be used.
    """
    anchors: list[bytes] = []
    for file in table.trusted:
        with naming(f"{where} trusted"):
            anchors.extend(await read_certificates(file, directory))
    pinned = expected = None
    if table.pinned is not None:
        with naming(f"{where} pinned"):
            pinned = (await read_certificates(table.pinned, directory))[0]
    if table.expected_sender is not None:
        with naming(f"{where} expected_sender"):
            expected = parse_name(table.expected_sender)
    return Trust(tuple(anchors), pinned, expected)


def read_tolerances(table: PeerTable, where: str, plugins: Plugins) -> frozenset[str]:
    """What a table accepts beyond the default.

    :param where: the name of the table, for messages.
    :raises ConfigurationError: naming what is not known.
    """
    keys = (f"{where} tolerances", f"{where} peer")
    return wanted_tolerances(Side.CLIENT, plugins, names=table.tolerances, peer=table.peer, keys=keys)
