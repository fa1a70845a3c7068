from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509

from cmpkit.asn1 import Extension
from cmpkit.ca.certificates import is_self_issued, read_issuer_certificate
from cmpkit.ca.hierarchy import Hierarchy
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import CertificateContent, build_certificate, extension, key_identifier
from cmpkit.errors import ConfigurationError
from cmpkit.parts import PrivateKey

CA = extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)


async def certificate(key: PrivateKey, ask: Any, *extensions: Extension) -> bytes:
    name = parse_name("CN=CA")
    return await build_certificate(
        CertificateContent(
            serial_number=1,
            issuer=name.public_bytes(),
            subject=name,
            not_before=ask.now,
            not_after=ask.now,
            public_key_info=key.public_key_info,
            extensions=extensions,
        ),
        key,
    )


async def test_what_an_issuer_needs_is_read_from_its_certificate(hierarchy: Hierarchy, issuing_key: PrivateKey) -> None:
    read = hierarchy.issuing
    loaded = x509.load_der_x509_certificate(read.der)
    assert read.name == loaded.subject
    assert read.subject == loaded.subject.public_bytes()
    assert read.not_after == loaded.not_valid_after_utc
    assert read.public_key_info == issuing_key.public_key_info
    assert read.all == (read.der, hierarchy.root)
    assert read.without_root == (read.der,)
    assert (is_self_issued(read.der), is_self_issued(hierarchy.root)) == (False, True)


async def test_the_key_identifier_is_that_of_the_certificate(root_key: PrivateKey, ask: Any) -> None:
    own = extension(x509.SubjectKeyIdentifier(b"of its own"))
    assert read_issuer_certificate([await certificate(root_key, ask, CA, own)]).key_identifier == b"of its own"


async def test_without_a_key_identifier_it_is_made_from_the_key(root_key: PrivateKey, ask: Any) -> None:
    read = read_issuer_certificate([await certificate(root_key, ask, CA)])
    assert read.key_identifier == key_identifier(root_key.public_key_info)


async def test_a_certificate_that_is_no_ca_does_not_issue(root_key: PrivateKey, ask: Any) -> None:
    plain = extension(x509.BasicConstraints(ca=False, path_length=None))
    for extensions in ((), (plain,)):
        with pytest.raises(ConfigurationError, match="CN=CA is not a CA"):
            read_issuer_certificate([await certificate(root_key, ask, *extensions)])


async def test_a_certificate_whose_extensions_cannot_be_read_does_not_issue(root_key: PrivateKey, ask: Any) -> None:
    broken = Extension(extn_id=x509.BasicConstraints.oid, extn_value=b"\x04\x00")
    with pytest.raises(ConfigurationError, match="extensions of the CA certificate cannot be read"):
        read_issuer_certificate([await certificate(root_key, ask, broken)])


def test_a_certificate_that_cannot_be_read_does_not_issue() -> None:
    with pytest.raises(ConfigurationError, match="the certificate of a CA cannot be read"):
        read_issuer_certificate([b"\x30\x00"])


def test_a_chain_in_the_wrong_order_is_refused(hierarchy: Hierarchy) -> None:
    with pytest.raises(ConfigurationError, match="CN=Example CA Root,O=Example issued it") as caught:
        read_issuer_certificate([hierarchy.issuing.der, hierarchy.issuing.der])
    assert "before that of its issuer" in caught.value.hint
