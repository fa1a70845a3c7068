"""The tables of the configuration file that are the server's own; the others belong to the parts that they name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from cmpkit.asn1 import MAX_MESSAGE_SIZE
from cmpkit.ca.approval import DEFAULT_CHECK_AFTER
from cmpkit.ca.hierarchy import OCSP_SIGNER_VALIDITY
from cmpkit.ca.roads import RoadTable
from cmpkit.ca.settings import Duration, Settings
from cmpkit.durations import parse_duration
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.engine.responder import ResponderSettings
from cmpkit.relay.peers import PeerTable

__all__ = [
    "AnnounceTable",
    "EncryptionTable",
    "FormerSignerTable",
    "ListenTable",
    "OCSPTable",
    "PublicationTable",
    "RepositoryTable",
    "RouteTable",
    "ServerTable",
    "SignerTable",
    "StoreTable",
    "UpstreamTable",
]

_SERVER = ServerSettings()
_RESPONDER = ResponderSettings()


def _parse_window(value: object) -> timedelta | None:
    if value == "off":
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ValueError(f'{error}, or "off"') from error


class StoreTable(Settings):
    """The table ``[store]``.

    :param url: ``sqlite:///cmpkit.db``, or ``postgresql+psycopg://USER@HOST/DATABASE``.
    :param sealing_key_file: file with the key that shared secrets are encrypted with in the store: 32 octets in Base64.
    """

    url: StrictStr
    sealing_key_file: StrictStr


class FormerSignerTable(Settings):
    """A table ``[[signer.former]]``: what signs the answers to whoever has a certificate from a former key of the CA.

    :param certificate: file with its certificate, then those above it.
    :param key: URI of its private key.
    :param key_password: where the password of the key is.
    """

    certificate: StrictStr
    key: StrictStr
    key_password: StrictStr | None = None


class EncryptionTable(FormerSignerTable):
    """The table ``[encryption]``: what requesters encrypt to, passphrases for revocation and keys to be archived.

    :param certificate: file with its certificate, for key agreement or key transport; it is told as caProtEncCert.
    :param key: URI of its private key: ``file:keys/encryption.key.pem``, or what a key provider knows.
    :param key_password: where the password of the key is: ``file:PATH`` or ``env:NAME``.
    """


class SignerTable(FormerSignerTable):
    """The table ``[signer]``: what signs the answers that no shared secret protects.

    :param certificate: file with its certificate, then those above it.
    :param key: URI of its private key: ``file:keys/signer.key.pem``, or what a key provider knows.
    :param key_password: where the password of the key is: ``file:PATH`` or ``env:NAME``.
    :param former: the signers under former keys of the CA, as long as there are certificates from these
        (``cmpkit ca rollover`` writes them).
    """

    former: tuple[FormerSignerTable, ...] = ()


class OCSPTable(FormerSignerTable):
    """The table ``[ocsp]``: what signs OCSP responses, and how they are made (RFC 6960).

    For a key of the CA that did not issue its certificate, responses are signed by that key itself.

    :param certificate: file with its certificate, then those above it; may be that of the CA itself.
    :param key: URI of its private key: ``file:keys/ocsp.key.pem``, or what a key provider knows.
    :param key_password: where the password of the key is: ``file:PATH`` or ``env:NAME``.
    :param validity: from thisUpdate to nextUpdate; an answer is signed once in this time, and given again from memory.
    :param signer_validity: how long its certificate is valid when the server renews it, which it does when a third of
        that is left, if the key of the CA is here.
    :param never_issued: what is said of serial numbers that do not exist.
    :param nonces: whether the nonce of a request is in the answer, which is then signed each time (RFC 9654).
    :param max_certificates: how many certificates one request may be about.
    """

    validity: Duration = timedelta(hours=1)
    signer_validity: Duration = OCSP_SIGNER_VALIDITY
    never_issued: Literal["unknown", "revoked", "good"] = "unknown"
    nonces: StrictBool = True
    max_certificates: Annotated[StrictInt, Field(ge=1, le=64)] = 16


class PublicationTable(Settings):
    """The table ``[publication]``: what is published beside CMP; without it nothing is.

    :param crl_files: files with CRLs of other CAs, such as the root: each is served under ``/crl/`` by its name.
    """

    crl_files: tuple[StrictStr, ...] = ()


class AnnounceTable(RoadTable):
    """A table ``[[announce]]``: a repository that is told of what changes (RFC 9810 sections 5.3.13 to 5.3.16).

    :param what: of what: ``crlann``, each new CRL; ``ckuann``, the new key of the root; ``cann``, each certificate of a
        profile with ``publish``; ``rann``, each revocation.
    """

    what: Annotated[tuple[Literal["crlann", "ckuann", "cann", "rann"], ...], Field(min_length=1)] = (
        "crlann",
        "ckuann",
    )


class RepositoryTable(Settings):
    """The table ``[repository]``: takes announcements of other CAs; without it they are refused.

    :param directory: where what is believed is kept, as files; made if it is not there.
    :param trusted: files with the roots of the CAs that may announce something.
    """

    directory: StrictStr
    trusted: Annotated[tuple[StrictStr, ...], Field(min_length=1)]


class UpstreamTable(PeerTable):
    """A table ``[[upstream]]``: a CMP server behind this one, which is a registration authority before it.

    Without credentials of its own, those of ``[signer]`` protect what goes there.

    :param name: by which ``[[route]]`` tables name it.
    :param forward: how messages go there: ``unchanged``; ``nest``, each inside a message of this server; ``batch``,
        many inside one; ``reprotect``, under the protection of this server in place of a MAC (RFC 9483 section 5.2).
    :param include_original: whether a message that was changed or protected anew brings what it was (origPKIMessage).
    :param timeout: how long a requester is kept waiting for an answer before it is told to come again.
    :param check_after: how soon it may come again then.
    :param deadline: how long an answer may take; after that the requester gets an error.
    :param late: what happens to a certificate that comes when nobody waits for it any more: ``revoke`` or ``keep``.
    :param batch_count: how many messages go in one at most.
    :param batch_time: how long the first one waits for others.
    """

    name: Annotated[StrictStr, Field(min_length=1)]
    forward: Literal["unchanged", "nest", "batch", "reprotect"] = "unchanged"
    include_original: StrictBool = False
    timeout: Duration = timedelta(seconds=20)
    check_after: Duration = timedelta(seconds=10)
    deadline: Duration = timedelta(days=7)
    late: Literal["revoke", "keep"] = "revoke"
    batch_count: Annotated[StrictInt, Field(ge=1, le=1000)] = 100
    batch_time: Duration = timedelta(seconds=2)


class RouteTable(Settings):
    """A table ``[[route]]``: where messages go that fit all of it. The first one that a message fits counts.

    :param to: the name of an ``[[upstream]]``, or ``local``: this server itself.
    :param path: the label of the address, the NAME of ``/p/NAME``.
    :param profile: the profile that is asked for, by certProfile or by the address.
    :param body: the types of body that open a transaction: ``ir``, ``genm`` ...
    :param issuer: the name of the CA that is addressed, as issuer in the request or as recipient.
    :param verify: whether the protection is verified here; if not, messages are passed on as they are.
    """

    to: StrictStr
    path: StrictStr | None = None
    profile: StrictStr | None = None
    body: tuple[Literal["ir", "cr", "p10cr", "kur", "krr", "rr", "ccr", "genm"], ...] = ()
    issuer: StrictStr | None = None
    verify: StrictBool = True


class ListenTable(Settings):
    """A table ``[[listen]]``. Keys that are not here belong to the road.

    What is absent is as ``[server]`` has it, or on a road where messages take their time (mail, directories) as said.

    :param url: the address: ``http://127.0.0.1:8829/.well-known/cmp``; port 0 lets the system choose one.
    :param serves: what is served there: ``cmp``, ``publication``; absent, all that the road can.
    :param message_time_window: how far messageTime may be off, either way, ``off`` does not look at it; or 30 days.
    :param confirm_wait_time: how long a certificate may wait for its certConf; or 30 days.
    :param check_after: how soon at best whoever has to wait may ask again; or an hour.
    """

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    url: StrictStr
    serves: Annotated[tuple[Literal["cmp", "publication"], ...] | None, Field(min_length=1)] = None
    message_time_window: Annotated[timedelta | None, BeforeValidator(_parse_window)] = None
    confirm_wait_time: Duration | None = None
    check_after: Duration | None = None

    @property
    def own(self) -> Mapping[str, Any]:
        """The keys that belong to the road."""
        return self.model_extra or {}


class ServerTable(Settings):
    """The table ``[server]``.

    :param tolerances: names of what is accepted although a rule forbids it (:mod:`cmpkit.tolerances`).
    :param peer: a known kind of client, for the tolerances that it needs: ``openssl-3.0``.
    :param trusted: files with trust anchors besides the CA's own: who signs with a certificate below one of them is
        authenticated; what it may do is for the policy to say.
    :param intermediates: files with certificates that lead to them and that requests may leave out.
    :param registration_authorities: files with certificates of registration authorities that other CAs issued: they are
        trusted, may forward messages and vouch for requesters.
    :param ca_pubs: files with certificates that an ip under a shared secret brings as caPubs (RFC 9483 section 4.1.1).
    :param implicit_confirm: whether certConf is dispensed with for who asks (RFC 9810 section 5.1.1.1).
    :param confirm_wait_time: how long a certificate may wait for its certConf.
    :param unconfirmed: what happens to one that was not confirmed by then: ``revoke`` or ``keep``.
    :param max_requests: how many certificates one message may ask for, or ask to revoke (RFC 9483 allows one).
    :param pending_time: a request that takes time is given up so long after it was last polled for.
    :param check_after: how soon whoever waits for a person may ask again.
    :param max_message_size: octets; a larger message is refused.
    :param max_nested: how many messages may be in one nested message.
    :param max_nesting: how many nested messages may be inside one another.
    :param message_time_window: how far messageTime may be off, either way; ``off`` does not look at it.
    :param answer_retention: how long an answer is kept, to be given again to the same request.
    :param same_road: whether a transaction must go on over the road on which it began.
    :param max_open: how many transactions may be open at once, waiting for something or for their certConf.
    :param max_open_per_peer: how many of them may be of one requester.
    :param housekeeping_interval: how often it is seen to what has expired.
    """

    tolerances: tuple[StrictStr, ...] = ()
    peer: StrictStr | None = None
    trusted: tuple[StrictStr, ...] = ()
    intermediates: tuple[StrictStr, ...] = ()
    registration_authorities: tuple[StrictStr, ...] = ()
    ca_pubs: tuple[StrictStr, ...] = ()
    implicit_confirm: StrictBool = _RESPONDER.implicit_confirm
    confirm_wait_time: Duration = _RESPONDER.confirm_wait_time
    unconfirmed: Literal["revoke", "keep"] = "revoke"
    max_requests: Annotated[StrictInt, Field(ge=1, le=100)] = _RESPONDER.max_requests
    pending_time: Duration = _RESPONDER.pending_time
    check_after: Duration = DEFAULT_CHECK_AFTER
    max_message_size: Annotated[StrictInt, Field(ge=1024, le=16 * MAX_MESSAGE_SIZE)] = _SERVER.max_message_size
    max_nested: Annotated[StrictInt, Field(ge=1, le=100_000)] = _SERVER.nesting.count
    max_nesting: Annotated[StrictInt, Field(ge=1, le=16)] = _SERVER.nesting.depth
    message_time_window: Annotated[timedelta | None, BeforeValidator(_parse_window)] = _SERVER.message_time_window
    answer_retention: Duration = _SERVER.answer_retention
    same_road: StrictBool = _SERVER.same_road
    max_open: Annotated[StrictInt, Field(ge=1)] = _SERVER.max_open
    max_open_per_peer: Annotated[StrictInt, Field(ge=1)] = _SERVER.max_open_per_peer
    housekeeping_interval: Duration = _SERVER.housekeeping_interval
