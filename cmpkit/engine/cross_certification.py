"""What a ccr must have, and what it must not (RFC 9810 sections 5.3.11 and 6.6, appendix D.6; R-190, R-191)."""

from __future__ import annotations

from collections.abc import Iterator

from cmpkit import oids
from cmpkit.asn1 import TLV, CertReqMsg, CertTemplate, PKIArchiveOptions, POPOPrivKey, read_element
from cmpkit.crypto.pop import leaves_key_to_server
from cmpkit.engine.registration import find_attribute
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, fault_of
from cmpkit.parts import CrossCertification

__all__ = ["complete_template_faults", "cross_certification", "cross_proof_faults", "sent_key_faults"]

_RULE = "RFC 9810 section 6.6 and appendix D.6"


def sent_key_faults(message: CertReqMsg) -> Iterator[CMPError]:
    """The private key of a CA is not sent (R-191)."""
    yield from fault_of(_refuse_sent_key, message)


def _refuse_sent_key(message: CertReqMsg) -> None:
    popo = message.popo
    proof = read_element(popo.value, POPOPrivKey).tag if popo is not None and isinstance(popo.value, TLV) else ""
    control = find_attribute(message.request.controls, oids.PKI_ARCHIVE_OPTIONS)
    archive = "" if control is None else read_element(control.value, PKIArchiveOptions).tag
    if proof in ("this_message", "encrypted_key") or archive == "encrypted_priv_key":
        raise CMPError(
            "the ccr has a private key in it",
            rule="RFC 9810 section 5.3.11",
            hint="keep the key of the CA where it is, and prove it by a signature",
        )


def complete_template_faults(template: CertTemplate) -> Iterator[CMPError]:
    """A ccr says everything but the serial number; which extensions there must be is for the profile to say (R-190)."""
    validity = template.validity
    there = {
        "version": template.version is not None,
        "signingAlg": template.signing_alg is not None,
        "issuer": template.issuer is not None,
        "validity with both ends": validity is not None and None not in (validity.not_before, validity.not_after),
        "subject": template.subject is not None,
        "publicKey": not leaves_key_to_server(template),
        "extensions": template.extensions is not None,
    }
    missing = [name for name, present in there.items() if not present]
    if missing:
        yield CMPError(
            f"the template of the ccr lacks {', '.join(missing)}",
            PKIFailureInfo.BAD_CERT_TEMPLATE,
            rule=_RULE,
            hint="the template must be complete, but for the serial number",
        )


def cross_proof_faults(message: CertReqMsg) -> Iterator[CMPError]:
    """The key of a CA signs, and is proven so (R-190)."""
    if message.popo is None or message.popo.tag != "signature":
        yield CMPError(
            "the key in the ccr is not proven by a signature",
            PKIFailureInfo.BAD_POP,
            rule=_RULE,
            hint="sign the request with the key that is to be certified",
        )


def cross_certification(template: CertTemplate) -> CrossCertification:
    """What a ccr says of its issuer.

    :param template: in which :func:`complete_template_faults` found nothing.
    """
    assert template.issuer is not None
    assert template.signing_alg is not None
    return CrossCertification(template.issuer.name, template.signing_alg)
