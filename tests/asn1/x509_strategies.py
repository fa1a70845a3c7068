"""Hypothesis strategies for algorithms, certificates, lists and PKCS#10 requests."""

from __future__ import annotations

import datetime
from typing import Any

from base_strategies import (
    bit_strings,
    distinguished_names,
    integers,
    object_identifiers,
    octets,
    optional,
    some,
    times,
    tlvs,
)
from cryptography import x509
from hypothesis import strategies as st

from cmpkit import asn1, oids
from cmpkit.asn1 import BitString, SetOf, UTCTime

algorithm_identifiers = st.builds(asn1.AlgorithmIdentifier, object_identifiers, optional(tlvs))
public_keys = st.builds(asn1.SubjectPublicKeyInfo, algorithm=algorithm_identifiers, subject_public_key=bit_strings)
extensions = st.builds(asn1.Extension, extn_id=object_identifiers, critical=st.booleans(), extn_value=octets)
validities = st.builds(asn1.Validity, not_before=times, not_after=times)
revoked_certificates = st.builds(
    asn1.RevokedCertificate,
    user_certificate=integers,
    revocation_date=times,
    crl_entry_extensions=optional(some(extensions)),
)
tbs_certificates = st.builds(
    asn1.TBSCertificate,
    version=st.integers(0, 2),
    serial_number=integers,
    signature=algorithm_identifiers,
    issuer=distinguished_names.map(asn1.to_tlv),
    validity=validities,
    subject=distinguished_names.map(asn1.to_tlv),
    subject_public_key_info=public_keys.map(asn1.to_tlv),
    issuer_unique_id=optional(bit_strings),
    subject_unique_id=optional(bit_strings),
    extensions=optional(some(extensions)),
)
certificates = st.builds(
    asn1.CertificateWire,
    tbs_certificate=tbs_certificates.map(asn1.to_tlv),
    signature_algorithm=algorithm_identifiers,
    signature_value=bit_strings,
)
tbs_cert_lists = st.builds(
    asn1.TBSCertList,
    version=optional(st.just(1)),
    signature=algorithm_identifiers,
    issuer=distinguished_names,
    this_update=times,
    next_update=optional(times),
    revoked_certificates=optional(some(revoked_certificates)),
    crl_extensions=optional(some(extensions)),
)
certificate_lists = st.builds(
    asn1.CertificateList,
    tbs_cert_list=tbs_cert_lists.map(asn1.to_tlv),
    signature_algorithm=algorithm_identifiers,
    signature_value=bit_strings,
)
attributes = st.builds(asn1.Attribute, type=object_identifiers, values=some(tlvs, 1).map(SetOf))
certification_request_infos = st.builds(
    asn1.CertificationRequestInfo,
    version=st.just(0),
    subject=distinguished_names,
    subject_pk_info=public_keys,
    attributes=st.lists(attributes, max_size=1).map(SetOf),
)
certification_requests = st.builds(
    asn1.CertificationRequest,
    certification_request_info=certification_request_infos.map(asn1.to_tlv),
    signature_algorithm=algorithm_identifiers,
    signature=bit_strings,
)


def _certificate(**fields: Any) -> asn1.CertificateWire:
    """A certificate; ``fields`` are those of its signed part that may be absent."""
    algorithm = asn1.AlgorithmIdentifier(oids.ECDSA_SHA256)
    key = asn1.SubjectPublicKeyInfo(algorithm=algorithm, subject_public_key=BitString(b"key", 0))
    name = asn1.to_tlv(x509.Name.from_rfc4514_string("CN=x,O=y"))
    tbs = asn1.TBSCertificate(
        serial_number=1,
        signature=algorithm,
        issuer=name,
        validity=asn1.Validity(not_before=_MOMENT, not_after=_MOMENT),
        subject=name,
        subject_public_key_info=asn1.to_tlv(key),
        **fields,
    )
    return asn1.CertificateWire(
        tbs_certificate=asn1.to_tlv(tbs), signature_algorithm=algorithm, signature_value=BitString(b"signature", 0)
    )


_MOMENT = UTCTime(datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC))
_EXTENSION = asn1.Extension(extn_id=oids.KEY_USAGE, critical=True, extn_value=b"")
few_certificates = st.sampled_from(
    [
        _certificate(),
        _certificate(version=1, subject_unique_id=BitString(b"\x80", 7)),
        _certificate(version=2, extensions=[_EXTENSION]),
    ]
)
"""Certificates where others are the point: drawing the fields of each takes long."""
few_certificate_lists = st.sampled_from(
    [
        asn1.CertificateList(
            tbs_cert_list=asn1.to_tlv(
                asn1.TBSCertList(
                    version=version,
                    signature=asn1.AlgorithmIdentifier(oids.ECDSA_SHA256),
                    issuer=x509.Name.from_rfc4514_string("CN=x"),
                    this_update=_MOMENT,
                    crl_extensions=extensions_of_list,
                )
            ),
            signature_algorithm=asn1.AlgorithmIdentifier(oids.ECDSA_SHA256),
            signature_value=BitString(b"signature", 0),
        )
        for version, extensions_of_list in ((None, None), (1, [_EXTENSION]))
    ]
)
