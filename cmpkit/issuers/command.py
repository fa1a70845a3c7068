"""An issuer that runs a program: a request in, a certificate out."""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from cmpkit.ca.changes import changed, confirmation, revocation
from cmpkit.ca.sources import read_file
from cmpkit.crypto.x509 import load_certificates
from cmpkit.enums import CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError, ConflictError
from cmpkit.issuers.authority import Authority, failed
from cmpkit.issuers.program import Programs
from cmpkit.issuers.task import Task, issue_facts, issue_task, order_of, record_task
from cmpkit.parts import (
    Abandoned,
    Authenticated,
    CertificateChange,
    CertificateRecord,
    CertificateRequest,
    Issued,
    Pending,
    Rejected,
    RevocationRequest,
    Revoked,
    RootKeyUpdate,
    Undertaking,
    UnitOfWork,
)

__all__ = ["CommandIssuer"]

_log = logging.getLogger("cmpkit.issuer")
_KIND = "command"
_AT_IT = Pending(1, "the CA is at it")
_KEPT_WHEN_OVER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Progress:
    """How far a request is, as the store keeps it.

    :param facts: what the program is told of it.
    :param busy_until: until when a program may be at work for it; empty if none is.
    :param certificate: DER of what came of it.
    """

    facts: dict[str, Any]
    busy_until: str = ""
    certificate: str = ""
    version: int = 0

    @property
    def state(self) -> bytes:
        """As octets."""
        members = {"facts": self.facts, "busy_until": self.busy_until, "certificate": self.certificate}
        return json.dumps(members).encode()

    def is_busy(self, now: datetime) -> bool:
        """Whether a program may be at work."""
        return self.busy_until != "" and now < datetime.fromisoformat(self.busy_until)


