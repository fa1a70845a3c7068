"""Path validation: what is accepted, what is refused and why, and that the work is bounded."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import time
from collections.abc import Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st
from pki import PKI, new_p256

from cmpkit.asn1 import CertificateWire, TBSCertificate, decode, encode, to_tlv
from cmpkit.crypto import paths, proven
from cmpkit.crypto.paths import check_digital_signature_usage, validate_path
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.plugins import Plugins

UNKNOWN = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00")
CRITICAL, NON_CRITICAL = True, False


def usage(**bits: bool) -> x509.KeyUsage:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: bits.get(name, False) for name in names})


class Checker:
    """Validates at the time of the PKI, twice: what is kept of the first time must not change the second."""

    def __init__(self, plugins: Plugins, now: datetime.datetime) -> None:
        self.plugins = plugins
        self.now = now

    def __call__(
        self, certificate: bytes, candidates: Sequence[bytes] = (), anchors: Sequence[bytes] = ()
    ) -> tuple[bytes, ...]:
        first, again = (self.once(certificate, candidates, anchors) for _ in range(2))
        assert first == again
        return first

    def once(
        self, certificate: bytes, candidates: Sequence[bytes] = (), anchors: Sequence[bytes] = (), days: int = 0
    ) -> tuple[bytes, ...]:
        now = self.now + datetime.timedelta(days)
        return validate_path(certificate, candidates=candidates, anchors=anchors, now=now, plugins=self.plugins)

    def refusal(
        self, certificate: bytes, candidates: Sequence[bytes] = (), anchors: Sequence[bytes] = (), days: int = 0
    ) -> CMPError:
        with pytest.raises(CMPError) as caught:
            self.once(certificate, candidates, anchors, days)
        return caught.value


@pytest.fixture(scope="module", params=[new_p256, ed25519.Ed25519PrivateKey.generate], ids=["p256", "ed25519"])
def pki(request: pytest.FixtureRequest) -> PKI:
    """By an algorithm that cryptography validates, and by one that it does not know: the same rules hold for both."""
    return PKI(request.param)


@pytest.fixture(scope="module")
def check(plugins: Plugins, pki: Any) -> Checker:
    return Checker(plugins, pki.now)


@pytest.fixture(scope="module")
def root(pki: Any) -> bytes:
    return pki.certificate("root", "root", ca=True)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def sub(pki: Any) -> bytes:
    return pki.certificate("sub", "root", ca=True)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def leaf(pki: Any) -> bytes:
    return pki.certificate("leaf", "sub")  # type: ignore[no-any-return]


@pytest.mark.rule("R-037", "R-047")
def test_a_path_is_found_whatever_else_is_there(check: Checker, pki: Any, root: bytes, sub: bytes, leaf: bytes) -> None:
    others = [pki.certificate("x", "y", ca=True), b"no certificate", leaf, root, sub, sub]
    for candidates in itertools.permutations(others, 4):
        if sub in candidates:
            assert check(leaf, candidates, [pki.certificate("y", "y", ca=True), root]) == (leaf, sub, root)


def test_long_paths_are_found(check: Checker, pki: Any, root: bytes) -> None:
    names = ["root", *(f"sub{number}" for number in range(5)), "end"]
    chain = [pki.certificate(name, issuer, ca=True) for issuer, name in itertools.pairwise(names)]
    assert check(chain[-1], chain[:-1], [root]) == (*reversed(chain), root)


def test_a_trust_anchor_need_not_be_self_signed(check: Checker, sub: bytes, leaf: bytes) -> None:
    assert check(leaf, [], [sub]) == (leaf, sub)


def test_a_trust_anchor_is_trusted_directly_while_it_is_valid(check: Checker, pki: Any, leaf: bytes) -> None:
    assert check(leaf, [], [leaf]) == (leaf,)
    expired = pki.certificate("leaf", "sub", days=(0, 10))
    assert "expired at 2026-01-11" in check.refusal(expired, [], [expired]).detail


def test_the_shortest_valid_path_is_taken(check: Checker, pki: Any, root: bytes, sub: bytes, leaf: bytes) -> None:
    cross = pki.certificate("root", "other", ca=True)
    other = pki.certificate("other", "other", ca=True)
    assert check(leaf, [cross, sub], [other, root]) == (leaf, sub, root)
    assert check(leaf, [cross, sub], [other]) == (leaf, sub, cross, other)


def test_of_several_issuers_with_one_name_the_one_that_signed_is_taken(check: Checker, pki: Any, root: bytes) -> None:
    first, second = (
        pki.certificate(f"key {number}", "root", ca=True, subject_name=pki.name("twin")) for number in (1, 2)
    )
    leaf = pki.certificate("leaf", "key 2", issuer_name=pki.name("twin"))
    assert check(leaf, [first, second], [root]) == (leaf, second, root)
    assert check(leaf, [], [first, second]) == (leaf, second)


def test_key_identifiers_choose_among_issuers_with_one_name(check: Checker, pki: Any, root: bytes) -> None:
    issuers = []
    for number in range(8):
        identifier = x509.SubjectKeyIdentifier(bytes([number]) * 20)
        issuers.append(
            pki.certificate(
                f"key {number}", "root", ca=True, subject_name=pki.name("many"), extensions=[(identifier, NON_CRITICAL)]
            )
        )
    wanted = x509.AuthorityKeyIdentifier(b"\x07" * 20, None, None)
    leaf = pki.certificate("leaf", "key 7", issuer_name=pki.name("many"), extensions=[(wanted, NON_CRITICAL)])
    assert check(leaf, issuers, [root]) == (leaf, issuers[7], root)


def test_key_identifiers_that_cannot_be_read_fit_none_and_absent_ones_any(
    check: Checker, pki: Any, root: bytes
) -> None:
    odd = x509.UnrecognizedExtension(x509.SubjectKeyIdentifier.oid, b"\x05\x00")
    by_name = x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(pki.name("root"))], 5)
    issuers = [
        pki.certificate("twin key", "root", ca=True, subject_name=pki.name("twin"), extensions=extensions)
        for extensions in ([(odd, NON_CRITICAL)], [(x509.SubjectKeyIdentifier(b"x"), NON_CRITICAL)])
    ]
    by_identifier = x509.AuthorityKeyIdentifier(b"x", None, None)
    for identifier, issuer in ((by_name, issuers[0]), (by_identifier, issuers[1])):
        extensions = [(identifier, NON_CRITICAL)]
        leaf = pki.certificate("leaf", "twin key", issuer_name=pki.name("twin"), extensions=extensions)
        assert check(leaf, issuers, [root]) == (leaf, issuer, root)


@pytest.mark.rule("R-037")
def test_refusals_are_signer_not_trusted_and_name_certificate_and_reason(
    check: Checker, pki: Any, root: bytes, sub: bytes, leaf: bytes
) -> None:
    cases: list[tuple[bytes, list[bytes], list[bytes], str]] = [
        (leaf, [], [], "there are no trust anchors"),
        (leaf, [], [root], "no certificate was found for 'CN=sub', the issuer of the certificate 'CN=leaf'"),
        (leaf, [sub], [leaf[:0] or pki.certificate("y", "y", ca=True)], "found for 'CN=root', the issuer of the cert"),
        (pki.certificate("leaf", "sub", days=(0, 9)), [sub], [root], "'CN=leaf' expired at 2026-01-10 00:00:00 UTC"),
        (pki.certificate("leaf", "sub", days=(300, 365)), [sub], [root], "'CN=leaf' is valid only from 2026-10-28"),
        (leaf, [pki.certificate("sub", "root", ca=True, days=(0, 9))], [root], "'CN=sub' expired"),
        (leaf, [pki.certificate("sub", "root", ca=True, days=(300, 365))], [root], "'CN=sub' is valid only from"),
        (leaf, [sub], [pki.certificate("root", "root", ca=True, days=(0, 9))], "'CN=root' expired"),
        (leaf, [pki.certificate("sub", "root", ca=False)], [root], "'CN=sub' is not that of a CA"),
        (leaf, [pki.certificate("sub", "root")], [root], "'CN=sub' is not that of a CA"),
        (leaf, [sub], [pki.certificate("root", "root")], "'CN=root' is not that of a CA"),
        (pki.certificate("leaf", "sub", issuer_key="else"), [sub], [root], "signature"),
    ]
    for certificate, candidates, anchors, text in cases:
        error = check.refusal(certificate, candidates, anchors)
        assert text in error.detail
        assert error.fail_info is PKIFailureInfo.SIGNER_NOT_TRUSTED
        assert error.rule == "RFC 9483 section 3.5"


PROVING = pytest.mark.parametrize("pki", [new_p256], ids=["p256"], indirect=True)


@pytest.fixture
def no_full_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only first certificates may be validated: issuers must have been proven."""
    real = paths.verify

    def only_first(policy: Any, leaf: bytes, issuers: list[Any], now: Any, *, may_warn: bool) -> Any:
        assert issuers == []
        return real(policy, leaf, issuers, now, may_warn=may_warn)

    monkeypatch.setattr(paths, "verify", only_first)


@PROVING
def test_issuers_are_proven_once(check: Checker, pki: Any, root: bytes, request: pytest.FixtureRequest) -> None:
    sub, sub2 = pki.certificate("sub", "root", ca=True), pki.certificate("sub2", "sub", ca=True)
    first, second = (pki.certificate(name, "sub2") for name in ("first", "second"))
    assert check.once(first, [sub, sub2], [root]) == (first, sub2, sub, root)
    request.getfixturevalue("no_full_validation")
    assert check.once(second, [sub, sub2], [root]) == (second, sub2, sub, root)
    forged = pki.certificate("third", "sub2", issuer_key="else")
    assert "signature does not match" in check.refusal(forged, [sub, sub2], [root]).detail
    critical = pki.certificate("fourth", "sub2", extensions=[(UNKNOWN, CRITICAL)])
    assert "critical" in check.refusal(critical, [sub, sub2], [root]).detail


def test_a_proof_ends_with_the_certificates_above(check: Checker, pki: Any, leaf: bytes) -> None:
    for sub_days, root_days, name in (((0, 200), (0, 365), "sub"), ((0, 365), (0, 200), "root")):
        sub = pki.certificate("sub", "root", ca=True, days=sub_days)
        root = pki.certificate("root", "root", ca=True, days=root_days)
        assert check(leaf, [sub], [root]) == (leaf, sub, root)
        assert f"'CN={name}' expired" in check.refusal(leaf, [sub], [root], days=100).detail


def test_a_proof_is_for_its_trust_anchor_and_key_algorithms(check: Checker, pki: Any, leaf: bytes, sub: bytes) -> None:
    root = pki.certificate("root", "root", ca=True)
    assert check(leaf, [sub], [root]) == (leaf, sub, root)
    other = pki.certificate("root", "root", ca=True, key=ec.generate_private_key(ec.SECP256R1()))
    assert check.refusal(leaf, [sub], [other]).fail_info is PKIFailureInfo.SIGNER_NOT_TRUSTED
    with pytest.raises(CMPError) as caught:
        validate_path(leaf, candidates=[sub], anchors=[root], now=check.now, plugins=Plugins())
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


def test_path_lengths_above_an_issuer_are_kept_for_longer_paths(check: Checker, pki: Any, leaf: bytes) -> None:
    root = pki.certificate("root", "root", ca=True, path_length=1)
    sub = pki.certificate("sub", "root", ca=True)
    assert check(leaf, [sub], [root]) == (leaf, sub, root)
    sub2, below = pki.certificate("sub2", "sub", ca=True), pki.certificate("below", "sub2")
    assert "path length" in check.refusal(below, [sub2, sub], [root]).detail
    assert "path length" in check.refusal(below, [sub2, sub], [root]).detail


@pytest.mark.parametrize("where", ["sub2", "sub", "root"])
def test_name_constraints_anywhere_above_are_applied_to_each_certificate(check: Checker, pki: Any, where: str) -> None:
    constraints = [(x509.NameConstraints([x509.DNSName("good.example")], None), CRITICAL)]
    root, sub, sub2 = (
        pki.certificate(name, issuer, ca=True, extensions=constraints if name == where else ())
        for name, issuer in (("root", "root"), ("sub", "root"), ("sub2", "sub"))
    )
    good, bad = (
        pki.certificate("leaf", "sub2", extensions=[(x509.SubjectAlternativeName([x509.DNSName(name)]), NON_CRITICAL)])
        for name in ("a.good.example", "a.bad.example")
    )
    assert check(good, [sub, sub2], [root]) == (good, sub2, sub, root)
    assert "name constraint" in check.refusal(bad, [sub, sub2], [root]).detail


