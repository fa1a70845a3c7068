"""Hypothesis strategies for what the extensions of certificates hold."""

from __future__ import annotations

from base_strategies import bit_strings, general_names, integers, object_identifiers, octets, optional, some
from hypothesis import strategies as st

from cmpkit import asn1

# pyasn1 leaves out an optional field in which it finds nothing but a name without attributes.
names = some(general_names.filter(lambda name: name.tag != "directory_name" or bool(name.value.rdns)))

basic_constraints = st.builds(asn1.BasicConstraints, c_a=st.booleans(), path_len_constraint=optional(st.integers(0, 9)))
authority_key_identifiers = st.builds(
    asn1.AuthorityKeyIdentifier,
    key_identifier=optional(octets),
    authority_cert_issuer=optional(
        names.map(lambda values: [asn1.make_element(name, asn1.GeneralName) for name in values])
    ),
    authority_cert_serial_number=optional(integers),
)
distribution_points = st.builds(
    asn1.DistributionPoint,
    distribution_point=optional(st.builds(asn1.DistributionPointName, full_name=names)),
    reasons=optional(bit_strings),
    crl_issuer=optional(names),
)
general_subtrees = st.builds(
    asn1.GeneralSubtree, base=general_names, minimum=st.integers(0, 9), maximum=optional(st.integers(0, 9))
)
name_constraints = st.builds(
    asn1.NameConstraints,
    permitted_subtrees=optional(some(general_subtrees)),
    excluded_subtrees=optional(some(general_subtrees)),
)
access_descriptions = st.builds(asn1.AccessDescription, access_method=object_identifiers, access_location=general_names)
