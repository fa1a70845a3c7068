"""How the checks say what a contract demands and what a part did instead."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup
from cryptography.x509 import ObjectIdentifier

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

__all__ = [
    "AnsweredOrRefused",
    "refused",
    "require",
    "require_name",
    "require_oids",
    "require_schemes",
    "require_type",
    "success",
    "task_group",
]

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


def require(condition: bool, otherwise: str) -> None:
    """Fail with a sentence that says what the contract demands.

    :raises AssertionError: unless the condition holds.
    """
    if not condition:
        raise AssertionError(otherwise)


def require_type(value: Any, kind: type[Any] | tuple[type[Any], ...], what: str) -> None:
    """Demand that a value is of a type.

    :param what: the value, as the subject of the sentence.
    :raises AssertionError: if it is of another type.
    """
    kinds = kind if isinstance(kind, tuple) else (kind,)
    wanted = " or ".join(one.__name__ for one in kinds)
    require(isinstance(value, kinds), f"{what} must be {wanted}, not {type(value).__name__}")


def require_name(part: Any, attribute: str = "name") -> None:
    """Demand that the id of a part is a text that is not empty.

    :raises AssertionError: otherwise.
    """
    value = getattr(part, attribute, None)
    require(isinstance(value, str) and bool(value), f"{attribute} must be a text that is not empty, not {value!r}")


def require_schemes(part: Any) -> None:
    """Demand that the schemes of a part are a tuple of URL schemes in lower case.

    :raises AssertionError: otherwise.
    """
    schemes = getattr(part, "schemes", None)
    require(
        isinstance(schemes, tuple) and bool(schemes) and all(map(_is_scheme, schemes)),
        f"schemes must be a tuple of URL schemes in lower case, not {schemes!r}",
    )


def _is_scheme(value: Any) -> bool:
    return isinstance(value, str) and _SCHEME.fullmatch(value) is not None


def require_oids(part: Any, attribute: str, *, some: bool = True) -> None:
    """Demand that an attribute of a part is a tuple of OIDs, each of them once.

    :param some: whether there must be one.
    :raises AssertionError: otherwise.
    """
    oids = getattr(part, attribute, None)
    require(
        isinstance(oids, tuple)
        and (bool(oids) or not some)
        and all(isinstance(oid, ObjectIdentifier) for oid in oids)
        and len(set(oids)) == len(oids),
        f"{attribute} must be a tuple of ObjectIdentifier, each of them once, not {oids!r}",
    )


@contextmanager
def success(demand: str) -> Iterator[None]:
    """Demand that nothing is raised in the block.

    :param demand: what the part must do, as a whole sentence without its end.
    :raises AssertionError: if something is.
    """
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{demand}, not raise {error!r}") from error


@contextmanager
def refused(what: str, *fail_infos: PKIFailureInfo, by: type[CMPError] = CMPError) -> Iterator[list[CMPError]]:
    """Demand that the block is left by a refusal.

    :param what: what is refused, as the subject of the sentence.
    :param fail_infos: one of these must be in the refusal; none means any.
    :param by: of which class the refusal must be.
    :return: a list in which the refusal is, once the block has been left.
    :raises AssertionError: if nothing is raised, or something else.
    """
    caught: list[CMPError] = []
    try:
        yield caught
    except by as error:
        caught.append(error)
    except Exception as error:
        raise AssertionError(f"{what} must be refused by a {by.__name__}, not by {error!r}") from error
    require(bool(caught), f"{what} must be refused by a {by.__name__}, but was not")
    wanted = " or ".join(name for fail_info in fail_infos for name in fail_info.wire_names)
    had = caught[0].fail_info
    require(
        not fail_infos or any(fail_info in had for fail_info in fail_infos),
        f"{what} must be refused with {wanted}, not with {' '.join(had.wire_names) or 'no failInfo'}: {caught[0]}",
    )


class AnsweredOrRefused:
    """Demand that the block raises nothing but, perhaps, a refusal.

    :param what: what is answered or refused, as the subject of the sentence.
    :raises AssertionError: if something else is raised.
    """

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Exception) and not isinstance(error, CMPError):
            raise AssertionError(
                f"{self._what} must be answered, or refused by a CMPError, not raise {error!r}"
            ) from error
        return isinstance(error, CMPError)


@asynccontextmanager
async def task_group() -> AsyncIterator[TaskGroup]:
    """A task group that lets a breach of contract out as itself.

    :raises AssertionError: the first one that was raised in a task.
    """
    try:
        async with anyio.create_task_group() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        breach: BaseException | None = group.subgroup(AssertionError)
        while isinstance(breach, BaseExceptionGroup):
            breach = breach.exceptions[0]
        if breach is None:
            raise
        raise breach from None
