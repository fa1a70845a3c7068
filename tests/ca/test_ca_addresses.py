from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from cmpkit import oids
from cmpkit.ca.opening import IssuerSettings
from cmpkit.parts import StatusAddresses

REQUIRED = {"certificate": "issuing.pem", "key": "file:key.pem"}
ADDRESSES = StatusAddresses(
    delta_crl=("http://pki.example/delta.crl",),
    ocsp=("http://ocsp.example", "https://ocsp2.example/"),
    ca_issuers=("http://pki.example/ca.cer",),
)


async def test_certificates_say_where_their_status_and_their_issuer_are(ca: Any) -> None:
    ca.issuer = ca.reopened(crl_urls=["http://pki.example/ca.crl"], addresses=ADDRESSES)
    extensions = x509.load_der_x509_certificate((await ca.issue()).der).extensions
    for kind, url in ((x509.CRLDistributionPoints, "ca.crl"), (x509.FreshestCRL, "delta.crl")):
        extension = extensions.get_extension_for_class(kind)
        (point,) = extension.value
        assert (extension.critical, [name.value for name in point.full_name]) == (False, [f"http://pki.example/{url}"])
    access = extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    assert not access.critical
    assert [(item.access_method, item.access_location.value) for item in access.value] == [
        (AuthorityInformationAccessOID.OCSP, "http://ocsp.example"),
        (AuthorityInformationAccessOID.OCSP, "https://ocsp2.example/"),
        (AuthorityInformationAccessOID.CA_ISSUERS, "http://pki.example/ca.cer"),
    ]


async def test_a_certificate_without_addresses_says_nothing_of_them(ca: Any) -> None:
    found = {extension.oid for extension in x509.load_der_x509_certificate((await ca.issue()).der).extensions}
    assert found.isdisjoint({oids.CRL_DISTRIBUTION_POINTS, oids.FRESHEST_CRL, oids.AUTHORITY_INFO_ACCESS})


@pytest.mark.parametrize("key", ["crl_urls", "delta_crl_urls", "ocsp_urls", "ca_issuers_urls"])
@pytest.mark.parametrize("url", ["pki.example/x", "ftp://pki.example/x", "http://pkí.example/x"])
async def test_an_address_that_certificates_cannot_have_is_refused(key: str, url: str) -> None:
    with pytest.raises(ValueError, match=r"is no http or https or ldap URL"):
        IssuerSettings(**REQUIRED, **{key: [url]})


async def test_an_address_of_a_delta_crl_that_is_not_made_is_refused() -> None:
    with pytest.raises(ValueError, match="without delta_crl_validity"):
        IssuerSettings(**REQUIRED, delta_crl_urls=["http://pki.example/delta.crl"])


async def test_a_delta_crl_that_outlives_the_complete_one_is_refused() -> None:
    with pytest.raises(ValueError, match="not valid longer than crl_validity"):
        IssuerSettings(**REQUIRED, crl_validity="1d", delta_crl_validity="2d")
