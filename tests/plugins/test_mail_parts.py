"""What the mail road reads and writes: addresses, options, mails."""

from __future__ import annotations

import email
from pathlib import Path
from typing import Any

import pytest
from cmpkit_mail.addresses import MailServerAddress, read_mailbox, read_smtp, read_url
from cmpkit_mail.loops import why_not_answered
from cmpkit_mail.mails import NoMessage, compose, message_id, parse, read_message, read_sender
from cmpkit_mail.roads import MailClients, MailServer
from hostile_mails import hostile_mails, kinds_of_mail
from hypothesis import given
from hypothesis import strategies as st

from cmpkit.errors import ConfigurationError
from cmpkit.parts import TransportOptions

CA, DEVICE = "ca@test.example", "device@test.example"
OWN: dict[str, Any] = {"sender": DEVICE, "smtp": "smtps://smtp.example", "mailbox": "maildir:mail"}
KEYS: dict[str, Any] = {"smtp": "smtps://smtp.example", "mailbox": "maildir:mail"}


def a_mail(message: bytes = b"message", **headers: Any) -> bytes:
    return compose(
        message, sender=DEVICE, recipient=CA, message_id="<1@test.example>", subject="CMP request", **headers
    )


class TestMails:
    @given(st.binary(min_size=1, max_size=4000))
    def test_any_message_comes_back(self, message: bytes) -> None:
        mail = a_mail(message)
        assert read_message(parse(mail)) == message
        assert max(map(len, mail.split(b"\r\n"))) <= 998

    def test_its_form_is_that_of_the_standard(self) -> None:
        mail = email.message_from_bytes(a_mail(bytes(100)))
        assert mail.get_content_type() == "application/pkixcmp"
        assert mail.get_param("name") == mail.get_filename() == "message.pki"
        assert mail["Content-Transfer-Encoding"] == "base64"
        assert max(map(len, mail.get_payload().splitlines())) == 76
        assert "Auto-Submitted" not in mail

    def test_answers_are_marked_as_automatic_and_say_to_what(self) -> None:
        mail = email.message_from_bytes(a_mail(automatic=True, in_reply_to="<2@test.example>"))
        assert mail["Auto-Submitted"] == "auto-replied"
        assert mail["In-Reply-To"] == mail["References"] == "<2@test.example>"
        assert why_not_answered(mail, sender=DEVICE, reply_to=DEVICE, own=CA)

    @pytest.mark.parametrize(
        "text",
        [
            "Content-Type: application/x-pkixcmp\nContent-Transfer-Encoding: base64\n\n aG\t Vs\n bG8=\n",
            "Content-Type: APPLICATION/PKIXCMP\nContent-Transfer-Encoding: binary\n\nhello",
            "Content-Type: application/pkixcmp\nContent-Transfer-Encoding: quoted-printable\n\nhel=\nlo",
            "Content-Type: multipart/mixed; boundary=x\n\n--x\n\nSee below.\n--x\nContent-Type: application/pkixcmp\n"
            "Content-Transfer-Encoding: base64\n\naGVsbG8=\n--x\n\nfrom my telephone\n--x--\n",
        ],
    )
    def test_what_mail_programs_make_of_it_is_read(self, text: str) -> None:
        assert read_message(parse(f"From: x@y.example\n{text}".encode())) == b"hello"

    @pytest.mark.parametrize(("kind", "text"), kinds_of_mail(CA).items(), ids=list(kinds_of_mail(CA)))
    def test_what_is_no_request_is_not_taken_for_one(self, kind: str, text: str) -> None:
        def read() -> bytes:
            mail = parse(text.encode())
            sent = read_sender(mail)
            reason = why_not_answered(mail, sender=sent.address, reply_to=sent.reply_to, own=CA)
            if reason is not None:
                raise NoMessage(reason)
            return read_message(mail)

        if kind == "too large":
            assert len(read()) == 100_000
            return
        with pytest.raises(NoMessage):
            read()

    @given(st.binary(max_size=300), st.sampled_from(hostile_mails(40, CA)), st.integers(0, 400))
    def test_no_mail_makes_reading_fail_in_another_way(self, noise: bytes, mail: bytes, place: int) -> None:
        try:
            found = parse(mail[:place] + noise + mail[place:])
            read_sender(found)
            read_message(found)
        except NoMessage:
            pass

    def test_a_message_id_follows_from_what_is_in_the_mail(self) -> None:
        assert message_id(CA, b"a", b"bc") == message_id(CA, b"a", b"bc")
        assert message_id(CA, b"a", b"bc") != message_id(CA, b"ab", b"c")
        assert message_id(CA, b"a").endswith("@test.example>")

    def test_a_message_id_that_is_none_is_not_repeated(self) -> None:
        text = "From: x@y.example\nReply-To: z@y.example\nMessage-ID: <a b>\n\n"
        sent = read_sender(parse(text.encode()))
        assert (sent.reply_to, sent.message_id) == ("z@y.example", None)


