"""What the commands that get a certificate share: their files, and what they tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cmpkit.cli.operations import Work
from cmpkit.cli.results import Result, describe_certificate, summarise
from cmpkit.crypto.keys import write_file_atomically
from cmpkit.crypto.x509 import to_pem
from cmpkit.endpoints.enrolled import Enrolled

__all__ = ["write_certificate"]

_DONE = {"enroll": "enrolled", "certify": "certified", "update": "updated", "p10": "certified"}


def write_certificate(enrolled: Enrolled, work: Work) -> Result:
    """Write the certificate and what came with it into their files, the certificate last.

    :raises ConfigurationError: if a file cannot be written.
    """
    outputs = work.job.outputs
    assert outputs is not None
    files: list[tuple[str, Path]] = []
    for label, path, ders in (
        ("CA certificates", outputs.cacertsout, enrolled.ca_pubs),
        ("chain", outputs.chainout, enrolled.chain),
        ("certificate", outputs.certout, (enrolled.certificate,)),
    ):
        if path is not None:
            write_file_atomically(path, to_pem(*ders))
            files.insert(0, (label, path))
    described = describe_certificate(enrolled.certificate)
    facts = [
        ("serial number", described["serial_number"]),
        ("issuer", described["issuer"]),
        ("valid", f"{described['not_before']} to {described['not_after']}"),
        *((label, str(path)) for label, path in files),
        *_key_facts(work),
        *_ca_facts(enrolled, work),
    ]
    headline = f"{_DONE[work.job.command]} {described['subject']}"
    return Result(headline, facts, {"command": work.job.command, **_values(enrolled, work, described)})


def _key_facts(work: Work) -> list[tuple[str, str]]:
    if work.key is None or work.key.path is None:
        return []
    return [("key", f"{work.key.path}{' (new)' if work.key.made else ''}")]


def _ca_facts(enrolled: Enrolled, work: Work) -> list[tuple[str, str]]:
    """What became of the trust anchors that the server offers: nobody trusts them without having seen them."""
    adopted = work.job.request.adopt_ca_pubs
    label = "adopted as trust anchor" if adopted else "offered as trust anchor, not adopted"
    return [(label, summarise(der)) for der in enrolled.ca_pubs if der not in work.anchors]


def _values(enrolled: Enrolled, work: Work, described: dict[str, str]) -> dict[str, Any]:
    outputs = work.job.outputs
    assert outputs is not None
    paths = {"certout": outputs.certout, "chainout": outputs.chainout, "cacertsout": outputs.cacertsout}
    if work.key is not None:
        paths["newkey"] = work.key.path
    return {
        "certificate": described,
        **{name: str(path) for name, path in paths.items() if path is not None},
        "chain": [describe_certificate(der) for der in enrolled.chain],
        "ca_pubs": [describe_certificate(der) for der in enrolled.ca_pubs],
        "ca_pubs_adopted": work.job.request.adopt_ca_pubs,
    }
