"""Whether a source of shared secrets keeps its contract: a check to be awaited in its author's tests."""

from __future__ import annotations

from cmpkit.parts import Grant, SecretRecord, SecretSource, SharedSecret
from cmpkit.testing.contract import require, require_name, require_type, success, task_group

__all__ = ["check_secret_source"]

_ODD = (b"", b"\x00", b"\xff\xfe no UTF-8", b"../../etc/passwd", b"*", b"' OR 1=1 --", bytes(1000))


async def check_secret_source(source: SecretSource, known: SharedSecret, *, unknown: bytes | None) -> None:
    """Check a source of secrets, with one that it has.

    It finds that one, each time and for twenty at once; for another reference it gives nothing, or what belongs to that
    reference; odd references raise nothing; no secret is in a repr.

    :param known: a secret that it has.
    :param unknown: a reference that it does not have; ``None`` for a source that has a secret for each.
    :raises AssertionError: naming what is wrong.
    """
    require_name(source)
    record = await _find(source, known.reference)
    if record is None:
        raise AssertionError(f"find({known.reference!r}) must find the secret, not None")
    require(record.secret == known, f"find({known.reference!r}) must give the secret that is there, with its reference")
    require(known.value not in repr(record).encode(), "no secret may be in the repr of a record")
    require(known.value not in repr(source).encode(), "no secret may be in the repr of a source")
    expires = record.grant.expires
    require(expires is None or expires.tzinfo is not None, "the expiry of a grant must have a time zone")
    if unknown is not None:
        require(
            await _find(source, unknown) is None,
            f"find({unknown!r}) must be None: there is no secret with that reference",
        )
    for reference in (*_ODD, known.reference + b"\x00", known.reference[:-1]):
        await _find(source, reference)
    async with task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(_find_again, source, record)


async def _find(source: SecretSource, reference: bytes) -> SecretRecord | None:
    what = f"find({reference[:40]!r}) must give a record or None"
    with success(what):
        record = await source.find(reference)
    if record is not None:
        require_type(record, SecretRecord, f"what find({reference[:40]!r}) returns")
        require_type(record.grant, Grant, "the grant of a secret")
        require(
            record.secret.reference == reference,
            f"find({reference[:40]!r}) must not give the secret of {record.secret.reference[:40]!r}",
        )
    return record


async def _find_again(source: SecretSource, record: SecretRecord) -> None:
    found = await _find(source, record.secret.reference)
    require(found is not None and found.secret == record.secret, "find() must give the same secret each time")
