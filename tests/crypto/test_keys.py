"""Private keys in files: every common form, and how files are written."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from cmpkit.asn1 import AlgorithmIdentifier, decode, encode
from cmpkit.crypto.keys import (
    generate_key,
    key_to_pem,
    load_pkcs12,
    load_private_key,
    write_file_atomically,
    write_private_file,
)
from cmpkit.crypto.pkcs8 import EncryptedPrivateKeyInfo, PrivateKeyInfo, decrypt_pkcs8, encrypt_pkcs8
from cmpkit.errors import ConfigurationError
from cmpkit.plugins import Plugins

EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)


class Form(NamedTuple):
    """How a file holds a key."""

    encoding: Encoding
    format: PrivateFormat
    password: bytes | None = None


FORMS = [
    Form(Encoding.PEM, PrivateFormat.PKCS8),
    Form(Encoding.DER, PrivateFormat.PKCS8),
    Form(Encoding.PEM, PrivateFormat.TraditionalOpenSSL),
    Form(Encoding.DER, PrivateFormat.TraditionalOpenSSL),
    Form(Encoding.PEM, PrivateFormat.PKCS8, b"pw"),
    Form(Encoding.DER, PrivateFormat.PKCS8, b"pw"),
    Form(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, b"pw"),
]


def spki(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("key", [EC_KEY, RSA_KEY], ids=["ec", "rsa"])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_key_is_loaded_from_every_common_form(
    plugins: Plugins, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, form: Form
) -> None:
    password = form.password
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    data = key.private_bytes(form.encoding, form.format, encryption)
    assert load_private_key(data, password, plugins).public_key_info == spki(key)
    if password is not None:
        with pytest.raises(ConfigurationError, match="encrypted and no password"):
            load_private_key(data, None, plugins)
        with pytest.raises(ConfigurationError, match="password"):
            load_private_key(data, b"wrong", plugins)
    else:
        assert load_private_key(data, b"needless", plugins).public_key_info == spki(key)


def test_a_key_is_found_among_other_pem_blocks(plugins: Plugins) -> None:
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    key = EC_KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert load_private_key(parameters + key, None, plugins).key_type == "p256"


@pytest.mark.parametrize("key_type", ["p256", "p521", "rsa2048", "brainpoolp384r1"])
@pytest.mark.parametrize("password", [None, b"pw"])
def test_what_we_write_others_read_and_we_too(plugins: Plugins, key_type: str, password: bytes | None) -> None:
    key = generate_key(key_type, plugins)
    assert key.key_type == key_type
    pem = key_to_pem(key, password)
    read = serialization.load_pem_private_key(pem, password)
    assert isinstance(read, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey))
    assert spki(read) == key.public_key_info
    assert load_private_key(pem, password, plugins).public_key_info == key.public_key_info


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "no private key can be read"),
        (b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "no private key can be read"),
        (b"-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n", "not Base64"),
        (b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", "no private key can be read"),
        (b"-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n", "no private key can be read"),
    ],
)
def test_what_is_no_key_is_a_configuration_error(plugins: Plugins, data: bytes, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        load_private_key(data, None, plugins)


def test_a_key_of_an_unknown_algorithm_is_a_configuration_error(plugins: Plugins) -> None:
    foreign = AlgorithmIdentifier(x509.ObjectIdentifier("2.999.1"))
    der = encode(PrivateKeyInfo(version=0, algorithm=foreign, private_key=b"key"))
    with pytest.raises(ConfigurationError, match=r"no key algorithm for 2\.999\.1"):
        load_private_key(der, None, plugins)


def test_a_weak_key_is_a_configuration_error(plugins: Plugins) -> None:
    weak = rsa.generate_private_key(65537, 1024)
    der = weak.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ConfigurationError, match="1024 bits") as caught:
        load_private_key(der, None, plugins)
    assert "2048" in caught.value.hint


def test_an_unknown_key_type_names_those_that_there_are(plugins: Plugins) -> None:
    with pytest.raises(
        ConfigurationError, match=r"no key type 'p257'; there are: .*mldsa65, .*p256, p384, p521, rsa2048"
    ):
        generate_key("p257", plugins)


def test_encryption_that_is_not_ours_is_left_to_the_library(plugins: Plugins) -> None:
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .build(b"pw")
    )
    bag = pkcs12.serialize_key_and_certificates(b"k", EC_KEY, None, None, encryption)
    key, certificates = load_pkcs12(bag, b"pw", plugins)
    assert key.public_key_info == spki(EC_KEY)
    assert certificates == ()


def reencrypted(**replacements: bytes) -> EncryptedPrivateKeyInfo:
    der = encrypt_pkcs8(EC_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()), b"pw")
    for old, new in replacements.items():
        assert bytes.fromhex(old[1:]) in der
        der = der.replace(bytes.fromhex(old[1:]), new)
    return decode(EncryptedPrivateKeyInfo, der)


@pytest.mark.parametrize(
    "replacement",
    [
        pytest.param({"x2a864886f70d01050d": bytes.fromhex("2a864886f70d010503")}, id="not PBES2"),
        pytest.param({"x2a864886f70d01050c": bytes.fromhex("2a864886f70d01050b")}, id="not PBKDF2"),
        pytest.param({"x60864801650304012a": bytes.fromhex("60864801650304012e")}, id="AES-GCM"),
        pytest.param({"x2a864886f70d0209": bytes.fromhex("2a864886f70d020f")}, id="unknown PRF"),
    ],
)
def test_only_known_schemes_are_decrypted(replacement: dict[str, bytes]) -> None:
    assert decrypt_pkcs8(reencrypted(), b"pw") is not None
    assert decrypt_pkcs8(reencrypted(**replacement), b"pw") is None


def test_a_wrong_password_is_told_even_if_the_padding_is_right_by_chance() -> None:
    encrypted = encrypt_pkcs8(b"not a PrivateKeyInfo", b"pw")
    with pytest.raises(ConfigurationError, match="password of the private key is wrong"):
        decrypt_pkcs8(decode(EncryptedPrivateKeyInfo, encrypted), b"pw")


def test_encrypted_keys_hide_the_key_and_differ_each_time() -> None:
    plain = EC_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    secret = decode(PrivateKeyInfo, plain).private_key
    first, second = encrypt_pkcs8(plain, b"pw"), encrypt_pkcs8(plain, b"pw")
    assert secret not in first
    assert first != second


def test_pkcs12_gives_key_and_certificates_that_of_the_key_first(plugins: Plugins, pki: Any) -> None:
    ders = [pki.certificate("leaf", "ca"), pki.certificate("ca", "root", ca=True)]
    leaf, ca = map(x509.load_der_x509_certificate, ders)
    bag = pkcs12.serialize_key_and_certificates(b"k", pki.key("leaf"), leaf, [ca], BestAvailableEncryption(b"pw"))
    key, certificates = load_pkcs12(bag, b"pw", plugins)
    assert key.public_key_info == spki(pki.key("leaf"))  # type: ignore[arg-type]
    assert list(certificates) == ders
    for data, password, fault in ((bag, b"no", "password is wrong"), (b"x", b"pw", "cannot be read")):
        with pytest.raises(ConfigurationError, match=fault):
            load_pkcs12(data, password, plugins)


def test_pkcs12_without_a_key_is_refused(plugins: Plugins, pki: Any) -> None:
    certificate = x509.load_der_x509_certificate(pki.certificate("leaf", "ca"))
    bag = pkcs12.serialize_key_and_certificates(None, None, None, [certificate], NoEncryption())
    with pytest.raises(ConfigurationError, match="no private key"):
        load_pkcs12(bag, None, plugins)


def test_a_private_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    previous = os.umask(0)
    try:
        write_private_file(path, b"secret")
    finally:
        os.umask(previous)
    assert path.read_bytes() == b"secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_private_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    write_private_file(path, b"first")
    with pytest.raises(ConfigurationError, match="exists already"):
        write_private_file(path, b"second")
    assert path.read_bytes() == b"first"


@pytest.mark.parametrize("write", [write_private_file, write_file_atomically])
def test_a_file_that_cannot_be_written_is_a_configuration_error(tmp_path: Path, write: object) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write(tmp_path / "missing" / "file", b"data")  # type: ignore[operator]


@pytest.mark.parametrize("write", [write_private_file, write_file_atomically])
def test_a_failure_on_the_way_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: object
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ConfigurationError, match="No space left"):
        write(tmp_path / "file", b"data")  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    write_file_atomically(path, b"first")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    write_file_atomically(path, b"second", mode=0o600)
    assert path.read_bytes() == b"second"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