@PROVING
def test_proofs_are_bounded_in_number(
    check: Checker, pki: Any, root: bytes, leaf: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proven, "_MOST", 2)
    monkeypatch.setattr(paths, "_proven", kept := proven.ProvenIssuers())
    for _ in range(4):
        sub = pki.certificate("sub", "root", ca=True)
        assert check(leaf, [sub], [root]) == (leaf, sub, root)
        assert len(kept._proofs) <= 2
    assert len(kept._proofs) == 2


def test_a_later_path_is_tried_where_the_first_is_not_valid(check: Checker, pki: Any, root: bytes, sub: bytes) -> None:
    leaf = pki.certificate("leaf", "sub")
    expired = pki.certificate("sub", "root", ca=True, days=(0, 9))
    assert check(leaf, [expired, pki.certificate("sub", "root", ca=False), sub], [root]) == (leaf, sub, root)


def test_ca_certificates_need_key_cert_sign_if_they_have_key_usage(
    check: Checker, pki: Any, root: bytes, leaf: bytes
) -> None:
    good = pki.certificate("sub", "root", ca=True, extensions=[(usage(key_cert_sign=True), CRITICAL)])
    assert check(leaf, [good], [root]) == (leaf, good, root)
    bad = pki.certificate("sub", "root", ca=True, extensions=[(usage(crl_sign=True), CRITICAL)])
    assert "has no keyCertSign" in check.refusal(leaf, [bad], [root]).detail


def test_path_length_is_kept(check: Checker, pki: Any, root: bytes, sub: bytes, leaf: bytes) -> None:
    short_root = pki.certificate("root", "root", ca=True, path_length=0)
    assert "path length" in check.refusal(leaf, [sub], [short_root]).detail
    direct = pki.certificate("leaf", "root")
    assert check(direct, [], [short_root]) == (direct, short_root)
    short_sub = pki.certificate("sub", "root", ca=True, path_length=0)
    assert check(leaf, [short_sub], [root]) == (leaf, short_sub, root)
    below = pki.certificate("leaf2", "sub2")
    sub2 = pki.certificate("sub2", "sub", ca=True)
    assert "path length" in check.refusal(below, [sub2, short_sub], [root]).detail


def test_unknown_critical_extensions_are_refused(
    check: Checker, pki: Any, root: bytes, sub: bytes, leaf: bytes
) -> None:
    with_unknown = [(UNKNOWN, CRITICAL)]
    assert "critical" in check.refusal(pki.certificate("leaf", "sub", extensions=with_unknown), [sub], [root]).detail
    odd_sub = pki.certificate("sub", "root", ca=True, extensions=with_unknown)
    assert "critical" in check.refusal(leaf, [odd_sub], [root]).detail
    harmless = pki.certificate("leaf", "sub", extensions=[(UNKNOWN, NON_CRITICAL)])
    assert check(harmless, [sub], [root]) == (harmless, sub, root)


def test_extensions_of_end_entities_are_not_prescribed(check: Checker, pki: Any, root: bytes) -> None:
    extensions = [
        (x509.ExtendedKeyUsage([ObjectIdentifier("1.3.6.1.5.5.7.3.28")]), CRITICAL),
        (usage(digital_signature=True), CRITICAL),
        (x509.SubjectAlternativeName([x509.OtherName(ObjectIdentifier("1.2.3"), b"\x05\x00")]), NON_CRITICAL),
    ]
    leaf = pki.certificate("leaf", "root", extensions=extensions)
    assert check(leaf, [], [root]) == (leaf, root)


def constrained(pki: Any, base: x509.GeneralName, *, excluded: bool = False, critical: bool = True) -> bytes:
    constraints = x509.NameConstraints(None if excluded else [base], [base] if excluded else None)
    certificate: bytes = pki.certificate("sub", "root", ca=True, extensions=[(constraints, critical)])
    return certificate


def with_alternative(pki: Any, name: x509.GeneralName) -> bytes:
    certificate: bytes = pki.certificate(
        "leaf", "sub", extensions=[(x509.SubjectAlternativeName([name]), NON_CRITICAL)]
    )
    return certificate