class TestAddresses:
    @pytest.mark.parametrize(
        "url", ["mailto:", "mailto:ca", "mailto:a@b.example,c@d.example", "mailto:a@b.example?subject=x", "http://x/"]
    )
    def test_what_is_not_one_mailbox_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError):
            read_url(url)

    def test_a_mailbox_is_at_a_server_or_here(self) -> None:
        imap = MailServerAddress("imap.example", 993, "tls", "ca@test.example", "CMP/new")
        assert read_mailbox("imaps://ca%40test.example@imap.example/CMP%2Fnew") == imap
        assert read_mailbox("imap://imap.example:1143") == MailServerAddress(
            "imap.example", 1143, "starttls", None, "INBOX"
        )
        assert read_mailbox("maildir:mail", Path("/etc/cmp")) == Path("/etc/cmp/mail")
        assert read_smtp("smtp://smtp.example").port == 587

    @pytest.mark.parametrize(
        "text",
        [
            "pop3://x",
            "imaps://",
            "imaps://user:hidden@x",
            "imaps://x:99999",
            "imaps://x/?a",
            "imaps://x/%0A",
            "maildir:/",
        ],
    )
    def test_what_is_no_mailbox_is_refused_and_no_password_repeated(self, text: str) -> None:
        with pytest.raises(ConfigurationError) as caught:
            read_mailbox(text)
        assert "hidden" not in str(caught.value)

    @pytest.mark.parametrize("text", ["imaps://x", "smtps://x/folder"])
    def test_what_takes_no_mail_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigurationError, match="smtp"):
            read_smtp(text)


class TestOptions:
    @pytest.mark.parametrize(
        ("given", "named"),
        [
            ({"sender": "nobody"}, "sender"),
            ({"sender": CA.upper()}, "sender"),
            ({"smtp": "smtps://user@smtp.example"}, "smtp_password: is missing"),
            ({"mailbox": "imaps://imap.example"}, "mailbox_password: is missing"),
            ({"mailbox_password": "env:MAIL"}, "mailbox_password"),
            ({"smtp": "smtp-plain://smtp.example", "smtp_password": "env:MAIL"}, "without TLS"),
            ({"smtp_password": "env:NOT_ASCII"}, "smtp_password"),
            ({"mailbx": "x"}, "mailbx"),
        ],
    )
    def test_options_that_are_wrong_are_named(
        self, given: dict[str, Any], named: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MAIL", "a password")
        monkeypatch.setenv("NOT_ASCII", "Paßwort")
        with pytest.raises(ConfigurationError, match=named):
            MailClients().open(f"mailto:{CA}", TransportOptions(own={**OWN, **given}))

    def test_a_tls_host_means_nothing_where_there_are_two(self) -> None:
        with pytest.raises(ConfigurationError, match="tls_host"):
            MailClients().open(f"mailto:{CA}", TransportOptions(own=OWN, tls_host="x"))

    def test_the_keys_of_a_server_are_checked_before_it_starts(self, tmp_path: Path) -> None:
        MailServer().configured(KEYS, tmp_path).check(f"mailto:{CA}")
        for wrong in ({"mailbox": "x"}, {"tls_trusted": "missing.pem"}, {"timeout": "soon"}):
            with pytest.raises(ConfigurationError, match=next(iter(wrong))):
                MailServer().configured({**KEYS, **wrong}, tmp_path).check(f"mailto:{CA}")

    def test_no_password_is_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MAIL", "hidden")
        own = {**OWN, "mailbox": "imap-plain://localhost", "mailbox_password": "env:MAIL", "smtp_password": "env:MAIL"}
        client = MailClients().open(f"mailto:{CA}", TransportOptions(own=own))
        assert "hidden" not in repr(vars(client._mailbox)) + repr(vars(client._mailer))
