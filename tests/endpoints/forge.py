"""Messages made by hand: every field may be wrong, the protection is right unless it is meant not to be."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509

from cmpkit.asn1 import Extension, PKIBody, PKIMessage
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.x509 import CertificateContent, build_certificate, extension, key_identifier, random_serial
from cmpkit.endpoints.controls import old_certificate
from cmpkit.endpoints.credentials import Credentials, SigningCredentials, secret_sender
from cmpkit.endpoints.protector import protection_for, seal
from cmpkit.endpoints.requests import Wish, certificate_request
from cmpkit.engine.header import request_header
from cmpkit.enums import BodyType
from cmpkit.parts import PrivateKey, SharedSecret
from cmpkit.plugins import Plugins

NOW = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)


class Forge:
    """Makes protected messages of one client.

    :param clock: for messageTime.
    """

    def __init__(self, plugins: Plugins, credentials: Credentials, clock: Callable[[], Any]) -> None:
        self.plugins, self.credentials, self.clock = plugins, credentials, clock

    @property
    def sender(self) -> x509.Name:
        if isinstance(self.credentials, SharedSecret):
            return secret_sender(self.credentials)
        return self.credentials.subject

    async def message(
        self,
        body: PKIBody,
        *,
        to: PKIMessage | None = None,
        general_info: Sequence[Any] = (),
        extra_certs: Sequence[bytes] | None = None,
        pvno: int = 2,
        **header: Any,
    ) -> PKIMessage:
        """A message; ``header`` are fields to set otherwise.

        :param to: the answer that is answered: gives transactionID and recipNonce.
        """
        signing = isinstance(self.credentials, SigningCredentials)
        protection, algorithm, key = protection_for(self.credentials, self.plugins)
        kid = self.credentials.key_identifier if signing else self.credentials.reference
        made = request_header(
            pvno=pvno,
            sender=self.sender,
            recipient=x509.Name([]),
            sender_kid=kid,
            protection_alg=algorithm,
            transaction_id=to.header.transaction_id if to else secrets.token_bytes(16),
            recip_nonce=to.header.sender_nonce if to else None,
            now=self.clock(),
            general_info=general_info,
        )
        made = dataclasses.replace(made, **header)
        if extra_certs is None:
            extra_certs = self.credentials.extra_certs if signing else ()
        return await seal(made, body, protection, key, extra_certs)

    async def request(
        self, key: PrivateKey, subject: x509.Name | None, operation: BodyType = BodyType.IR, **changes: Any
    ) -> PKIMessage:
        """A request for a certificate."""
        controls = (old_certificate(self.credentials.certificate),) if operation is BodyType.KUR else ()
        body = await certificate_request(
            operation, Wish(key=key, subject=subject, controls=controls), sender=self.sender
        )
        return await self.message(body, **changes)


async def certify(
    key: PrivateKey, subject: x509.Name, issuer_key: PrivateKey, issuer: x509.Name, *extra: Extension, ca: bool = False
) -> bytes:
    """A certificate that is valid for a day before and after the time of the tests."""
    content = CertificateContent(
        serial_number=random_serial(),
        issuer=issuer.public_bytes(),
        subject=subject,
        not_before=NOW - timedelta(days=1),
        not_after=NOW + timedelta(days=1),
        public_key_info=key.public_key_info,
        extensions=(
            extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True),
            extension(x509.SubjectKeyIdentifier(key_identifier(key.public_key_info))),
            *extra,
        ),
    )
    return await build_certificate(content, issuer_key)


async def self_signed(plugins: Plugins, subject: x509.Name) -> SigningCredentials:
    """A certificate that nobody issued."""
    key = generate_key("p256", plugins)
    return SigningCredentials(await certify(key, subject, key, subject), key)
