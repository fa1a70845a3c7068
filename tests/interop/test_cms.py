"""Encrypted contents to and from OpenSSL's ``cms`` command, in each version that is found."""

from __future__ import annotations

from pathlib import Path

import cmpkit_signature
import pytest

from cmpkit import oids
from cmpkit.asn1 import ContentInfo, EnvelopedData, SignedData, decode, encode, parse_tlv, to_tlv
from cmpkit.crypto.enveloping import (
    TOLERATE_RSA_PKCS1,
    TOLERATE_SHA1,
    KeyRecipient,
    PasswordRecipient,
    envelop,
    open_envelope,
)
from cmpkit.crypto.keys import load_private_key
from cmpkit.crypto.signed_data import sign_content, verify_content
from cmpkit.crypto.x509 import load_certificates
from cmpkit.errors import CMPError
from cmpkit.parts import PrivateKey, SharedSecret
from cmpkit.plugins import Plugins

from .conftest import OpenSSL

CONTENT = b"a content that travels"
KEYS = {
    "rsa2048": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "p256": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "p384": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "p521": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"),
}


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    loaded = Plugins()
    loaded.add(cmpkit_signature, "signature")
    return loaded


@pytest.fixture(scope="module")
def holders(any_openssl: OpenSSL, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key and a certificate of each kind, and the content."""
    folder = tmp_path_factory.mktemp("holders")
    for name, options in KEYS.items():
        key = folder / f"{name}.key"
        any_openssl.run("genpkey", *options, "-out", key)
        any_openssl.run("req", "-x509", "-new", "-key", key, "-subj", f"/CN={name}", "-out", folder / f"{name}.crt")
    (folder / "content").write_bytes(CONTENT)
    return folder


def private_key(folder: Path, name: str, plugins: Plugins) -> PrivateKey:
    return load_private_key((folder / f"{name}.key").read_bytes(), None, plugins)


def read_envelope(path: Path) -> EnvelopedData:
    return parse_tlv(decode(ContentInfo, path.read_bytes()).content, EnvelopedData)


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("size", [16, 32])
async def test_openssl_opens_what_is_encrypted_here(
    openssl: OpenSSL, holders: Path, plugins: Plugins, tmp_path: Path, *, name: str, size: int
) -> None:
    (certificate,) = load_certificates((holders / f"{name}.crt").read_bytes())
    enveloped = await envelop(CONTENT, KeyRecipient.of_certificate(certificate), plugins=plugins, key_size=size)
    file = tmp_path / "enveloped.der"
    file.write_bytes(encode(ContentInfo(content_type=oids.ENVELOPED_DATA, content=to_tlv(enveloped))))
    key, crt, out = holders / f"{name}.key", holders / f"{name}.crt", tmp_path / "opened"
    openssl.run("cms", "-decrypt", "-inform", "DER", "-in", file, "-inkey", key, "-recip", crt, "-binary", "-out", out)
    assert out.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (
            "rsa2048",
            ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256", "-keyopt", "rsa_mgf1_md:sha256"),
        ),
        ("p256", ("-keyopt", "ecdh_kdf_md:sha256", "-aes256-wrap")),
        ("p384", ("-keyopt", "ecdh_kdf_md:sha384")),
        ("p521", ("-keyopt", "ecdh_kdf_md:sha512")),
    ],
)
async def test_what_openssl_encrypts_is_opened_here(
    openssl: OpenSSL, holders: Path, plugins: Plugins, tmp_path: Path, *, name: str, options: tuple[str, ...]
) -> None:
    file = tmp_path / "enveloped.der"
    encrypting = ("cms", "-encrypt", "-binary", "-in", holders / "content", "-outform", "DER", "-out", file)
    openssl.run(*encrypting, "-aes256", "-recip", holders / f"{name}.crt", *options)
    key = private_key(holders, name, plugins)
    assert await open_envelope(read_envelope(file), key, read=bytes) == CONTENT


@pytest.mark.parametrize(
    ("name", "tolerance", "options"),
    [
        ("rsa2048", TOLERATE_RSA_PKCS1, ()),
        ("rsa2048", TOLERATE_SHA1, ("-keyopt", "rsa_padding_mode:oaep")),
        ("p256", TOLERATE_SHA1, ()),
    ],
)
async def test_what_openssl_does_by_default_needs_a_tolerance(
    openssl: OpenSSL,
    holders: Path,
    plugins: Plugins,
    tmp_path: Path,
    *,
    name: str,
    tolerance: str,
    options: tuple[str, ...],
) -> None:
    file = tmp_path / "enveloped.der"
    encrypting = ("cms", "-encrypt", "-binary", "-in", holders / "content", "-outform", "DER", "-out", file)
    openssl.run(*encrypting, "-aes128", "-recip", holders / f"{name}.crt", *options)
    enveloped, key = read_envelope(file), private_key(holders, name, plugins)
    with pytest.raises(CMPError, match=tolerance):
        await open_envelope(enveloped, key, read=bytes)
    assert await open_envelope(enveloped, key, read=bytes, tolerances=frozenset({tolerance})) == CONTENT


async def test_what_openssl_encrypts_under_a_password_is_opened_here(
    openssl: OpenSSL, holders: Path, tmp_path: Path
) -> None:
    file = tmp_path / "enveloped.der"
    encrypting = ("cms", "-encrypt", "-binary", "-in", holders / "content", "-outform", "DER", "-out", file)
    openssl.run(*encrypting, "-aes256", "-pwri_password", "a password")
    secret, tolerances = SharedSecret("", "a password"), frozenset({TOLERATE_SHA1})
    assert await open_envelope(read_envelope(file), secret, read=bytes, tolerances=tolerances) == CONTENT


@pytest.mark.parametrize("size", [16, 32])
async def test_openssl_opens_what_is_encrypted_here_under_a_password(
    openssl: OpenSSL, plugins: Plugins, tmp_path: Path, *, size: int
) -> None:
    recipient = PasswordRecipient(SharedSecret("", "a password"), by_pwri_kek=True)
    enveloped = await envelop(CONTENT, recipient, plugins=plugins, key_size=size)
    file, out = tmp_path / "enveloped.der", tmp_path / "opened"
    file.write_bytes(encode(ContentInfo(content_type=oids.ENVELOPED_DATA, content=to_tlv(enveloped))))
    opening = ("cms", "-decrypt", "-inform", "DER", "-in", file, "-pwri_password", "a password")
    openssl.run(*opening, "-binary", "-out", out)
    assert out.read_bytes() == CONTENT


@pytest.fixture(scope="module")
def signers(any_openssl: OpenSSL, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with keys and certificates that may sign contents."""
    folder = tmp_path_factory.mktemp("signers")
    for name, options in {**KEYS, "ed25519": ("-algorithm", "ED25519")}.items():
        key = folder / f"{name}.key"
        any_openssl.run("genpkey", *options, "-out", key)
        any_openssl.run("req", "-x509", "-new", "-key", key, "-subj", f"/CN={name}", "-out", folder / f"{name}.crt")
    (folder / "content").write_bytes(CONTENT)
    return folder


@pytest.mark.parametrize("name", KEYS)
async def test_openssl_verifies_what_is_signed_here(
    openssl: OpenSSL, signers: Path, plugins: Plugins, tmp_path: Path, *, name: str
) -> None:
    await check_signing(openssl, signers / name, plugins, tmp_path)


async def test_newer_openssl_verifies_ed25519(
    any_openssl: OpenSSL, signers: Path, plugins: Plugins, tmp_path: Path
) -> None:
    """OpenSSL 3.0 does not, and none signs by it without more options."""
    await check_signing(any_openssl, signers / "ed25519", plugins, tmp_path)


async def check_signing(openssl: OpenSSL, signer: Path, plugins: Plugins, folder: Path) -> None:
    crt, file, out = signer.with_suffix(".crt"), folder / "signed.der", folder / "content"
    (certificate,) = load_certificates(crt.read_bytes())
    key = private_key(signer.parent, signer.name, plugins)
    signed = await sign_content(
        CONTENT, oids.CT_ASYMMETRIC_KEY_PACKAGE, key=key, certificates=[certificate], plugins=plugins
    )
    file.write_bytes(encode(ContentInfo(content_type=oids.SIGNED_DATA, content=to_tlv(signed))))
    verifying = ("cms", "-verify", "-inform", "DER", "-in", file, "-CAfile", crt, "-purpose", "any")
    openssl.run(*verifying, "-binary", "-out", out)
    assert out.read_bytes() == CONTENT


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("by", [(), ("-keyid",)])
async def test_what_openssl_signs_verifies_here(
    openssl: OpenSSL, signers: Path, plugins: Plugins, tmp_path: Path, *, name: str, by: tuple[str, ...]
) -> None:
    file, key, crt = tmp_path / "signed.der", signers / f"{name}.key", signers / f"{name}.crt"
    content_type = ("-econtent_type", oids.CT_ASYMMETRIC_KEY_PACKAGE.dotted_string)
    signing = ("cms", "-sign", "-binary", "-nodetach", "-in", signers / "content", "-outform", "DER", "-out", file)
    openssl.run(*signing, "-signer", crt, "-inkey", key, *content_type, *by)
    signed = parse_tlv(decode(ContentInfo, file.read_bytes()).content, SignedData)
    verified = verify_content(signed, content_types=[oids.CT_ASYMMETRIC_KEY_PACKAGE], plugins=plugins)
    assert (verified.content, verified.signer) == (CONTENT, load_certificates(crt.read_bytes())[0])
