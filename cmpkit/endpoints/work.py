"""Answers to what the engine needs: each need goes to the part that can."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    CertReqMsg,
    Challenge,
    EncryptedValue,
    EnvelopedData,
    InfoTypeAndValue,
    encode_list,
    read_name,
)
from cmpkit.ca.approval import Approvals
from cmpkit.ca.archive import KeyArchive
from cmpkit.ca.facts import as_it_came, check_profile_kept, describe_request
from cmpkit.ca.key_generation import KeyGeneration
from cmpkit.ca.modifications import is_modified
from cmpkit.ca.passphrases import check_owner, check_purpose
from cmpkit.crypto.challenges import make_challenge
from cmpkit.crypto.encrypted_values import encrypt_value
from cmpkit.crypto.later_proof import envelop_certificate
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.pop import verify_p10, verify_popo
from cmpkit.crypto.x509 import cert_hash, outline
from cmpkit.endpoints.checkpoints import Checkpoint, reach
from cmpkit.engine.needs import (
    Authorize,
    CheckProof,
    Confirm,
    FindCertificate,
    FindNamed,
    Inform,
    Issue,
    MakeChallenge,
    Need,
    Recover,
    Revoke,
)
from cmpkit.enums import PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError
from cmpkit.parts import (
    Authenticated,
    CertificateChange,
    CertificateRecord,
    CertificateRequest,
    EncryptionCredentials,
    HeldRequest,
    InfoContext,
    Intent,
    Issued,
    Issuer,
    Pending,
    Policy,
    Recovered,
    RecoveryPolicy,
    Rejected,
    Revoked,
    Store,
    Told,
    UnitOfWork,
)
from cmpkit.plugins import Plugins

__all__ = ["Works", "Workshop"]

_log = logging.getLogger("cmpkit.server")
_OTHER_PROOFS = (
    ProofMethod.ENCRYPTED_CERTIFICATE,
    ProofMethod.CHALLENGE_RESPONSE,
    ProofMethod.AGREED_MAC,
    ProofMethod.ENCRYPTED_KEY,
)
"""The last is checked where the key is archived; without an archive, it is refused there."""


class Works(Protocol):
    """What does what an engine needs, and keeps what comes of it."""

    @property
    def store(self) -> Store:
        """Where everything is kept."""

    @property
    def leaves_intents(self) -> bool:
        """Whether an intent is in the store before a certificate is asked for."""

    def run(self, need: Need, auth: Authenticated, transaction_id: bytes, now: datetime) -> Awaitable[Any]:
        """The result that a need asks for, to be awaited.

        :raises CMPError: if it is refused.
        """

    async def commit(self, unit: UnitOfWork) -> None:
        """Store what a message changed; see :meth:`cmpkit.parts.Store.commit`."""


@dataclass(frozen=True)
class Workshop:
    """The parts that a responder's needs are put to.

    :param issuer_key: the key that the issuer issues with, see :attr:`cmpkit.parts.CertificateRecord.issuer_key`.
    :param former: issuers with earlier keys, by these keys.
    :param approvals: which requests wait for a person.
    :param key_generation: makes the keys that requests leave to the server; ``None`` makes none.
    :param encryption: what requesters encrypt to, or agree on secrets with; ``None`` if there is no such key.
    :param archive: which private keys are kept, and what hands them over again.
    """

    plugins: Plugins
    store: Store
    issuer: Issuer
    issuer_key: str
    policy: Policy
    former: Mapping[str, Issuer] = field(default_factory=dict)
    approvals: Approvals = field(default_factory=Approvals)
    key_generation: KeyGeneration | None = None
    encryption: EncryptionCredentials | None = None
    archive: KeyArchive = field(default_factory=KeyArchive)

    @property
    def leaves_intents(self) -> bool:
        """Whether the issuer is elsewhere, see :class:`Works`."""
        return not self.issuer.local

    async def commit(self, unit: UnitOfWork) -> None:
        """See :meth:`cmpkit.parts.Store.commit`."""
        await self.store.commit(unit)

    def run(self, need: Need, auth: Authenticated, transaction_id: bytes, now: datetime) -> Awaitable[Any]:
        """The result that the need asks for, to be awaited.

        :raises CMPError: if it is refused.
        """
        return _WORK[type(need)](self, need, auth, transaction_id, now)

    async def _authorize(self, need: Authorize, auth: Authenticated, _: bytes, now: datetime) -> None:
        check_purpose(need.body_type, auth)
        await self.policy.authorize(need.body_type, auth, now=now)

    async def _check_proof(self, need: CheckProof, auth: Authenticated, _: bytes, __: datetime) -> None:
        if isinstance(need.request, CertReqMsg):
            await verify_popo(
                need.request,
                sender=need.sender,
                plugins=self.plugins,
                ra_verified="ra" in auth.roles,
                secret=auth.credential.secret,
                others=_OTHER_PROOFS,
                keys=() if self.encryption is None else (self.encryption.key,),
                leniency=need.leniency,
            )
        else:
            verify_p10(need.request, self.plugins)

    async def _make_challenge(self, need: MakeChallenge, _: Authenticated, __: bytes, ___: datetime) -> Challenge:
        template_key, number = need.request.request.cert_template.public_key, need.request.request.cert_req_id
        assert template_key is not None
        assert need.sender is not None
        return await make_challenge(template_key.der, number, need.sender, plugins=self.plugins, by_rsa=need.by_rsa)

    async def _issue(
        self, need: Issue, auth: Authenticated, transaction_id: bytes, now: datetime
    ) -> Issued | Pending | Rejected:
        kept = await self._kept(need, now)
        if kept is not None:
            verdict = self.approvals.verdict(kept)
            if verdict is not None:
                return verdict
        asked = need.request
        if kept is None:
            request = await self.policy.authorize_request(asked, auth, now=now)
        else:
            # What was allowed when it was asked for stays so while a person thinks about it, and under whatever address
            # it is asked for again; but for what was revoked or used up meanwhile.
            asked, auth = as_it_came(kept, asked, auth)
            request = await self.policy.authorize_request(asked, auth, now=kept.at)
            check_profile_kept(kept, request)
        result = await self._issue_allowed(
            need, request, auth, asked=asked, transaction_id=transaction_id, now=now, is_kept=kept is not None
        )
        if isinstance(result, Issued) and not result.modified and is_modified(asked, request):
            return replace(result, modified=True)
        return result

    async def _issue_allowed(
        self,
        need: Issue,
        request: CertificateRequest,
        auth: Authenticated,
        *,
        asked: CertificateRequest,
        transaction_id: bytes,
        now: datetime,
        is_kept: bool,
    ) -> Issued | Pending | Rejected:
        """The certificate, or that a person has to agree to it before.

        :param request: as the policy allows what was ``asked``.
        """
        profile = self.approvals.profile_of(request)
        generation = None if request.public_key_info else self._generation()
        if generation is not None:
            generation.check(request, auth)
        archived = await self.archive.take(request, auth, self.plugins)
        if profile is not None and not is_kept:
            subject, facts = describe_request(asked, request, auth, profile, plugins=self.plugins, now=now)
            name = request.profile or ""
            return self.approvals.wait(
                HeldRequest(need.key, transaction_id, auth.credential.id, now, "", name, subject, facts)
            )
        await self._announce("issue", need.key, auth, transaction_id, now)
        if generation is not None:
            return await generation.issue(
                self.issuer,
                request,
                auth,
                idempotency_key=need.key,
                now=now,
                store=self.store,
                archive=self.archive.keeps(request),
            )
        result = await self.issuer.issue(request, auth, idempotency_key=need.key, now=now)
        if archived and isinstance(result, Issued):
            result = replace(result, archived=archived)
        if need.request.proof is not ProofMethod.ENCRYPTED_CERTIFICATE or not isinstance(result, Issued):
            return result
        return replace(result, encrypted=await self._encrypted(result.certificate.der, need))

    async def _encrypted(self, certificate: bytes, need: Issue) -> EnvelopedData | EncryptedValue:
        """A certificate, encrypted to its own key."""
        if need.by_rsa:
            return encrypt_value(certificate, need.request.public_key_info, plugins=self.plugins)
        return await envelop_certificate(certificate, need.request.cert_req_id, plugins=self.plugins)

    def _generation(self) -> KeyGeneration:
        if self.key_generation is None:
            raise CMPError(
                "the template has no public key, and this server generates none",
                PKIFailureInfo.BAD_CERT_TEMPLATE,
                rule="RFC 9483 section 4.1.6",
                hint="put a public key into the template",
            )
        return self.key_generation

    async def _kept(self, need: Issue, now: datetime) -> HeldRequest | None:
        """The request as it was kept for a person; it can have been only if it is put again."""
        found = await self.store.held_requests(now=now, key=need.key) if need.again else ()
        return next((request for request in found if request.key == need.key), None)

    async def _announce(
        self, operation: str, key: str, auth: Authenticated, transaction_id: bytes, now: datetime
    ) -> None:
        """Commit that something begins elsewhere; what is local leaves no trace but its result."""
        if self.issuer.local:
            return
        intent = Intent(key, transaction_id, auth.credential.id, operation, now)
        await self.store.commit(UnitOfWork(intents=(intent,)))
        reach(self.plugins, Checkpoint.INTENT_COMMITTED, transaction_id)

    async def _find_certificate(
        self, need: FindCertificate, _: Authenticated, __: bytes, ___: datetime
    ) -> tuple[CertificateRecord, bytes]:
        record = await self.store.certificate(need.issuer_key, need.serial_number)
        if record is None:
            raise CMPError(
                f"certificate {need.serial_number:x} of a transaction is not in the store",
                PKIFailureInfo.SYSTEM_FAILURE,
                hint="check the store",
            )
        status = need.status
        return record, b"" if status is None else cert_hash(record.der, self.plugins, status.hash_alg)

    async def _confirm(self, need: Confirm, _: Authenticated, __: bytes, now: datetime) -> CertificateChange | Pending:
        issuer = self.former.get(need.certificate.issuer_key, self.issuer)
        return await issuer.confirm(need.certificate, accepted=need.accepted, now=now)

    async def _revoke(self, need: Revoke, auth: Authenticated, _: bytes, now: datetime) -> Revoked | Pending | Rejected:
        issuer, record = await self._find_issued(need.request.issuer, need.request.serial_number)
        check_owner(need.request, record, auth)
        await self.policy.authorize_revocation(need.request, record, auth, now=now)
        return await issuer.revoke(need.request, auth, now=now)

    async def _find_named(self, need: FindNamed, _: Authenticated, __: bytes, ___: datetime) -> CertificateRecord:
        return (await self._find_issued(need.issuer, need.serial_number))[1]

    async def _find_issued(self, name: x509.Name, serial_number: int) -> tuple[Issuer, CertificateRecord]:
        """A certificate, and the issuer with the key that signed it.

        :raises CMPError: badCertId if there is none, or another CA is named.
        """
        for issuer_key, issuer in ((self.issuer_key, self.issuer), *self.former.items()):
            record = await self.store.certificate(issuer_key, serial_number)
            if record is not None and names_match(read_name(outline(record.der).issuer_der), name):
                return issuer, record
        raise CMPError(
            f"no certificate of {format_name(name)} with serial number {serial_number:x}",
            PKIFailureInfo.BAD_CERT_ID,
            rule="RFC 9483 section 4.2",
            hint="name issuer and serial number as the certificate has them, to the CA that issued it",
        )

    async def _recover(self, need: Recover, auth: Authenticated, _: bytes, now: datetime) -> Recovered:
        if not isinstance(self.policy, RecoveryPolicy):
            raise CMPError(
                f"the policy {self.policy.name} lets nobody have archived keys back",
                PKIFailureInfo.NOT_AUTHORIZED,
                rule="RFC 9810 section 5.3.7",
            )
        sources = await self.policy.authorize_recovery(need.request, auth, now=now)
        issuers = {self.issuer_key: self.issuer, **self.former}
        return await self.archive.recover(need.request, sources, self.store, issuers, self.plugins)

    async def _inform(
        self, need: Inform, auth: Authenticated, _: bytes, now: datetime
    ) -> tuple[InfoTypeAndValue | Told | Pending, ...]:
        context = InfoContext(
            self.issuer,
            auth,
            now,
            need.profile,
            self.policy,
            store=self.store,
            encryption=self.encryption,
            key=need.key,
            again=need.again,
            key_algorithms=self.plugins.all("key algorithm"),
        )
        if not need.questions:
            return await self._tell_all(context)
        answers: list[InfoTypeAndValue | Told | Pending] = []
        unknown = []
        for question in need.questions:
            part = self.plugins.get("info type", question.info_type)
            if part is None:
                unknown.append(question.info_type)
            else:
                answers.append(await part.answer(question.info_value, context))
        if unknown:
            answers.append(InfoTypeAndValue(oids.UNSUPPORTED_OIDS, encode_list(unknown)))
        return tuple(answers)

    async def _tell_all(self, context: InfoContext) -> tuple[InfoTypeAndValue, ...]:
        """What can be told without a question (RFC 9810 section 5.3.19)."""
        answers = []
        for part in self.plugins.all("info type"):
            try:
                answers.append(await part.answer(None, context))
            except CMPError as error:
                _log.debug("not told unasked: %s", error)
        # What keeps something, or takes time, is for those who ask for it.
        given = (answer for answer in answers if isinstance(answer, InfoTypeAndValue))
        return tuple(answer for answer in given if answer.info_value is not None)


_WORK: dict[type[Any], Callable[..., Awaitable[Any]]] = {
    Authorize: Workshop._authorize,
    CheckProof: Workshop._check_proof,
    MakeChallenge: Workshop._make_challenge,
    Issue: Workshop._issue,
    FindCertificate: Workshop._find_certificate,
    FindNamed: Workshop._find_named,
    Confirm: Workshop._confirm,
    Revoke: Workshop._revoke,
    Recover: Workshop._recover,
    Inform: Workshop._inform,
}
