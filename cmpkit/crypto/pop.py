"""Proof of possession: shown and checked (RFC 4211 section 4, RFC 9810 section 5.2.8, RFC 2986)."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Sequence
from typing import NoReturn

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    TLV,
    AlgorithmIdentifier,
    Attribute,
    BitString,
    CertificationRequest,
    CertificationRequestInfo,
    CertReqMsg,
    CertRequest,
    CertTemplate,
    Extension,
    GeneralName,
    PKMACValue,
    POPOPrivKey,
    POPOSigningKey,
    POPOSigningKeyInput,
    ProofOfPossession,
    SetOf,
    SubjectPublicKeyInfo,
    Variant,
    decode,
    decode_general_name,
    decode_list,
    encode,
    encode_general_name,
    encode_list,
    read_element,
    to_tlv,
)
from cmpkit.crypto.agreed_proof import verify_agreed_mac
from cmpkit.crypto.later_proof import later_popo_faults, proof_method
from cmpkit.crypto.names import names_match
from cmpkit.crypto.protection import mac_protection, verify_protection
from cmpkit.enums import PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError, fault_of, raise_first
from cmpkit.parts import PrivateKey, RandomOctets, SharedSecret
from cmpkit.plugins import Plugins
from cmpkit.tolerances import STRICT, Leniency

__all__ = [
    "build_p10",
    "leaves_key_to_server",
    "mac_public_key",
    "p10_extensions",
    "popo_faults",
    "sign_popo",
    "verify_p10",
    "verify_popo",
]

_SIGNATURE_RULE = "RFC 4211 section 4.1"
_P10_RULE = "RFC 2986 section 4"


async def verify_popo(
    message: CertReqMsg,
    *,
    sender: GeneralName,
    plugins: Plugins,
    ra_verified: bool = False,
    secret: SharedSecret | None = None,
    others: Collection[ProofMethod] = (),
    keys: Sequence[PrivateKey] = (),
    leniency: Leniency = STRICT,
) -> None:
    """Check that the requester has the private key: by its signature, or by the word of an RA.

    There is nothing to prove where the key is left to the server.

    :param sender: the sender of the message's header.
    :param ra_verified: whether the sender may vouch for the requester (raVerified).
    :param secret: what the sender is authenticated by, for a proof with publicKeyMAC.
    :param others: the methods that are taken for keys that do not sign. Where the proof comes after the request, to see
        to it is left to the caller.
    :param keys: private keys of ours that secrets may be agreed on with, for a MAC in place of a signature.
    :param leniency: what is let pass.
    :raises CMPError: badPOP if the proof fails or is missing, badCertTemplate if there is no key to prove, badAlg if
        the key or an algorithm is not accepted.
    """
    raise_first(popo_faults(message, ra_verified=ra_verified, others=others), leniency)
    if message.popo is None or message.popo.tag == "ra_verified":
        return
    proof = message.popo.value
    public_key_info = _template_key(message.request.cert_template)
    if not isinstance(proof, POPOSigningKey):
        assert isinstance(proof, TLV)
        private = read_element(proof, POPOPrivKey).value
        if not isinstance(private, PKMACValue):
            raise_first(later_popo_faults(message, public_key_info, plugins), leniency)
            return
        mac, signed = _whole_octets(private.value), message.request_der
        await verify_agreed_mac(
            signed, private.alg_id, mac, public_key_info, keys=keys, plugins=plugins, leniency=leniency
        )
        return
    if proof.poposk_input is not None:
        await _check_auth_info(proof.poposk_input, sender, secret, plugins, leniency)
    signed = message.request_der if proof.poposk_input is None else encode(proof.poposk_input)
    algorithm = proof.algorithm_identifier
    if algorithm.algorithm == oids.DH_BASED_MAC:
        mac = _whole_octets(proof.signature)
        await verify_agreed_mac(signed, algorithm, mac, public_key_info, keys=keys, plugins=plugins, leniency=leniency)
    else:
        _check_signature(public_key_info, algorithm, signed, proof.signature, plugins=plugins, rule=_SIGNATURE_RULE)


def popo_faults(
    message: CertReqMsg, *, ra_verified: bool = False, others: Collection[ProofMethod] = ()
) -> Iterator[CMPError]:
    """What is wrong with a proof of possession before any signature is looked at (R-062, R-066 to R-069).

    :param message: its request can be read.
    :param ra_verified: whether the sender may vouch for the requester.
    :param others: the methods that are taken for keys that do not sign.
    """
    popo, template = message.popo, message.request.cert_template
    if leaves_key_to_server(template):
        if popo is not None:
            yield CMPError(
                "the template has no public key, and there is a proof of possession",
                PKIFailureInfo.BAD_CERT_TEMPLATE,
                rule="RFC 9483 section 4.1.6",
                hint="put the public key into the template; leave the proof out to have the server generate a key",
            )
        return
    if popo is None:
        yield _bad_pop("there is no proof of possession", "RFC 4211 section 4", hint="prove the key by its signature")
        return
    if popo.tag == "ra_verified":
        if not ra_verified:
            yield _bad_pop(
                "raVerified is only for a registration authority",
                "RFC 9810 section 5.2.8.1",
                hint="prove the key by its signature, or sign the request as a registration authority",
            )
    elif isinstance(popo.value, POPOSigningKey):
        yield from _form_faults(template, popo.value)
    else:
        yield from _other_faults(message, others)


def _other_faults(message: CertReqMsg, others: Collection[ProofMethod]) -> Iterator[CMPError]:
    unreadable = list(fault_of(proof_method, message))
    yield from unreadable
    if unreadable:
        return
    method = proof_method(message)
    if method not in others:
        assert message.popo is not None
        name = "keyEncipherment" if message.popo.tag == "key_encipherment" else "keyAgreement"
        ways = ", ".join(way.value for way in others)
        yield _bad_pop(
            f"this proof by {name} is not supported",
            "RFC 4211 section 4",
            hint=f"prove a signing key by its signature{ways and f', another by {ways}'}",
        )
    elif method is ProofMethod.AGREED_MAC and message.request.cert_template.subject is None:
        yield _bad_pop("agreeMAC needs a subject in the template", "RFC 4211 section 4.3", hint="name the subject")


def leaves_key_to_server(template: CertTemplate) -> bool:
    """Whether the server is to generate the key: there is none, or an empty one that names the algorithm (R-170)."""
    return not _template_key(template)


def _form_faults(template: CertTemplate, proof: POPOSigningKey) -> Iterator[CMPError]:
    """poposkInput is absent if and only if the template has subject and publicKey, and has the same key."""
    if proof.poposk_input is None:
        if template.subject is None:
            yield _bad_pop(
                "poposkInput is missing although the template has no subject",
                _SIGNATURE_RULE,
                hint="put the subject into the template, or sign poposkInput instead of the request",
            )
        return
    if template.subject is not None and template.public_key is not None:
        yield _bad_pop(
            "poposkInput is there although the template has subject and publicKey",
            _SIGNATURE_RULE,
            hint="leave poposkInput out and sign the request",
            tolerance="needless-poposk-input",
        )
    if encode(proof.poposk_input.public_key) != _template_key(template):
        yield _bad_pop(
            "the publicKey of poposkInput is not that of the template",
            _SIGNATURE_RULE,
            hint="put the same key into both",
        )


async def _check_auth_info(
    poposk_input: POPOSigningKeyInput,
    sender: GeneralName,
    secret: SharedSecret | None,
    plugins: Plugins,
    leniency: Leniency,
) -> None:
    auth_info = poposk_input.auth_info.value
    if not isinstance(auth_info, PKMACValue):
        if not _general_names_match(decode_general_name(auth_info), sender):
            raise _bad_pop("the sender in poposkInput is not the sender of the message", _SIGNATURE_RULE)
        return
    if secret is None:
        raise _bad_pop("publicKeyMAC needs a shared secret, the message is not protected by one", _SIGNATURE_RULE)
    protection = mac_protection(plugins, auth_info.alg_id.algorithm)
    try:
        await verify_protection(
            protection,
            encode(poposk_input.public_key),
            auth_info.alg_id,
            _whole_octets(auth_info.value),
            secret,
            leniency=leniency,
        )
    except CMPError as error:
        if error.fail_info is PKIFailureInfo.BAD_MESSAGE_CHECK:
            raise _bad_pop("the MAC over the public key does not fit the secret", _SIGNATURE_RULE) from error
        raise


def _template_key(template: CertTemplate) -> bytes:
    """DER of the key that the template asks a certificate for; empty if there is none."""
    key = template.public_key
    return key.der if key is not None and key.subject_public_key.as_bytes() else b""


def _check_signature(
    public_key_info: bytes,
    algorithm: AlgorithmIdentifier,
    signed: bytes,
    signature: BitString,
    *,
    plugins: Plugins,
    rule: str,
) -> None:
    key_algorithm = plugins.key_algorithm_of(public_key_info)
    key_type = key_algorithm.key_type(public_key_info)
    if algorithm.algorithm not in key_algorithm.signature_oids:
        raise _bad_pop(f"{algorithm.algorithm.dotted_string} is no signature by a key of type {key_type}", rule)
    if not key_algorithm.verify(public_key_info, algorithm, signed, _whole_octets(signature)):
        raise _bad_pop("the signature does not fit the public key", rule)


def _whole_octets(bits: BitString) -> bytes:
    if bits.padding_bits():
        raise _bad_pop("a BIT STRING of the proof has unused bits", _SIGNATURE_RULE)
    return bits.as_bytes()


def _general_names_match(a: GeneralName, b: GeneralName) -> bool:
    if isinstance(a.value, x509.Name) and isinstance(b.value, x509.Name):
        return names_match(a.value, b.value)
    return encode(encode_general_name(a)) == encode(encode_general_name(b))


def _bad_pop(detail: str, rule: str, *, hint: str = "", tolerance: str = "") -> CMPError:
    return CMPError(detail, PKIFailureInfo.BAD_POP, rule=rule, hint=hint, tolerance=tolerance)


async def sign_popo(
    request: CertRequest, key: PrivateKey, *, sender: GeneralName | PKMACValue | None = None
) -> ProofOfPossession:
    """Prove possession by signature, over the request or, where it lacks subject or public key, over poposkInput.

    :param request: what is asked for, as it will be sent.
    :param sender: the sender of the message's header, needed for poposkInput; or what :func:`mac_public_key` makes, of
        who has a shared secret, and no name that was certified.
    :raises CMPError: if the sender is needed and was not given.
    """
    template = request.cert_template
    poposk_input = None
    if template.subject is None or template.public_key is None:
        if sender is None:
            raise CMPError(
                "a template without subject or public key needs the sender for its proof",
                PKIFailureInfo.BAD_POP,
                rule=_SIGNATURE_RULE,
            )
        poposk_input = POPOSigningKeyInput(
            auth_info=Variant(sender, "public_key_mac")
            if isinstance(sender, PKMACValue)
            else Variant(encode_general_name(sender), "sender"),
            public_key=decode(SubjectPublicKeyInfo, key.public_key_info),
        )
    signature = await key.sign(encode(poposk_input or request))
    proof = POPOSigningKey(
        poposk_input=poposk_input,
        algorithm_identifier=key.signature_algorithm,
        signature=BitString(signature, 0),
    )
    return Variant(proof, "signature")


async def mac_public_key(
    public_key_info: bytes,
    secret: SharedSecret,
    plugins: Plugins,
    *,
    random: RandomOctets = secrets.token_bytes,
) -> PKMACValue:
    """publicKeyMAC: the word of who shares a secret with the server that a key is its own (RFC 4211 section 4.1).

    :param public_key_info: DER of the key.
    :param random: where the salt comes from.
    """
    protection = mac_protection(plugins)
    algorithm = protection.algorithm(secret, random=random)
    return PKMACValue(
        alg_id=algorithm, value=BitString(await protection.protect(public_key_info, algorithm, secret), 0)
    )


def verify_p10(request: CertificationRequest, plugins: Plugins) -> None:
    """Check the signature of a PKCS#10 request, which is its proof of possession.

    :raises CMPError: badPOP if it does not fit or the version is not 0, badAlg or badCertTemplate if the key or the
        algorithm is not accepted.
    """
    info = request.info
    if info.version != 0:
        raise _bad_pop(f"PKCS#10 with version {info.version}", _P10_RULE)
    _check_signature(
        encode(info.subject_pk_info),
        request.signature_algorithm,
        encode(request.certification_request_info),
        request.signature,
        plugins=plugins,
        rule=_P10_RULE,
    )


async def build_p10(subject: x509.Name, key: PrivateKey, extensions: tuple[Extension, ...] = ()) -> bytes:
    """DER of a PKCS#10 request, signed with the key.

    :param extensions: for the attribute extensionRequest (RFC 2985 section 5.4.2).
    """
    attributes = []
    if extensions:
        wanted = to_tlv(encode_list(extensions))
        attributes.append(Attribute(type=oids.EXTENSION_REQUEST, values=SetOf([wanted])))
    info = encode(
        CertificationRequestInfo(
            version=0,
            subject=subject,
            subject_pk_info=decode(SubjectPublicKeyInfo, key.public_key_info),
            attributes=SetOf(attributes),
        )
    )
    return encode(
        CertificationRequest(
            certification_request_info=to_tlv(info),
            signature_algorithm=key.signature_algorithm,
            signature=BitString(await key.sign(info), 0),
        )
    )


def p10_extensions(request: CertificationRequest) -> tuple[Extension, ...]:
    """The extensions that a PKCS#10 request asks for by the attribute extensionRequest (RFC 2985 section 5.4.2).

    :raises CMPError: badCertTemplate if there are several such attributes or values, or one extension twice,
        badDataFormat if they cannot be read.
    """
    found = [attribute for attribute in request.info.attributes.as_list() if attribute.type == oids.EXTENSION_REQUEST]
    values = [value for attribute in found for value in attribute.values.as_list()]
    if not values:
        return ()
    if len(values) > 1:
        _refuse_extensions("extensionRequest has more than one value")
    extensions = tuple(decode_list(Extension, encode(values[0])))
    if len({wanted.extn_id for wanted in extensions}) != len(extensions):
        _refuse_extensions("extensionRequest names an extension twice")
    return extensions


def _refuse_extensions(detail: str) -> NoReturn:
    raise CMPError(detail, PKIFailureInfo.BAD_CERT_TEMPLATE, rule="RFC 2985 section 5.4.2")
