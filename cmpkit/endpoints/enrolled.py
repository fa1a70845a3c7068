"""What comes of a request for certificates, or for their revocation, at a client."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cmpkit.asn1 import RevRepContent
from cmpkit.endpoints.conversation import Conversation
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.endpoints.discarding import discard
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.sought import SoughtCertificate, refusal_by
from cmpkit.engine.states import ANSWERS
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError, ConfigurationError, PeerRefusal, TrustError
from cmpkit.parts import PrivateKey

__all__ = ["Enrolled", "certificate_results", "revocation_results"]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A certificate that was got, checked and confirmed.

    :param certificate: DER.
    :param chain: DER certificates from its issuer to the trust anchor.
    :param key: its private key; ``None`` for a PKCS#10 request, whose key we never had.
    :param ca_pubs: DER certificates that the server offered as trust anchors.
    :param saved: the file that keeps its transaction until :meth:`Client.forget
        <cmpkit.endpoints.client.Client.forget>`; ``None`` if none is kept.
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


async def certificate_results(
    transaction: ClientTransaction, conversation: Conversation
) -> tuple[Enrolled | CMPError, ...]:
    """What came of each certificate that was sought, in their order: it, or why there is none.

    :raises TrustError: if one that was accepted is not acceptable any more, or is revoked.
    """
    return tuple([await _result(one, transaction, conversation) for one in transaction.sought])


async def _result(
    one: SoughtCertificate, transaction: ClientTransaction, conversation: Conversation
) -> Enrolled | CMPError:
    refusal = one.refusal(ANSWERS[transaction.operation].wire_name)
    if refusal is not None:
        return refusal
    if one.rejection:
        hint = await discard(one, transaction, conversation)
        text = f"the certificate was rejected: {one.rejection}"
        return TrustError(text, PKIFailureInfo.BAD_CERT_TEMPLATE, rule="RFC 9483 section 3.6.1", hint=hint)
    path, generated = await conversation.examine(transaction, one, granted_with_mods=True)
    # Before it was confirmed its own status says little: a CA may not know of it until then.
    await conversation.check_standing(path[:2])
    saved = conversation.saved_as(transaction)
    key = generated or conversation.keys.get(one.public_key_info)
    return Enrolled(one.certificate, path[1:], key, transaction.ca_pubs, saved)


def revocation_results(content: RevRepContent) -> tuple[PeerRefusal | None, ...]:
    """What an rp says of each certificate, in the order of the request: why it was not revoked, ``None`` if it was."""
    return tuple(
        refusal_by(status, BodyType.RP.wire_name) if status.status is PKIStatus.REJECTION else None
        for status in content.status
    )
