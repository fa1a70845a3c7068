"""The wrappings: which way a transaction goes upstream, by the name that the configuration gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from cmpkit.asn1 import PKIMessage
from cmpkit.crypto.pop import leaves_key_to_server
from cmpkit.crypto.protection import find_protection
from cmpkit.endpoints.protector import Protector
from cmpkit.engine.states import CRMF_REQUESTS
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import Authenticated, CertificateRequest, ProtectionKind, SharedSecret
from cmpkit.relay.wrapping.adding import add_protection
from cmpkit.relay.wrapping.changing import with_modifications
from cmpkit.relay.wrapping.contract import Manner
from cmpkit.relay.wrapping.own import OwnProtection
from cmpkit.relay.wrapping.replacing import replace_protection
from cmpkit.tolerances import Leniency

__all__ = ["FORWARD", "Wrapper", "needs_requester"]

_RULE = "RFC 9483 section 5.2.3"
_NEEDS_REQUESTER = frozenset({BodyType.KUR, BodyType.KRR})


def _replaced_or_nested(message: PKIMessage, auth: Authenticated | None) -> Manner:
    """Who checks a MAC replaces it; all else goes as it is, and so does what the CA needs the requester's own for."""
    if auth is None:
        raise CMPError(
            "a message that was not verified here cannot go upstream under our protection",
            PKIFailureInfo.NOT_AUTHORIZED,
            rule=_RULE,
            hint='set verify = true for the route, or forward = "unchanged" or "nest" for the upstream',
        )
    by_mac = auth.credential.kind is ProtectionKind.MAC
    return Manner.REPROTECTED if by_mac and not needs_requester(message) else Manner.NESTED


FORWARD: Final[Mapping[str, Callable[[PKIMessage, Authenticated | None], Manner]]] = MappingProxyType(
    {
        "unchanged": lambda message, auth: Manner.UNCHANGED,
        "nest": lambda message, auth: Manner.NESTED,
        "batch": lambda message, auth: Manner.UNCHANGED,
        "reprotect": _replaced_or_nested,
    }
)
"""For each way to forward how a transaction goes that a message opens, unless a policy changes what it asks for."""


@dataclass(frozen=True)
class Wrapper:
    """A :class:`~cmpkit.relay.wrapping.Wrapping` of one of the kinds in :data:`FORWARD`.

    :param own: protects what goes upstream.
    :param protector: protects what goes down, where an answer cannot be verified as it came.
    :param include_original: whether a message that is changed brings the one that came (origPKIMessage).
    :param tolerances: names of what is allowed in proofs of possession beyond the default (:mod:`cmpkit.tolerances`).
    """

    name: str
    own: OwnProtection
    protector: Protector
    include_original: bool = False
    tolerances: frozenset[str] = frozenset()

    def manner(
        self, message: PKIMessage, auth: Authenticated | None, *, changed: Sequence[CertificateRequest] = ()
    ) -> Manner:
        """How the transaction that this message opens goes upstream; see :meth:`Wrapping.manner`."""
        if not changed:
            return FORWARD[self.name](message, auth)
        if self.name == "unchanged" or auth is None or needs_requester(message, changed):
            raise CMPError(
                f"the policy would change what the {message.body.type.wire_name} asks for, which must go upstream as "
                "it is",
                PKIFailureInfo.BAD_CERT_TEMPLATE,
                rule=_RULE,
                hint="have the policy refuse such requests, or forward them by nest, batch or reprotect",
            )
        return Manner.CHANGED

    async def wrap(
        self,
        message: PKIMessage,
        auth: Authenticated | None,
        manner: Manner,
        *,
        changed: Sequence[CertificateRequest] = (),
        now: datetime,
    ) -> PKIMessage:
        """What goes upstream for a message; see :meth:`Wrapping.wrap`."""
        if manner is Manner.UNCHANGED:
            return message
        if manner is Manner.NESTED:
            return await add_protection([message], self.own, now=now)
        assert auth is not None
        return await replace_protection(
            message,
            auth,
            self.own,
            changed=changed,
            now=now,
            include_original=self.include_original,
            leniency=Leniency(self.tolerances),
        )

    async def unwrap(
        self, answer: PKIMessage, request: PKIMessage, auth: Authenticated | None, manner: Manner
    ) -> PKIMessage:
        """What the requester gets; see :meth:`Wrapping.unwrap`."""
        if auth is None or answer.header.protection_alg is None:
            return answer
        given = with_modifications(answer) if manner is Manner.CHANGED else answer
        if given is answer and not self._is_foreign(answer, auth):
            return answer
        return await self.protector.protect_again(given, request.header, to=auth.credential)

    def _is_foreign(self, answer: PKIMessage, auth: Authenticated) -> bool:
        """Whether the requester could not verify an answer: one under our secret, or signed where he has a secret."""
        assert answer.header.protection_alg is not None
        kind = find_protection(self.own.plugins, answer.header.protection_alg.algorithm).kind
        if kind is ProtectionKind.MAC:
            ours = self.own.credentials
            return isinstance(ours, SharedSecret) and answer.header.sender_kid == ours.reference
        return auth.credential.secret is not None


def needs_requester(message: PKIMessage, changed: Sequence[CertificateRequest] = ()) -> bool:
    """Whether the CA needs to know by whose credential a request is protected (R-157).

    It does for the update of a certificate and for archived keys, and to encrypt a private key that it generates.

    :param changed: what its requests are to become: they may have got a key on the way.
    """
    if message.body.type in _NEEDS_REQUESTER:
        return True
    if message.body.type not in CRMF_REQUESTS:
        return False
    given = {request.cert_req_id for request in changed if request.public_key_info}
    return any(
        leaves_key_to_server(one.request.cert_template) and one.request.cert_req_id not in given
        for one in message.body.content
    )
