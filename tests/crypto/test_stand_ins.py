"""Paths by algorithms that cryptography does not validate: signatures by the key algorithms, rules by cryptography."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from cmpkit_signature import EdwardsCurveKeys
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.x509 import ObjectIdentifier
from pki import PKI, SHA256, Key

from cmpkit import oids
from cmpkit.asn1 import (
    TLV,
    AlgorithmIdentifier,
    BitString,
    CertificateWire,
    Null,
    SubjectPublicKeyInfo,
    TBSCertificate,
    decode,
    decode_list,
    encode,
    to_tlv,
)
from cmpkit.crypto.paths import validate_path
from cmpkit.crypto.stand_ins import needs_stand_ins, stand_ins
from cmpkit.crypto.x509 import CertificateContent, build_certificate, extension
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.hookspecs import hookimpl
from cmpkit.plugins import Plugins

RSA_KEYS = itertools.cycle([rsa.generate_private_key(65537, 2048) for _ in range(2)])


def new_ec(curve: ec.EllipticCurve) -> Callable[[], Key]:
    return lambda: ec.generate_private_key(curve)


ALGORITHMS: dict[str, tuple[Callable[[], Key], hashes.HashAlgorithm]] = {
    "ed25519": (ed25519.Ed25519PrivateKey.generate, hashes.SHA256()),
    "ed448": (ed448.Ed448PrivateKey.generate, hashes.SHA256()),
    "brainpoolp256r1": (new_ec(ec.BrainpoolP256R1()), hashes.SHA256()),
    "brainpoolp384r1": (new_ec(ec.BrainpoolP384R1()), hashes.SHA384()),
    "brainpoolp512r1": (new_ec(ec.BrainpoolP512R1()), hashes.SHA512()),
    "p256 with SHA3-256": (new_ec(ec.SECP256R1()), hashes.SHA3_256()),
    "rsa with SHA3-512": (lambda: next(RSA_KEYS), hashes.SHA3_512()),
    "rsa with SHA-224": (lambda: next(RSA_KEYS), hashes.SHA224()),
}
KNOWN: dict[str, tuple[Callable[[], Key], hashes.HashAlgorithm]] = {
    "p256": (new_ec(ec.SECP256R1()), hashes.SHA256()),
    "p384": (new_ec(ec.SECP384R1()), hashes.SHA512()),
    "rsa": (lambda: next(RSA_KEYS), hashes.SHA384()),
    "mldsa44": (mldsa.MLDSA44PrivateKey.generate, hashes.SHA256()),
}


def make_path(pki: PKI, digest: hashes.HashAlgorithm = SHA256) -> tuple[bytes, ...]:
    """Leaf, CA and root."""
    issuers = {"leaf": "sub", "sub": "root", "root": "root"}
    return tuple(pki.certificate(name, issuer, ca=name != "leaf", digest=digest) for name, issuer in issuers.items())


def check(path: tuple[bytes, ...], plugins: Plugins) -> tuple[bytes, ...]:
    return validate_path(path[0], candidates=path[1:-1], anchors=path[-1:], now=PKI.now, plugins=plugins)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_path_by_an_algorithm_that_the_library_does_not_know_is_validated(plugins: Plugins, name: str) -> None:
    new_key, digest = ALGORITHMS[name]
    path = make_path(PKI(new_key), digest)
    assert needs_stand_ins(path)
    assert check(path, plugins) == check(path, plugins) == path
    forged = make_path(PKI(new_key), digest)
    for mixed in ((forged[0], *path[1:]), (path[0], forged[1], path[2]), (*path[:2], forged[2])):
        with pytest.raises(CMPError, match="does not fit the key of its issuer") as caught:
            check(mixed, plugins)
        assert caught.value.fail_info is PKIFailureInfo.SIGNER_NOT_TRUSTED


@pytest.mark.parametrize("name", KNOWN)
def test_paths_by_algorithms_that_the_library_knows_are_left_to_it(plugins: Plugins, name: str) -> None:
    new_key, digest = KNOWN[name]
    path = make_path(PKI(new_key), digest)
    assert not needs_stand_ins(path)
    assert check(path, plugins) == path


def test_each_certificate_of_a_path_may_have_another_algorithm(plugins: Plugins) -> None:
    kinds: list[Callable[[], Key]] = [
        ed25519.Ed25519PrivateKey.generate,
        mldsa.MLDSA44PrivateKey.generate,
        new_ec(ec.SECP256R1()),
    ]
    for leaf, sub, root in itertools.permutations(kinds):
        pki = PKI()
        pki.keys = {"leaf": leaf(), "sub": sub(), "root": root()}
        path = make_path(pki)
        assert check(path, plugins) == path


def test_rsa_keys_that_are_marked_for_pss_are_accepted_as_issuers(plugins: Plugins) -> None:
    path = make_path(PKI(lambda: next(RSA_KEYS)))
    root = decode(CertificateWire, path[2])
    key = SubjectPublicKeyInfo(
        algorithm=AlgorithmIdentifier(oids.RSASSA_PSS),
        subject_public_key=decode(SubjectPublicKeyInfo, encode(root.tbs.subject_public_key_info)).subject_public_key,
    )
    marked = rebuilt(path[2], subject_public_key_info=to_tlv(key))
    assert needs_stand_ins((*path[:2], marked))
    with pytest.raises(CMPError) as caught:  # what is below is signed by PKCS#1
        check((*path[:2], marked), plugins)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


def rebuilt(certificate: bytes, *, padding: int = 0, **fields: Any) -> bytes:
    """The certificate with other fields, under the same signature."""
    wire = decode(CertificateWire, certificate)
    old = {name: getattr(wire.tbs, name) for name in TBSCertificate.__annotations__}
    outer = {"signature_algorithm": fields.pop("signature_algorithm", wire.signature_algorithm)}
    return encode(
        CertificateWire(
            tbs_certificate=to_tlv(TBSCertificate(**(old | fields))),
            signature_value=BitString(wire.signature_value.as_bytes(), padding),
            **outer,
        )
    )


def test_two_different_signature_algorithms_in_a_certificate_are_refused(plugins: Plugins) -> None:
    """RFC 5280 section 4.1.1.2."""
    leaf, sub, root = make_path(PKI(ed25519.Ed25519PrivateKey.generate))
    odd = rebuilt(leaf, signature_algorithm=AlgorithmIdentifier(oids.ED25519, Null()))
    with pytest.raises(CMPError, match="one signature algorithm inside and another outside"):
        check((odd, sub, root), plugins)


def test_a_signature_with_unused_bits_is_refused(plugins: Plugins) -> None:
    pki = PKI(ed25519.Ed25519PrivateKey.generate)
    _, sub, root = make_path(pki)
    while (leaf := pki.certificate("leaf", "sub"))[-1] & 1:
        pass
    assert check((leaf, sub, root), plugins)
    with pytest.raises(CMPError, match="does not fit"):
        check((rebuilt(leaf, padding=1), sub, root), plugins)


def test_sha1_is_refused_as_bad_alg(plugins: Plugins) -> None:
    path = make_path(PKI(lambda: next(RSA_KEYS)))
    weak = AlgorithmIdentifier(oids.SHA1_WITH_RSA, Null())
    leaf = rebuilt(path[0], signature=weak, signature_algorithm=weak)
    with pytest.raises(CMPError, match="over SHA-1") as caught:
        check((leaf, *path[1:]), plugins)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


def test_a_signature_by_another_kind_of_key_is_refused(plugins: Plugins) -> None:
    path = make_path(PKI(ed25519.Ed25519PrivateKey.generate))
    other = AlgorithmIdentifier(oids.ECDSA_SHA3_256)
    leaf = rebuilt(path[0], signature=other, signature_algorithm=other)
    with pytest.raises(CMPError, match="does not fit the key of its issuer"):
        check((leaf, *path[1:]), plugins)


def test_a_stand_in_differs_in_key_and_signature_alone(plugins: Plugins) -> None:
    path = make_path(PKI(ed25519.Ed25519PrivateKey.generate))
    for real, other in zip(path, stand_ins(path, plugins), strict=True):
        fields = [decode_list(TLV, encode(decode(CertificateWire, der).tbs_certificate)) for der in (real, other)]
        different = [number for number, (a, b) in enumerate(zip(*fields, strict=True)) if encode(a) != encode(b)]
        assert different == ([2] if real == path[0] else [2, 6])  # signature and subjectPublicKeyInfo
    assert x509.load_der_x509_certificate(stand_ins(path, plugins)[0]).signature_algorithm_oid == oids.ECDSA_SHA256


def test_a_stand_in_is_signed_by_the_one_above_it_in_its_own_path_alone(plugins: Plugins) -> None:
    pki = PKI(ed25519.Ed25519PrivateKey.generate)
    leaf, sub, root = make_path(pki)
    cross = pki.certificate("root", "top", ca=True)
    top = pki.certificate("top", "top", ca=True)
    paths = [stand_ins(path, plugins) for path in ((leaf, sub, root), (leaf, sub, cross, top), (sub, root))]
    loaded = [[x509.load_der_x509_certificate(der) for der in path] for path in paths]
    for path in loaded:
        for child, issuer in itertools.pairwise(path):
            fits = [other for every in loaded for other in every if signed(child, other)]
            assert fits == [issuer] or (child.issuer == child.subject and fits == [issuer, child])


def signed(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(child.signature, child.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def test_version_one_certificates_keep_their_fields_apart(plugins: Plugins) -> None:
    """Their first field is the serial number; the library refuses them, after their signature was checked."""
    pki = PKI(ed25519.Ed25519PrivateKey.generate)
    leaf, sub, root = make_path(pki)
    wire = decode(CertificateWire, leaf)
    old = {name: getattr(wire.tbs, name) for name in TBSCertificate.__annotations__}
    tbs = encode(TBSCertificate(**(old | {"version": 0, "extensions": None})))
    key = pki.key("sub")
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    signature = BitString(key.sign(tbs), 0)
    first = encode(
        CertificateWire(
            tbs_certificate=to_tlv(tbs), signature_algorithm=wire.signature_algorithm, signature_value=signature
        )
    )
    made, *_ = stand_ins((first, sub, root), plugins)
    assert x509.load_der_x509_certificate(made).version is x509.Version.v1
    with pytest.raises(CMPError, match="is not valid"):
        check((first, sub, root), plugins)


OWN = ObjectIdentifier("2.999.1")


class OwnKey:
    """Ed25519 under an OID that nobody else knows."""

    key_type = "own"
    signature_algorithm = AlgorithmIdentifier(OWN)

    def __init__(self) -> None:
        self._key = ed25519.Ed25519PrivateKey.generate()
        key = BitString(self._key.public_key().public_bytes_raw(), 0)
        self.public_key_info = encode(SubjectPublicKeyInfo(algorithm=AlgorithmIdentifier(OWN), subject_public_key=key))

    async def sign(self, data: bytes, algorithm: AlgorithmIdentifier | None = None) -> bytes:
        return self._key.sign(data)

    def to_pkcs8(self, password: bytes | None = None) -> bytes:
        raise CMPError("it cannot leave")


class OwnKeys(EdwardsCurveKeys):
    key_oids = signature_oids = (OWN,)
    key_types = ("own",)

    def key_type(self, public_key_info: bytes) -> str:
        return "own"

    def verify(self, public_key_info: bytes, algorithm: AlgorithmIdentifier, data: bytes, signature: bytes) -> bool:
        bits = decode(SubjectPublicKeyInfo, public_key_info).subject_public_key
        known = encode(SubjectPublicKeyInfo(algorithm=AlgorithmIdentifier(oids.ED25519), subject_public_key=bits))
        return super().verify(known, AlgorithmIdentifier(oids.ED25519), data, signature)


class OwnPlugin:
    @hookimpl
    def cmpkit_key_algorithms(self) -> tuple[OwnKeys]:
        return (OwnKeys(),)


async def test_an_algorithm_that_a_plugin_brings_serves_every_certificate_of_a_path() -> None:
    plugins = Plugins()
    plugins.add(OwnPlugin(), "own")
    keys = {name: OwnKey() for name in ("leaf", "sub", "root")}

    async def certificate(name: str, issuer: str, signer: str = "") -> bytes:
        ca = extension(x509.BasicConstraints(ca=name != "leaf", path_length=None), critical=True)
        names = PKI.name(issuer).public_bytes(), PKI.name(name)
        content = CertificateContent(
            1, *names, PKI.not_before, PKI.not_after, keys[name].public_key_info, extensions=(ca,)
        )
        return await build_certificate(content, keys[signer or issuer])

    path = (await certificate("leaf", "sub"), await certificate("sub", "root"), await certificate("root", "root"))
    assert check(path, plugins) == path
    with pytest.raises(CMPError, match="does not fit"):
        check((path[0], await certificate("sub", "root", "leaf"), path[2]), plugins)
