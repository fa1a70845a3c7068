"""The checks for info types, observers, secret sources and factories find what breaks contracts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import TLV, InfoTypeAndValue, Null
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import (
    Event,
    Grant,
    InfoContext,
    OpenContext,
    SecretRecord,
    SharedSecret,
)
from cmpkit.testing import (
    check_factory,
    check_info_type,
    check_observer,
    check_secret_source,
    known_sender,
)

OID = x509.ObjectIdentifier("2.999.1")
KNOWN = SharedSecret("dev-42", "a shared secret")


class Ping:
    """An info type whose answer is NULL."""

    oid: Any = OID
    name = "ping"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        if value is not None:
            raise CMPError("a value", PKIFailureInfo.BAD_DATA_FORMAT)
        return self.pong()

    def pong(self) -> Any:
        return InfoTypeAndValue(OID, Null())


class TextOID(Ping):
    oid = "2.999.1"


class NoName(Ping):
    name = ""


class OtherOID(Ping):
    def pong(self) -> Any:
        return InfoTypeAndValue(oids.CA_CERTS)


class NoAnswer(Ping):
    def pong(self) -> Any:
        return None


class NeverAnswers(Ping):
    def pong(self) -> Any:
        raise CMPError("never")


class Fragile(Ping):
    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        if value is not None:
            value.parse(bool)
        return self.pong()


@pytest.mark.parametrize(
    ("info_type", "breach"),
    [
        (TextOID, "oid must be ObjectIdentifier, not str"),
        (NoName, "name must be a text"),
        (OtherOID, "the answer must be of type 2.999.1, not 1.3.6.1.5.5.7.4.17"),
        (NoAnswer, "must be InfoTypeAndValue, not NoneType"),
        (NeverAnswers, r"answer\(\) must answer the question, not raise"),
        (Fragile, "the question with the value 0500 must be answered, or refused by a CMPError, not raise ValueError"),
    ],
)
async def test_an_info_type_that_breaks_the_contract_is_named(info_type: type[Ping], breach: str) -> None:
    with pytest.raises(AssertionError, match=breach):
        await check_info_type(info_type(), NOWHERE)


NOBODY: Any = None
NOWHERE = InfoContext(NOBODY, known_sender(), datetime(2026, 1, 1, tzinfo=UTC))
"""A context that no info type of these tests asks."""


async def test_the_answer_may_be_of_the_type_that_belongs_to_the_question() -> None:
    answer = await check_info_type(OtherOID(), NOWHERE, answer_oid=oids.CA_CERTS)
    assert answer == InfoTypeAndValue(oids.CA_CERTS)


class Raises:
    def observe(self, event: Event) -> None:
        event.details["message"]


class Changes:
    def observe(self, event: Event) -> None:
        event.details["seen"] = True  # type: ignore[index]


class Blocks:
    def observe(self, event: Event) -> None:
        time.sleep(0.02)


class Returns:
    def observe(self, event: Event) -> Any:
        return True


@pytest.mark.parametrize(
    ("observer", "breach"),
    [
        (Raises, r"observe\(\) must take the event 'refused' with .*, not raise KeyError"),
        (Changes, "not raise TypeError"),
        (Blocks, "must not block: it took longer than 0.0001 seconds per event"),
        (Returns, "return None, not True"),
    ],
)
def test_an_observer_that_breaks_the_contract_is_named(observer: Any, breach: str) -> None:
    with pytest.raises(AssertionError, match=breach):
        check_observer(observer(), seconds_per_event=0.0001 if observer is Blocks else 1.0)


class Secrets:
    """Knows one secret."""

    name: Any = "one"

    async def find(self, reference: bytes) -> Any:
        return SecretRecord(KNOWN, Grant(None)) if reference == KNOWN.reference else None


class NamelessSecrets(Secrets):
    name = None


class FindsNothing(Secrets):
    async def find(self, reference: bytes) -> Any:
        return None


class FindsTheSame(Secrets):
    async def find(self, reference: bytes) -> Any:
        return SecretRecord(KNOWN, Grant(None))


class FindsAnything(Secrets):
    async def find(self, reference: bytes) -> Any:
        return SecretRecord(SharedSecret(reference, KNOWN.value), Grant(None))


class FindsAnother(Secrets):
    async def find(self, reference: bytes) -> Any:
        return SecretRecord(SharedSecret(reference, "another"), Grant(None))


class FindsBareSecrets(Secrets):
    async def find(self, reference: bytes) -> Any:
        return KNOWN


class NoGrant(Secrets):
    async def find(self, reference: bytes) -> Any:
        return SecretRecord(KNOWN, None)  # type: ignore[arg-type]


class NaiveExpiry(Secrets):
    async def find(self, reference: bytes) -> Any:
        return SecretRecord(KNOWN, Grant(None, expires=datetime(2030, 1, 1)))


class ReadsText(Secrets):
    async def find(self, reference: bytes) -> Any:
        return await super().find(reference.decode().encode())


class Forgets(Secrets):
    found = 0

    async def find(self, reference: bytes) -> Any:
        self.found += reference == KNOWN.reference
        return await super().find(reference) if self.found < 2 else None


@dataclass
class Shows(Secrets):
    """Its repr is what dataclasses make of it."""

    value: bytes = KNOWN.value


@pytest.mark.parametrize(
    ("source", "breach"),
    [
        (NamelessSecrets, "name must be a text"),
        (FindsNothing, r"find\(b'dev-42'\) must find the secret, not None"),
        (FindsTheSame, "must not give the secret of b'dev-42'"),
        (FindsAnything, r"find\(b'unknown'\) must be None"),
        (FindsAnother, "must give the secret that is there"),
        (FindsBareSecrets, "must be SecretRecord, not SharedSecret"),
        (NoGrant, "the grant of a secret must be Grant, not NoneType"),
        (NaiveExpiry, "the expiry of a grant must have a time zone"),
        (ReadsText, r"must give a record or None, not raise UnicodeDecodeError"),
        (Forgets, "must give the same secret each time"),
        (Shows, "no secret may be in the repr of a source"),
    ],
)
async def test_a_secret_source_that_breaks_the_contract_is_named(source: type[Secrets], breach: str) -> None:
    with pytest.raises(AssertionError, match=breach):
        await check_secret_source(source(), KNOWN, unknown=b"unknown")


async def test_a_source_may_have_a_secret_for_each_reference() -> None:
    await check_secret_source(FindsAnything(), KNOWN, unknown=None)


class Factory:
    """Opens :class:`Secrets` from a table with a path and, if need be, a number."""

    kind: Any = "one"

    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> Any:
        unknown = settings.keys() - {"path", "number"}
        if unknown:
            raise ConfigurationError(f"there is no key {', '.join(unknown)}")
        if not isinstance(settings.get("path"), str):
            raise ConfigurationError("path is a text, and must be there")
        if not isinstance(settings.get("number", 1), int):
            raise ConfigurationError("number is a number")
        return self.part()

    def part(self) -> Any:
        return Secrets()


class NoKind(Factory):
    kind = None


class Greedy(Factory):
    async def open(self, settings: Any, context: OpenContext) -> Any:
        part = await super().open(settings, context)
        settings.pop("number", None)
        return part


class Permissive(Factory):
    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> Any:
        return await super().open({key: settings[key] for key in ("path", "number") if key in settings}, context)


class Vague(Factory):
    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> Any:
        try:
            return await super().open(settings, context)
        except ConfigurationError as error:
            raise ConfigurationError("something is wrong") from error


class VagueWhereMissing(Factory):
    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> Any:
        if "path" not in settings:
            raise ConfigurationError("something is missing")
        return await super().open(settings, context)


class Subscript(Factory):
    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> Any:
        settings["path"]
        return await super().open(settings, context)


class Unopenable(Factory):
    def part(self) -> Any:
        raise OSError("nothing there")


class NamelessPart(Factory):
    def part(self) -> Any:
        return NamelessSecrets()


async def test_a_factory_that_keeps_the_contract_passes() -> None:
    part = await check_factory(Factory(), {"path": "secrets", "number": 1}, NOWHERE)
    assert isinstance(part, Secrets)


@pytest.mark.parametrize(
    ("factory", "breach"),
    [
        (NoKind, "kind must be a text"),
        (Greedy, r"open\(\) must not change the settings"),
        (Permissive, "a table whose key no_such_key_of_the_checks is wrong must be refused"),
        (Vague, "the error must name the key that is wrong, path, not only say: something is wrong"),
        (VagueWhereMissing, "the error must name the key that is missing, path"),
        (Subscript, r"without path, open\(\) may raise a ConfigurationError, not KeyError"),
        (Unopenable, r"open\(\) must open the part from the settings of the check, not raise OSError"),
        (NamelessPart, "name must be a text"),
    ],
)
async def test_a_factory_that_breaks_the_contract_is_named(factory: type[Factory], breach: str) -> None:
    with pytest.raises(AssertionError, match=breach):
        await check_factory(factory(), {"path": "secrets", "number": 1}, NOWHERE)
