"""The client without async, for scripts: every call returns when it is done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal
from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import AlgorithmIdentifier, Extension, InfoTypeAndValue
from cmpkit.endpoints import client as asynchronous
from cmpkit.endpoints.central_keys import CentralKey
from cmpkit.endpoints.client import Revocable
from cmpkit.endpoints.credentials import Anchors, Credentials, SigningCredentials
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.recovery import Recovery
from cmpkit.endpoints.requests import ProofChoice, Wish
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.enums import BodyType, CRLReason
from cmpkit.errors import CMPError, ConfigurationError, PeerRefusal
from cmpkit.parts import Observer, PrivateKey, RequestTemplate, Road, RootKeyUpdate, SharedSecret, Transform
from cmpkit.plugins import Plugins

__all__ = ["Client"]

T = TypeVar("T")


class Client:
    """Talks to one CMP server; a :class:`cmpkit.Client` in a thread of its own.

    Use it as a context manager. What each operation does, takes, returns and raises is as for
    :class:`cmpkit.endpoints.client.Client`.

    :param url: where the server is; the scheme chooses the road.
    :param credentials: what requests are protected with.
    :param trust: trust anchors, for the answers and for new certificates.
    :param options: everything else.
    :param plugins: the parts to use; without them, those that are installed.
    :param transport: an open road to use in place of ``url``.
    :param observers: told of every message, beside those of the plugins; called in the other thread.
    :param transform: may change every message on its way out; called in the other thread.
    :param backend: what runs in the thread: ``asyncio`` or ``trio``.
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
        backend: str = "asyncio",
    ) -> None:
        self._client = asynchronous.Client(
            url,
            credentials=credentials,
            trust=trust,
            options=options,
            plugins=plugins,
            transport=transport,
            observers=observers,
            transform=transform,
        )
        self._backend = backend
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal(self._backend))
            stack.enter_context(self._portal.wrap_async_context_manager(self._client))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._portal = None
        self._stack.__exit__(kind, error, traceback)

    def _call(self, function: Callable[..., Awaitable[T]], *arguments: Any, **options: Any) -> T:
        if self._portal is None:
            raise ConfigurationError("the client is not open", hint="use it as a context manager: with Client(...) as")
        return self._portal.call(partial(function, *arguments, **options))

    def enroll(
        self,
        subject: x509.Name | str | None = None,
        key: PrivateKey | CentralKey | None = None,
        *,
        extensions: Sequence[Extension] = (),
        proof: ProofChoice | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Enrolled:
        """A first certificate (ir)."""
        return self._call(self._client.enroll, subject, key, extensions=extensions, proof=proof, context=context)

    def certify(
        self,
        subject: x509.Name | str | None = None,
        key: PrivateKey | CentralKey | None = None,
        *,
        extensions: Sequence[Extension] = (),
        proof: ProofChoice | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Enrolled:
        """A further certificate (cr)."""
        return self._call(self._client.certify, subject, key, extensions=extensions, proof=proof, context=context)

    def update(
        self,
        old: Enrolled | SigningCredentials | None = None,
        key: PrivateKey | CentralKey | None = None,
        *,
        subject: x509.Name | str | None = None,
        extensions: Sequence[Extension] | None = None,
        proof: ProofChoice | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Enrolled:
        """A new certificate in place of one (kur)."""
        wanted = {"subject": subject, "extensions": extensions, "proof": proof}
        return self._call(self._client.update, old, key, **wanted, context=context)

    def request_p10(self, csr: bytes, *, context: Mapping[str, str] | None = None) -> Enrolled:
        """A certificate for a PKCS#10 request (p10cr)."""
        return self._call(self._client.request_p10, csr, context=context)

    def obtain(
        self, wish: Wish, *, operation: BodyType = BodyType.IR, context: Mapping[str, str] | None = None
    ) -> Enrolled:
        """A certificate with everything that can be asked for."""
        return self._call(self._client.obtain, wish, operation=operation, context=context)

    def obtain_several(
        self, wishes: Sequence[Wish], *, operation: BodyType = BodyType.IR, context: Mapping[str, str] | None = None
    ) -> tuple[Enrolled | CMPError, ...]:
        """Several certificates by one message."""
        return self._call(self._client.obtain_several, wishes, operation=operation, context=context)

    def cross_certify(
        self,
        authority: bytes,
        key: PrivateKey,
        *,
        responder: bytes,
        not_after: datetime,
        path_length: int = 0,
        signing_algorithm: AlgorithmIdentifier | None = None,
        profile: str = "",
        context: Mapping[str, str] | None = None,
    ) -> Enrolled:
        """A certificate of another CA for the key of one (ccr)."""
        return self._call(
            self._client.cross_certify,
            authority,
            key,
            responder=responder,
            not_after=not_after,
            path_length=path_length,
            signing_algorithm=signing_algorithm,
            profile=profile,
            context=context,
        )

    def revoke(
        self,
        certificate: Revocable,
        reason: CRLReason = CRLReason.UNSPECIFIED,
        *,
        invalidity_date: datetime | None = None,
        context: Mapping[str, str] | None = None,
    ) -> None:
        """Revoke a certificate (rr)."""
        self._call(self._client.revoke, certificate, reason, invalidity_date=invalidity_date, context=context)

    def revoke_several(
        self,
        certificates: Sequence[Revocable],
        reason: CRLReason = CRLReason.UNSPECIFIED,
        *,
        invalidity_date: datetime | None = None,
        context: Mapping[str, str] | None = None,
    ) -> tuple[PeerRefusal | None, ...]:
        """Revoke several certificates by one message."""
        return self._call(
            self._client.revoke_several, certificates, reason, invalidity_date=invalidity_date, context=context
        )

    def info(
        self, *questions: ObjectIdentifier | InfoTypeAndValue, context: Mapping[str, str] | None = None
    ) -> tuple[InfoTypeAndValue, ...]:
        """Ask for information (genm)."""
        return self._call(self._client.info, *questions, context=context)

    def ca_certificates(self) -> tuple[bytes, ...]:
        """The certificates of the CA and of those above it (caCerts)."""
        return self._call(self._client.ca_certificates)

    def current_crl(self) -> bytes | None:
        """The newest CRL (currentCRL)."""
        return self._call(self._client.current_crl)

    def crl_update(self, *, certificate: bytes | None = None, crl: bytes | None = None) -> bytes | None:
        """The CRL about a certificate, or the next one after a CRL (crlStatusList)."""
        return self._call(self._client.crl_update, certificate=certificate, crl=crl)

    def root_update(self, old_root: bytes | None = None) -> RootKeyUpdate | None:
        """The new certificate of a root CA whose key was replaced (rootCaCert)."""
        return self._call(self._client.root_update, old_root)

    def key_pair_parameters(self, algorithm: ObjectIdentifier) -> AlgorithmIdentifier | None:
        """The parameters for a new key of an algorithm (keyPairParamReq)."""
        return self._call(self._client.key_pair_parameters, algorithm)

    def request_template(self) -> RequestTemplate | None:
        """What a request should ask for (certReqTemplate)."""
        return self._call(self._client.request_template)

    def choose_passphrase(self, passphrase: SharedSecret) -> None:
        """Have the server keep a passphrase that revokes the certificates of this client (revPassphrase)."""
        self._call(self._client.choose_passphrase, passphrase)

    def passphrase_question(self, passphrase: SharedSecret) -> InfoTypeAndValue:
        """revPassphrase for :meth:`info`."""
        return self._call(self._client.passphrase_question, passphrase)

    def resume(self, saved: Path | ClientTransaction, key: PrivateKey | None = None) -> Enrolled | Any:
        """Go on with a transaction that another process began."""
        return self._call(self._client.resume, saved, key)

    def resume_several(
        self, saved: Path | ClientTransaction, keys: Sequence[PrivateKey] = ()
    ) -> tuple[Enrolled | CMPError, ...]:
        """Go on with what :meth:`obtain_several` began in another process."""
        return self._call(self._client.resume_several, saved, keys)

    def recover(
        self,
        encryption_key: PrivateKey | None = None,
        *,
        key: PrivateKey | None = None,
        subject: x509.Name | str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Recovery:
        """Have archived keys back (krr)."""
        return self._call(self._client.recover, encryption_key, key=key, subject=subject, context=context)

    def resume_recovery(
        self,
        saved: Path | ClientTransaction,
        encryption_key: PrivateKey | None = None,
        *,
        key: PrivateKey | None = None,
    ) -> Recovery:
        """Go on with a recovery that another process began."""
        return self._call(self._client.resume_recovery, saved, encryption_key, key=key)

    def forget(self, came: Enrolled | Recovery) -> None:
        """Remove the saved transaction of what is in a safe place now."""
        self._client.forget(came)
