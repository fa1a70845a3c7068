"""What a policy makes of a request, compared with what was asked for (RFC 4211 section 5)."""

from __future__ import annotations

from cmpkit.crypto.names import names_match
from cmpkit.parts import CertificateRequest

__all__ = ["is_modified"]


def is_modified(asked: CertificateRequest, allowed: CertificateRequest) -> bool:
    """Whether something that was asked for is another thing now: the requester is told so (grantedWithMods, R-071).

    What is filled in where nothing was asked for is no modification.

    :param asked: the request as it came.
    :param allowed: the request as the policy allows it.
    """
    if _says_another_subject(asked, allowed):
        return True
    if allowed.extensions is not asked.extensions and any(one not in allowed.extensions for one in asked.extensions):
        return True
    return (asked.not_before is not None and asked.not_before != allowed.not_before) or (
        asked.not_after is not None and asked.not_after != allowed.not_after
    )


def _says_another_subject(asked: CertificateRequest, allowed: CertificateRequest) -> bool:
    if asked.subject is None or asked.subject is allowed.subject or not asked.subject.rdns:
        return False
    return allowed.subject is None or not names_match(asked.subject, allowed.subject)
