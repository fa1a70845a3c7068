"""Kinds of keys as a request template names them: algId and rsaKeyLen (RFC 9810 section 5.3.19.16)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, Null, read_public_key_info
from cmpkit.parts import KeyAlgorithm, RequestTemplate
from cmpkit.plugins import Plugins

__all__ = ["algorithms_of", "key_algorithm_name", "key_specifications", "key_type_names", "key_type_of"]

_RSA = re.compile(r"rsa([0-9]+)")
_RSA_KEYS = AlgorithmIdentifier(oids.RSA_ENCRYPTION, Null())


def key_specifications(
    key_types: Iterable[str], plugins: Plugins
) -> tuple[tuple[AlgorithmIdentifier, ...], tuple[int, ...]]:
    """The algorithms of some types of keys, and the lengths in bits of those that are RSA.

    :param key_types: names as ``--newkey-type`` knows them.
    :raises ConfigurationError: if no plugin brings one.
    """
    algorithms, lengths = [], []
    for key_type in key_types:
        if rsa := _RSA.fullmatch(key_type):
            lengths.append(int(rsa[1]))
        else:
            algorithms.append(_algorithm(plugins.require("key algorithm", key_type), key_type))
    return tuple(algorithms), tuple(lengths)


def key_type_names(template: RequestTemplate, plugins: Plugins) -> tuple[str, ...]:
    """The types of keys that a template names, as ``--newkey-type`` knows them; an OID for what no plugin brings."""
    known = {
        _algorithm(plugins.require("key algorithm", name), name): name
        for name in plugins.key_types
        if not _RSA.match(name)
    }
    named = (known.get(item, item.algorithm.dotted_string) for item in template.key_algorithms)
    return (*named, *(f"rsa{length}" for length in template.rsa_key_lengths))


def key_algorithm_name(key_type: str, plugins: Plugins) -> AlgorithmIdentifier:
    """What a SubjectPublicKeyInfo says of the algorithm of such a key; of RSA keys, it does not tell the length.

    :raises ConfigurationError: if no plugin brings it.
    """
    if _RSA.fullmatch(key_type):
        return _RSA_KEYS
    return _algorithm(plugins.require("key algorithm", key_type), key_type)


def key_type_of(algorithm: AlgorithmIdentifier, key_types: Iterable[str], plugins: Plugins) -> str | None:
    """The first of some types of keys that is of an algorithm, or ``None``.

    :param algorithm: as a SubjectPublicKeyInfo has it.
    :param key_types: names as ``--newkey-type`` knows them.
    :raises ConfigurationError: if no plugin brings one.
    """
    for key_type in key_types:
        if _RSA.fullmatch(key_type):
            if algorithm.algorithm == oids.RSA_ENCRYPTION:
                return key_type
        elif algorithm == _algorithm(plugins.require("key algorithm", key_type), key_type):
            return key_type
    return None


def algorithms_of(part: KeyAlgorithm) -> tuple[AlgorithmIdentifier, ...]:
    """What a SubjectPublicKeyInfo says of the algorithm of keys of one family, each curve by itself."""
    family: Any = part
    named = (_RSA_KEYS if _RSA.fullmatch(name) else _algorithm(family, name) for name in part.key_types)
    return tuple(dict.fromkeys(named))


@lru_cache(maxsize=64)
def _algorithm(part: Any, key_type: str) -> AlgorithmIdentifier:
    """What a key algorithm identifies a type of key by, as a key of that type shows."""
    algorithm: AlgorithmIdentifier = read_public_key_info(part.generate(key_type).public_key_info).algorithm
    return algorithm