def test_name_constraints_are_applied(check: Checker, pki: Any, root: bytes) -> None:
    leaf = with_alternative(pki, x509.DNSName("a.example"))
    inside = constrained(pki, x509.DNSName("example"))
    assert check(leaf, [inside], [root]) == (leaf, inside, root)
    outside = constrained(pki, x509.DNSName("b.example"))
    assert "name constraints" in check.refusal(leaf, [outside], [root]).detail
    excluding = constrained(pki, x509.RFC822Name("example.com"), excluded=True)
    mail = with_alternative(pki, x509.RFC822Name("a@example.com"))
    assert "name constraint" in check.refusal(mail, [excluding], [root]).detail


@pytest.mark.parametrize("critical", [True, False])
def test_name_constraints_of_kinds_that_are_not_applied_are_refused(
    check: Checker, pki: Any, root: bytes, leaf: bytes, critical: bool
) -> None:
    for base in (x509.DirectoryName(pki.name("other")), x509.UniformResourceIdentifier("example.com")):
        for excluded in (True, False):
            issuer = constrained(pki, base, excluded=excluded, critical=critical)
            error = check.refusal(leaf, [issuer], [root])
            assert "constraint" in error.detail
            assert error.fail_info is PKIFailureInfo.SIGNER_NOT_TRUSTED


def test_names_are_compared_as_they_are_encoded(check: Checker, pki: Any, root: bytes) -> None:
    sub = pki.certificate("SUB", "root", ca=True)
    assert (
        "no certificate was found for 'CN=sub'" in check.refusal(pki.certificate("leaf", "sub"), [sub], [root]).detail
    )


def test_keys_of_cas_that_no_part_accepts_are_bad_alg(check: Checker, pki: Any, root: bytes) -> None:
    keys = {
        "koblitz": ec.generate_private_key(ec.SECP256K1()),
        "weak": rsa.generate_private_key(65537, 1024),
    }
    for name, key in keys.items():
        pki.keys[name] = key
        issuer = pki.certificate(name, "root", ca=True)
        error = check.refusal(pki.certificate("leaf", name), [issuer], [root])
        assert error.fail_info is PKIFailureInfo.BAD_ALG
        assert f"the key of the CA certificate 'CN={name}' is not accepted" in error.detail


def test_a_huge_key_costs_nothing(check: Checker, pki: Any, root: bytes) -> None:
    numbers = rsa.RSAPublicNumbers(65537, (1 << 200_000) + 1)
    spki = numbers.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    huge = changed(pki.certificate("huge", "root", ca=True), subject_public_key_info=to_tlv(spki))
    start = time.perf_counter()
    error = check.refusal(pki.certificate("leaf", "huge"), [huge], [root])
    assert time.perf_counter() - start < 0.5
    assert error.fail_info is PKIFailureInfo.BAD_ALG


def changed(certificate: bytes, **fields: Any) -> bytes:
    """The certificate with other fields, which its signature does not fit any more."""
    wire = decode(CertificateWire, certificate)
    old = {name: getattr(wire.tbs, name) for name in TBSCertificate.__annotations__}
    return encode(
        CertificateWire(
            tbs_certificate=to_tlv(TBSCertificate(**(old | fields))),
            signature_algorithm=wire.signature_algorithm,
            signature_value=wire.signature_value,
        )
    )


ODD_NAME = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x")]).public_bytes()
LONG_COUNTRY = bytes.fromhex("300e310c300a06035504061303444555")


@pytest.mark.parametrize(
    "fields",
    [
        {"version": 0, "extensions": None},
        {"version": 0},
        {"version": 1},
        {"version": 7},
        {"serial_number": 0},
        {"serial_number": -5},
        {"serial_number": 1 << 200},
        {"subject": to_tlv(LONG_COUNTRY)},
        {"subject": to_tlv(b"\x30\x00")},
        {"subject": to_tlv(b"\x05\x00")},
        {"validity": None},
        {"subject_public_key_info": to_tlv(b"\x05\x00")},
        {"extensions": []},
    ],
)
def test_odd_certificates_are_refused_without_a_warning(
    check: Checker, root: bytes, sub: bytes, leaf: bytes, fields: dict[str, Any]
) -> None:
    if fields == {"validity": None}:
        wire = decode(CertificateWire, leaf)
        when = encode(wire.tbs.validity)
        odd_leaf, odd_sub = leaf.replace(when, when.replace(b"Z", b"z")), sub.replace(when, when.replace(b"Z", b"z"))
    elif fields == {"extensions": []}:
        odd_leaf, odd_sub = leaf + b"\x00", sub[:-1]
    else:
        odd_leaf, odd_sub = changed(leaf, **fields), changed(sub, **fields)
    assert check.refusal(odd_leaf, [sub], [root]).fail_info
    assert check.refusal(leaf, [odd_sub], [root]).fail_info
    # A trust anchor is what the operator says; only what the path needs of it is looked at.
    with contextlib.suppress(CMPError):
        assert check(leaf, [sub], [odd_sub]) == (leaf, odd_sub)


