"""Kinds of keys in request templates: RSA by its length, every other one by its AlgorithmIdentifier."""

from __future__ import annotations

import pytest
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier
from cmpkit.crypto.key_specs import key_specifications, key_type_names
from cmpkit.errors import ConfigurationError
from cmpkit.parts import RequestTemplate
from cmpkit.plugins import Plugins


def test_ec_keys_are_named_by_their_curve(plugins: Plugins) -> None:
    algorithms, lengths = key_specifications(["p256", "p384"], plugins)
    assert algorithms == (
        AlgorithmIdentifier(oids.EC_PUBLIC_KEY, oids.SECP256R1),
        AlgorithmIdentifier(oids.EC_PUBLIC_KEY, oids.SECP384R1),
    )
    assert lengths == ()


def test_rsa_keys_are_named_by_their_length_and_none_is_made(plugins: Plugins) -> None:
    assert key_specifications(["rsa4096", "rsa16384"], plugins) == ((), (4096, 16384))


def test_every_type_that_can_be_made_has_a_name_that_leads_back(plugins: Plugins) -> None:
    others = [name for name in plugins.key_types if not name.startswith("rsa")]
    algorithms, lengths = key_specifications(plugins.key_types, plugins)
    assert len(set(algorithms)) == len(others)
    template = RequestTemplate(key_algorithms=algorithms, rsa_key_lengths=lengths)
    assert sorted(key_type_names(template, plugins)) == sorted(plugins.key_types)


def test_a_kind_that_no_plugin_brings_is_shown_by_its_oid(plugins: Plugins) -> None:
    template = RequestTemplate(key_algorithms=(AlgorithmIdentifier(ObjectIdentifier("1.2.3")),))
    assert key_type_names(template, plugins) == ("1.2.3",)


def test_a_type_that_there_is_not_is_a_mistake(plugins: Plugins) -> None:
    with pytest.raises(ConfigurationError, match="no key algorithm"):
        key_specifications(["dsa1024"], plugins)
