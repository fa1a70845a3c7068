"""Whether a certificate leads to a trust anchor (RFC 5280 section 6, RFC 9483 section 3.5), within bounded work.

Candidate paths are found here by names and key identifiers alone, which is cheap; cryptography validates each as a
whole (:mod:`cmpkit.crypto.verification`), over stand-ins where it does not know an algorithm. A peer chooses the
certificates, so that nothing here may grow with their number but a search for octets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder

from cmpkit import oids
from cmpkit.asn1 import AuthorityKeyIdentifier, BasicConstraints, BitString, decode, parse_tlv
from cmpkit.asn1.codec import has_odd_name
from cmpkit.caching import keep_last
from cmpkit.crypto.names import format_name
from cmpkit.crypto.proven import ProvenIssuers
from cmpkit.crypto.stand_ins import needs_stand_ins, stand_ins
from cmpkit.crypto.verification import UNUSABLE_CERTIFICATE, reason, trusting, trusting_proven, verify
from cmpkit.crypto.x509 import CertificateOutline, outline
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.plugins import Plugins
from cmpkit.values import quick

__all__ = ["check_digital_signature_usage", "validate_path"]

MAX_CANDIDATES: Final = 8
"""How many certificates between the one to validate and a trust anchor are considered."""
MAX_SIGNATURE_CHECKS: Final = 16
"""How many signatures the library checks at most; of a path by algorithms that it does not know, the key algorithms
check each once more."""
_MAX_PARTIAL_PATHS = 128
_RULE = "RFC 9483 section 3.5"
_DIGITAL_SIGNATURE = 0x80
_Trust: TypeAlias = "dict[bytes, list[_Anchor]]"
_Trusted: TypeAlias = tuple[Plugins, tuple[bytes, ...]]
"""What trust rests on: the key algorithms, and DER of the trust anchors."""


@quick
@dataclass(frozen=True)
class _Node:
    """A certificate as the search sees it."""

    der: bytes
    outline: CertificateOutline


@keep_last
def _node(der: bytes) -> _Node:
    return _Node(der, outline(der))


@keep_last
def _load(der: bytes) -> x509.Certificate:
    return decode(x509.Certificate, der)


@dataclass(frozen=True, slots=True)
class _Anchor:
    """A trust anchor, with all of its validation that does not depend on the time."""

    node: _Node
    builder: PolicyBuilder


@lru_cache(maxsize=16)
def _trust(anchors: tuple[bytes, ...]) -> _Trust:
    """The trust anchors by the DER of their subjects."""
    trust: _Trust = {}
    for number, der in enumerate(anchors, 1):
        try:
            anchor = _Anchor(_node(der), trusting(decode(x509.Certificate, der)))
        except CMPError as error:
            raise ConfigurationError(
                f"trust anchor {number} cannot be read: {error.detail}", hint="remove it from the trust anchors"
            ) from error
        trust.setdefault(anchor.node.outline.subject_der, []).append(anchor)
    return trust


_proven = ProvenIssuers()


def validate_path(
    certificate: bytes, *, candidates: Sequence[bytes], anchors: Sequence[bytes], now: datetime, plugins: Plugins
) -> tuple[bytes, ...]:
    """The path from a certificate to a trust anchor, both included, as DER.

    A certificate that is a trust anchor itself is its own path while it is valid. A trust anchor may be any CA
    certificate, self-signed or not. Revocation is not looked at.

    :param candidates: certificates that may lie between, from wherever; those that cannot be read are passed over, and
        the first :data:`MAX_CANDIDATES` that can belong to a path are considered.
    :param now: the time at which the path must be valid.
    :param plugins: the key algorithms say which keys of CAs are accepted.
    :raises CMPError: signerNotTrusted, or badAlg where an algorithm is the reason, naming the certificate and why;
        badDataFormat if ``certificate`` cannot be read.
    """
    anchors = tuple(anchors)
    trust = _trust(anchors)
    leaf = _node(certificate)
    if any(anchor.node.der == certificate for anchor in trust.get(leaf.outline.subject_der, ())):
        _check_validity(leaf, now)
        return (certificate,)
    trusted = (plugins, anchors)
    try:
        proven = _by_proven_issuer(leaf, candidates, trust, trusted, now)
        return proven or _find_path(leaf, _Search(candidates, trust), now, trusted)
    except CMPError:
        _check_validity(leaf, now)
        raise


def _by_proven_issuer(
    leaf: _Node, candidates: Sequence[bytes], trust: _Trust, trusted: _Trusted, now: datetime
) -> tuple[bytes, ...] | None:
    """The path by an issuer that was validated before, if no other has its name; ``None`` leaves it to a search.

    :raises CMPError: if the certificate is not valid.
    """
    name = leaf.outline.issuer_der
    named = {der for der in candidates if der != leaf.der and name in der}
    proof = _proven.find((*trusted, *named), now) if len(named) == 1 and name not in trust else None
    if proof is None:
        return None
    try:
        verify(proof.trusting, leaf.der, [], now, may_warn=_may_warn(leaf))
    except UNUSABLE_CERTIFICATE as error:
        _look_closer((leaf, *map(_node, proof.path)), error, now, trusted[0])
    return (leaf.der, *proof.path)


def _find_path(leaf: _Node, search: _Search, now: datetime, trusted: _Trusted) -> tuple[bytes, ...]:
    if not search.trust:
        raise _not_trusted("there are no trust anchors", "name some")
    first_failure: CMPError | None = None
    checks = 0
    for path, anchor in search.paths(leaf):
        checks += _signature_checks((*path, anchor.node))
        if checks > MAX_SIGNATURE_CHECKS:
            break
        try:
            _validate(path, anchor, now, trusted)
        except CMPError as error:
            first_failure = first_failure or error
        else:
            return (*(node.der for node in path), anchor.node.der)
    if first_failure is None and search.dead_end is None:
        raise _not_trusted(f"no path leads from the certificate {leaf.outline.title} to a trust anchor")
    raise first_failure or _no_issuer(search.dead_end or leaf)


def _signature_checks(path: tuple[_Node, ...]) -> int:
    """How many signatures the library may check in a path: one for each pair of certificates whose names fit."""
    return sum(child.outline.issuer_der == issuer.outline.subject_der for child in path[:-1] for issuer in path[1:])


@dataclass(slots=True)
class _Search:
    """A search for paths, shortest first, by names and key identifiers.

    :param dead_end: the last certificate for which there was no issuer.
    """

    candidates: Sequence[bytes]
    trust: _Trust
    dead_end: _Node | None = None
    _considered: set[bytes] = field(default_factory=set)
    _issuers: dict[bytes, list[_Node]] = field(default_factory=dict)

    def paths(self, leaf: _Node) -> Iterator[tuple[tuple[_Node, ...], _Anchor]]:
        """Each path, the certificate first and the trust anchor apart."""
        partial: list[tuple[_Node, ...]] = [(leaf,)]
        unlikely: list[tuple[tuple[_Node, ...], _Anchor]] = []
        for path in partial:
            last = path[-1]
            anchors = self.trust.get(last.outline.issuer_der, [])
            possible = self._issuers_of(last)
            for anchor in anchors:
                if len(anchors) + len(possible) < 2 or _may_have_issued(anchor.node, last):
                    yield path, anchor
                elif len(anchors) < 2:
                    unlikely.append((path, anchor))
            # A key that comes twice under one name makes a loop and no better path.
            if not anchors and not possible:
                self.dead_end = last
            issuers = [issuer for issuer in possible if not any(_same_key(node, issuer) for node in path)]
            room = _MAX_PARTIAL_PATHS - len(partial)
            partial.extend((*path, issuer) for issuer in issuers[:room])
        yield from unlikely

    def _issuers_of(self, node: _Node) -> list[_Node]:
        named = self._issuers.get(node.outline.issuer_der)
        if named is None:
            named = self._issuers[node.outline.issuer_der] = list(self._named(node.outline.issuer_der))
        return named if len(named) < 2 else [issuer for issuer in named if _may_have_issued(issuer, node)]

    def _named(self, subject: bytes) -> Iterator[_Node]:
        """The candidates with that subject, as long as there is room for more."""
        for der in self.candidates:
            if len(self._considered) >= MAX_CANDIDATES:
                return
            if subject not in der or der in self._considered:
                continue
            try:
                candidate = _node(der)
            except CMPError:
                continue  # one odd certificate must not spoil the others (RFC 9483 section 3.3)
            if candidate.outline.subject_der == subject:
                self._considered.add(der)
                yield candidate


def _same_key(a: _Node, b: _Node) -> bool:
    """Whether two certificates have the same key under the same name."""
    a_outline, b_outline = a.outline, b.outline
    same_name = a_outline.subject_der == b_outline.subject_der
    return same_name and a_outline.public_key_info == b_outline.public_key_info


def _may_have_issued(issuer: _Node, child: _Node) -> bool:
    """Whether the key identifiers, where both are there, fit (RFC 5280 sections 4.2.1.1 and 4.2.1.2)."""
    try:
        wanted = child.outline.extension(oids.AUTHORITY_KEY_IDENTIFIER)
        identifier = issuer.outline.extension(oids.SUBJECT_KEY_IDENTIFIER)
        if wanted is None or identifier is None:
            return True
        wanted_identifier = decode(AuthorityKeyIdentifier, wanted).key_identifier
        return wanted_identifier is None or wanted_identifier == decode(bytes, identifier)
    except CMPError:
        return False


def _validate(path: tuple[_Node, ...], anchor: _Anchor, now: datetime, trusted: _Trusted) -> None:
    """Validate one path as a whole.

    :raises CMPError: if it is not valid.
    """
    issuers = (*path[1:], anchor.node)
    try:
        for issuer in issuers:
            _check_key(issuer, trusted[0])
        between = [_load(node.der) for node in path[1:]]
        chain = verify(anchor.builder, path[0].der, between, now, may_warn=True).chain
    except UNUSABLE_CERTIFICATE as error:
        _look_closer((*path, anchor.node), error, now, trusted[0])
        return
    # The library may have found a shorter way among certificates of one name.
    if len(path) > 1 and chain == [_load(node.der) for node in (*path, anchor.node)]:
        above = [node.outline for node in issuers[1:]]
        ders = tuple(node.der for node in issuers)
        _proven.add((*trusted, path[1].der), trusting_proven(chain[1]), path=ders, above=above)


def _look_closer(path: tuple[_Node, ...], error: Exception, now: datetime, plugins: Plugins) -> None:
    """Why the library refused a path; return if that was an algorithm that it does not know, and all is well.

    :raises CMPError: if the path is not valid.
    """
    for node in path[1:]:
        _check_validity(node, now)
        _check_ca(node)
    if not needs_stand_ins(tuple(node.der for node in path)):
        raise _not_valid(path, reason(error)) from error
    _validate_stand_ins(path, now, plugins)


def _validate_stand_ins(path: tuple[_Node, ...], now: datetime, plugins: Plugins) -> None:
    """Validate one path with algorithms that the library does not know.

    :raises CMPError: if it is not valid.
    """
    try:
        leaf, *issuers = stand_ins(tuple(node.der for node in path), plugins)
        *between, trusted = (decode(x509.Certificate, issuer) for issuer in issuers)
        verify(trusting(trusted), leaf, between, now, may_warn=True)
    except UNUSABLE_CERTIFICATE as error:
        raise _not_valid(path, reason(error)) from error
    except CMPError as error:
        raise _not_valid(path, error.detail, error.fail_info, error.hint) from error


def _may_warn(node: _Node) -> bool:
    """Whether the library may warn: of a serial number when it reads it, of names when it reports failures."""
    return node.outline.serial_number <= 0 or has_odd_name(node.der)


def _check_key(issuer: _Node, plugins: Plugins) -> None:
    """Refuse keys that no key algorithm accepts, before time is spent on a signature by one of absurd size."""
    try:
        plugins.key_algorithm_of(issuer.outline.public_key_info).key_type(issuer.outline.public_key_info)
    except CMPError as error:
        raise CMPError(
            f"the key of the CA certificate {issuer.outline.title} is not accepted: {error.detail}",
            PKIFailureInfo.BAD_ALG,
            rule=_RULE,
            hint=error.hint,
        ) from error


def _check_validity(node: _Node, now: datetime) -> None:
    not_before, not_after = node.outline.validity_period
    if now > not_after:
        raise _not_trusted(f"the certificate {node.outline.title} expired at {not_after:%Y-%m-%d %H:%M:%S} UTC")
    if now < not_before:
        raise _not_trusted(
            f"the certificate {node.outline.title} is valid only from {not_before:%Y-%m-%d %H:%M:%S} UTC"
        )


def _check_ca(node: _Node) -> None:
    constraints = node.outline.extension(oids.BASIC_CONSTRAINTS)
    if constraints is None or not decode(BasicConstraints, constraints).c_a:
        raise _not_trusted(f"the certificate {node.outline.title} is not that of a CA")


def _no_issuer(node: _Node) -> CMPError:
    try:
        issuer = format_name(parse_tlv(node.outline.issuer, x509.Name))
    except CMPError:
        issuer = "which cannot be read"
    return _not_trusted(
        f"no certificate was found for {issuer!r}, the issuer of the certificate {node.outline.title}",
        "add it to the trust anchors, or have the chain sent along",
    )


def _not_valid(
    path: tuple[_Node, ...], why: str, fail_info: PKIFailureInfo = PKIFailureInfo.SIGNER_NOT_TRUSTED, hint: str = ""
) -> CMPError:
    titles = ", issued by ".join(node.outline.title for node in path)
    return CMPError(f"the path of {titles}, is not valid: {why}", fail_info, rule=_RULE, hint=hint)


def _not_trusted(detail: str, hint: str = "") -> CMPError:
    return CMPError(detail, PKIFailureInfo.SIGNER_NOT_TRUSTED, rule=_RULE, hint=hint)


def check_digital_signature_usage(certificate: bytes) -> None:
    """Whether the key may sign messages: keyUsage is absent, or has digitalSignature (RFC 9483 section 3.5).

    :raises CMPError: badMessageCheck if it may not, badDataFormat if the certificate cannot be read.
    """
    usage = outline(certificate).extension(oids.KEY_USAGE)
    if usage is not None and not _has_digital_signature(usage):
        raise CMPError(
            f"the keyUsage of the certificate {_node(certificate).outline.title} has no digitalSignature",
            PKIFailureInfo.BAD_MESSAGE_CHECK,
            rule=_RULE,
            tolerance="no-digital-signature",
        )


@keep_last
def _has_digital_signature(usage: bytes) -> bool:
    octets = decode(BitString, usage).as_bytes()
    return bool(octets and octets[0] & _DIGITAL_SIGNATURE)
