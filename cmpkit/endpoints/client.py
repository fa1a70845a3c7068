"""The client: enrol, update, revoke, ask. On asyncio and trio alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import Extension, InfoTypeAndValue, PKIBody, encode
from cmpkit.crypto.keys import generate_key
from cmpkit.endpoints.conversation import ClientOptions, Conversation
from cmpkit.endpoints.credentials import (
    Anchors,
    Credentials,
    SigningCredentials,
    as_name,
    read_anchors,
    secret_sender,
)
from cmpkit.endpoints.requests import certificate_request, p10_request, revocation_request
from cmpkit.endpoints.support import SupportMessages
from cmpkit.endpoints.trust import AnswerVerifier
from cmpkit.engine.client import ClientTransaction, Finished, Send, begin
from cmpkit.enums import BodyType, CRLReason
from cmpkit.errors import ConfigurationError
from cmpkit.parts import ClientTransport, Observer, PrivateKey, Transform
from cmpkit.plugins import Plugins, load_plugins
from cmpkit.transports.address import open_transport

__all__ = ["Client", "Enrolled"]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A certificate that was got, checked and confirmed.

    :param certificate: DER.
    :param chain: DER certificates from its issuer to the trust anchor.
    :param key: its private key; ``None`` for a PKCS#10 request, whose key we never had.
    :param ca_pubs: DER certificates that the server offered as trust anchors.
    :param saved: the file that keeps its transaction until :meth:`Client.forget`; ``None`` if none is kept.
    """

    certificate: bytes
    chain: tuple[bytes, ...]
    key: PrivateKey | None = None
    ca_pubs: tuple[bytes, ...] = ()
    saved: Path | None = None

    @property
    def credentials(self) -> SigningCredentials:
        """The certificate and key, to protect messages with.

        :raises ConfigurationError: if the key is not known.
        """
        if self.key is None:
            raise ConfigurationError("the key of this certificate is not known", hint="give it as SigningCredentials")
        return SigningCredentials(self.certificate, self.key, self.chain)


class Client(SupportMessages):
    """Talks to one CMP server (RFC 9810, RFC 9483 section 4).

    Use it as an asynchronous context manager. Every operation raises :class:`~cmpkit.errors.PeerRefusal` if the server
    refuses, :class:`~cmpkit.errors.TrustError` if an answer is not to be believed,
    :class:`~cmpkit.errors.TransportError` if none comes, and :class:`~cmpkit.errors.StillWaiting` if the operation
    takes longer than ``options.total_timeout``.

    :param url: where the server is; the scheme chooses the road.
    :param credentials: what requests are protected with.
    :param trust: trust anchors, for the answers and for new certificates: the path of a PEM bundle, or certificates.
    :param options: everything else.
    :param plugins: the parts to use; without them, those that are installed.
    :param transport: an open road to use in place of ``url``.
    :param observers: told of every message, beside those of the plugins.
    :param transform: may change every message on its way out; for experiments and tests.
    """

    def __init__(
        self,
        url: str,
        *,
        credentials: Credentials,
        trust: Anchors = (),
        options: ClientOptions | None = None,
        plugins: Plugins | None = None,
        transport: ClientTransport | None = None,
        observers: Sequence[Observer] = (),
        transform: Transform | None = None,
    ) -> None:
        self.url = url
        self.credentials = credentials
        self.trust = read_anchors(trust)
        self.options = options or ClientOptions()
        self.plugins = plugins or load_plugins()
        self._observers = tuple(observers)
        self._transform = transform
        self._transport = transport or open_transport(self.plugins, url, self.options.transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._transport.aclose()

    async def enroll(
        self,
        subject: x509.Name | str | None = None,
        key: PrivateKey | None = None,
        *,
        extensions: Sequence[Extension] = (),
        context: Mapping[str, str] | None = None,
    ) -> Enrolled:
        """A first certificate (ir).

        :param subject: the subject to ask for, ``/CN=x`` or RFC 4514; ``None`` leaves it to the server.
        :param key: the key to certify; ``None`` makes a P-256 key.
        :param extensions: extensions to ask for.
        :param context: kept in the saved transaction, for whoever resumes it.
        """
        return await self._certify(BodyType.IR, subject, key, extensions, context)

    async def certify(
        self,
        subject: x509.Name | str | None = None,
        key: PrivateKey | None = None,
        *,
        extensions: Sequence[Extension] = (),
        context: Mapping[str, str] | None = None,
    ) -> Enrolled:
        """A further certificate (cr); parameters as for :meth:`enroll`."""
        return await self._certify(BodyType.CR, subject, key, extensions, context)

    async def update(
        self,
        old: Enrolled | SigningCredentials | None = None,
        key: PrivateKey | None = None,
        *,
        subject: x509.Name | str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Enrolled:
        """A new certificate in place of ``old`` (kur), which signs the request.

        :param old: the certificate to renew; ``None`` takes the client's own credentials.
        :param key: the new key; ``None`` makes one of the same type. The old key is allowed where policy agrees.
        """
        credentials = self._own_certificate(old)
        key = key or generate_key(credentials.key.key_type, self.plugins)
        wanted = as_name(subject) if subject is not None else credentials.subject
        body = await certificate_request(
            BodyType.KUR,
            key,
            subject=wanted,
            sender=credentials.subject,
            old_certificate=credentials.certificate,
        )
        return await self._obtain(body, credentials, wanted, key=key, context=context)

    async def request_p10(self, csr: bytes, *, context: Mapping[str, str] | None = None) -> Enrolled:
        """A certificate for a PKCS#10 request (p10cr).

        :param csr: DER; its own signature is the proof of possession.
        """
        body = p10_request(csr)
        loaded = x509.load_der_x509_csr(csr)
        public_key_info = encode(body.content.info.subject_pk_info)
        return await self._obtain(
            body, self.credentials, loaded.subject, public_key_info=public_key_info, context=context
        )

    async def revoke(
        self,
        certificate: Enrolled | SigningCredentials | bytes,
        reason: CRLReason = CRLReason.UNSPECIFIED,
        *,
        context: Mapping[str, str] | None = None,
    ) -> None:
        """Revoke a certificate (rr), signed by itself if its key is given, else by the client's credentials.

        :param certificate: what to revoke; octets are DER.
        :param reason: ``REMOVE_FROM_CRL`` lifts a hold.
        """
        der = certificate if isinstance(certificate, bytes) else certificate.certificate
        own = self.credentials if isinstance(certificate, bytes) else self._own_certificate(certificate)
        await self._run(revocation_request(der, reason), own, context)

    async def info(
        self, *questions: ObjectIdentifier | InfoTypeAndValue, context: Mapping[str, str] | None = None
    ) -> tuple[InfoTypeAndValue, ...]:
        """Ask for information (genm).

        :param questions: id-it OIDs, or with their values; none asks for all that the server likes to tell.
        :returns: the answers, in the server's order.
        """
        items = [item if isinstance(item, InfoTypeAndValue) else InfoTypeAndValue(item) for item in questions]
        finished = await self._run(PKIBody(BodyType.GENM, items), self.credentials, context)
        return tuple(finished.content)

    async def resume(self, saved: Path | ClientTransaction, key: PrivateKey | None = None) -> Enrolled | Any:
        """Go on with a transaction that another process began.

        :param saved: its file, or the transaction.
        :param key: the private key of the certificate that was asked for, to be in the result.
        :returns: :class:`Enrolled` for certificates, the content of the answer for the rest.
        """
        conversation = self._conversation(self.credentials)
        transaction = conversation.load(saved) if isinstance(saved, Path) else saved
        finished = await conversation.resume(transaction)
        if not finished.transaction.certificate:
            return finished.content
        return self._enrolled(finished, conversation, key)

    def forget(self, enrolled: Enrolled) -> None:
        """Remove the saved transaction of a certificate that is in a safe place now."""
        if enrolled.saved is not None:
            enrolled.saved.unlink(missing_ok=True)

    async def _certify(
        self,
        operation: BodyType,
        subject: x509.Name | str | None,
        key: PrivateKey | None,
        extensions: Sequence[Extension],
        context: Mapping[str, str] | None,
    ) -> Enrolled:
        key = key or generate_key("p256", self.plugins)
        wanted = as_name(subject) if subject is not None else None
        body = await certificate_request(
            operation, key, subject=wanted, sender=self._sender(self.credentials), extensions=extensions
        )
        return await self._obtain(body, self.credentials, wanted, key=key, context=context)

    async def _obtain(
        self,
        body: PKIBody,
        credentials: Credentials,
        subject: x509.Name | None,
        *,
        context: Mapping[str, str] | None,
        key: PrivateKey | None = None,
        public_key_info: bytes = b"",
    ) -> Enrolled:
        if not self.trust and not self.options.adopt_ca_pubs:
            raise ConfigurationError(
                "no trust anchors: a new certificate could not be checked",
                hint="give them with --trusted, or adopt those that the server offers with --adopt-ca-pubs",
            )
        conversation = self._conversation(credentials)
        transaction = begin(
            body.type,
            implicit_confirm=self.options.implicit_confirm,
            public_key_info=key.public_key_info if key is not None else public_key_info,
            subject=subject.public_bytes() if subject is not None else b"",
            context=context,
            random=self.options.random,
        )
        finished = await conversation.run(Send(transaction, body))
        return self._enrolled(finished, conversation, key)

    def _enrolled(self, finished: Finished, conversation: Conversation, key: PrivateKey | None) -> Enrolled:
        transaction = finished.transaction
        path = conversation.examine(transaction, granted_with_mods=True)
        saved = conversation.saved_as(transaction)
        return Enrolled(transaction.certificate, path[1:], key, transaction.ca_pubs, saved)

    async def _run(self, body: PKIBody, credentials: Credentials, context: Mapping[str, str] | None) -> Finished:
        transaction = begin(body.type, context=context, random=self.options.random)
        return await self._conversation(credentials).run(Send(transaction, body))

    def _conversation(self, credentials: Credentials) -> Conversation:
        verifier = AnswerVerifier(
            self.plugins,
            credentials,
            anchors=self.trust,
            pinned=self.options.pinned,
            expected_sender=self.options.expected_sender,
        )
        return Conversation(
            plugins=self.plugins,
            transport=self._transport,
            credentials=credentials,
            sender=self._sender(credentials),
            verifier=verifier,
            options=self.options,
            observers=self._observers,
            transform=self._transform,
        )

    @staticmethod
    def _sender(credentials: Credentials) -> x509.Name:
        if isinstance(credentials, SigningCredentials):
            return credentials.subject
        return secret_sender(credentials)

    def _own_certificate(self, given: Enrolled | SigningCredentials | None) -> SigningCredentials:
        credentials = given.credentials if isinstance(given, Enrolled) else given or self.credentials
        if not isinstance(credentials, SigningCredentials):
            raise ConfigurationError(
                "this needs a certificate with its key",
                hint="give them with --cert and --key, or as SigningCredentials",
            )
        return credentials
