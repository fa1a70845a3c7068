"""The drop-directory keeps the contract of a store-and-forward road, and loses nothing."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from cmpkit_file import claims as claims_module
from cmpkit_file import layout
from cmpkit_file.claims import Claims
from cmpkit_file.inbox import DirectoryInbox
from cmpkit_file.layout import DropDirectory
from cmpkit_file.options import FileServerOptions
from cmpkit_file.roads import FileClients, FileServer
from cmpkit_file.watching import Changes

from cmpkit.errors import ConfigurationError, TransportError
from cmpkit.parts import Answer, Disposition, Examination, Peer, TransportOptions, Verdict
from cmpkit.testing import check_transport

NOW = FileServerOptions(settle=timedelta(0), poll_interval=timedelta(seconds=0.05))


async def answer_ok(message: bytes, peer: Peer) -> Answer:
    return Answer(b"answer to " + message, Disposition.ANSWERED)


@pytest.fixture
def place(tmp_path: Path) -> DropDirectory:
    made = DropDirectory(tmp_path / "spool")
    made.root.mkdir()
    made.make(made.requests, made.answers, made.work, made.done, made.failed)
    return made


async def serve_until(place: DropDirectory, reached: Any, options: FileServerOptions = NOW) -> None:
    """Serve the directory until something is so."""
    shutdown = anyio.Event()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:

            async def serve(*, task_status: Any) -> None:
                await FileServer(options).serve(
                    place.root.as_uri(), answer_ok, max_message_size=1000, shutdown=shutdown, task_status=task_status
                )

            await tasks.start(serve)
            while not reached():  # noqa: ASYNC110 - files have no events
                await anyio.sleep(0.01)
            shutdown.set()


async def test_it_keeps_the_contract(tmp_path: Path) -> None:
    nowhere = (tmp_path / "nowhere").as_uri()
    await check_transport(FileServer(), tmp_path.as_uri(), clients=FileClients(), nowhere=nowhere, servers=2)
    reasons = "".join(path.read_text() for path in (tmp_path / "failed").glob("*.reason.txt"))
    assert "it is no CMP message" in reasons
    assert "100001 octets" in reasons
    assert not list((tmp_path / "in").iterdir())
    assert not list((tmp_path / "work").iterdir())


async def test_network_media_are_looked_at_regularly(place: DropDirectory) -> None:
    polling = replace(NOW, watch="poll")
    client = FileClients().open(place.root.as_uri(), TransportOptions(own={"watch": "poll", "poll_interval": "1s"}))

    async def anything(message: bytes) -> bool:
        return True

    async def later() -> None:
        await client.send(b"request")
        assert await client.receive(anything) == b"answer to request"
        await client.done(b"answer to request")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(later)
        await serve_until(place, lambda: place.done.exists() and any(place.done.iterdir()), polling)
    assert not list(place.answers.iterdir())


class TestWhatIsNoRequest:
    """It is put aside, with a reason, and what is a request beside it is answered."""

    @pytest.fixture(autouse=True)
    def request_beside_it(self, place: DropDirectory) -> None:
        place.put(place.requests, "good.pki", b"good")

    async def put_aside(self, place: DropDirectory, name: str) -> str:
        reason = place.failed / f"{name}.reason.txt"
        await serve_until(place, lambda: reason.exists() and (place.done / "good.pki").exists())
        assert (place.answers / "good.pki").read_bytes() == b"answer to good"
        assert name in {path.name for path in place.failed.iterdir()}
        return reason.read_text()

    async def test_a_link_is_not_followed(self, place: DropDirectory, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("secret")
        (place.requests / "link.pki").symlink_to(secret)
        assert "a link" in await self.put_aside(place, "link.pki")
        assert (place.failed / "link.pki").is_symlink()

    async def test_a_pipe_is_not_waited_for(self, place: DropDirectory) -> None:
        os.mkfifo(place.requests / "pipe.pki")
        assert "no regular file" in await self.put_aside(place, "pipe.pki")

    async def test_a_folder_is_moved_as_it_is(self, place: DropDirectory) -> None:
        (place.requests / "folder.pki").mkdir()
        (place.requests / "folder.pki" / "inside").write_text("inside")
        assert "no regular file" in await self.put_aside(place, "folder.pki")
        assert (place.failed / "folder.pki" / "inside").exists()

    async def test_what_is_too_large_is_not_read(self, place: DropDirectory) -> None:
        (place.requests / "large.pki").write_bytes(bytes(1001))
        assert "1001 octets, 1000 are read at most" in await self.put_aside(place, "large.pki")

    async def test_a_foreign_name_is_refused(self, place: DropDirectory) -> None:
        (place.requests / "README").write_text("Hello")
        assert "does not end with .pki" in await self.put_aside(place, "README")

    async def test_a_name_that_is_too_long_for_what_is_added_to_it_is_shortened(self, place: DropDirectory) -> None:
        (place.requests / f"{'ä' * 120}.txt").write_text("Hello")
        assert "does not end with .pki" in await self.put_aside(place, "ä" * 100)
        (place.requests / f"{'x' * 251}.pki").write_bytes(b"long")
        await serve_until(place, (place.done / f"{'x' * 200}.pki").exists)
        assert (place.answers / f"{'x' * 200}.pki").read_bytes() == b"answer to long"

    async def test_what_nobody_finishes_is_taken_as_it_is(self, place: DropDirectory) -> None:
        (place.requests / "half.pki").write_bytes(bytes.fromhex("308201002a"))
        # The handler of this test answers anything: what matters is that the file is not waited for any longer.
        await serve_until(place, (place.done / "half.pki").exists)


@pytest.mark.parametrize("start", [b"", b"\x30", b"\x30\x03\x01", bytes.fromhex("30820100"), bytes.fromhex("308180")])
async def test_what_is_still_being_written_is_waited_for(place: DropDirectory, start: bytes) -> None:
    growing = place.requests / "growing.pki"
    growing.write_bytes(start)
    place.put(place.requests, "other.pki", b"other")
    patient = FileServerOptions(settle=timedelta(minutes=5), poll_interval=timedelta(seconds=0.05))
    await serve_until(place, (place.done / "other.pki").exists, patient)
    assert growing.read_bytes() == start
    whole = bytes.fromhex("3003010203")
    growing.write_bytes(whole)
    await serve_until(place, (place.done / "growing.pki").exists, patient)
    assert (place.answers / "growing.pki").read_bytes() == b"answer to " + whole


class TestNames:
    async def test_no_answer_replaces_another_one(self, place: DropDirectory) -> None:
        for message in (b"first", b"second"):
            place.put(place.requests, "request.pki", message)
            await serve_until(place, lambda: not list(place.requests.iterdir()) and not _at_work(place))
        answers = {path.name: path.read_bytes() for path in place.answers.iterdir()}
        assert answers == {"request.pki": b"answer to first", "request.1.pki": b"answer to second"}
        assert len(list(place.done.iterdir())) == 2

    async def test_the_same_answer_is_not_written_twice(self, place: DropDirectory) -> None:
        for _ in range(2):
            place.put(place.requests, "request.pki", b"same")
            await serve_until(place, lambda: not list(place.requests.iterdir()) and not _at_work(place))
        assert [path.name for path in place.answers.iterdir()] == ["request.pki"]

    def test_media_without_links_are_written_too(self, place: DropDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_links(*_: Any, **__: Any) -> None:
            raise PermissionError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", no_links)
        place.put(place.answers, "a.pki", b"one")
        place.put(place.answers, "a.pki", b"two")
        assert sorted(path.read_bytes() for path in place.answers.iterdir()) == [b"one", b"two"]


def inbox_of(place: DropDirectory) -> DirectoryInbox:
    """The inbox of a server that takes over nothing and is told of nothing."""
    claims = Claims(place, locks=False)
    return DirectoryInbox(place, claims, Changes(), NOW, road="file", max_message_size=1000)


def _at_work(place: DropDirectory) -> list[Path]:
    return list(place.work.rglob("*.pki"))


class TestTrouble:
    @pytest.fixture
    def broken(self, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> int:
        """Nothing can be forced to the medium."""

        def fail(_: int) -> None:
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(os, "fsync", fail)
        return int(request.param)

    @pytest.mark.parametrize(
        ("broken", "said"),
        [
            (errno.ENOSPC, "no space left"),
            (errno.EDQUOT, "quota"),
            (errno.EROFS, "only be read"),
            (errno.EIO, "I/O|nput"),
        ],
        indirect=["broken"],
    )
    async def test_a_medium_that_cannot_be_written_is_named_and_nothing_is_left(
        self, place: DropDirectory, broken: int, said: str
    ) -> None:
        client = FileClients().open(place.root.as_uri(), TransportOptions())
        with pytest.raises(TransportError, match=said) as caught:
            await client.send(b"message")
        assert caught.value.retryable
        assert not list(place.requests.iterdir())

    async def test_a_full_disk_delays_the_answer_and_loses_nothing(
        self, place: DropDirectory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.put(place.requests, "request.pki", b"request")
        failures: list[int] = []
        fsync = os.fsync

        def full_at_first(descriptor: int) -> None:
            if len(failures) < 2:
                failures.append(descriptor)
                raise OSError(errno.ENOSPC, "No space left on device")
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", full_at_first)
        await serve_until(place, (place.done / "request.pki").exists)
        assert (place.answers / "request.pki").read_bytes() == b"answer to request"
        assert not [path for path in place.answers.iterdir() if path.name.startswith(".")]

    async def test_what_cannot_be_put_aside_now_is_a_request_until_it_can(
        self, place: DropDirectory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (place.requests / "README").write_text("Hello")
        fsync, failures = os.fsync, [OSError(errno.ENOSPC, "No space left on device")]

        def full_at_first(descriptor: int) -> None:
            if failures:
                raise failures.pop()
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", full_at_first)
        inbox = inbox_of(place)
        with pytest.raises(TransportError, match="no space left"):
            await inbox.claim()
        assert [path.name for path in place.requests.iterdir()] == ["README"]
        place.put(place.requests, "good.pki", b"good")
        assert (await inbox.claim()).octets == b"good"
        assert sorted(path.name for path in place.failed.iterdir()) == ["README", "README.reason.txt"]

    async def test_trouble_that_passes_is_not_the_fault_of_a_request(
        self, place: DropDirectory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.put(place.requests, "good.pki", b"good")

        def too_many(path: Path, most: int) -> bytes:
            monkeypatch.undo()
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr("cmpkit_file.inbox.read_regular", too_many)
        inbox = inbox_of(place)
        with pytest.raises(TransportError, match="Too many open files") as caught:
            await inbox.claim()
        assert caught.value.retryable
        assert (await inbox.claim()).octets == b"good"

    async def test_what_cannot_be_moved_stays_and_the_others_are_answered(
        self, place: DropDirectory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        place.put(place.requests, "a\x1b.pki", b"immovable")
        place.put(place.requests, "b.pki", b"good")
        rename = os.rename

        def only_others(source: Path, target: Path) -> None:
            if source.name.startswith("a"):
                raise PermissionError(errno.EPERM, "Operation not permitted")
            rename(source, target)

        monkeypatch.setattr(os, "rename", only_others)
        inbox = inbox_of(place)
        assert (await inbox.claim()).octets == b"good"
        place.put(place.requests, "c.pki", b"good too")
        assert (await inbox.claim()).octets == b"good too"
        (said,) = caplog.messages
        assert said.endswith("a\\x1b.pki stays there: Operation not permitted")

    async def test_another_medium_in_its_place_is_begun_with_anew(self, place: DropDirectory) -> None:
        inbox = inbox_of(place)
        inbox._claims._folder.rmdir()
        place.put(place.requests, "good.pki", b"good")
        with pytest.raises(TransportError, match="another one now") as caught:
            await inbox.claim()
        assert not caught.value.retryable

    async def test_a_directory_that_is_missing_is_named(self, tmp_path: Path) -> None:
        url = (tmp_path / "stick").as_uri()
        client = FileClients().open(url, TransportOptions())
        with pytest.raises(TransportError, match="it is not there") as caught:
            await client.send(b"message")
        assert "mounted" in caught.value.hint

        async def anything(message: bytes) -> bool:
            return True

        with pytest.raises(TransportError, match="it is not there"):
            await client.receive(anything)
        with pytest.raises(TransportError, match="it is not there"):
            await FileServer().serve(
                url, answer_ok, max_message_size=1, shutdown=anyio.Event(), task_status=anyio.TASK_STATUS_IGNORED
            )

    async def test_a_file_that_may_not_be_read_is_put_aside(
        self, place: DropDirectory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.put(place.requests, "mine.pki", b"mine")

        def denied(path: Path, most: int) -> bytes:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("cmpkit_file.inbox.read_regular", denied)
        await serve_until(place, (place.failed / "mine.pki").exists)
        assert "Permission denied" in (place.failed / "mine.pki.reason.txt").read_text()


class TestClaims:
    def test_what_a_dead_server_had_is_a_request_again(self, place: DropDirectory) -> None:
        place.put(place.requests, "a.pki", b"a")
        dead, living = Claims(place, locks=True), Claims(place, locks=True)
        assert dead.claim("a.pki")
        living.take_over()
        assert not list(place.requests.iterdir())
        os.close(dead._lock or -1)
        dead._lock = None
        living.take_over()
        assert [path.name for path in place.requests.iterdir()] == ["a.pki"]
        living.close()
        assert not list(place.work.iterdir())

    def test_what_cannot_be_put_back_hinders_nobody(
        self, place: DropDirectory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        for name in ("a.pki", "b.pki"):
            place.put(place.requests, name, b"x")
            assert Claims(place, locks=False).claim(name)
        link = os.link

        def only_one(source: Path, target: Path, **options: Any) -> None:
            if target.name == "a.pki":
                raise OSError(errno.EIO, "Input/output error")
            link(source, target, **options)

        def no_rename(*_: Any) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "link", only_one)
        monkeypatch.setattr(os, "rename", no_rename)
        Claims(place, locks=False).take_over()
        assert [path.name for path in place.requests.iterdir()] == ["b.pki"]
        assert "cannot be put back" in caplog.text

    def test_who_dies_while_it_moves_a_file_leaves_one(self, place: DropDirectory) -> None:
        place.put(place.requests, "a.pki", b"a")
        claimed = Claims(place, locks=False).claim("a.pki")
        assert claimed is not None
        os.link(claimed, place.requests / "a.pki")
        Claims(place, locks=False).take_over()
        assert [path.name for path in place.requests.iterdir()] == ["a.pki"]
        assert not _at_work(place)

    def test_one_of_two_gets_it(self, place: DropDirectory) -> None:
        place.put(place.requests, "a.pki", b"a")
        one, two = Claims(place, locks=True), Claims(place, locks=True)
        assert one.claim("a.pki")
        assert two.claim("a.pki") is None
        one.close()
        two.close()

    def test_without_locks_everything_is_taken_over(self, place: DropDirectory) -> None:
        place.put(place.requests, "a.pki", b"a")
        assert Claims(place, locks=False).claim("a.pki")
        alone = Claims(place, locks=False)
        alone.take_over()
        assert [path.name for path in place.requests.iterdir()] == ["a.pki"]
        alone.close()

    def test_a_medium_without_locks_is_refused_with_the_way_out(
        self, place: DropDirectory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_locks(*_: Any) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(claims_module.fcntl, "flock", no_locks)
        with pytest.raises(TransportError, match="cannot be locked") as caught:
            Claims(place, locks=True)
        assert "locks = false" in caught.value.hint


async def test_what_is_old_is_removed(place: DropDirectory) -> None:
    (place.answers / "folder").mkdir()
    os.utime(place.answers / "folder", times=(0, 0))
    for folder in (place.answers, place.done):
        for name, days in (("old.pki", 91), ("new.pki", 89)):
            path = place.put(folder, name, b"x")
            os.utime(path, times=(time.time() - days * 86400,) * 2)
    partial = place.requests / ".never-finished.tmp"
    partial.touch()
    os.utime(partial, times=(time.time() - 2 * 86400,) * 2)
    await serve_until(place, lambda: not partial.exists())
    assert sorted(path.name for path in place.answers.iterdir()) == ["folder", "new.pki"]
    assert [path.name for path in place.done.iterdir()] == ["new.pki"]


async def test_what_is_old_and_cannot_be_removed_hinders_nobody(
    place: DropDirectory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    os.utime(place.put(place.answers, "old.pki", b"old"), times=(0, 0))
    place.put(place.requests, "good.pki", b"good")
    unlink = os.unlink

    def all_but_the_old(path: str | Path) -> None:
        if Path(path).name == "old.pki":
            raise PermissionError(errno.EPERM, "Operation not permitted")
        unlink(path)

    monkeypatch.setattr(os, "unlink", all_but_the_old)
    assert (await inbox_of(place).claim()).octets == b"good"
    assert "old.pki is old, and cannot be removed: Operation not permitted" in caplog.text


class TestAddresses:
    @pytest.mark.parametrize(
        "url", ["file:", "file:///", "file://host/x", "file:///x?watch=poll", "http://x/", "file:///%00"]
    )
    def test_what_names_no_directory_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError):
            FileServer().check(url)

    def test_relative_ones_begin_at_the_configuration(self, tmp_path: Path) -> None:
        options = TransportOptions(directory=tmp_path)
        assert FileClients().open("file:spool%20here", options)._place.root == tmp_path / "spool here"

    @pytest.mark.parametrize(
        "settings", [{"wach": "poll"}, {"watch": "sometimes"}, {"settle": "soon"}, {"locks": "no"}]
    )
    def test_keys_that_are_wrong_are_named(self, settings: dict[str, Any], tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=next(iter(settings))):
            FileServer().configured(settings, tmp_path)


async def test_an_examination_says_whether_requests_can_be_put_there(place: DropDirectory) -> None:
    found: list[Any] = []
    examination = Examination(TransportOptions(), lambda: b"", found.append)
    assert await FileClients().examine(place.root.as_uri(), examination) == place.root.as_uri()
    assert found[-1].verdict is Verdict.GOOD
    assert not list(place.requests.iterdir())


async def test_larger_answers_are_passed_over(place: DropDirectory) -> None:
    place.put(place.answers, "a.pki", b"12345")
    place.put(place.answers, "b.pki", b"1234")
    client = FileClients().open(place.root.as_uri(), TransportOptions(max_response_size=4))

    async def anything(message: bytes) -> bool:
        return True

    assert await client.receive(anything) == b"1234"


def test_names_tell_people_what_a_message_is() -> None:
    assert layout.new_name(b"no CMP").endswith("-message.pki")
