"""Where the status of certificates and their issuer are found, as certificates say (RFC 5280 section 4.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from cmpkit.asn1 import Extension
from cmpkit.ca.crl import distribution_points
from cmpkit.crypto.x509 import extension
from cmpkit.parts import StatusAddresses

__all__ = ["address_extensions", "check_urls"]


def address_extensions(crl_urls: Sequence[str], addresses: StatusAddresses) -> Iterator[Extension]:
    """cRLDistributionPoints, freshestCRL and authorityInfoAccess, as far as there is something to say."""
    if crl_urls:
        yield extension(x509.CRLDistributionPoints(distribution_points(crl_urls)))
    if addresses.delta_crl:
        yield extension(x509.FreshestCRL(distribution_points(addresses.delta_crl)))
    described = [
        *((AuthorityInformationAccessOID.OCSP, url) for url in addresses.ocsp),
        *((AuthorityInformationAccessOID.CA_ISSUERS, url) for url in addresses.ca_issuers),
    ]
    if described:
        yield extension(
            x509.AuthorityInformationAccess(
                [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in described]
            )
        )


def check_urls(urls: tuple[str, ...], *schemes: str) -> tuple[str, ...]:
    """The URLs, if certificates may have them.

    :param schemes: what they may begin with.
    :raises ValueError: naming the first that cannot be used.
    """
    for url in urls:
        if not url.isascii() or not url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"{url!r} is no {' or '.join(schemes)} URL (RFC 5280 sections 4.2.1.13 and 4.2.2.1)")
    return urls
