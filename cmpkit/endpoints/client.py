"""The client: enrol, update, revoke, ask. On asyncio and trio alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import CertId, Extension, InfoTypeAndValue, PKIBody, encode
from cmpkit.crypto.keys import generate_key
from cmpkit.endpoints.central_keys import CentralKey
from cmpkit.endpoints.controls import hands_over_key, old_certificate
from cmpkit.endpoints.conversation import Conversation
from cmpkit.endpoints.credentials import (
    Anchors,
    Credentials,
    SigningCredentials,
    as_name,
    read_anchors,
    secret_sender,
)
from cmpkit.endpoints.cross_certification import CrossCertifying
from cmpkit.endpoints.enrolled import Enrolled, certificate_results, revocation_results
from cmpkit.endpoints.options import ClientOptions, revocation_checker
from cmpkit.endpoints.passphrases import has_passphrase
from cmpkit.endpoints.recovery import Recovering
from cmpkit.endpoints.requests import (
    ProofChoice,
    Prover,
    PublicKey,
    Wish,
    alternative_names_of,
    certificate_id,
    certificate_request,
    p10_request,
    revocation_request,
    sought_certificate,
)
from cmpkit.endpoints.trust import AnswerVerifier
from cmpkit.engine.client import Finished, Send, begin
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.enums import BodyType, CRLReason
from cmpkit.errors import CMPError, ConfigurationError, PeerRefusal
from cmpkit.parts import Observer, PrivateKey, Road, Transform
from cmpkit.plugins import Plugins, load_plugins
from cmpkit.transports.address import open_transport
from cmpkit.transports.postbox import with_answers

__all__ = ["Client", "Revocable"]

Revocable: TypeAlias = Enrolled | SigningCredentials | CertId | bytes
"""What names a certificate to revoke; octets are DER."""


class Client(CrossCertifying, Recovering):
    """Talks to one CMP server (RFC 9810, RFC 9483 section 4), as an asynchronous context manager.

    Every operation raises :class:`~cmpkit.errors.PeerRefusal` if the server
    refuses, :class:`~cmpkit.errors.TrustError` if an answer is not to be believed,
    :class:`~cmpkit.errors.TransportError` if none comes, and :class:`~cmpkit.errors.StillWaiting` if the operation
    takes longer than ``options.total_timeout``.

    :param url: where the server is; the scheme chooses the road.
    :param credentials: what requests are protected with.
    :param trust: trust anchors, for the answers and for new certificates: the path of a PEM bundle, or certificates.
    :param options: everything else.
    :param plugins: the parts to use; without them, those that are installed.
    :param transport: an open road to use in place of ``url``, of either kind.
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
        transport: Road | None = None,
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
        road = transport or open_transport(self.plugins, url, self.options.transport)
        self._transport = with_answers(road, sleep=self.options.sleep)
        self._revocation = revocation_checker(self.options, self.plugins)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._transport.aclose()

    async def enroll(
        self,
        subject: x509.Name | str | None = None,
        key: PrivateKey | CentralKey | None = None,
        *,
        extensions: Sequence[Extension] = (),
        proof: ProofChoice | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Enrolled:
        """A first certificate (ir).

        :param subject: the subject to ask for, ``/CN=x`` or RFC 4514; ``None`` leaves it to the server.
        :param key: the key to certify, or that the server is to generate one; ``None`` makes a P-256 key.
        :param extensions: extensions to ask for.
        :param proof: see :class:`~cmpkit.endpoints.requests.Wish`.
        :param context: kept in the saved transaction, for whoever resumes it.
        """
        wish = self._wish(subject, key, extensions, proof)
        return await self.obtain(wish, operation=BodyType.IR, context=context)

    async def certify(
        self,
        subject: x509.Name | str | None = None,
        key: PrivateKey | CentralKey | None = None,
        *,
        extensions: Sequence[Extension] = (),
        proof: ProofChoice | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Enrolled:
        """A further certificate (cr); parameters as for :meth:`enroll`."""
        wish = self._wish(subject, key, extensions, proof)
        return await self.obtain(wish, operation=BodyType.CR, context=context)

    async def update(
        self,
        old: Enrolled | SigningCredentials | None = None,
        key: PrivateKey | CentralKey | None = None,
        *,
        subject: x509.Name | str | None = None,
        extensions: Sequence[Extension] | None = None,
        proof: ProofChoice | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Enrolled:
        """A new certificate in place of ``old`` (kur), which signs the request.

        :param old: the certificate to renew; ``None`` takes the client's own credentials.
        :param key: the new key, or that the server is to generate one; ``None`` makes one of the same type. The old key
            is allowed where policy agrees.
        :param subject: the subject to ask for, ``None`` for that of ``old``.
        :param extensions: extensions to ask for; ``None`` asks for the subjectAltName of ``old``, if it has one. An
            update must leave both as they are unless policy agrees (RFC 9483 section 4.1.3).
        :param proof: see :class:`~cmpkit.endpoints.requests.Wish`.
        """
        credentials = self._own_certificate(old)
        key = key or generate_key(credentials.key.key_type, self.plugins)
        wanted = as_name(subject) if subject is not None else credentials.subject
        kept = alternative_names_of(credentials.certificate) if extensions is None else tuple(extensions)
        controls = (old_certificate(credentials.certificate),)
        wish = Wish(key=key, subject=wanted, extensions=kept, controls=controls, proof=proof)
        return _only(await self._obtain(BodyType.KUR, (wish,), credentials, context))

    async def request_p10(self, csr: bytes, *, context: Mapping[str, str] | None = None) -> Enrolled:
        """A certificate for a PKCS#10 request (p10cr).

        :param csr: DER; its own signature is the proof of possession.
        """
        body = p10_request(csr)
        sought = SoughtCertificate(0, encode(body.content.info.subject_pk_info), encode(body.content.info.subject))
        return _only(await self._come(body, [sought], self._conversation(self.credentials), context))

    async def obtain(
        self, wish: Wish, *, operation: BodyType = BodyType.IR, context: Mapping[str, str] | None = None
    ) -> Enrolled:
        """A certificate with everything that can be asked for: validity, controls, registration information.

        :param operation: ``BodyType.IR`` or ``BodyType.CR``.
        :param context: kept in the saved transaction, for whoever resumes it.
        """
        return _only(await self._obtain(operation, (wish,), self.credentials, context))

    async def obtain_several(
        self, wishes: Sequence[Wish], *, operation: BodyType = BodyType.IR, context: Mapping[str, str] | None = None
    ) -> tuple[Enrolled | CMPError, ...]:
        """Several certificates by one message, where the server takes that; parameters as for :meth:`obtain`.

        :returns: in the order of the wishes, the certificate or why there is none: the server refused, or what came is
            not acceptable. One of them does not spoil the others.
        """
        return await self._obtain(operation, wishes, self.credentials, context)

    async def revoke(
        self,
        certificate: Revocable,
        reason: CRLReason = CRLReason.UNSPECIFIED,
        *,
        invalidity_date: datetime | None = None,
        context: Mapping[str, str] | None = None,
    ) -> None:
        """Revoke a certificate (rr), signed by itself if its key is given, else by the client's credentials.

        :param certificate: what to revoke.
        :param reason: ``REMOVE_FROM_CRL`` lifts a hold.
        :param invalidity_date: since when the key or the certificate is suspect (RFC 5280 section 5.3.2).
        """
        own = self.credentials if isinstance(certificate, bytes | CertId) else self._own_certificate(certificate)
        await self._run(revocation_request([_named(certificate)], reason, invalidity_date), own, context)

    async def revoke_several(
        self,
        certificates: Sequence[Revocable],
        reason: CRLReason = CRLReason.UNSPECIFIED,
        *,
        invalidity_date: datetime | None = None,
        context: Mapping[str, str] | None = None,
    ) -> tuple[PeerRefusal | None, ...]:
        """Revoke several certificates by one message under the client's credentials, where the server takes that.

        Parameters are as for :meth:`revoke`.

        :returns: in their order, why one was not revoked; ``None`` if it was.
        """
        body = revocation_request([_named(one) for one in certificates], reason, invalidity_date)
        try:
            finished = await self._run(body, self.credentials, context)
        except PeerRefusal as refusal:
            if refusal.body == BodyType.RP.wire_name:
                return (refusal,)
            raise
        return revocation_results(finished.content)

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
        :param key: the private key of the certificate that was asked for, to be in the result; it is needed to open one
            that comes encrypted. Of a recovery, the one that archived keys are encrypted to.
        :returns: :class:`Enrolled` for a certificate, ``Recovery`` for archived keys, else the answer.
        """
        finished, conversation = await self._resumed(saved, [] if key is None else [key])
        if finished.transaction.recovered:
            return await self._recovered(finished.transaction, conversation, self._opening_key(key), None)
        if not finished.transaction.sought:
            return finished.content
        return _only(await certificate_results(finished.transaction, conversation))

    async def resume_several(
        self, saved: Path | ClientTransaction, keys: Sequence[PrivateKey] = ()
    ) -> tuple[Enrolled | CMPError, ...]:
        """Go on with what :meth:`obtain_several` began in another process.

        :param keys: the private keys of the certificates that were asked for, in any order.
        """
        finished, conversation = await self._resumed(saved, keys)
        return await certificate_results(finished.transaction, conversation)

    async def _resumed(
        self, saved: Path | ClientTransaction, keys: Sequence[PrivateKey]
    ) -> tuple[Finished, Conversation]:
        conversation = self._conversation(self.credentials, keys=keys)
        transaction = conversation.load(saved) if isinstance(saved, Path) else saved
        return await conversation.resume(transaction), conversation

    def _wish(
        self,
        subject: x509.Name | str | None,
        key: PrivateKey | CentralKey | None,
        extensions: Sequence[Extension],
        proof: ProofChoice | None,
    ) -> Wish:
        return Wish(
            key=key or generate_key("p256", self.plugins),
            subject=as_name(subject) if subject is not None else None,
            extensions=tuple(extensions),
            proof=proof,
        )

    async def _obtain(
        self,
        operation: BodyType,
        wishes: Sequence[Wish],
        credentials: Credentials,
        context: Mapping[str, str] | None,
    ) -> tuple[Enrolled | CMPError, ...]:
        keys = [wish.key for wish in wishes if not isinstance(wish.key, CentralKey | PublicKey)]
        conversation = self._conversation(credentials, self._profiles(wishes), keys)
        prover = Prover(self.plugins, credentials, self.options.random)
        body = await certificate_request(operation, *wishes, sender=conversation.sender, prover=prover)
        sought = [sought_certificate(message, wish) for message, wish in zip(body.content, wishes, strict=True)]
        return await self._come(body, sought, conversation, context)

    async def _come(
        self,
        body: PKIBody,
        sought: Sequence[SoughtCertificate],
        conversation: Conversation,
        context: Mapping[str, str] | None,
    ) -> tuple[Enrolled | CMPError, ...]:
        """What comes of a request for certificates."""
        if not (self.trust or self.options.adopt_ca_pubs or "self-issued-in-ip" in self.options.tolerances):
            raise ConfigurationError(
                "no trust anchors: a new certificate could not be checked",
                hint="give them with --trusted, or adopt those that the server offers with --adopt-ca-pubs",
            )
        transaction = begin(
            body.type,
            sought=sought,
            enveloped=hands_over_key(body),
            implicit_confirm=self.options.implicit_confirm,
            tolerances=self.options.tolerances,
            context=context,
            random=self.options.random,
        )
        finished = await conversation.run(Send(transaction, body))
        return await certificate_results(finished.transaction, conversation)

    def _profiles(self, wishes: Sequence[Wish]) -> tuple[str, ...]:
        """The names for certProfile: one for each request, or none (RFC 9810 section 5.1.1.4)."""
        names = tuple(wish.profile or self.options.profile or "" for wish in wishes)
        return names if any(names) else ()

    async def _run(self, body: PKIBody, credentials: Credentials, context: Mapping[str, str] | None) -> Finished:
        asked = len(body.content) if body.type is BodyType.RR else 1
        brings = has_passphrase(body)
        transaction = begin(body.type, asked=asked, enveloped=brings, context=context, random=self.options.random)
        return await self._conversation(credentials).run(Send(transaction, body))

    def conversation(self, profiles: Sequence[str] = ()) -> Conversation:
        """What carries an operation that is driven step by step; see :meth:`Conversation.advance`."""
        return self._conversation(self.credentials, tuple(profiles))

    def _conversation(
        self, credentials: Credentials, profiles: tuple[str, ...] | None = None, keys: Sequence[PrivateKey] = ()
    ) -> Conversation:
        if profiles is None:
            profiles = () if self.options.profile is None else (self.options.profile,)
        verifier = AnswerVerifier(
            self.plugins,
            credentials,
            anchors=self.trust,
            pinned=self.options.pinned,
            expected_sender=self.options.expected_sender,
            revocation=self._revocation,
        )
        return Conversation(
            plugins=self.plugins,
            transport=self._transport,
            credentials=credentials,
            sender=credentials.subject if isinstance(credentials, SigningCredentials) else secret_sender(credentials),
            verifier=verifier,
            options=self.options,
            observers=self._observers,
            transform=self._transform,
            profiles=profiles,
            keys={key.public_key_info: key for key in keys},
        )

    def _own_certificate(self, given: Enrolled | SigningCredentials | None) -> SigningCredentials:
        credentials = given.credentials if isinstance(given, Enrolled) else given or self.credentials
        if not isinstance(credentials, SigningCredentials):
            raise ConfigurationError(
                "this needs a certificate with its key",
                hint="give them with --cert and --key, or as SigningCredentials",
            )
        return credentials


def _only(results: tuple[Enrolled | CMPError, ...]) -> Enrolled:
    """The one certificate of a request that asked for one."""
    (result,) = results
    if isinstance(result, CMPError):
        raise result
    return result


def _named(certificate: Revocable) -> CertId:
    if isinstance(certificate, CertId):
        return certificate
    return certificate_id(certificate if isinstance(certificate, bytes) else certificate.certificate)
