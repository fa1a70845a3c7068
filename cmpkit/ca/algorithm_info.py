"""What a genm may ask about algorithms, and in which language a CA speaks (RFC 9810 sections 5.3.19.2 to 5.3.19.13)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import TLV, AlgorithmIdentifier, InfoTypeAndValue, Null, decode_list, encode, encode_list, parse_tlv
from cmpkit.ca.info import check_absent
from cmpkit.crypto.key_specs import algorithms_of
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import InfoContext

__all__ = [
    "EncKeyPairTypesInfo",
    "KeyPairParamInfo",
    "PreferredSymmAlgInfo",
    "SignKeyPairTypesInfo",
    "SuppLangTagsInfo",
]

_RSA: Final = AlgorithmIdentifier(oids.RSA_ENCRYPTION, Null())
_SIGNING: Final = frozenset({"digitalSignature"})
_ENCRYPTING: Final = frozenset({"keyEncipherment", "keyAgreement"})
_LANGUAGE: Final = "en"
"""Of every text that is sent (RFC 5646)."""


async def _allowed(context: InfoContext, usages: frozenset[str]) -> list[AlgorithmIdentifier]:
    """Of the keys that the sender may have certified, the algorithms of those that are good for a usage."""
    wanted: set[AlgorithmIdentifier] | None = None
    if context.policy is not None:
        template = await context.policy.request_template(context.profile, context.auth, now=context.now)
        named = {*template.key_algorithms, *([_RSA] if template.rsa_key_lengths else [])}
        wanted = named or None
    known = (item for part in context.key_algorithms if part.key_usages & usages for item in algorithms_of(part))
    return [item for item in dict.fromkeys(known) if wanted is None or item in wanted]


class SignKeyPairTypesInfo:
    """signKeyPairTypes: keys for signing that get certificates, each curve by itself (RFC 9810 section 5.3.19.2)."""

    oid: ObjectIdentifier = oids.SIGN_KEY_PAIR_TYPES
    name = "signKeyPairTypes"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """Those of the profile that certProfile names, else of the one that the sender gets."""
        check_absent(value, self.name, "RFC 9810 section 5.3.19.2")
        return _list(self.oid, await _allowed(context, _SIGNING))


class EncKeyPairTypesInfo:
    """encKeyPairTypes: keys for encryption or key agreement that get certificates (RFC 9810 section 5.3.19.3)."""

    oid: ObjectIdentifier = oids.ENC_KEY_PAIR_TYPES
    name = "encKeyPairTypes"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """As for signKeyPairTypes."""
        check_absent(value, self.name, "RFC 9810 section 5.3.19.3")
        return _list(self.oid, await _allowed(context, _ENCRYPTING))


def _list(oid: ObjectIdentifier, algorithms: list[AlgorithmIdentifier]) -> InfoTypeAndValue:
    return InfoTypeAndValue(oid, encode_list(algorithms) if algorithms else None)


class PreferredSymmAlgInfo:
    """preferredSymmAlg: what to encrypt contents by, as the answers here are (RFC 9810 section 5.3.19.4)."""

    oid: ObjectIdentifier = oids.PREFERRED_SYMM_ALG
    name = "preferredSymmAlg"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """AES-256 in CBC mode; who uses it puts the initialisation vector into the parameters."""
        check_absent(value, self.name, "RFC 9810 section 5.3.19.4")
        return InfoTypeAndValue(self.oid, AlgorithmIdentifier(oids.AES256_CBC))


class KeyPairParamInfo:
    """keyPairParamReq: the parameters for keys of an algorithm (RFC 9810 sections 5.3.19.8)."""

    oid: ObjectIdentifier = oids.KEY_PAIR_PARAM_REQ
    name = "keyPairParamReq"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """keyPairParamRep: of EC keys the first curve that is allowed; nothing for keys that get no certificates."""
        if value is None:
            raise CMPError(
                "keyPairParamReq names no algorithm", PKIFailureInfo.BAD_DATA_FORMAT, rule="RFC 9810 section 5.3.19.8"
            )
        asked = parse_tlv(value, ObjectIdentifier)
        found = [item for item in await _allowed(context, _SIGNING | _ENCRYPTING) if item.algorithm == asked]
        return InfoTypeAndValue(oids.KEY_PAIR_PARAM_REP, found[0] if found else None)


class SuppLangTagsInfo:
    """suppLangTags: the language of texts; all of ours are English (RFC 9810 section 5.3.19.13)."""

    oid: ObjectIdentifier = oids.SUPP_LANG_TAGS
    name = "suppLangTags"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        """The first of the offered tags that is of that language, by RFC 4647 section 3.3.1."""
        offered = list(_offered(value))
        found = next((tag for tag in offered if tag.lower().partition("-")[0] == _LANGUAGE), None)
        if found is None:
            raise CMPError(
                f"texts are in {_LANGUAGE}, not in {', '.join(offered) or 'no language'}",
                PKIFailureInfo.ADD_INFO_NOT_AVAILABLE,
                rule="RFC 9810 section 5.3.19.13",
                hint=f"offer {_LANGUAGE}, too",
                status_text=f"texts are in {_LANGUAGE} only",
            )
        return InfoTypeAndValue(self.oid, encode_list([found]))


def _offered(value: TLV | None) -> Iterator[str]:
    if value is not None:
        yield from decode_list(str, encode(value))
