"""Mail keeps the contract of a store-and-forward road, answers no machine, and loses nothing."""

from __future__ import annotations

import email
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus
from cmpkit_mail.client import MailClient
from cmpkit_mail.maildir import MaildirMailbox
from cmpkit_mail.mails import compose, read_message
from cmpkit_mail.roads import MailClients, MailServer
from hostile_mails import kinds_of_mail
from mail_servers import PostOffice, post_office

from cmpkit.errors import TransportError
from cmpkit.parts import Answer, Check, Disposition, Examination, Peer, TransportOptions, Verdict
from cmpkit.testing import check_transport

CA, DEVICE = "ca@test.example", "device@test.example"
URL = f"mailto:{CA}"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[PostOffice]:
    with post_office(tmp_path / "mail") as opened:
        yield opened


async def test_it_keeps_the_contract(office: PostOffice) -> None:
    options = TransportOptions(timeout=10, own={**office.own(DEVICE), "sender": DEVICE})
    await check_transport(
        MailServer(office.own(CA)), URL, clients=MailClients(), nowhere="mailto:nobody@test.example", options=options
    )


async def answer_ok(message: bytes, peer: Peer) -> Answer:
    return Answer(b"answer to " + message)


def request(message: bytes = b"request", *, sender: str = DEVICE) -> bytes:
    return compose(message, sender=sender, recipient=CA, message_id="<1@test.example>", subject="CMP request")


async def serve_until(office: PostOffice, reached: Callable[[], bool], **keys: str) -> None:
    """Serve the mailbox until something is so."""
    shutdown = anyio.Event()
    server = MailServer().configured({**office.own(CA), **keys}, office.directory)

    async def serve(*, task_status: TaskStatus[str]) -> None:
        await server.serve(URL, answer_ok, max_message_size=1000, shutdown=shutdown, task_status=task_status)

    try:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                await tasks.start(serve)
                while not reached():  # noqa: ASYNC110 - folders have no events
                    await anyio.sleep(0.01)
                shutdown.set()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


