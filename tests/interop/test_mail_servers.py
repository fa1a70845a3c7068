"""The mail road with Postfix and Dovecot: TLS, what servers refuse, what they cannot do, and what is no request."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from cmpkit_mail import imap
from cmpkit_mail.client import MailClient
from cmpkit_mail.mailboxes import Mailbox
from cmpkit_mail.mails import compose, message_id
from cmpkit_mail.options import MailServerOptions
from cmpkit_mail.roads import MailClients, MailServer
from dying_mail import enrol_while_servers_die
from hostile_mails import hostile_mails
from imapclient import IMAPClient
from real_mail import RealMail, real_mail

from cmpkit.errors import ConfigurationError, TransportError
from cmpkit.parts import Answer, Peer, TransportOptions
from cmpkit.transports import read_own_options

SECONDS = 40.0


async def answer_ok(message: bytes, peer: Peer) -> Answer:
    return Answer(b"answer to " + message)


def client(own: dict[str, Any], device: str, ca: str, **tls: str) -> MailClient:
    return MailClients().open(f"mailto:{ca}", TransportOptions(timeout=10, own={**own, "sender": device}, **tls))


def exactly(expected: bytes) -> Callable[[bytes], Any]:
    async def wanted(message: bytes) -> bool:
        return message == expected

    return wanted


@asynccontextmanager
async def served(keys: dict[str, Any], ca: str) -> AsyncIterator[None]:
    shutdown = anyio.Event()

    async def serve(*, task_status: Any) -> None:
        server = MailServer().configured(keys, Path())
        await server.serve(f"mailto:{ca}", answer_ok, max_message_size=1000, shutdown=shutdown, task_status=task_status)

    with anyio.fail_after(SECONDS):
        async with anyio.create_task_group() as tasks:
            await tasks.start(serve)
            yield
            shutdown.set()


async def ask(road: MailClient, message: bytes) -> None:
    await road.send(message)
    answer = await road.receive(exactly(b"answer to " + message))
    await road.done(answer)


@pytest.mark.parametrize("way", ["starttls", "tls"])
async def test_servers_that_are_trusted_are_talked_to_by_tls(mail: RealMail, way: str) -> None:
    ca, device = mail.address("ca"), mail.address("device")
    keys = {**mail.own(ca, way), "tls_trusted": mail.files.root, "answered_folder": "CMP-answered"}
    async with served(keys, ca):
        road = client(mail.own(device, way), device, ca, tls_trusted=mail.files.root)
        await ask(road, b"hello")
        await road.aclose()
    assert len(mail.mails(ca, "CMP-answered")) == 1
    assert not mail.mails(ca)


@pytest.mark.parametrize("way", ["starttls", "tls"])
async def test_servers_that_are_not_trusted_learn_no_password(mail: RealMail, way: str) -> None:
    device = mail.address("device")
    road = client(mail.own(device, way), device, "ca@test.example", tls_trusted=mail.files.other_root)
    with pytest.raises(TransportError, match="TLS failed") as caught:
        await road.send(b"hello")
    assert caught.value.tls
    with pytest.raises(TransportError, match="TLS failed"):
        await road.receive(exactly(b""))


async def test_a_wrong_password_is_named_and_not_shown(mail: RealMail, monkeypatch: pytest.MonkeyPatch) -> None:
    device = mail.address("device")
    own = mail.own(device, "tls")
    monkeypatch.setenv("CMPKIT_TEST_MAIL_PASSWORD", "wrong")
    road = client(own, device, "ca@test.example", tls_trusted=mail.files.root)
    for attempt in (road.send(b"hello"), road.receive(exactly(b""))):
        with pytest.raises(TransportError, match="does not let") as caught:
            await attempt
        assert not caught.value.retryable
        assert "password" in caught.value.hint
        assert "wrong" not in str(caught.value)


async def test_the_server_tells_of_new_mail(mail: RealMail) -> None:
    ca, device = mail.address("ca"), mail.address("device")
    rarely = {"poll_interval": "10m"}
    async with served({**mail.own(ca), **rarely}, ca):
        road = client({**mail.own(device), **rarely}, device, ca)
        await ask(road, b"hello")
        await road.aclose()


async def test_connections_that_are_lost_are_made_anew(mail: RealMail) -> None:
    ca, device = mail.address("ca"), mail.address("device")
    async with served(mail.own(ca), ca):
        road = client(mail.own(device), device, ca)
        await ask(road, b"first")
        for session in (road._mailbox._kept, road._mailbox._watch):  # type: ignore[union-attr]
            session.client.socket().shutdown(2)
        await ask(road, b"second")
        await road.aclose()


async def test_servers_that_can_little_are_enough(tmp_path: Path) -> None:
    with real_mail("IMAP4rev1") as plain:
        ca, device = plain.address("ca"), plain.address("device")
        async with served({**plain.own(ca), "answered_folder": "CMP-answered"}, ca):
            road = client(plain.own(device), device, ca)
            for message in (b"first", b"second"):
                await ask(road, message)
            await road.send(bytes(1001))
            await ask(road, b"third")
            await road.aclose()
        assert len(plain.mails(ca, "CMP-answered")) == 3
        assert len(plain.mails(ca, "CMP-aside")) == 1


async def test_requests_among_two_hundred_other_mails_are_answered_and_nothing_else(mail: RealMail) -> None:
    ca, device = mail.address("ca"), mail.address("device")
    others = hostile_mails(200, ca)
    mail.send(ca, *others[:190])
    mail.send(ca, *others[190:], sender="")
    mail.send(device, *others[:40])
    road = client(mail.own(device), device, ca)
    async with served(mail.own(ca), ca):
        for number in range(5):
            await ask(road, b"request %d" % number)
        while len(mail.mails(ca, "CMP-aside")) + len(mail.mails(device)) < 200 + 40:  # noqa: ASYNC110
            await anyio.sleep(0.1)
    await road.aclose()
    assert mail.mails(ca) == []
    log = (mail.root / "postfix.log").read_text()
    senders = dict(re.findall(r"(\w+): from=<([^>]*)>", log))
    assert {to for mail_id, to in re.findall(r"(\w+): to=<([^>]*)>", log) if senders.get(mail_id) == ca} == {device}


def test_servers_die_at_each_point_and_one_certificate_is_issued(mail: RealMail, tmp_path: Path) -> None:
    ca, device = mail.address("ca"), mail.address("device")
    often = {"poll_interval": "1s"}
    enrol_while_servers_die(
        *(tmp_path, (ca, device)),
        keys={**mail.own(ca), **often},
        options={**mail.own(device), **often},
        settled=lambda: not mail.mails(ca),
    )
    assert mail.mails(ca) == mail.mails(ca, "CMP-aside") == []
    # Answers that were sent again, of which the client took one each: they are the same mail again.
    left = [re.search(rb"\nMessage-ID: (\S+)", one)[1] for one in mail.mails(device)]  # type: ignore[index]
    assert 1 <= len(set(left)) <= 2, "the ip, and perhaps the pkiconf"


async def test_a_request_that_comes_twice_gets_the_same_mail_twice(mail: RealMail) -> None:
    ca, device = mail.address("ca"), mail.address("device")
    request = compose(
        b"hello", sender=device, recipient=ca, message_id=message_id(device, b"hello"), subject="CMP request"
    )
    async with served(mail.own(ca), ca):
        for _ in range(2):
            mail.send(ca, request, sender=device)
        while len(mail.mails(device)) < 2:  # noqa: ASYNC110 - folders have no events
            await anyio.sleep(0.05)
    names = {re.search(rb"\nMessage-ID: (\S+)", one)[1] for one in mail.mails(device)}  # type: ignore[index]
    assert len(names) == 1


@asynccontextmanager
async def opened(mail: RealMail, address: str, **keys: Any) -> AsyncIterator[Mailbox]:
    own = {**mail.own(address), **keys}
    options = read_own_options(MailServerOptions, own, directory=Path())
    mailbox = options.open_mailbox(options.mailbox, address, options.reached(Path()), folders=options.folders)
    try:
        await mailbox.open()
        yield mailbox
    finally:
        await mailbox.aclose()


class TestMailboxes:
    async def test_what_is_not_there_any_more_is_passed_over(self, mail: RealMail) -> None:
        address = mail.address("ca")
        mail.send(address, b"Subject: x\r\n\r\nx")
        async with opened(mail, address) as mailbox:
            while not (found := await mailbox.look()):
                await mailbox.wait()
            (key,) = found
            validity, _, uid = key.partition(".")
            for gone in (f"{int(validity) + 1}.{uid}", f"{validity}.{int(uid) + 1}"):
                assert await mailbox.read(gone, 1000) is None
                assert await mailbox.likely([gone]) == []
                await mailbox.move(gone, "CMP-aside")
                await mailbox.remove(gone)
            assert b"Subject: x" in (await mailbox.read(key, 1000) or b"")

    async def test_a_folder_that_was_removed_is_made_again(self, mail: RealMail) -> None:
        address = mail.address("ca")
        mail.send(address, b"Subject: x\r\n\r\nx")
        async with opened(mail, address) as mailbox:
            while not (found := await mailbox.look()):
                await mailbox.wait()
            mailbox._kept.client.delete_folder("CMP-aside")  # type: ignore[attr-defined]
            await mailbox.move(found[0], "CMP-aside")
            assert await mailbox.look() == []
        assert len(mail.mails(address, "CMP-aside")) == 1

    async def test_a_folder_that_is_missing_is_named(self, mail: RealMail) -> None:
        address = mail.address("ca")
        missing = f"imap-plain://127.0.0.1:{mail.ports['imap']}/missing"
        with pytest.raises(TransportError, match=r"the IMAP server .* missing") as caught:
            async with opened(mail, address, mailbox=missing):
                pass
        assert caught.value.retryable

    async def test_one_mail_that_the_server_fails_with_hinders_no_other(
        self, mail: RealMail, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ca, device = mail.address("ca"), mail.address("device")
        fetch = IMAPClient.fetch

        def fail_with_the_first(self: IMAPClient, uids: list[int], what: list[str]) -> Any:
            if (uids == [1] and "BODY.PEEK" in what[0]) or what == ["BODYSTRUCTURE"]:
                raise IMAPClient.Error("fetch failed: [SERVERBUG] sorry")
            return fetch(self, uids, what)

        monkeypatch.setattr(IMAPClient, "fetch", fail_with_the_first)
        monkeypatch.setattr(imap, "_RENEW_SECONDS", 0.0)
        for address in (ca, device):
            mail.send(address, b"Subject: x\r\n\r\nx")
        while not (mail.mails(ca) and mail.mails(device)):  # noqa: ASYNC110 - folders have no events
            await anyio.sleep(0.05)
        async with served(mail.own(ca), ca):
            road = client(mail.own(device), device, ca)
            await ask(road, b"hello")
            await road.aclose()
        assert len(mail.mails(ca, "CMP-aside")) == 1
        assert len(mail.mails(device)) == 1


async def test_reading_by_imap_needs_its_library(mail: RealMail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imapclient", None)
    with pytest.raises(ConfigurationError, match="IMAPClient") as caught:
        async with opened(mail, mail.address("ca")):
            pass
    assert "cmpkit[mail]" in caught.value.hint
