"""Whether a store keeps archived private keys, for :func:`cmpkit.testing.check_store`."""

from __future__ import annotations

from cmpkit.parts import ArchivedKey, CertificateState, Store, UnitOfWork
from cmpkit.testing.contract import require, success
from cmpkit.testing.store_values import Values

__all__ = ["check_archived_keys"]

_SUBJECT = "CN=who lost the keys"


async def check_archived_keys(store: Store, values: Values) -> None:
    """Check archived keys, in a store in which there are none yet.

    :raises AssertionError: naming what is wrong.
    """
    states = (CertificateState.VALID, CertificateState.REVOKED, CertificateState.VALID, CertificateState.ISSUED)
    records = [values.record(subject=_SUBJECT, state=state) for state in states]
    others = (values.record(subject="CN=another", state=states[0]), values.record(subject=_SUBJECT, profile="mail"))
    keys = [ArchivedKey(record, b"the key %d" % number) for number, record in enumerate((*records, *others))]
    with success("commit() must store private keys with their certificates"):
        for key in keys:
            await store.commit(UnitOfWork(certificates=(key.certificate,), archived=(key,)))
    wanted = tuple(reversed(keys[:3]))
    for what, found, these in (
        ("a subject and a profile", await store.archived_keys(subject=_SUBJECT, profile="device"), wanted),
        ("limit=", await store.archived_keys(subject=_SUBJECT, profile="device", limit=2), wanted[:2]),
        ("a profile that there is not", await store.archived_keys(subject=_SUBJECT, profile="none"), ()),
        ("a part of a subject", await store.archived_keys(subject=_SUBJECT[:-1], profile="device"), ()),
    ):
        require(
            found == these,
            f"archived_keys() with {what} must give the keys of certificates that were confirmed, newest first: "
            f"{len(these)}, not {len(found)}",
        )
