"""Whether what protects the messages of a client is as strong as the key that it wants certified (R-176)."""

from __future__ import annotations

from cmpkit.crypto.strength import certificate_strength, key_strength, secret_strength
from cmpkit.doctor.probing import Report
from cmpkit.endpoints.credentials import Credentials
from cmpkit.parts import Check, Layer, PrivateKey, SharedSecret, Verdict
from cmpkit.plugins import Plugins

__all__ = ["examine_strength"]


_USUAL = "p256"


def examine_strength(credentials: Credentials, key: PrivateKey | None, plugins: Plugins, report: Report) -> None:
    """Report credentials that are weaker than a key; others are nothing to speak of.

    :param key: the key to certify; ``None`` stands for one as clients make it by themselves.
    """
    key_type = _USUAL if key is None else key.key_type
    if isinstance(credentials, SharedSecret):
        own, what, advice = secret_strength(credentials), "the shared secret", "have a longer one made at random"
    else:
        strength = certificate_strength(credentials.certificate, plugins)
        if strength is None:
            return
        own, what, advice = strength, "the key of the certificate", "enrol by a stronger credential"
    wanted = key_strength(key_type)
    if wanted is not None and own < wanted:
        detail = f"{what} has at most {own} bits of security, a {key_type} key has {wanted} (RFC 9810 section 8.7)"
        report(Check("strength", Layer.OPERATION, Verdict.NOTE, detail, advice))
