"""Hypothesis strategies for base types and names: any value that a type can hold, and pyasn1 can write.

pyasn1 drops an OPTIONAL field that is there and empty (a NULL-DN in a template) and zeros from the fraction of a
GeneralizedTime, and writes -128 and its like with an octet too many: test_values.py has these.
"""

from __future__ import annotations

import datetime
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import strategies as st

from cmpkit import asn1, oids
from cmpkit.asn1 import TLV, BitString, GeneralizedTime, IA5String, Null, PrintableString, UTCTime, Variant

PRINTABLE = "abcXYZ019 '()+,-./:=?"


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The value, or its absence."""
    return st.none() | strategy


def some(strategy: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[Any]:
    """``SEQUENCE SIZE (1..MAX) OF``, short."""
    return st.lists(strategy, min_size=1, max_size=most)


octets = st.binary(max_size=40)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
integers = st.integers(-(2**70), 2**160).filter(lambda n: n >= 0 or -n & (-n - 1)) | st.integers(-1, 3)
ia5_strings = st.text(st.characters(max_codepoint=127), max_size=12).map(IA5String)
printable_strings = st.text(PRINTABLE, max_size=12).map(PrintableString)
directory_strings = texts.filter(bool) | st.text(PRINTABLE, min_size=1, max_size=12).map(PrintableString)
arcs = st.lists(st.integers(0, 2**32), min_size=1, max_size=6)
object_identifiers = st.sampled_from(
    [oid for oid in vars(oids).values() if isinstance(oid, x509.ObjectIdentifier)]
) | st.builds(
    lambda first, rest: x509.ObjectIdentifier(".".join(map(str, (1, first, *rest)))), st.integers(0, 39), arcs
)


@st.composite
def _bit_strings(draw: st.DrawFn) -> BitString:
    data = draw(octets)
    unused = draw(st.integers(0, 7)) if data else 0
    return BitString(data[:-1] + bytes([data[-1] >> unused << unused]) if data else b"", unused)


bit_strings = _bit_strings()
moments = st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31), timezones=st.just(datetime.UTC))
generalized_times = st.builds(
    lambda moment, fraction: GeneralizedTime(moment.replace(microsecond=fraction)),
    moments,
    st.sampled_from([0, 500_000, 120_000, 789_000]),
)
utc_times = (
    st.datetimes(datetime.datetime(1950, 1, 1), datetime.datetime(2049, 12, 31), timezones=st.just(datetime.UTC))
    .map(lambda moment: moment.replace(microsecond=0))
    .map(UTCTime)
)
times = utc_times | st.builds(
    lambda moment: GeneralizedTime(moment.replace(microsecond=0)),
    st.datetimes(datetime.datetime(2050, 1, 1), timezones=st.just(datetime.UTC)),
)
tlvs: st.SearchStrategy[TLV] = st.one_of(
    integers, octets.map(asn1.encode), texts, st.just(Null()), bit_strings, generalized_times
).map(asn1.to_tlv)
attributes_of_names = st.one_of(
    st.builds(lambda value: x509.NameAttribute(NameOID.COMMON_NAME, value), texts.filter(bool).map(lambda t: t[:16])),
    st.builds(lambda value: x509.NameAttribute(NameOID.ORGANIZATION_NAME, value), texts),
    st.builds(lambda value: x509.NameAttribute(NameOID.SERIAL_NUMBER, value), st.text(PRINTABLE, max_size=9)),
    st.sampled_from(["DE", "US"]).map(lambda value: x509.NameAttribute(NameOID.COUNTRY_NAME, value)),
)
relative_names = st.lists(attributes_of_names, min_size=1, max_size=2, unique_by=lambda attribute: attribute.oid).map(
    x509.RelativeDistinguishedName
)
distinguished_names = st.lists(relative_names, max_size=3).map(x509.Name)
names_in_templates = some(relative_names).map(x509.Name).map(asn1.RDNSequence.of)
general_names: st.SearchStrategy[Any] = st.one_of(
    distinguished_names.map(asn1.directory_name),
    st.builds(asn1.AnotherName, type_id=object_identifiers, value=tlvs).map(lambda name: Variant(name, "other_name")),
    ia5_strings.map(lambda name: Variant(name, "rfc822_name")),
    ia5_strings.map(lambda name: Variant(name, "dns_name")),
    ia5_strings.map(lambda name: Variant(name, "uniform_resource_identifier")),
    st.builds(asn1.EDIPartyName, name_assigner=optional(directory_strings), party_name=directory_strings).map(
        lambda name: Variant(name, "edi_party_name")
    ),
    octets.map(lambda name: Variant(name, "ip_address")),
    object_identifiers.map(lambda name: Variant(name, "registered_id")),
)
named_general_names = general_names.filter(lambda name: name.tag != "directory_name" or name.value.rdns)