class TestAnswers:
    @pytest.fixture(autouse=True)
    def _mailboxes(self, office: PostOffice) -> None:
        office.maildir(CA)
        office.maildir(DEVICE)

    async def test_an_answer_comes_from_the_endpoint_and_names_the_request(self, office: PostOffice) -> None:
        office.deliver(CA, request())
        await serve_until(office, lambda: not office.folder(CA, ""), answered_folder="CMP-answered")
        (raw,) = office.folder(DEVICE, "")
        answer = email.message_from_bytes(raw)
        assert (answer["From"], answer["To"], answer["In-Reply-To"]) == (CA, DEVICE, "<1@test.example>")
        assert read_message(answer) == b"answer to request"
        assert len(office.folder(CA, "CMP-answered")) == 1

    async def test_an_answer_that_nobody_takes_is_logged_and_its_request_put_aside(
        self, office: PostOffice, caplog: pytest.LogCaptureFixture
    ) -> None:
        office.deliver(CA, request(sender="nobody@test.example"))
        await serve_until(office, lambda: bool(office.folder(CA, "CMP-aside")))
        assert "its answer cannot be sent" in caplog.text
        assert "550 nobody of that name" in caplog.text

    @pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA", "after DATA"])
    @pytest.mark.parametrize(("said", "refused"), [("451 not now", False), ("554 never", True)])
    async def test_what_a_server_does_not_take_now_is_sent_later(
        self, office: PostOffice, command: str, said: str, refused: bool
    ) -> None:
        office.deliver(CA, request())
        office.refusals[command] = said

        def settled() -> bool:
            if office.commands:
                office.refusals.clear()
            return not office.folder(CA, "")

        await serve_until(office, settled)
        # Who may send is of the server, not of the mail.
        assert bool(office.folder(CA, "CMP-aside")) is (refused and command != "MAIL")

    async def test_a_login_that_is_refused_keeps_the_server_from_starting(
        self, office: PostOffice, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MAIL", "hidden")
        office.refusals["AUTH"] = "535 no"
        with pytest.raises(TransportError, match="does not let us in") as caught:
            await serve_until(office, lambda: True, smtp_password="env:MAIL")
        assert "hidden" not in str(caught.value)
        office.refusals.clear()
        await serve_until(office, lambda: True, smtp_password="env:MAIL")

    async def test_a_server_without_starttls_is_not_talked_to(self, office: PostOffice) -> None:
        with pytest.raises(TransportError, match="STARTTLS") as caught:
            await serve_until(office, lambda: True, smtp=office.smtp.replace("smtp-plain", "smtp"))
        assert "scheme" in caught.value.hint


class TestMaildirs:
    @pytest.fixture
    def maildir(self, office: PostOffice) -> Path:
        office.maildir(DEVICE)
        return office.maildir(CA)

    async def test_what_is_no_file_or_too_large_is_put_aside(self, office: PostOffice, maildir: Path) -> None:
        os.mkfifo(maildir / "new" / "pipe")
        (maildir / "new" / "link").symlink_to("/etc/hostname")
        (maildir / "new" / "large").write_bytes(bytes(100_000))
        (maildir / "cur" / "read:2,S").write_bytes(request())
        (maildir / "cur" / "trashed:2,ST").write_bytes(request())
        await serve_until(office, lambda: [path.name for path in (maildir / "cur").iterdir()] == ["trashed:2,ST"])
        await serve_until(office, lambda: not list((maildir / "new").iterdir()))
        assert len(list((maildir / ".CMP-aside" / "cur").iterdir())) == 3
        assert len(office.taken) == 1

    async def test_a_folder_that_was_removed_is_made_again(self, office: PostOffice, maildir: Path) -> None:
        def settled() -> bool:
            aside = maildir / ".CMP-aside"
            if not office.taken and aside.is_dir():
                shutil.rmtree(aside)
                office.deliver(CA, request())
                office.deliver(CA, b"no request")
            return bool(office.taken) and not office.folder(CA, "")

        await serve_until(office, settled)
        assert len(office.folder(CA, "CMP-aside")) == 1

    async def test_a_mailbox_has_one_server(self, office: PostOffice, maildir: Path) -> None:
        box = MaildirMailbox(maildir, interval=timedelta(seconds=1), folders=("CMP-aside",))
        await box.open()
        with pytest.raises(TransportError, match="has a server already") as caught:
            await serve_until(office, lambda: True)
        assert caught.value.retryable
        await box.aclose()
        await serve_until(office, lambda: True)

    async def test_a_maildir_that_is_missing_is_named(self, office: PostOffice) -> None:
        with pytest.raises(TransportError, match="missing: No such file") as caught:
            await serve_until(office, lambda: True, mailbox="maildir:missing")
        assert caught.value.retryable


class TestClients:
    def client(self, office: PostOffice, **options: Any) -> MailClient:
        office.maildir(CA)
        return MailClients().open(URL, TransportOptions(own={**office.own(DEVICE), "sender": DEVICE, **options}))

    async def test_announcements_need_no_mailbox_and_requests_do(self, office: PostOffice) -> None:
        office.maildir(CA)
        own = {"smtp": office.smtp, "sender": DEVICE}
        client = MailClients().open(URL, TransportOptions(own=own))
        assert await client.announce(b"announcement") is Disposition.STORED
        with pytest.raises(TransportError, match="nothing says where answers are read"):
            await client.send(b"request")
        assert len(office.folder(CA, "")) == 1
        await client.aclose()

    async def test_bounces_and_larger_answers_are_passed_over(self, office: PostOffice) -> None:
        client = self.client(office)
        for kind, mail in kinds_of_mail(CA).items():
            if kind in ("bounce", "a mail in a mail", "text", "two messages"):
                office.deliver(DEVICE, mail.encode())
        office.deliver(DEVICE, request(bytes((1 << 20) + 1)))
        office.deliver(DEVICE, request(b"answer"))

        async def anything(message: bytes) -> bool:
            return True

        for _ in range(2):
            assert await client.receive(anything) == b"answer"
        await self.client(office).done(b"answer")
        assert len(office.folder(DEVICE, "")) == 5
        await client.aclose()
        with pytest.raises(TransportError, match="closed"):
            await client.receive(anything)

    async def test_the_same_request_has_the_same_message_id(self, office: PostOffice) -> None:
        client = self.client(office)
        for message in (b"one", b"one", b"two"):
            await client.send(message)
        names = [email.message_from_bytes(mail)["Message-ID"] for mail in office.taken]
        assert names[0] == names[1] != names[2]

    async def test_a_server_that_is_gone_may_come_back(self, office: PostOffice, tmp_path: Path) -> None:
        with post_office(tmp_path / "other") as other:
            own = {**office.own(DEVICE), "smtp": other.smtp, "sender": DEVICE}
        with pytest.raises(TransportError, match="the SMTP server") as caught:
            await MailClients().open(URL, TransportOptions(own=own)).send(b"request")
        assert caught.value.retryable

    async def test_an_examination_says_whether_mail_goes_both_ways(self, office: PostOffice) -> None:
        office.maildir(CA)
        own = {**office.own(DEVICE), "sender": DEVICE}

        async def examine(**changed: str | None) -> Check:
            options = {name: value for name, value in {**own, **changed}.items() if value is not None}
            found: list[Check] = []
            examination = Examination(TransportOptions(own=options), lambda: b"", found.append)
            assert await MailClients().examine(URL, examination) == (URL if not changed else None)
            return found[0]

        assert (await examine()).verdict is Verdict.GOOD
        assert "nothing says where" in (await examine(mailbox=None)).detail
        assert "there" in (await examine(mailbox="maildir:missing")).detail
        office.refusals["MAIL"] = "550 not you"
        assert "550 not you" in (await examine(sender="other@test.example")).detail
        assert not office.taken
