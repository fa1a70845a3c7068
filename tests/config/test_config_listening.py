"""Roads side by side: what each is told, how the server behaves on each, and what becomes of one that fails."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus

from cmpkit.config import Configuration, listening, load_configuration, open_store, serve
from cmpkit.config.listening import road_settings
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import load_certificates
from cmpkit.endpoints.checkpoints import Checkpoint
from cmpkit.endpoints.client import Client, ClientOptions
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.errors import ConfigurationError, PeerRefusal, TransportError
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import CertificateState, Event, Grant, Handler, SecretRecord, SharedSecret
from cmpkit.plugins import Plugins, load_plugins
from cmpkit.transports import MemoryPost, read_own_options

Write = Callable[..., Path]
SECRET = SharedSecret("dev-42", b"a secret of more than sixteen octets")


class PostPlugin:
    """A store-and-forward road beside HTTP."""

    def __init__(self) -> None:
        self.post = MemoryPost()

    @hookimpl
    def cmpkit_server_transports(self) -> list[MemoryPost]:
        return [self.post]

    @hookimpl
    def cmpkit_client_transports(self) -> list[MemoryPost]:
        return [self.post]


@dataclass(frozen=True, kw_only=True)
class FrailOptions:
    """What a table of this road may say."""

    failures: int = 0
    how: str = "later"


@dataclass(eq=False)
class Frail:
    """A road that fails, as often and in the way that its table says."""

    own: FrailOptions | None = None
    endures: anyio.Event = field(default_factory=anyio.Event)
    name = "frail"
    schemes = ("frail",)
    delayed = False

    def configured(self, settings: Mapping[str, Any], directory: Path) -> Frail:
        return replace(self, own=read_own_options(FrailOptions, settings, directory=directory))

    def check(self, url: str) -> None:
        """Every address is good."""

    async def serve(
        self,
        url: str,
        handler: Handler,
        *,
        max_message_size: int,
        shutdown: anyio.Event,
        task_status: TaskStatus[str],
    ) -> None:
        assert self.own is not None
        if self.own.failures:
            self.own = replace(self.own, failures=self.own.failures - 1)
            if self.own.how == "at the start":
                raise TransportError("the other side is not there yet", retryable=True)
            task_status.started(url)
            if self.own.how == "by itself":
                return
            raise {"later": TransportError("it broke"), "badly": ValueError("it broke")}[self.own.how]
        task_status.started(url)
        self.endures.set()
        await shutdown.wait()

    @hookimpl
    def cmpkit_server_transports(self) -> list[Frail]:
        return [self]


@asynccontextmanager
async def running(configuration: Configuration, plugins: Plugins) -> AsyncIterator[tuple[str, ...]]:
    shutdown = anyio.Event()
    async with anyio.create_task_group() as tasks:
        yield await tasks.start(partial(serve, configuration, plugins, shutdown=shutdown))
        shutdown.set()


async def endured(plugins: Plugins) -> None:
    """Wait until the road does not fail any more."""
    with anyio.fail_after(20):
        await plugins.server_transport("frail:").endures.wait()  # type: ignore[attr-defined]


def client_of(configuration: Configuration, plugins: Plugins, url: str, state: Path | None = None) -> Client:
    trust = load_certificates((configuration.directory / "trust.pem").read_bytes())
    options = ClientOptions(state=state, total_timeout=20.0)
    return Client(url, credentials=SECRET, trust=trust, plugins=plugins, options=options)


def frail(**keys: object) -> str:
    return '\n[[listen]]\nurl = "frail:"\n' + "".join(f"{name} = {value!r}\n" for name, value in keys.items())


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "FIRST_PAUSE", 0.01)


@pytest.fixture
def frail_plugins() -> Plugins:
    return load_plugins([("frail", Frail())])


class TestKeys:
    def test_keys_of_the_road_reach_it(self, write: Write, frail_plugins: Plugins) -> None:
        configuration = load_configuration(write(more=frail(failures=3)), frail_plugins)
        road: Any = configuration.listen[1].transport
        assert road.own == FrailOptions(failures=3)

    @pytest.mark.parametrize(
        ("more", "mistake"),
        [
            (frail(failure=1), "[[listen]] failure: there is no such option; there are: failures, how"),
            (frail(failures="many"), "[[listen]] failures: a whole number is needed"),
            ('\n[[listen]]\nurl = "http://[::1]:0"\nspeed = 3\n', "[[listen]] speed: the road http has no such key"),
        ],
    )
    def test_a_key_that_is_wrong_or_unknown_is_named(
        self, write: Write, frail_plugins: Plugins, more: str, mistake: str
    ) -> None:
        with pytest.raises(ConfigurationError) as caught:
            load_configuration(write(more=more), frail_plugins)
        assert mistake in str(caught.value)

    def test_a_repository_is_told_what_its_road_needs(self, write: Write, frail_plugins: Plugins) -> None:
        url = (
            '\n[[announce]]\nurl = "https://repository.example"\ntls_trusted = "trust.pem"\n'
            'no_proxy = "repository.example"\n'
        )
        (table,) = load_configuration(write(more=url), frail_plugins).announce
        options = table.options(Path("/etc"))
        assert (options.tls_trusted, options.no_proxy) == ("trust.pem", "repository.example")
        assert options.directory == Path("/etc")
        with pytest.raises(ConfigurationError, match="speed: means nothing to the road https"):
            load_configuration(write(more=url.replace("no_proxy", "speed")), frail_plugins)


class TestFailures:
    @pytest.mark.parametrize(
        ("how", "said"), [("later", "it broke"), ("badly", "it broke"), ("by itself", "by itself")]
    )
    async def test_a_road_that_fails_is_served_again_and_the_others_go_on(
        self, write: Write, frail_plugins: Plugins, caplog: pytest.LogCaptureFixture, how: str, said: str
    ) -> None:
        caplog.set_level(logging.INFO, "cmpkit.server")
        configuration = load_configuration(write(more=frail(failures=2, how=how)), frail_plugins)
        async with running(configuration, frail_plugins) as urls:
            await endured(frail_plugins)
            async with client_of(configuration, frail_plugins, urls[0]) as client:
                with pytest.raises(PeerRefusal):
                    await client.info()
        failures = [message for message in caplog.messages if message.startswith("nothing is taken at frail:")]
        assert len(failures) == 2
        assert all(said in message for message in failures)

    async def test_a_road_that_is_not_there_yet_does_not_keep_the_others_from_beginning(
        self, write: Write, frail_plugins: Plugins, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "cmpkit.server")
        configuration = load_configuration(write(more=frail(failures=1, how="at the start")), frail_plugins)
        async with running(configuration, frail_plugins) as urls:
            assert [url.partition(":")[0] for url in urls] == ["http"]
            await endured(frail_plugins)
        assert "listening on frail:" in caplog.messages


class TestPatience:
    async def test_a_road_on_which_messages_take_their_time_is_served_with_patience(self, write: Write) -> None:
        plugins = load_plugins([("post", PostPlugin())])
        configuration = load_configuration(write(more='\n[[listen]]\nurl = "memory-post:ca"\n'), plugins)
        http, post = road_settings(ServerSettings(), configuration.listen)
        assert http.message_time_window == timedelta(seconds=300)
        assert (http.responder.least_check_after, http.puts_off) == (0, False)
        assert (post.message_time_window, post.responder.confirm_wait_time) == (timedelta(days=30), timedelta(days=30))
        assert (post.responder.least_check_after, post.puts_off) == (3600, True)
        assert http.widest_time_window == post.widest_time_window == timedelta(days=30)

    async def test_a_table_says_how_much(self, write: Write) -> None:
        plugins = load_plugins([("post", PostPlugin())])
        more = (
            '\n[[listen]]\nurl = "memory-post:ca"\nmessage_time_window = "off"\n'
            'confirm_wait_time = "2d"\ncheck_after = "5m"\n'
        )
        configuration = load_configuration(write(more=more), plugins)
        http, post = road_settings(ServerSettings(), configuration.listen)
        assert post.message_time_window is None
        assert (post.responder.confirm_wait_time, post.responder.least_check_after) == (timedelta(days=2), 300)
        assert http.widest_time_window is None


class Interruption(Exception):
    """What ends a client in the middle."""


class Interrupter:
    """An observer that ends the client once the certificate is there."""

    def observe(self, event: Event) -> None:
        if event.details.get("point") == Checkpoint.CERTIFICATE_SAVED.value:
            raise Interruption

    @hookimpl
    def cmpkit_observers(self) -> list[Interrupter]:
        return [self]


async def begun_by_post(
    write: Write,
    tmp_path: Path,
    resume: Callable[[Client, Path], Awaitable[None]],
    *changes: tuple[str, str],
) -> None:
    """An enrolment begins on a store-and-forward road, and is interrupted before its certConf goes over HTTP."""
    post = PostPlugin()
    plugins = load_plugins([("post", post)])
    configuration = load_configuration(write(*changes, more='\n[[listen]]\nurl = "memory-post:ca"\n'), plugins)
    async with open_store(configuration, plugins) as store:
        await store.add_secret(SecretRecord(SECRET, Grant(parse_name("CN=dev-42"), "device")))
    async with running(configuration, plugins) as (http, by_post):
        interrupted = load_plugins([("post", post), ("interrupter", Interrupter())])
        async with client_of(configuration, interrupted, by_post, state=tmp_path / "state") as client:
            with pytest.raises(Interruption):
                await client.enroll("CN=dev-42")
        (saved,) = (tmp_path / "state").glob("*.json")
        async with client_of(configuration, plugins, http, state=tmp_path / "state") as client:
            await resume(client, saved)
    async with open_store(configuration, plugins) as store:
        (record,) = [record for record in await store.certificates() if record.subject == "CN=dev-42"]
    assert (record.state is CertificateState.VALID) is (resume is goes_on)


async def goes_on(client: Client, saved: Path) -> None:
    await client.resume(saved)


async def is_refused(client: Client, saved: Path) -> None:
    with pytest.raises(PeerRefusal, match="must go on over the road on which it began"):
        await client.resume(saved)


async def test_a_transaction_goes_on_over_another_road(write: Write, tmp_path: Path) -> None:
    await begun_by_post(write, tmp_path, goes_on)


async def test_a_transaction_stays_on_its_road_where_that_is_wanted(write: Write, tmp_path: Path) -> None:
    await begun_by_post(write, tmp_path, is_refused, ("[server]\n", "[server]\nsame_road = true\n"))


async def test_a_server_that_is_told_to_end_while_a_road_is_not_there_yet_ends(
    write: Write, frail_plugins: Plugins
) -> None:
    configuration = load_configuration(write(more=frail(failures=9, how="at the start")), frail_plugins)
    shutdown = anyio.Event()
    shutdown.set()
    with anyio.fail_after(20):
        await serve(configuration, frail_plugins, shutdown=shutdown)
