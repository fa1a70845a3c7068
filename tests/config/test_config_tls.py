"""TLS certificates that the server's own CA issues for its roads, and renews while it runs."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from cmpkit.ca.setup import initialise
from cmpkit.ca.tls_certificates import TLSCertificate
from cmpkit.config import Configuration, check_configuration, load_configuration, open_store, serve
from cmpkit.config.opening import open_parts
from cmpkit.crypto.x509 import load_certificates
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import CertificateState, Pending, Rejected, TransportOptions
from cmpkit.plugins import Plugins
from cmpkit.transports import open_transport

Write = Callable[..., Path]
DAY = timedelta(days=1)
NOW = datetime.now(UTC) + timedelta(hours=2)
"""The CA of the tests is made after this module is read."""
PROFILE = """
[profiles.tls-server]
extended_key_usage = ["serverAuth"]
allow_requested_names = true
validity = "90d"
"""
LISTEN = """
[[listen]]
url = "https://127.0.0.1:0"
tls_profile = "tls-server"
tls_names = ["ca.example", "127.0.0.1"]
tls_cert = "tls.pem"
tls_key = "keys/tls.key.pem"
"""


def change(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@asynccontextmanager
async def opened(path: Path, plugins: Plugins) -> AsyncIterator[TLSCertificate]:
    async with open_parts(load_configuration(path, plugins), plugins) as parts:
        (certificate,) = parts.tls
        yield certificate


def current(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((path.parent / "tls.pem").read_bytes())


async def shown(url: str) -> bytes:
    port = int(url.partition("://127.0.0.1:")[2].partition("/")[0])
    return ssl.PEM_cert_to_DER_cert(
        await anyio.to_thread.run_sync(partial(ssl.get_server_certificate, ("127.0.0.1", port), timeout=10))
    )


@dataclass
class Clock:
    """The time of the server."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@pytest.mark.parametrize("scheme", ["https", "tcps"])
async def test_the_server_has_a_certificate_of_its_own_ca(write: Write, plugins: Plugins, scheme: str) -> None:
    configuration = load_configuration(write(more=PROFILE + change(LISTEN, ("https", scheme))), plugins)
    options = TransportOptions(timeout=10, tls_trusted=str(configuration.directory / "trust.pem"))
    shutdown = anyio.Event()
    async with anyio.create_task_group() as tasks:
        _, url = await tasks.start(partial(serve, configuration, plugins, shutdown=shutdown))
        for named in (options, TransportOptions(**{**_dict(options), "tls_host": "ca.example"})):
            road: Any = open_transport(plugins, url, named)
            assert await road.exchange(b"no CMP message")
            await road.aclose()
        shutdown.set()
    certificate = current(configuration.path)
    assert certificate.subject.rfc4514_string() == "CN=ca.example"
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    async with open_store(configuration, plugins) as store:
        (record,) = [one for one in await store.certificates() if one.profile == "tls-server"]
        assert record.state is CertificateState.VALID
        assert record.serial_number == certificate.serial_number
        assert [entry.event for entry in await store.audit_entries() if entry.actor == "server"] == ["issued"]
    assert (configuration.directory / "keys/tls.key.pem").stat().st_mode & 0o777 == 0o600


def _dict(options: TransportOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("timeout", "tls_trusted")}


