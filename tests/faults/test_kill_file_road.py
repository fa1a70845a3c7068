"""A drop-directory under fire: servers die at each named point and in between, and each request has one answer.

They are few unless ``CMPKIT_FIRE_REQUESTS=1000`` asks for the whole of it.
"""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from cmpkit_file.roads import FileClients
from cryptography import x509
from served import Served, cmpkit, start

from cmpkit.asn1 import PKIMessage, decode_message, encode
from cmpkit.config import load_configuration, open_store
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints.protector import protection_for, seal
from cmpkit.endpoints.requests import Wish, certificate_request
from cmpkit.engine.header import NONCE_SIZE, request_header
from cmpkit.enums import PVNO, BodyType
from cmpkit.parts import CertificateRecord, ForwardingTransport, SharedSecret, TransportOptions
from cmpkit.plugins import Plugins, load_plugins
from cmpkit.transports import CrashPoint

REQUESTS = int(os.environ.get("CMPKIT_FIRE_REQUESTS", "32"))
SURVIVORS = 4 if REQUESTS >= 1000 else 2
"""How many servers come after the first four, which die; starting them is what takes long."""
PASSING = max(2, REQUESTS // 40)
"""At which passing of its point a server dies."""
BETWEEN_KILLS = max(24, REQUESTS // 8)
"""Answers after which a server is killed wherever it is."""
SECONDS = 60 + REQUESTS / 2


@pytest.mark.timeout(SECONDS)
def test_each_of_many_requests_has_one_answer_and_one_certificate(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    directory = tmp_path / "ca"
    config = directory / "cmpkit.toml"
    cmpkit("init", directory, "--subject", "/O=Example/CN=Example CA", "--listen", spool.as_uri())
    secret = cmpkit("secret", "add", "all", "--config", config, "--uses", "unlimited", "--any-subject").strip()
    requests = anyio.run(make_requests, SharedSecret("all", secret))
    with under_fire(directory, spool):
        anyio.run(send_all, spool, requests)
        wait_for(lambda: len(whole(spool / "done")) == REQUESTS)

    assert whole(spool / "in") == whole(spool / "failed") == []
    assert not [path for path in (spool / "work").rglob("*") if path.is_file() and path.suffix != ".lock"]
    certificates = assert_one_answer_each(requests, [path.read_bytes() for path in whole(spool / "out")])
    records = anyio.run(stored_certificates, config)
    assert sorted(certificates) == sorted(record.der for record in records)
    assert len(set(certificates)) == REQUESTS


def assert_one_answer_each(requests: list[PKIMessage], answers: list[bytes]) -> list[bytes]:
    """The certificates in the answers, of which there is one for each request, with its subject."""
    assert len(answers) == len(requests)
    subjects = {one.header.transaction_id: f"CN=device-{number}" for number, one in enumerate(requests)}
    certificates = []
    for answer in map(decode_message, answers):
        assert answer.body.type is BodyType.IP
        (response,) = answer.body.content.response
        certificate = encode(response.certified_key_pair.cert_or_enc_cert.value)
        subject = x509.load_der_x509_certificate(certificate).subject.rfc4514_string()
        assert subject == subjects.pop(answer.header.transaction_id)
        certificates.append(certificate)
    assert not subjects
    return certificates


@contextmanager
def under_fire(directory: Path, spool: Path) -> Iterator[None]:
    """Four servers until the block ends: at first each dies at a point of its own, then others from time to time."""
    with ExitStack() as ended:

        def serve(killed_at: tuple[str, int] | None = None) -> Served:
            server = start(directory, killed_at=killed_at)
            ended.callback(server.end)
            return server

        doomed = [serve((point.value, PASSING)) for point in CrashPoint]
        fire = threading.Thread(target=keep_killing, args=(doomed, serve, spool))
        fire.start()
        try:
            yield
        finally:
            fire.join(SECONDS)
        assert not fire.is_alive()


def keep_killing(doomed: list[Served], serve: Callable[[], Served], spool: Path) -> None:
    """Replace each server that dies, and then kill the oldest now and then, as long as something is left to do."""
    for server in doomed:
        assert server.process.wait(SECONDS) == -signal.SIGKILL, server.text()
    alive = [serve() for _ in range(SURVIVORS)]
    for answers in itertools.count(len(whole(spool / "out")) + BETWEEN_KILLS, BETWEEN_KILLS):
        if answers >= REQUESTS:
            return
        wait_for(lambda: len(whole(spool / "out")) >= answers)  # noqa: B023 - called at once
        oldest = alive.pop(0)
        oldest.process.kill()
        alive.append(serve())


def whole(folder: Path) -> list[Path]:
    """What is there and is not being written."""
    return [path for path in folder.glob("*") if not path.name.startswith(".")] if folder.is_dir() else []


def wait_for(reached: Callable[[], bool]) -> None:
    """Until something is so; directories of other processes have no events."""
    end = time.monotonic() + SECONDS
    while not reached():
        if time.monotonic() > end:
            pytest.fail("it takes too long")
        time.sleep(0.05)


async def make_requests(secret: SharedSecret) -> list[PKIMessage]:
    plugins = load_plugins()
    return [await make_request(plugins, secret, f"CN=device-{number}") for number in range(REQUESTS)]


async def make_request(plugins: Plugins, secret: SharedSecret, subject: str) -> PKIMessage:
    protection, algorithm, key = protection_for(secret, plugins)
    name = parse_name(subject)
    wish = Wish(key=generate_key("p256", plugins), subject=name)
    header = request_header(
        pvno=PVNO.CMP2000,
        sender=name,
        recipient=parse_name("CN=server"),
        sender_kid=secret.reference,
        protection_alg=algorithm,
        transaction_id=secrets.token_bytes(NONCE_SIZE),
        recip_nonce=None,
        now=datetime.now(UTC),
    )
    return await seal(header, await certificate_request(BodyType.IR, wish, sender=name), protection, key, ())


async def send_all(spool: Path, requests: list[PKIMessage]) -> None:
    road = FileClients().open(spool.as_uri(), TransportOptions())
    assert isinstance(road, ForwardingTransport)
    for request in requests:
        await road.send(request.raw)


async def stored_certificates(config: Path) -> list[CertificateRecord]:
    """Those that the server issued, without its own."""
    plugins = load_plugins()
    async with open_store(load_configuration(config, plugins), plugins) as store:
        return [record for record in await store.certificates() if record.profile != "cmp-signer"]