def test_a_name_that_makes_the_library_warn_can_be_validated(check: Checker, pki: Any, root: bytes) -> None:
    with pytest.warns(UserWarning, match="length must be"):
        odd = x509.Name.from_bytes(LONG_COUNTRY)
    leaf = pki.certificate("leaf", "root", subject_name=odd)
    assert check(leaf, [], [root]) == (leaf, root)
    sub = pki.certificate("odd", "root", ca=True, subject_name=odd)
    below = pki.certificate("leaf", "odd", issuer_name=odd)
    assert check(below, [sub], [root]) == (below, sub, root)
    refused = pki.certificate("leaf", "root", subject_name=odd, extensions=[(UNKNOWN, CRITICAL)])
    assert "'C=DEU'" in check.refusal(refused, [], [root]).detail
    assert "'C=DEU'" in check.refusal(below, [], [root]).detail


@PROVING
def test_odd_certificates_of_a_proven_issuer_make_no_warning(
    check: Checker, pki: Any, root: bytes, sub: bytes, request: pytest.FixtureRequest
) -> None:
    leaf = pki.certificate("leaf", "sub")
    assert check(leaf, [sub], [root]) == (leaf, sub, root)
    request.getfixturevalue("no_full_validation")
    for serial_number in (0, -5):
        assert check.refusal(changed(leaf, serial_number=serial_number), [sub], [root]).fail_info
    with pytest.warns(UserWarning, match="length must be"):
        odd = x509.Name.from_bytes(LONG_COUNTRY)
    named = pki.certificate("leaf", "sub", subject_name=odd)
    assert check(named, [sub], [root]) == (named, sub, root)
    alternative = x509.SubjectAlternativeName([x509.DirectoryName(odd)])
    also_named = pki.certificate("leaf", "sub", extensions=[(alternative, NON_CRITICAL)])
    assert check(also_named, [sub], [root]) == (also_named, sub, root)
    refused = pki.certificate("leaf", "sub", subject_name=odd, extensions=[(UNKNOWN, CRITICAL)])
    assert "'C=DEU'" in check.refusal(refused, [sub], [root]).detail


@given(st.data())
def test_damaged_certificates_raise_nothing_but_cmp_errors(
    check: Checker, root: bytes, sub: bytes, leaf: bytes, data: st.DataObject
) -> None:
    originals = [leaf, sub, root]
    which = data.draw(st.integers(0, 2))
    position = data.draw(st.integers(0, len(originals[which]) - 1))
    octets = bytearray(originals[which])
    octets[position] ^= data.draw(st.integers(1, 255))
    originals[which] = bytes(octets)
    with contextlib.suppress(CMPError):
        check(originals[0], [originals[1]], [originals[2]])
        assert which == 2  # the signature of a trust anchor is not looked at


def test_an_unreadable_trust_anchor_is_a_configuration_error(check: Checker, root: bytes, leaf: bytes) -> None:
    with pytest.raises(ConfigurationError, match="trust anchor 2 cannot be read"):
        check(leaf, [], [root, b"\x30\x00"])


def timed(check: Checker, certificate: bytes, candidates: list[bytes], anchors: list[bytes]) -> float:
    start = time.perf_counter()
    check.refusal(certificate, candidates, anchors)
    return time.perf_counter() - start


