"""Proof of possession by a secret that the requester's key and one of the server's agree on (RFC 4211 section 4.3).

A MAC under it, by DHBasedMac, stands in agreeMAC or in place of a signature (RFC 9810 sections 5.1.3.2 and 5.2.8.2).
Who asks must know the server's certificate before: caProtEncCert tells it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    BitString,
    CertRequest,
    PKMACValue,
    POPOPrivKey,
    POPOSigningKey,
    ProofOfPossession,
    Variant,
    encode,
    make_element,
    read_public_key_info,
)
from cmpkit.crypto.protection import find_protection, verify_protection
from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import AgreementKey, PrivateKey, ProtectionKind, RandomOctets, SharedSecret
from cmpkit.plugins import Plugins
from cmpkit.tolerances import STRICT, Leniency

__all__ = ["AgreedProof", "prove_by_agreement", "verify_agreed_mac"]

_RULE: Final = "RFC 4211 section 4.3"


@dataclass(frozen=True, slots=True)
class AgreedProof:
    """That a key is to be proven by a MAC under a secret that it agrees on with a key of the server's.

    :param certificate: of the server's key, DER. It must be of the kind of the key that is to be proven, on its curve.
    :param as_signature: whether the MAC takes the place of a signature (RFC 9810 section 5.2.8.2), which pvno 2 knows,
        too; otherwise it is in agreeMAC.
    """

    certificate: bytes
    as_signature: bool = False


async def prove_by_agreement(
    request: CertRequest,
    key: PrivateKey,
    how: AgreedProof,
    *,
    plugins: Plugins,
    random: RandomOctets = secrets.token_bytes,
) -> ProofOfPossession:
    """The proof, over the whole request.

    :param request: what is asked for, as it will be sent, with subject and public key.
    :param random: where random octets of the MAC's parameters come from.
    :raises CMPError: badPOP if the key cannot agree with that of the server, or the request lacks subject or key;
        badAlg if no plugin brings DHBasedMac.
    """
    template = request.cert_template
    if template.subject is None or template.public_key is None:
        raise _bad_pop("a proof by agreement needs subject and public key in the template", "give the subject")
    servers = certificate_public_key_info(how.certificate)
    if not isinstance(key, AgreementKey) or not _same_kind(key.public_key_info, servers):
        raise _bad_pop(
            f"the key of type {key.key_type} cannot agree on a secret with that of the server",
            "use a key of the type that the server's certificate has",
        )
    secret = SharedSecret(b"", await key.agree(servers))
    protection = find_protection(plugins, oids.DH_BASED_MAC)
    algorithm = protection.algorithm(secret, random=random)
    mac = BitString(await protection.protect(encode(request), algorithm, secret), 0)
    if how.as_signature:
        return Variant(POPOSigningKey(algorithm_identifier=algorithm, signature=mac), "signature")
    private: Any = Variant(PKMACValue(alg_id=algorithm, value=mac), "agree_mac")
    return Variant(make_element(private, POPOPrivKey), "key_agreement")


async def verify_agreed_mac(
    octets: bytes,
    algorithm: AlgorithmIdentifier,
    mac: bytes,
    public_key_info: bytes,
    *,
    keys: Iterable[PrivateKey],
    plugins: Plugins,
    leniency: Leniency = STRICT,
) -> None:
    """Check a MAC over a request.

    :param public_key_info: DER of the requester's key.
    :param keys: the server's private keys; one of its kind is needed.
    :param leniency: what is let pass.
    :raises CMPError: badPOP if the MAC does not fit, or there is no such key; badAlg if it is no DHBasedMac, or its
        parameters are not accepted.
    """
    protection = find_protection(plugins, algorithm.algorithm)
    if protection.kind is not ProtectionKind.AGREEMENT:
        raise CMPError(
            f"{algorithm.algorithm.dotted_string} is no MAC under an agreed secret",
            PKIFailureInfo.BAD_ALG,
            rule=_RULE,
            hint="use DHBasedMac",
        )
    fault = _bad_pop(
        "no key of this server can agree on a secret with the requester's",
        "use a key of the type that caProtEncCert has, or prove it in another way",
    )
    for key in _able(keys, public_key_info):
        secret = SharedSecret(b"", await key.agree(public_key_info))
        try:
            await verify_protection(protection, octets, algorithm, mac, secret, leniency=leniency)
        except CMPError as error:
            if error.fail_info is not PKIFailureInfo.BAD_MESSAGE_CHECK:
                raise
            fault = _bad_pop("the MAC does not fit the agreed secret", "is it for another key of the server?")
        else:
            return
    raise fault


def _able(keys: Iterable[PrivateKey], public_key_info: bytes) -> Iterator[Any]:
    for key in keys:
        if isinstance(key, AgreementKey) and _same_kind(key.public_key_info, public_key_info):
            yield key


def _same_kind(one: bytes, other: bytes) -> bool:
    """Whether two keys are of one algorithm, on one curve."""
    return read_public_key_info(one).algorithm == read_public_key_info(other).algorithm


def _bad_pop(detail: str, hint: str) -> CMPError:
    return CMPError(detail, PKIFailureInfo.BAD_POP, rule=_RULE, hint=hint)
