"""What was recorded is played again octet by octet, without the server and without the keys."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from cryptography.hazmat.primitives import serialization

from cmpkit.asn1 import decode_message
from cmpkit.crypto.keys import generate_key
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.endpoints.options import ClientOptions
from cmpkit.errors import CMPError, ConfigurationError, TransportError
from cmpkit.parts import SharedSecret
from cmpkit.testing import InProcessCA, LossyRoad, Tape, load_recording, record, replay

Faults = list[str | None]


async def recorded(ca: InProcessCA, secret: SharedSecret, folder: Path, faults: Faults | None = None) -> Enrolled:
    key = generate_key("p256", ca.plugins)
    with record(folder) as tape:
        return await enrol(ca, secret, tape, road=LossyRoad(ca.road(), faults or []), key=key)


async def enrol(
    ca: InProcessCA, secret: SharedSecret, tape: Tape, *, road=None, key=None, name="CN=dev-42"
) -> Enrolled:
    options = tape.options(ca.options(implicit_confirm=False))
    async with Client(
        "memory:",
        credentials=tape.credentials(secret),
        trust=ca.trust,
        options=options,
        plugins=ca.plugins,
        transport=tape.road(road),
    ) as client:
        return await client.enroll(name, tape.key(key))


async def test_a_recorded_enrolment_is_played_again(cmp_ca, cmp_secret, tmp_path):
    enrolled = await recorded(cmp_ca, cmp_secret, tmp_path, ["drop-answer", None, "drop-request"])
    cmp_ca.clock.advance(timedelta(days=900))
    with anyio.fail_after(5), replay(tmp_path) as tape:
        again = await enrol(cmp_ca, cmp_secret, tape)
    assert again.certificate == enrolled.certificate
    assert len(await cmp_ca.certificates()) == 1
    with pytest.raises(CMPError, match="no private part"):
        again.key.to_pkcs8()


async def test_its_messages_are_files_in_their_order(cmp_ca, cmp_secret, tmp_path):
    await recorded(cmp_ca, cmp_secret, tmp_path, ["drop-answer"])
    names = sorted(path.name for path in tmp_path.glob("*.der"))
    assert names == ["01-ir.der", "02-ir.der", "03-ip.der", "04-certConf.der", "05-pkiconf.der"]
    first, second = load_recording(tmp_path).exchanges[:2]
    assert first.request == second.request == (tmp_path / names[0]).read_bytes()
    assert first.answer is None
    with pytest.raises(TransportError) as caught:
        first.outcome()
    assert caught.value.retryable
    assert decode_message(second.outcome()).body.type.wire_name == "ip"


async def test_it_has_no_secret_and_no_private_key(cmp_ca, cmp_secret, tmp_path):
    enrolled = await recorded(cmp_ca, cmp_secret, tmp_path)
    assert enrolled.key is not None
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    private = serialization.load_der_private_key(enrolled.key.to_pkcs8(), None).private_numbers().private_value
    for secret in (cmp_secret.value, private.to_bytes(32)):
        assert secret not in written
        assert secret.hex().encode() not in written


async def test_signing_credentials_are_played_without_their_key(cmp_ca, cmp_secret, tmp_path):
    async with cmp_ca.client(cmp_secret) as client:
        credentials = (await client.enroll("CN=dev-42")).credentials

    async def ask(tape: Tape, given: SigningCredentials | None, road=None) -> object:
        used = tape.credentials(given)
        options = tape.options(cmp_ca.options())
        async with Client(
            "memory:",
            credentials=used,
            trust=cmp_ca.trust,
            options=options,
            plugins=cmp_ca.plugins,
            transport=tape.road(road),
        ) as client:
            return await client.info()

    with record(tmp_path) as tape:
        answers = await ask(tape, credentials, cmp_ca.road())
    with replay(tmp_path) as tape:
        assert await ask(tape, None) == answers


async def test_several_operations_are_played_one_after_the_other(cmp_ca, cmp_secret, tmp_path):
    async def live(tape: Tape, road=None, keys=(None, None)) -> list[bytes]:
        async with Client(
            "memory:",
            credentials=tape.credentials(cmp_secret),
            trust=cmp_ca.trust,
            options=tape.options(cmp_ca.options()),
            plugins=cmp_ca.plugins,
            transport=tape.road(road),
        ) as client:
            first = await client.enroll("CN=dev-42", tape.key(keys[0]))
            second = await client.update(first, tape.key(keys[1]))
            await client.revoke(second)
            return [first.certificate, second.certificate]

    keys = [generate_key(kind, cmp_ca.plugins) for kind in ("p256", "ed25519")]
    with record(tmp_path) as tape:
        certificates = await live(tape, cmp_ca.road(), keys)
    with replay(tmp_path) as tape:
        assert await live(tape) == certificates
    assert len(list(tmp_path.glob("*.der"))) == 10


async def test_who_does_something_else_is_told_so(cmp_ca, cmp_secret, tmp_path):
    await recorded(cmp_ca, cmp_secret, tmp_path)
    with pytest.raises(ConfigurationError, match="did not sign"), replay(tmp_path) as tape:
        await enrol(cmp_ca, cmp_secret, tape, name="CN=dev-43")


async def test_another_request_is_named_by_its_first_octet_that_differs(cmp_ca, cmp_secret, tmp_path):
    await recorded(cmp_ca, cmp_secret, tmp_path)
    first = load_recording(tmp_path).exchanges[0].request
    with pytest.raises(ConfigurationError, match="from octet 7 on"), replay(tmp_path) as tape:
        await tape.road().exchange(first[:7] + b"\xff" + first[8:])


async def test_a_replay_that_stops_too_early_is_an_error(cmp_ca, cmp_secret, tmp_path):
    await recorded(cmp_ca, cmp_secret, tmp_path)
    with pytest.raises(ConfigurationError, match="2 of the recorded exchanges"), replay(tmp_path):
        pass


async def test_drawing_sending_or_using_more_than_was_recorded_is_an_error(cmp_ca, cmp_secret, tmp_path):
    await recorded(cmp_ca, cmp_secret, tmp_path)
    with replay(tmp_path) as tape:
        options = tape.options()
        with pytest.raises(ConfigurationError, match="1 random octets were drawn where 16 were"):
            options.random(1)
        while tape.recording.exchanges:
            tape.recording.exchanges.pop()
        with pytest.raises(ConfigurationError, match="request 1 was not sent"):
            await tape.road().exchange(b"more")
        with pytest.raises(ConfigurationError, match="has no certificate"):
            tape.credentials()
        with pytest.raises(ConfigurationError, match="fewer keys"):
            tape.key()


@pytest.mark.parametrize("what", ["road", "key", "credentials"])
def test_there_must_be_something_to_record(tmp_path, what):
    with record(tmp_path) as tape, pytest.raises(ConfigurationError, match=f"no {what} to record|are no {what}"):
        getattr(tape, what)()


def test_a_clock_and_random_octets_are_recorded_as_they_come(tmp_path):
    with record(tmp_path) as tape:
        options = tape.options(ClientOptions(random=bytes))
        assert options.random(2) == bytes(2)
        now = options.clock()
    with replay(tmp_path) as tape:
        options = tape.options()
        assert options.clock() == now
        assert options.random(2) == bytes(2)
        with pytest.raises(ConfigurationError, match="clock was asked less often"):
            options.clock()


def test_recordings_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(ConfigurationError, match="no recording in"):
        load_recording(tmp_path)
    file = tmp_path / "recording.json"
    for text, problem in (("{", "damaged"), ("{}", "damaged"), ('{"format": "x", "version": 9}', "another version")):
        file.write_text(text)
        with pytest.raises(ConfigurationError, match=problem):
            load_recording(tmp_path)


async def test_a_recording_names_no_file_outside_its_directory(cmp_ca, cmp_secret, tmp_path):
    await recorded(cmp_ca, cmp_secret, tmp_path / "tape")
    (tmp_path / "outside.der").write_bytes(b"outside")
    file = tmp_path / "tape" / "recording.json"
    described = json.loads(file.read_text())
    described["exchanges"][0]["request"] = "../outside.der"
    file.write_text(json.dumps(described))
    with pytest.raises(ConfigurationError):
        load_recording(tmp_path / "tape")


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written"), record(tmp_path / "file"):
        pass


async def test_octets_that_are_no_message_are_recorded_too(tmp_path):
    class Echo:
        async def exchange(self, request: bytes) -> bytes:
            return request

        async def aclose(self) -> None:
            pass

    with record(tmp_path) as tape:
        road = tape.road(Echo())
        await road.exchange(b"no message")
        await road.aclose()
    assert [path.name for path in sorted(tmp_path.glob("*.der"))] == ["01-octets.der", "02-octets.der"]
    with replay(tmp_path) as tape:
        road = tape.road()
        assert await road.exchange(b"no message") == b"no message"
        await road.aclose()
