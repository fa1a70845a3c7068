"""Key packages of a key generation authority: signed, encrypted, taken out again, and refused if anything is off."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key
from pki import PKI

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    CMSAttribute,
    EnvelopedData,
    IssuerAndSerialNumber,
    OneAsymmetricKey,
    SetOf,
    SignedData,
    Variant,
    decode,
    decode_list,
    encode,
    encode_list,
    read_public_key_info,
    to_tlv,
)
from cmpkit.crypto.enveloping import KeyRecipient, PasswordRecipient, envelop, open_envelope, password
from cmpkit.crypto.key_packages import TOLERATE_BARE_KEY, open_key_package, seal_key_package
from cmpkit.crypto.pkcs8 import PrivateKeyInfo
from cmpkit.crypto.signed_data import sign_content, verify_content
from cmpkit.crypto.x509 import outline
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import PrivateKey, SharedSecret
from cmpkit.plugins import Plugins

SECRET = SharedSecret("device-1", "a shared secret")
CONTENT_TYPES = (oids.CT_ASYMMETRIC_KEY_PACKAGE,)


@pytest.fixture(autouse=True)
def _quick_derivations(monkeypatch: pytest.MonkeyPatch) -> None:
    """How slow a password is tried is not what these tests are about."""
    monkeypatch.setattr(password, "_OWN_ITERATIONS", 1000)


def certificate(pki: PKI, key: PrivateKey) -> bytes:
    return pki.certificate("kga", "ca", key=load_der_private_key(key.to_pkcs8(), None))  # type: ignore[arg-type]


def generate(plugins: Plugins, key_type: str) -> PrivateKey:
    key: PrivateKey = plugins.key_algorithm(key_type).generate(key_type)
    return key


def changed(value: Any, **fields: Any) -> Any:
    """The same value of a declared class with other fields."""
    return type(value)(**{**value.__dict__, **fields})


def with_signer(signed: SignedData, **fields: Any) -> SignedData:
    """The same with other fields in its SignerInfo."""
    (info,) = signed.signer_infos.as_list()
    result: SignedData = changed(signed, signer_infos=SetOf([changed(info, **fields)]))
    return result


@pytest.mark.parametrize("signer_type", ["p256", "rsa2048", "ed25519", "ed448", "mldsa44"])
async def test_what_any_kind_of_key_signs_verifies(pki: PKI, plugins: Plugins, signer_type: str) -> None:
    key = generate(plugins, signer_type)
    der = certificate(pki, key) if signer_type != "mldsa44" else pki.certificate("kga", "ca", key=_ml_dsa(key))
    signed = await sign_content(
        b"content", oids.CT_ASYMMETRIC_KEY_PACKAGE, key=key, certificates=[der], plugins=plugins
    )
    assert signed.version == 3
    (info,) = signed.signer_infos.as_list()
    assert (info.version, info.sid.tag) == (3, "subject_key_identifier")
    verified = verify_content(decode(SignedData, encode(signed)), content_types=CONTENT_TYPES, plugins=plugins)
    assert (verified.content, verified.signer, verified.certificates) == (b"content", der, (der,))


def _ml_dsa(key: PrivateKey) -> Any:
    return load_der_private_key(key.to_pkcs8(), None)


@pytest.fixture
async def signed(pki: PKI, plugins: Plugins) -> SignedData:
    key = generate(plugins, "p256")
    certificates = [certificate(pki, key), pki.certificate("other", "ca")]
    return await sign_content(
        b"content", oids.CT_ASYMMETRIC_KEY_PACKAGE, key=key, certificates=certificates, plugins=plugins
    )


def refuse(signed: SignedData, plugins: Plugins, match: str) -> PKIFailureInfo:
    with pytest.raises(CMPError, match=match) as refused:
        verify_content(signed, content_types=CONTENT_TYPES, plugins=plugins)
    return refused.value.fail_info


async def test_signer_may_be_named_by_its_certificate(signed: SignedData, plugins: Plugins) -> None:
    verified = verify_content(signed, content_types=CONTENT_TYPES, plugins=plugins)
    found = outline(verified.signer)
    by_number = IssuerAndSerialNumber(issuer=PKI.name("ca"), serial_number=found.serial_number)
    again = with_signer(signed, version=1, sid=Variant(by_number, "issuer_and_serial_number"))
    assert verify_content(again, content_types=CONTENT_TYPES, plugins=plugins).signer == verified.signer
    absent = with_signer(signed, sid=Variant(b"nobody", "subject_key_identifier"))
    assert refuse(absent, plugins, "signer is not there") is PKIFailureInfo.SIGNER_NOT_TRUSTED


async def test_certificate_that_cannot_be_read_does_not_spoil_the_others(signed: SignedData, plugins: Plugins) -> None:
    assert signed.certificates is not None
    odd = changed(signed, certificates=SetOf([to_tlv(b"\x30\x00"), *signed.certificates.as_list()]))
    assert verify_content(odd, content_types=CONTENT_TYPES, plugins=plugins).content == b"content"


async def test_signature_must_fit_content_and_attributes(signed: SignedData, plugins: Plugins) -> None:
    (info,) = signed.signer_infos.as_list()
    other = changed(signed, encap_content_info=changed(signed.encap_content_info, e_content=b"another"))
    assert refuse(other, plugins, "does not fit") is PKIFailureInfo.BAD_MESSAGE_CHECK
    broken = with_signer(signed, signature=info.signature[:-1] + bytes([info.signature[-1] ^ 1]))
    assert refuse(broken, plugins, "does not fit") is PKIFailureInfo.BAD_MESSAGE_CHECK
    assert info.signed_attrs is not None
    extra = CMSAttribute(attr_type=oids.CRL_REASON, attr_values=SetOf([]))
    more = with_signer(signed, signed_attrs=SetOf([*info.signed_attrs.as_list(), extra]))
    assert refuse(more, plugins, "does not fit") is PKIFailureInfo.BAD_MESSAGE_CHECK


@pytest.mark.rule("R-171")
async def test_form_that_rfc_9483_does_not_allow_is_refused(signed: SignedData, plugins: Plugins) -> None:
    (info,) = signed.signer_infos.as_list()
    encapsulated, attributes = signed.encap_content_info, info.signed_attrs.as_list()
    for odd in (
        changed(signed, version=4),
        changed(signed, signer_infos=SetOf([])),
        changed(signed, signer_infos=SetOf([info, info])),
        changed(signed, encap_content_info=changed(encapsulated, e_content=None)),
        changed(signed, encap_content_info=changed(encapsulated, e_content_type=oids.DATA)),
        changed(signed, certificates=SetOf([*signed.certificates.as_list()] * 20)),
        with_signer(signed, signed_attrs=None),
        with_signer(signed, signed_attrs=SetOf(attributes[:1])),
        with_signer(signed, signed_attrs=SetOf([*attributes, attributes[0]])),
        with_signer(
            signed,
            signed_attrs=SetOf(
                [changed(attributes[0], attr_values=SetOf([to_tlv(oids.DATA)])), *attributes[1:]]
                if attributes[0].attr_type == oids.CONTENT_TYPE
                else [*attributes[:1], changed(attributes[1], attr_values=SetOf([to_tlv(oids.DATA)]))]
            ),
        ),
    ):
        assert refuse(odd, plugins, "^the signed content is not accepted") is PKIFailureInfo.BAD_DATA_FORMAT


async def test_weak_or_unknown_digest_is_refused(signed: SignedData, plugins: Plugins) -> None:
    for oid in (oids.SHA1, oids.DATA):
        weak = with_signer(signed, digest_algorithm=AlgorithmIdentifier(oid))
        assert refuse(weak, plugins, "weak or not known") is PKIFailureInfo.BAD_ALG


@pytest.fixture(scope="module")
def kga(plugins: Plugins) -> PrivateKey:
    return generate(plugins, "p256")


@pytest.fixture(scope="module")
def holder(plugins: Plugins) -> PrivateKey:
    return generate(plugins, "p256")


async def sealed(
    pki: PKI, plugins: Plugins, kga: PrivateKey, key: PrivateKey, recipient: Any, **options: Any
) -> EnvelopedData:
    return await seal_key_package(
        key, recipient, signer=kga, certificates=[certificate(pki, kga)], plugins=plugins, **options
    )


@pytest.mark.parametrize("key_type", ["p256", "rsa2048", "ed25519", "x25519", "mldsa44"])
async def test_key_of_any_kind_comes_out_as_it_went_in(
    pki: PKI, plugins: Plugins, kga: PrivateKey, holder: PrivateKey, *, key_type: str
) -> None:
    key = generate(plugins, key_type)
    enveloped = await sealed(pki, plugins, kga, key, KeyRecipient.of_key(holder.public_key_info))
    assert enveloped.encrypted_content_info.content_type == oids.SIGNED_DATA
    delivered = await open_key_package(decode(EnvelopedData, encode(enveloped)), holder, plugins=plugins)
    assert delivered.key.to_pkcs8() == key.to_pkcs8()
    assert delivered.key.public_key_info == key.public_key_info
    assert delivered.signer in delivered.certificates
    assert "private_key" not in repr(delivered.key)


@pytest.mark.rule("R-171")
async def test_package_is_one_key_of_version_2_with_its_public_key(pki: PKI, plugins: Plugins, kga: PrivateKey) -> None:
    key = generate(plugins, "p256")
    enveloped = await sealed(pki, plugins, kga, key, PasswordRecipient(SECRET))
    signed = await open_envelope(enveloped, SECRET, read=lambda der: decode(SignedData, der))
    assert signed.encap_content_info.e_content is not None
    (one,) = decode_list(OneAsymmetricKey, signed.encap_content_info.e_content)
    assert (one.version, one.public_key is not None) == (1, True)


async def test_wrong_key_opens_nothing(pki: PKI, plugins: Plugins, kga: PrivateKey, holder: PrivateKey) -> None:
    key = generate(plugins, "p256")
    enveloped = await sealed(pki, plugins, kga, key, KeyRecipient.of_key(holder.public_key_info))
    for other in (kga, SECRET):
        with pytest.raises(CMPError, match="cannot be decrypted"):
            await open_key_package(enveloped, other, plugins=plugins)


async def test_bare_key_needs_a_tolerance(pki: PKI, plugins: Plugins, kga: PrivateKey) -> None:
    key = generate(plugins, "p256")
    enveloped = await sealed(pki, plugins, kga, key, PasswordRecipient(SECRET), bare=True)
    with pytest.raises(CMPError, match="it is a bare private key"):
        await open_key_package(enveloped, SECRET, plugins=plugins)
    tolerances = frozenset({TOLERATE_BARE_KEY})
    delivered = await open_key_package(enveloped, SECRET, plugins=plugins, tolerances=tolerances)
    assert delivered.key.to_pkcs8() == key.to_pkcs8()


async def test_content_must_say_that_it_is_signed(plugins: Plugins) -> None:
    enveloped = await envelop(b"\x30\x00", PasswordRecipient(SECRET), plugins=plugins)
    with pytest.raises(CMPError, match="not SignedData") as refused:
        await open_key_package(enveloped, SECRET, plugins=plugins)
    assert refused.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


def packed(key: PrivateKey, public: PrivateKey | None, version: int = 1) -> OneAsymmetricKey:
    """A key for a package, with the public key of that one or another or none."""
    info = decode(PrivateKeyInfo, key.to_pkcs8())
    return OneAsymmetricKey(
        version=version,
        private_key_algorithm=info.algorithm,
        private_key=info.private_key,
        public_key=None if public is None else read_public_key_info(public.public_key_info).subject_public_key,
    )


@pytest.mark.rule("R-174")
async def test_package_with_other_than_one_coherent_key_is_refused(pki: PKI, plugins: Plugins, kga: PrivateKey) -> None:
    key, other = generate(plugins, "p256"), generate(plugins, "p256")
    for keys, match in [
        ([], "holds 0 keys"),
        ([packed(key, key), packed(other, other)], "holds 2 keys"),
        ([packed(key, other)], "do not belong together"),
        ([packed(key, None)], "not of version 2"),
        ([packed(key, key, version=0)], "not of version 2"),
    ]:
        content = encode_list(keys)
        signed = await sign_content(
            content,
            oids.CT_ASYMMETRIC_KEY_PACKAGE,
            key=kga,
            certificates=[certificate(pki, kga)],
            plugins=plugins,
        )
        enveloped = await envelop(
            encode(signed), PasswordRecipient(SECRET), plugins=plugins, content_type=oids.SIGNED_DATA
        )
        with pytest.raises(CMPError, match=match) as refused:
            await open_key_package(enveloped, SECRET, plugins=plugins)
        assert refused.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT
