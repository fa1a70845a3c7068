"""Named tolerances: what an endpoint accepts beyond the rules because its operator said so, in one table.

Nothing here is on by default. A server takes names in ``tolerances`` of ``[server]``, a client with ``--tolerate``;
both take whole sets by the name of a peer (``peer``, ``--peer``). A check that a tolerance concerns raises its fault
with the name (:attr:`cmpkit.errors.CMPError.tolerance`). Whoever looks at the fault asks the message's
:class:`Leniency`, which remembers what was let pass. Tolerances relax syntax and correlation: none of them skips the
verification of a message that grants something, a proof of possession, or the check that a certificate holds the key
that was sent; one of them, ``self-issued-in-ip``, trusts on first use what a message is verified by.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["STRICT", "TOLERANCES", "Leniency", "Side", "Tolerance", "advice", "peers", "tolerances_for"]


class Side(enum.Enum):
    """Who tolerates something."""

    SERVER = "server"
    CLIENT = "client"


_SERVER = frozenset({Side.SERVER})
_CLIENT = frozenset({Side.CLIENT})
_BOTH = _SERVER | _CLIENT
_OPENSSL = ("openssl-3.0", "openssl-3.5", "openssl-3.6")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """One thing that may be accepted.

    :param name: what operators write.
    :param allows: what is accepted then.
    :param rule: the rule that asks for more, as an RFC section.
    :param sides: who can tolerate it.
    :param peers: who needs it, by the names of ``peer`` and ``--peer``.
    :param option: an option of the command line that means the same.
    """

    name: str
    allows: str
    rule: str
    sides: frozenset[Side] = _BOTH
    peers: tuple[str, ...] = ()
    option: str = ""


TOLERANCES = {
    tolerance.name: tolerance
    for tolerance in (
        Tolerance(
            "ber", "messages of up to 16 KiB that are BER, not DER", "RFC 9810 section 5.1.3", _BOTH, ("rfc4210",)
        ),
        Tolerance(
            "envelope-rsa-pkcs1",
            "content keys that are encrypted by RSA with PKCS#1 v1.5 padding",
            "RFC 9481 section 4.2",
            _CLIENT,
            ("openssl-3.6", "rfc4210"),
        ),
        Tolerance(
            "envelope-sha1",
            "SHA-1 in OAEP, in the derivation of content keys and in PBKDF2",
            "RFC 9481 section 4",
            _CLIENT,
            ("openssl-3.6", "rfc4210"),
        ),
        Tolerance(
            "foreign-mac-sender",
            "a sender, in a message under a shared secret, that names neither the secret nor the subject it grants",
            "RFC 9483 section 3.1",
            _SERVER,
        ),
        Tolerance(
            "foreign-sender-kid",
            "a senderKID that is not the SubjectKeyIdentifier of the signer's certificate; the sender finds it",
            "RFC 9483 section 3.1",
        ),
        Tolerance(
            "hmac-sha1",
            "SHA-1 and HMAC-SHA1 in the MAC of a message",
            "RFC 9481 section 7",
            _BOTH,
            (*_OPENSSL, "rfc4210"),
        ),
        Tolerance(
            "legacy-encryption",
            "proofs in pvno 2, where RSA with PKCS#1 v1.5 encrypts: certificates as EncryptedValue, and challenges; a "
            "server answers so, a client asks so",
            "RFC 9810 section 5.2.2",
            _BOTH,
            ("openssl-3.0", "rfc4210"),
        ),
        Tolerance(
            "loose-nested",
            "a nested message of one message whose transactionID or senderNonce is not that of the message in it",
            "RFC 9483 section 5.2.2.1",
            _SERVER,
        ),
        Tolerance(
            "missing-pkiconf",
            "that no pkiconf, or none that is protected, answers a certConf: the certificate is used",
            "RFC 9483 section 4.1.1",
            _CLIENT,
        ),
        Tolerance(
            "missing-sender-kid",
            "messages without senderKID: the sender finds the certificate, its commonName the shared secret",
            "RFC 9483 section 3.1",
            _BOTH,
            ("3gpp", "rfc4210"),
        ),
        Tolerance(
            "missing-transaction-id",
            "first messages without transactionID: the server makes one",
            "RFC 9483 section 3.5",
            _SERVER,
        ),
        Tolerance(
            "mixed-protection",
            "answers that are signed although the request was under a shared secret",
            "RFC 9483 section 3.2",
            _CLIENT,
            ("ejbca",),
        ),
        Tolerance(
            "needless-poposk-input",
            "a proof over poposkInput although the template has subject and publicKey",
            "RFC 4211 section 4.1",
            _SERVER,
            ("rfc4210",),
        ),
        Tolerance(
            "no-confirmation",
            "certificates that are not confirmed: no certConf is sent, whether the server granted that or not",
            "RFC 9810 section 5.1.1.1",
            _CLIENT,
        ),
        Tolerance(
            "no-digital-signature",
            "signers whose certificate has a keyUsage without digitalSignature",
            "RFC 9483 section 3.5",
        ),
        Tolerance(
            "null-sender",
            "signed messages whose sender is the empty name: the certificate says who sent them",
            "RFC 9483 section 3.1",
            _BOTH,
            ("rfc4210",),
        ),
        Tolerance(
            "odd-revocation-details",
            "an rr whose crlEntryDetails is empty, or whose reasonCode is none: the reason counts as unspecified",
            "RFC 5280 section 5.3.1",
            _SERVER,
            ("rfc4210",),
        ),
        Tolerance(
            "openssl-central-keygen",
            "generated keys in messages of pvno 2, and bare in place of the key package, as OpenSSL 3.6 wants them",
            "RFC 9483 section 4.1.6",
            _BOTH,
            ("openssl-3.6",),
        ),
        Tolerance(
            "openssl-encrypted-cert",
            "requests of pvno 2 for encrypted certificates, and keyEncipherment as the proof of every key, as OpenSSL "
            "sends them",
            "RFC 9810 section 5.2.8.3.2",
            _SERVER,
            ("openssl-3.5", "openssl-3.6"),
        ),
        Tolerance(
            "recip-nonce-in-first",
            "a recipNonce in the first message of a transaction",
            "RFC 9483 section 3.1",
            _SERVER,
            ("rfc4210",),
        ),
        Tolerance(
            "reordered-sender",
            "a sender that is the subject of the signer's certificate with its RDNs in another order",
            "RFC 9483 section 3.1",
            _BOTH,
            ("ejbca",),
        ),
        Tolerance(
            "self-issued-in-ip",
            "a root certificate that comes with a signed ip, unknown before: it is trusted, on first use, if the new "
            "certificate leads to it as the signer does",
            "RFC 9483 section 3.2",
            _CLIENT,
            ("3gpp",),
        ),
        Tolerance(
            "short-nonces",
            "a senderNonce of 8 to 15 octets",
            "RFC 9483 section 3.5",
            _BOTH,
            ("rfc4210",),
        ),
        Tolerance("trailing-octets", "octets after a message; they are not read", "RFC 9483 section 3.5"),
        Tolerance(
            "uncorrelated-errors",
            "errors that repeat neither transactionID nor senderNonce of the request, as far as they are authentic or "
            "unprotected-errors allows them",
            "RFC 9483 section 3.5",
            _CLIENT,
            ("ejbca",),
        ),
        Tolerance(
            "unprotected-errors",
            "refusals without good protection, as they are; they may be forged",
            "RFC 9483 section 3.2",
            _CLIENT,
            ("ejbca",),
            "--unprotected-errors",
        ),
    )
}
"""Every tolerance of this package by its name; protections of plugins may bring more."""


def tolerances_for(side: Side, extra: Iterable[str] = ()) -> frozenset[str]:
    """The names that a side knows.

    :param extra: names that plugins bring.
    """
    return frozenset(name for name, one in TOLERANCES.items() if side in one.sides) | (
        frozenset(extra) - TOLERANCES.keys()
    )


def peers(side: Side) -> dict[str, frozenset[str]]:
    """The known peers, and what each of them needs from a side."""
    needed: dict[str, set[str]] = {}
    for tolerance in TOLERANCES.values():
        for peer in tolerance.peers if side in tolerance.sides else ():
            needed.setdefault(peer, set()).add(tolerance.name)
    return {peer: frozenset(needed[peer]) for peer in sorted(needed)}


def advice(name: str) -> str:
    """How an operator allows it, as the end of a hint.

    :param name: of a tolerance, one of a plugin perhaps.
    """
    known = TOLERANCES.get(name, Tolerance(name, "", ""))
    ways = []
    if Side.SERVER in known.sides:
        ways.append(f'tolerances = ["{name}"] at a server')
    if Side.CLIENT in known.sides:
        ways.append(f"{known.option or f'--tolerate {name}'} at a client")
    return f"or allow it: {', '.join(ways)}"


class Leniency:
    """What may be let pass in one message, and what was.

    :param names: of the tolerances.
    """

    __slots__ = ("names", "used")

    names: frozenset[str]
    """Those that the operator named."""
    used: dict[str, None]
    """Those that the message needed, in the order in which it did."""

    def __init__(self, names: frozenset[str] = frozenset()) -> None:
        self.names = names
        self.used = {}

    def allows(self, name: str) -> bool:
        """Whether something is tolerated, which counts as use.

        :param name: of a tolerance; the empty text is none.
        """
        if name not in self.names:
            return False
        self.used[name] = None
        return True


STRICT = Leniency()
"""Lets nothing pass."""
