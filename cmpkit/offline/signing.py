"""The signature over a manifest: CMS SignedData with the manifest in it (RFC 5652 section 5).

Messages protect themselves; what the signature adds is that nobody on the way took one away, or put one there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cmpkit import oids
from cmpkit.asn1 import ContentInfo, SignedData, decode, encode, parse_tlv, to_tlv
from cmpkit.crypto.signed_data import sign_content, verify_content
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, TrustError
from cmpkit.parts import PrivateKey
from cmpkit.plugins import Plugins

__all__ = ["MANIFEST", "SIGNATURE", "BundleSigner", "check_signature", "sign_manifest"]

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.p7m"


@dataclass(frozen=True, slots=True)
class BundleSigner:
    """Who signs bundles.

    :param certificate: DER.
    :param key: its private key.
    """

    certificate: bytes
    key: PrivateKey


async def sign_manifest(octets: bytes, signer: BundleSigner, plugins: Plugins) -> bytes:
    """DER of a ContentInfo with SignedData over a manifest.

    :raises CMPError: if the key does not sign.
    """
    signed = await sign_content(octets, oids.DATA, key=signer.key, certificates=(signer.certificate,), plugins=plugins)
    return encode(ContentInfo(content_type=oids.SIGNED_DATA, content=to_tlv(signed)))


def check_signature(signature: bytes, octets: bytes, signers: Sequence[bytes], plugins: Plugins) -> bytes:
    """DER of the certificate of who signed a manifest.

    :param signature: empty if there is none.
    :param octets: the manifest that was read.
    :param signers: DER of the certificates that may have signed it; they are believed as they are.
    :raises TrustError: if none of them did.
    """
    if not signature:
        raise _untrusted("it is not signed")
    try:
        content = decode(ContentInfo, signature)
        if content.content_type != oids.SIGNED_DATA:
            raise _untrusted("its signature is no SignedData")
        verified = verify_content(parse_tlv(content.content, SignedData), content_types=(oids.DATA,), plugins=plugins)
    except TrustError:
        raise
    except CMPError as error:
        raise _untrusted(f"its signature is not to be believed: {error.detail}") from error
    if verified.content != octets:
        raise _untrusted("its signature is that of another manifest")
    if verified.signer not in signers:
        raise _untrusted("somebody else signed it")
    return verified.signer


def _untrusted(detail: str) -> TrustError:
    return TrustError(detail, PKIFailureInfo.SIGNER_NOT_TRUSTED, hint="get the bundle again from who signs it")
