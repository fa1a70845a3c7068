"""Nested messages at a server: who may forward messages, and what answers those that are forwarded.

RFC 9810 section 5.1.3.4, RFC 9483 section 5.2.2. The protection of a nested message says who forwarded what is in it,
and no more than that: each message in it is verified and allowed, or not, as if it had come alone. Nothing is kept of a
nested message: what came before in it gets the stored answer again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import anyio

from cmpkit.asn1 import decode_message, encode
from cmpkit.crypto.protection import find_protection
from cmpkit.endpoints.turn import Turn
from cmpkit.endpoints.verifier import RequestVerifier
from cmpkit.engine.header import check_message_time, check_request_header
from cmpkit.engine.nesting import count_faults, is_batch, nest, nesting_faults, signature_faults
from cmpkit.engine.replies import Reply
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, raise_first
from cmpkit.parts import Answer, AuditEntry, Authenticated, Disposition, Peer
from cmpkit.plugins import Plugins

__all__ = ["answer_nested", "name_forwarders"]

_AT_ONCE = 100
"""How many messages of one batch are answered at once."""
_RULE = "RFC 9483 section 5.2.2"


async def answer_nested(turn: Turn, verifier: RequestVerifier, plugins: Plugins) -> Reply | Answer:
    """What answers the messages in a nested message: for one its own answer; for several a reply with theirs.

    They are answered at the same time, a few of them, and stay in their order. Announcements have no answer.

    :param turn: of the nested message; it gets to know who forwards.
    :raises CMPError: badMessageCheck, signerNotTrusted, wrongIntegrity, notAuthorized, badTime, badRequest or
        badDataFormat, which is answered by one error, whatever is in it (R-154); systemUnavail if it is left to the
        road to ask again for one of those in it.
    """
    turn.auth = await _verify(turn, verifier, plugins)
    peer = replace(turn.peer, forwarders=(turn.auth, *turn.peer.forwarders))
    members = [encode(element) for element in turn.message.body.content]
    if not is_batch(turn.message):
        return await turn.inner(members[0], peer, turn.settings)
    served = await _serve_all(members, lambda der: turn.inner(der, peer, turn.settings))
    if any(answer.disposition is Disposition.UNAVAILABLE for answer in served):
        raise CMPError("messages of a batch cannot be served now", PKIFailureInfo.SYSTEM_UNAVAIL)
    given = [decode_message(answer.der, max_size=len(answer.der)) for answer in served if answer.der is not None]
    if given:
        return Reply(nest(given))
    return next((answer for answer in served if answer.disposition is Disposition.REFUSED), served[0])


async def _verify(turn: Turn, verifier: RequestVerifier, plugins: Plugins) -> Authenticated:
    """Who forwards the messages in a nested message: a registration authority, by its signature."""
    outer, limits = turn.message, turn.settings.nesting
    check_request_header(outer, turn.leniency)
    raise_first(count_faults(outer, limits))
    check_message_time(outer, turn.now, turn.time_window)
    assert outer.header.protection_alg is not None
    raise_first(signature_faults(find_protection(plugins, outer.header.protection_alg.algorithm).kind))
    auth = await verifier.verify(outer, (), turn.now, turn.leniency)
    if "ra" not in auth.roles:
        raise CMPError(
            f"{auth.identity!r} may not forward messages of others",
            PKIFailureInfo.NOT_AUTHORIZED,
            rule=_RULE,
            hint="its certificate must have the extended key usage cmcRA and be of this CA, or be one of "
            "registration_authorities of [server]",
        )
    raise_first(nesting_faults(outer, limits), turn.leniency)
    return auth


async def _serve_all(members: Sequence[bytes], serve: Callable[[bytes], Awaitable[Answer]]) -> Sequence[Answer]:
    served: dict[int, Answer] = {}
    waiting = enumerate(members)

    async def work() -> None:
        for number, member in waiting:
            served[number] = await serve(member)

    async with anyio.create_task_group() as tasks:
        for _ in range(min(_AT_ONCE, len(members))):
            tasks.start_soon(work)
    return [served[number] for number in range(len(members))]


def name_forwarders(audit: Sequence[AuditEntry], peer: Peer) -> tuple[AuditEntry, ...]:
    """The lines of the audit about a message, with the credentials of those who forwarded it, the first one first."""
    if not peer.forwarders:
        return tuple(audit)
    by = " ".join(forwarder.credential.id for forwarder in peer.forwarders)
    return tuple(replace(entry, details={**entry.details, "forwarded_by": by}) for entry in audit)