def test_twelve_looping_cross_certificates_cost_little(check: Checker, pki: Any, root: bytes) -> None:
    ring = [pki.certificate(f"L{a}", f"L{b}", ca=True) for a, b in itertools.permutations(range(4), 2)]
    pair = [pki.certificate(a, b, ca=True) for a, b in (("A", "B"), ("B", "A")) for _ in range(6)]
    one_name = [
        pki.certificate(f"k{a}", f"k{(a + 1) % 12}", ca=True, subject_name=pki.name("K"), issuer_name=pki.name("K"))
        for a in range(12)
    ]
    leaf_of_k = pki.certificate("leaf", "k0", issuer_name=pki.name("K"))
    untrusted_k = pki.certificate("trusted k", "trusted k", ca=True, subject_name=pki.name("K"))
    cases = [
        (pki.certificate("leaf", "L0"), ring, [root]),
        (pki.certificate("leaf", "A"), pair, [root]),
        (leaf_of_k, one_name, [root]),
        (leaf_of_k, one_name, [untrusted_k]),
    ]
    for certificate, candidates, anchors in cases:
        timed(check, certificate, candidates, anchors)  # the anchors are parsed once
        assert min(timed(check, certificate, candidates, anchors) for _ in range(3)) < 0.05


def test_at_most_sixteen_signatures_are_checked(check: Checker, pki: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    real = paths._validate

    def counted(path: tuple[Any, ...], anchor: Any, now: Any, plugins: Any) -> None:
        checked.append(paths._signature_checks((*path, anchor.node)))
        real(path, anchor, now, plugins)

    monkeypatch.setattr(paths, "_validate", counted)
    same_name = [
        pki.certificate(f"s{number}", f"s{number}", ca=True, subject_name=pki.name("S"), issuer_name=pki.name("S"))
        for number in range(40)
    ]
    leaf = pki.certificate("leaf", "other", issuer_name=pki.name("S"))
    check.refusal(leaf, same_name[:20], same_name[20:])
    assert 0 < sum(checked) <= paths.MAX_SIGNATURE_CHECKS


def test_at_most_eight_candidates_are_considered(check: Checker, pki: Any, root: bytes) -> None:
    issuers = [pki.certificate(f"t{number}", "root", ca=True, subject_name=pki.name("T")) for number in range(9)]
    leaf = pki.certificate("leaf", "t8", issuer_name=pki.name("T"))
    unrelated = [pki.certificate(f"u{number}", "root", ca=True) for number in range(9)]
    assert check(leaf, [*unrelated, *issuers[1:]], [root]) == (leaf, issuers[8], root)
    assert check.refusal(leaf, issuers, [root]).fail_info is PKIFailureInfo.SIGNER_NOT_TRUSTED


def test_loops_without_an_end_are_told(check: Checker, pki: Any, root: bytes) -> None:
    pair = [pki.certificate("A", "B", ca=True), pki.certificate("B", "A", ca=True)]
    error = check.refusal(pki.certificate("leaf", "A"), pair, [root])
    assert error.detail == "no path leads from the certificate 'CN=leaf' to a trust anchor"


def test_certificates_without_a_subject_are_named_by_their_number(check: Checker, pki: Any, root: bytes) -> None:
    nameless = pki.certificate("nameless", "sub", subject_name=x509.Name([]))
    number = x509.load_der_x509_certificate(nameless).serial_number
    assert f"with serial number {number}" in check.refusal(nameless, [], [root]).detail


def test_names_that_cannot_be_read_are_not_needed_for_a_refusal(check: Checker, leaf: bytes, root: bytes) -> None:
    no_name = to_tlv(b"\x05\x00")
    certificate = changed(leaf, subject=no_name, issuer=no_name, serial_number=77)
    error = check.refusal(certificate, [], [root])
    assert "which cannot be read" in error.detail
    assert "with serial number 77" in error.detail


@pytest.mark.rule("R-036")
def test_signing_needs_digital_signature_if_there_is_key_usage(pki: Any, leaf: bytes) -> None:
    check_digital_signature_usage(leaf)
    for extensions in ([(usage(digital_signature=True), CRITICAL)], [(usage(digital_signature=True), NON_CRITICAL)]):
        check_digital_signature_usage(pki.certificate("leaf", "sub", extensions=extensions))
    odd = x509.UnrecognizedExtension(x509.KeyUsage.oid, bytes.fromhex("030100"))
    for extension in (usage(key_encipherment=True), odd):
        with pytest.raises(CMPError, match="'CN=leaf' has no digitalSignature") as caught:
            check_digital_signature_usage(pki.certificate("leaf", "sub", extensions=[(extension, CRITICAL)]))
        assert caught.value.fail_info is PKIFailureInfo.BAD_MESSAGE_CHECK
        assert caught.value.rule == "RFC 9483 section 3.5"
