"""Devices with certificates of their maker's PKI, and the messages by which they enrol.

Each device has a certificate and key of its own, so that nothing a server keeps from one request serves the next.
Requests are prepared in another process than the one that is measured: preparing them fills the same caches.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import anyio
import anyio.to_process
from cryptography import x509

from cmpkit.asn1 import CertStatus, Extension, PKIBody, PKIMessage, encode
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import (
    CertificateContent,
    build_certificate,
    cert_hash,
    extension,
    key_identifier,
    random_serial,
)
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.endpoints.protector import protection_for, seal
from cmpkit.endpoints.requests import Wish, certificate_request
from cmpkit.engine.header import NONCE_SIZE, request_header
from cmpkit.enums import PVNO, BodyType
from cmpkit.parts import PrivateKey
from cmpkit.plugins import Plugins, load_plugins

__all__ = ["Factory", "Request", "cert_conf", "make_factory", "prepare"]

_SERVER = parse_name("CN=CMP server")
_KEY_TYPE = "p256"
_LEAF_USAGE = {"digital_signature": True}
_CA_USAGE = {"key_cert_sign": True, "crl_sign": True}
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


@dataclass(frozen=True, slots=True)
class Factory:
    """The maker's PKI: a root and an intermediate CA that issues device certificates (RFC 9483 section 1.1).

    :param root: DER of its root certificate: what a server trusts.
    :param issuing: DER of the intermediate certificate: what devices send along.
    :param issuing_key: PKCS#8 of its key.
    """

    root: bytes
    issuing: bytes
    issuing_key: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """An ir, ready to be sent, and what the certConf after it needs.

    :param device_key: PKCS#8 of the key that signs.
    """

    certificate: bytes
    issuing: bytes
    device_key: bytes
    transaction_id: bytes
    der: bytes

    def credentials(self, plugins: Plugins) -> SigningCredentials:
        """What the device signs with."""
        key = plugins.key_algorithm(_KEY_TYPE).load_private_key(self.device_key)
        return SigningCredentials(self.certificate, key, (self.issuing,))


def _usage(bits: dict[str, bool]) -> Extension:
    return extension(x509.KeyUsage(**{name: bits.get(name, False) for name in _USAGES}), critical=True)


async def _certificate(
    key: PrivateKey,
    subject: x509.Name,
    issuer: tuple[PrivateKey, x509.Name],
    *,
    ca: bool,
    path_length: int | None = None,
) -> bytes:
    issuer_key, issuer_name = issuer
    now = datetime.now(UTC)
    content = CertificateContent(
        serial_number=random_serial(),
        issuer=encode(issuer_name),
        subject=subject,
        not_before=now - timedelta(days=1),
        not_after=now + timedelta(days=3650),
        public_key_info=key.public_key_info,
        extensions=(
            extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True),
            _usage(_CA_USAGE if ca else _LEAF_USAGE),
            extension(x509.SubjectKeyIdentifier(key_identifier(key.public_key_info))),
            extension(x509.AuthorityKeyIdentifier(key_identifier(issuer_key.public_key_info), None, None)),
        ),
    )
    return await build_certificate(content, issuer_key)


async def make_factory(plugins: Plugins) -> Factory:
    """A new PKI with keys on P-256."""
    root_key, issuing_key = generate_key(_KEY_TYPE, plugins), generate_key(_KEY_TYPE, plugins)
    root_name, issuing_name = parse_name("CN=Factory Root,O=Factory"), parse_name("CN=Factory CA,O=Factory")
    root = await _certificate(root_key, root_name, (root_key, root_name), ca=True)
    issuing = await _certificate(issuing_key, issuing_name, (root_key, root_name), ca=True, path_length=0)
    return Factory(root, issuing, issuing_key.to_pkcs8())


async def prepare(factory: Factory, count: int) -> list[Request]:
    """Requests of so many devices, made in another process."""
    return await anyio.to_process.run_sync(_prepare, factory, count)


def _prepare(factory: Factory, count: int) -> list[Request]:
    return anyio.run(_requests, factory, count)


async def _requests(factory: Factory, count: int) -> list[Request]:
    plugins = load_plugins()
    issuing_key = plugins.key_algorithm(_KEY_TYPE).load_private_key(factory.issuing_key)
    issuer = (issuing_key, x509.load_der_x509_certificate(factory.issuing).subject)
    return [await _request(plugins, factory, issuer) for _ in range(count)]


async def _request(plugins: Plugins, factory: Factory, issuer: tuple[PrivateKey, x509.Name]) -> Request:
    subject = parse_name(f"CN=device-{secrets.token_hex(6)},O=Factory")
    device_key, new_key = generate_key(_KEY_TYPE, plugins), generate_key(_KEY_TYPE, plugins)
    certificate = await _certificate(device_key, subject, issuer, ca=False)
    credentials = SigningCredentials(certificate, device_key, (factory.issuing,))
    transaction_id = secrets.token_bytes(NONCE_SIZE)
    body = await certificate_request(BodyType.IR, Wish(key=new_key, subject=subject), sender=subject)
    message = await _sealed(plugins, credentials, body, transaction_id, None)
    return Request(certificate, factory.issuing, device_key.to_pkcs8(), transaction_id, message.raw)


async def cert_conf(plugins: Plugins, request: Request, ip: PKIMessage) -> bytes:
    """DER of the certConf that accepts the certificate in an ip."""
    (response,) = ip.body.content.response
    certificate = encode(response.certified_key_pair.cert_or_enc_cert.value)
    status = CertStatus(cert_req_id=response.cert_req_id, cert_hash=cert_hash(certificate, plugins))
    body = PKIBody(BodyType.CERT_CONF, [status])
    nonce = ip.header.sender_nonce
    return (await _sealed(plugins, request.credentials(plugins), body, request.transaction_id, nonce)).raw


async def _sealed(
    plugins: Plugins,
    credentials: SigningCredentials,
    body: PKIBody,
    transaction_id: bytes,
    recip_nonce: bytes | None,
) -> PKIMessage:
    protection, algorithm, key = protection_for(credentials, plugins)
    header = request_header(
        pvno=PVNO.CMP2000,
        sender=credentials.subject,
        recipient=_SERVER,
        sender_kid=credentials.key_identifier,
        protection_alg=algorithm,
        transaction_id=transaction_id,
        recip_nonce=recip_nonce,
        now=datetime.now(UTC),
    )
    return await seal(header, body, protection, key, credentials.extra_certs)
