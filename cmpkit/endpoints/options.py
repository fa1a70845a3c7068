"""How a client behaves, whatever it asks for."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import anyio
from cryptography import x509

from cmpkit.endpoints.revocation import RevocationChecker, RevocationSources
from cmpkit.parts import PrivateKey, RandomOctets, TransportOptions
from cmpkit.plugins import Plugins

__all__ = ["ClientOptions", "revocation_checker"]


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How a client behaves.

    :param implicit_confirm: whether to ask that certConf be dispensed with (RFC 9810 section 5.1.1.1).
    :param total_timeout: seconds that one operation may take, polling included; ``None`` waits for ever.
    :param recipient: the name to address; ``None`` takes the issuer of the client's certificate, or the NULL-DN.
    :param profile: the certificate profile to ask for (certProfile).
    :param untrusted: DER certificates that paths may go through besides those that come.
    :param extra_certs: DER certificates to send with every message besides those of the credentials.
    :param pinned: DER of the one certificate that signs answers; it may be expired.
    :param expected_sender: the name that signs answers.
    :param mac: the MAC for messages under a shared secret: ``hmac-sha512``, ``aes256-gmac``, ``pbmac1-hmac-sha256`` ...
        (:func:`cmpkit.endpoints.protector.mac_names`); ``None`` takes HMAC-SHA256 in PasswordBasedMac.
    :param tolerances: names of what answers may do beyond the default (:mod:`cmpkit.tolerances`): ``hmac-sha1``.
    :param revocation: who says what is revoked: no answer is then believed whose signer, or a CA above it, is revoked,
        or of which that is not known, and no new certificate is taken from such a CA, or that is revoked itself;
        ``None`` does not look.
    :param adopt_ca_pubs: trust the caPubs of an answer that is protected by the shared secret (RFC 9483 section 4.1.1).
    :param state: the folder where transactions are kept until they are over, and those that brought a certificate until
        :meth:`Client.forget <cmpkit.endpoints.client.Client.forget>` is called; ``None`` keeps none.
    :param keep_key: called with a key that the server generated before its certificate is confirmed, to put it into a
        safe place; what it raises ends the operation, which can be resumed.
    :param transport: options of the road.
    :param clock: gives the time, in UTC.
    :param sleep: waits for some seconds; a virtual clock has its own.
    :param random: where transactionIDs, nonces and salts come from.
    """

    implicit_confirm: bool = False
    total_timeout: float | None = 120.0
    recipient: x509.Name | None = None
    profile: str | None = None
    untrusted: tuple[bytes, ...] = ()
    extra_certs: tuple[bytes, ...] = ()
    pinned: bytes | None = None
    expected_sender: x509.Name | None = None
    mac: str | None = None
    tolerances: frozenset[str] = frozenset()
    revocation: RevocationSources | None = None
    adopt_ca_pubs: bool = False
    state: Path | None = None
    keep_key: Callable[[PrivateKey], Awaitable[None]] | None = None
    transport: TransportOptions = field(default_factory=TransportOptions)
    clock: Callable[[], datetime] = _utc_now
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    random: RandomOctets = secrets.token_bytes


def revocation_checker(options: ClientOptions, plugins: Plugins) -> RevocationChecker | None:
    """What looks whether the signers of answers are revoked; ``None`` if the options do not ask for it."""
    if options.revocation is None:
        return None
    return RevocationChecker(options.revocation, plugins, options.transport, random=options.random)