async def test_it_is_renewed_while_the_server_runs(
    write: Write, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = load_configuration(write(more=PROFILE + LISTEN), plugins)
    monkeypatch.setattr("cmpkit.ca.tls_certificates._LONGEST_PAUSE", timedelta(milliseconds=20))
    monkeypatch.setattr("cmpkit.ca.tls_certificates._SHORTEST_PAUSE", timedelta(milliseconds=20))
    clock, shutdown = Clock(NOW), anyio.Event()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            _, url = await tasks.start(partial(serve, configuration, plugins, shutdown=shutdown, clock=clock))
            first = await shown(url)
            clock.now = NOW + 61 * DAY
            while (later := await shown(url)) == first:
                pass
            shutdown.set()
    assert x509.load_der_x509_certificate(later).not_valid_before_utc == clock.now.replace(microsecond=0)
    key = load_pem_private_key((configuration.directory / "keys/tls.key.pem").read_bytes(), None)
    assert x509.load_der_x509_certificate(first).public_key() == key.public_key()
    assert x509.load_der_x509_certificate(later).public_key() == key.public_key()


class TestWhen:
    @pytest.mark.parametrize(("days", "renewed"), [(0, False), (59, False), (61, True), (300, True)])
    async def test_it_is_renewed_when_a_third_of_its_validity_is_left(
        self, write: Write, plugins: Plugins, days: int, *, renewed: bool
    ) -> None:
        path = write(more=PROFILE + LISTEN)
        async with opened(path, plugins) as certificate:
            assert await certificate.renew(NOW)
            before = current(path)
            assert await certificate.renew(NOW + days * DAY) is renewed
            assert (current(path) != before) is renewed
            assert not await certificate.renew(NOW + days * DAY)

    async def test_a_name_that_is_missing_needs_a_new_one(self, write: Write, plugins: Plugins) -> None:
        path = write(more=PROFILE + LISTEN)
        for changes, renewed in (
            ((), True),
            ((('["ca.example", "127.0.0.1"]', '["CA.example"]'),), False),
            ((('["CA.example"]', '["ca.example", "other.example"]'),), True),
        ):
            path.write_text(change(path.read_text(), *changes))
            async with opened(path, plugins) as certificate:
                assert await certificate.renew(NOW) is renewed
        names = current(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["ca.example", "other.example"]

    async def test_another_key_needs_a_new_one(self, write: Write, plugins: Plugins) -> None:
        path = write(more=PROFILE + LISTEN)
        async with opened(path, plugins) as certificate:
            await certificate.renew(NOW)
            before = current(path)
        (path.parent / "keys/tls.key.pem").unlink()
        async with opened(path, plugins) as certificate:
            assert await certificate.renew(NOW)
            assert current(path).public_key() != before.public_key()

    async def test_what_is_no_certificate_is_written_anew(self, write: Write, plugins: Plugins) -> None:
        path = write(more=PROFILE + LISTEN)
        (path.parent / "tls.pem").write_text("not PEM")
        async with opened(path, plugins) as certificate:
            assert await certificate.renew(NOW)
        assert current(path)

    async def test_the_certificate_of_another_ca_is_not_kept(self, write: Write, plugins: Plugins) -> None:
        path = write(more=PROFILE + LISTEN)
        async with opened(path, plugins) as certificate:
            await certificate.renew(NOW)
            other: Any = _Elsewhere(certificate._issuer, [(path.parent / "trust.pem").read_bytes()])
            certificate._issuer = other
            assert await certificate.renew(NOW)

    async def test_a_password_encrypts_the_key(self, write: Write, plugins: Plugins) -> None:
        path = write(more=PROFILE + LISTEN + 'tls_keypass = "file:pass"\n')
        (path.parent / "pass").write_text("a password\n")
        async with opened(path, plugins) as certificate:
            await certificate.renew(NOW)
        assert b"BEGIN ENCRYPTED PRIVATE KEY" in (path.parent / "keys/tls.key.pem").read_bytes()
        assert (await check_configuration(path, plugins, now=NOW)).listen


class _Elsewhere:
    """The issuer, after it was replaced."""

    def __init__(self, issuer: Any, pems: list[bytes]) -> None:
        self._issuer, self._ders = issuer, tuple(der for pem in pems for der in load_certificates(pem))

    async def ca_certificates(self) -> tuple[bytes, ...]:
        return self._ders

    def __getattr__(self, name: str) -> Any:
        return getattr(self._issuer, name)


class _Failing:
    """The issuer, which gives another answer today."""

    def __init__(self, issuer: Any, answer: Pending | Rejected) -> None:
        self._issuer, self._answer = issuer, answer

    async def issue(self, *arguments: Any, **more: Any) -> Pending | Rejected:
        return self._answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._issuer, name)


class TestFailures:
    @pytest.mark.parametrize("answer", [Pending(60, "it asks somebody"), Rejected(CMPError("it refuses"))])
    async def test_without_a_certificate_nothing_begins(
        self, write: Write, plugins: Plugins, answer: Pending | Rejected
    ) -> None:
        async with opened(write(more=PROFILE + LISTEN), plugins) as certificate:
            certificate._issuer = _Failing(certificate._issuer, answer)
            with pytest.raises(CMPError, match=r"it asks somebody|it refuses"):
                await certificate.begin(NOW)

    async def test_one_that_still_fits_does(
        self, write: Write, plugins: Plugins, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = write(more=PROFILE + LISTEN)
        async with opened(path, plugins) as certificate:
            await certificate.begin(NOW)
            before = current(path)
            certificate._issuer = _Failing(certificate._issuer, Rejected(CMPError("it refuses")))
            await certificate.begin(NOW + 61 * DAY)
            assert current(path) == before
            assert "tls.pem: the certificate cannot be renewed: it refuses" in caplog.text
            with pytest.raises(CMPError, match="it refuses"):
                await certificate.begin(NOW + 91 * DAY)

    @pytest.mark.parametrize(
        ("changes", "mistake"),
        [
            ([('"tls-server"\n', '"tls"\n')], r"tls_profile of https://127\.0\.0\.1:0: there is no profile 'tls'"),
            ([('"serverAuth"', '"clientAuth"')], "extended_key_usage has no serverAuth"),
            ([("allow_requested_names = true\n", "")], "2 subjectAltNames are asked for"),
            ([('"127.0.0.1"]', '"ä.example"]')], "'ä.example' can be in no certificate"),
            ([('["ca', f'["{"x" * 65}'), ("s", "s")], "is too long for a commonName"),
            ([('"tls-server"\n', '"device"\n')], "device"),
        ],
    )
    async def test_a_profile_or_name_that_cannot_be_used_is_a_mistake(
        self, write: Write, plugins: Plugins, changes: list[tuple[str, str]], mistake: str
    ) -> None:
        path = write(more=change(PROFILE + LISTEN, *changes))
        with pytest.raises(ConfigurationError, match=mistake):
            await check_configuration(path, plugins, now=NOW)
        assert not (path.parent / "keys/tls.key.pem").exists()

    async def test_a_key_that_cannot_be_read_is_a_mistake(self, write: Write, plugins: Plugins) -> None:
        path = write(more=PROFILE + LISTEN)
        (path.parent / "keys/tls.key.pem").mkdir()
        with pytest.raises(ConfigurationError, match=r"tls\.key\.pem cannot be read: Is a directory"):
            await check_configuration(path, plugins, now=NOW)

    async def test_failures_while_it_runs_are_told_and_it_goes_on(
        self, write: Write, plugins: Plugins, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("cmpkit.ca.tls_certificates._SHORTEST_PAUSE", timedelta(milliseconds=5))
        caplog.set_level(logging.INFO, "cmpkit.tls")
        path = write(more=PROFILE + LISTEN)
        async with opened(path, plugins) as certificate:
            issuer, asked, tries = certificate._issuer, anyio.Event(), 0
            certificate._issuer = _Failing(issuer, Rejected(CMPError("it refuses")))

            def clock() -> datetime:
                nonlocal tries
                tries += 1
                if tries == 2:
                    certificate._issuer = issuer
                if tries == 3:
                    asked.set()
                return NOW

            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    monkeypatch.setattr("cmpkit.ca.tls_certificates._LONGEST_PAUSE", timedelta(milliseconds=5))
                    tasks.start_soon(certificate.keep_renewing, clock)
                    await asked.wait()
                    tasks.cancel_scope.cancel()
        said = [record.getMessage() for record in caplog.records if record.name == "cmpkit.tls"]
        assert "the certificate cannot be renewed: it refuses" in said[0]
        assert "there was none; a new one is valid until" in said[1]


async def test_init_for_addresses_with_tls_makes_a_server_that_has_it(tmp_path: Path, plugins: Plugins) -> None:
    listen = ["https://127.0.0.1:0", "tcps://localhost:0", "http://127.0.0.1:0"]
    made = await initialise(tmp_path / "ca", listen=listen, plugins=plugins, now=datetime.now(UTC))
    configuration = load_configuration(made.config, plugins)
    assert (await check_configuration(made.config, plugins, now=NOW)).listen
    options = TransportOptions(timeout=10, tls_trusted=str(made.trust))
    shutdown = anyio.Event()
    async with anyio.create_task_group() as tasks:
        urls = await tasks.start(partial(serve, configuration, plugins, shutdown=shutdown))
        for url in urls[:2]:
            road: Any = open_transport(plugins, url, options)
            assert await road.exchange(b"no CMP message")
            await road.aclose()
        shutdown.set()
    names = current(made.config).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


async def test_two_addresses_may_have_one_certificate_but_not_one_file_for_two(write: Write, plugins: Plugins) -> None:
    second = LISTEN.replace("127.0.0.1:0", "127.0.0.1:00")
    path = write(more=PROFILE + LISTEN + second)
    async with opened(path, plugins):
        pass
    path.write_text(change(path.read_text(), (second, second.replace('"ca.example", ', ""))))
    with pytest.raises(ConfigurationError, match="another address writes another certificate to"):
        await check_configuration(path, plugins, now=NOW)


def test_the_configuration_reads_relative_paths(write: Write, plugins: Plugins) -> None:
    configuration: Configuration = load_configuration(write(more=PROFILE + LISTEN), plugins)
    wanted = configuration.listen[1].wanted_certificate
    assert wanted is not None
    assert wanted.certificate == configuration.directory / "tls.pem"
    assert configuration.listen[0].wanted_certificate is None