class CommandIssuer:
    """An :class:`~cmpkit.parts.Issuer` that runs programs.

    What a program gave is kept under the idempotency key, so that it is not asked again; one that was killed, or whose
    server was, is asked again with the same key.

    :param programs: for ``issue`` or ``issue_p10``, and what else there is: ``revoke``, ``confirm``, ``crl``.
    :param late: what happens to a certificate that comes when its requester is gone; it is kept if nothing revokes.
    :param crl_file: where the CRL is, if no program gives it.
    :param crl_urls: where the CRL can be fetched.
    """

    name = "command"
    local = False

    def __init__(
        self,
        authority: Authority,
        programs: Programs,
        *,
        late: Literal["revoke", "keep"] = "revoke",
        crl_file: Path | None = None,
        crl_urls: tuple[str, ...] = (),
    ) -> None:
        self._authority = authority
        self._programs = programs
        self._late = late
        self._crl_file = crl_file
        self.crl_urls = crl_urls

    async def issue(
        self, request: CertificateRequest, auth: Authenticated, *, idempotency_key: str, now: datetime
    ) -> Issued | Pending | Rejected:
        """What the program gives for a request."""
        try:
            progress = await self._load(idempotency_key)
            if progress is None:
                order, asked = self._authority.order(request, auth, idempotency_key, now)
                progress = _Progress(issue_facts(order, asked, auth))
            return await self._proceed(progress, now)
        except ConflictError:
            return _AT_IT
        except CMPError as error:
            return Rejected(error)

    async def _proceed(self, progress: _Progress, now: datetime) -> Issued | Pending:
        """The certificate, by the program if it is not here yet.

        :raises CMPError: if the program refuses or fails; the request is forgotten then.
        """
        order = order_of(progress.facts)
        if progress.certificate:
            return await self._authority.issued(base64.b64decode(progress.certificate), order, now)
        if progress.is_busy(now):
            return _AT_IT
        command = self._command(progress.facts)
        busy_until = (now + self._programs.time_limit + timedelta(seconds=1)).isoformat()
        progress = await self._save(replace(progress, busy_until=busy_until))
        try:
            given = await self._programs.run(command, issue_task(progress.facts, now))
            if isinstance(given, Pending):
                await self._save(replace(progress, busy_until=""))
                return given
            der = _certificate_in(given)
            issued = await self._authority.issued(der, order, now)
        except ConflictError:
            raise
        except CMPError:
            await self._forget(order.key)
            raise
        await self._save(replace(progress, busy_until="", certificate=base64.b64encode(der).decode()))
        return issued

    def _command(self, facts: dict[str, Any]) -> str:
        """Which program is for a request.

        :raises CMPError: badRequest if there is none.
        """
        command = "issue_p10" if facts["csr"] is not None and "issue_p10" in self._programs.commands else "issue"
        if command not in self._programs.commands:
            raise CMPError(
                "the CA takes PKCS#10 requests only, with the names that its profile gives",
                status_text="ask by p10cr",
                hint="name a program for other requests: issue of [issuer]",
            )
        return command

    async def confirm(
        self, certificate: CertificateRecord, *, accepted: bool, now: datetime
    ) -> CertificateChange | Pending:
        """Tell the programs; what was rejected is revoked, if there is one for that and none for confirmations."""
        pending = None
        if "confirm" in self._programs.commands:
            pending = await self._tell("confirm", record_task("confirm", certificate, accepted=accepted))
        elif not accepted and "revoke" in self._programs.commands:
            reason = CRLReason.CESSATION_OF_OPERATION
            pending = await self._tell("revoke", record_task("revoke", certificate, reason=reason))
        elif not accepted:
            _log.warning("%x was rejected, and there is no program to tell that", certificate.serial_number)
        if pending is not None:
            return pending
        await self._end(certificate.request_key, now)
        return confirmation(certificate, accepted=accepted, now=now)

    async def revoke(
        self, request: RevocationRequest, auth: Authenticated, *, now: datetime
    ) -> Revoked | Pending | Rejected:
        """Have a program revoke it."""
        record = await self._authority.record(request)
        try:
            change = revocation(record, request, now)
            assert record is not None
            if "revoke" not in self._programs.commands:
                raise CMPError(
                    "there is no program that revokes",
                    PKIFailureInfo.NOT_AUTHORIZED,
                    hint="name one as revoke of [issuer]",
                )
            pending = await self._tell("revoke", record_task("revoke", record, reason=request.reason))
        except CMPError as error:
            return Rejected(error)
        return Revoked(change) if pending is None else pending

    async def _tell(self, command: str, task: Task) -> Pending | None:
        given = await self._programs.run(command, task)
        return given if isinstance(given, Pending) else None

    async def abandon(self, idempotency_key: str, *, now: datetime) -> Abandoned | Pending:
        """Ask once more, and revoke what comes or keep it; see :class:`cmpkit.parts.AbandoningIssuer`."""
        progress = await self._load(idempotency_key)
        if progress is None:
            return Abandoned()
        try:
            result = await self._proceed(progress, now)
        except ConflictError:
            return _AT_IT
        except CMPError as error:
            _log.info("nothing comes of the abandoned %s: %s", idempotency_key, error)
            return Abandoned()
        if isinstance(result, Pending):
            return result
        keeping = self._late == "keep" or not {"confirm", "revoke"} & set(self._programs.commands)
        change = await self.confirm(result.certificate, accepted=keeping, now=now)
        return change if isinstance(change, Pending) else Abandoned(changed(result.certificate, change))

    async def ca_certificates(self) -> tuple[bytes, ...]:
        """The issuing certificate, then those above it."""
        return self._authority.certificate.all

    async def crl(self, *, now: datetime) -> bytes:
        """The CRL that a program gives, or from its file."""
        if "crl" in self._programs.commands:
            given = await self._programs.run("crl", Task({"operation": "crl"}))
            if isinstance(given, Pending):
                raise CMPError("the CRL takes longer", PKIFailureInfo.SYSTEM_UNAVAIL)
            return self._authority.checked_crl(given)
        if self._crl_file is None:
            raise CMPError(
                "there is no CRL", PKIFailureInfo.ADD_INFO_NOT_AVAILABLE, hint="name crl or crl_file in [issuer]"
            )
        return self._authority.checked_crl(await read_file(self._crl_file, Path()))

    async def root_key_update(self) -> RootKeyUpdate | None:
        """Nothing is known of it here."""
        return None

    async def _load(self, key: str) -> _Progress | None:
        kept = await self._authority.store.undertaking(_KIND, key)
        return None if kept is None else _Progress(**json.loads(kept.state), version=kept.version)

    async def _save(self, progress: _Progress) -> _Progress:
        """Keep it.

        :raises ConflictError: if another process has kept something meanwhile.
        """
        undertaking = Undertaking(_KIND, progress.facts["key"], progress.state, progress.version)
        await self._authority.store.commit(UnitOfWork(undertakings=(undertaking,)))
        return replace(progress, version=progress.version + 1)

    async def _forget(self, key: str) -> None:
        await self._authority.store.commit(UnitOfWork(undertakings=(Undertaking(_KIND, key, b""),)))

    async def _end(self, key: str, now: datetime) -> None:
        """It is over, but somebody may ask for it again who was killed before the result was noted."""
        progress = await self._load(key)
        if progress is not None:
            over = Undertaking(_KIND, key, progress.state, progress.version, now + _KEPT_WHEN_OVER)
            await self._authority.store.commit(UnitOfWork(undertakings=(over,)))


def _certificate_in(given: bytes) -> bytes:
    """The certificate that a program gave, the first one if there are several.

    :raises CMPError: systemFailure if there is none.
    """
    try:
        return load_certificates(given)[0]
    except ConfigurationError as error:
        raise failed(f"the program gave no certificate: {error.detail}") from error
