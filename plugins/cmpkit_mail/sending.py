"""Handing mail over by SMTP; it blocks, so it is called in worker threads."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from cmpkit.errors import TransportError
from cmpkit_mail.addresses import MailServerAddress, domain_of
from cmpkit_mail.mailboxes import Login

__all__ = ["MailRefused", "Mailer"]

_REFUSED, _PERMANENT = 400, 500
_TOO_MUCH = 552


class MailRefused(TransportError):
    """The server will never take this mail: its recipient, or what is in it."""


class Mailer:
    """Sends mail from one address, each over a connection of its own.

    :param login: ``None`` if nobody logs in.
    :param tls: ``None`` without TLS.
    :param timeout: seconds for each command.
    """

    def __init__(
        self,
        server: MailServerAddress,
        *,
        sender: str,
        login: Login | None,
        tls: ssl.SSLContext | None,
        timeout: float,
    ) -> None:
        self._server, self._sender, self._login, self._tls, self._timeout = server, sender, login, tls, timeout

    def send(self, recipient: str, mail: bytes) -> None:
        """Hand a mail over; the server has it, for good, when this returns.

        :raises MailRefused: if it will never take it.
        :raises TransportError: if it cannot be had now, or does not let us in.
        """
        with self._clear_errors(), self._connect() as smtp:
            smtp.sendmail(self._sender, [recipient], mail)

    def check(self, recipient: str | None = None) -> None:
        """See that the server is there, and lets us in; nothing is sent.

        :param recipient: whose mail it has to take.
        :raises MailRefused: if it does not take that.
        :raises TransportError: if it cannot be had now, or does not let us in.
        """
        with self._clear_errors(), self._connect() as smtp:
            if recipient is None:
                return
            code, text = smtp.mail(self._sender)
            if code >= _REFUSED:
                raise smtplib.SMTPSenderRefused(code, text, self._sender)
            code, text = smtp.rcpt(recipient)
            if code >= _REFUSED:
                raise smtplib.SMTPRecipientsRefused({recipient: (code, text)})

    def _connect(self) -> smtplib.SMTP:
        host, port, name = self._server.host, self._server.port, domain_of(self._sender)
        if self._server.protection == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(host, port, name, timeout=self._timeout, context=self._tls)
        else:
            smtp = smtplib.SMTP(host, port, name, timeout=self._timeout)
        try:
            if self._server.protection == "starttls":
                smtp.starttls(context=self._tls)
            if self._login is not None:
                smtp.login(self._login.user, self._login.password)
        except BaseException:
            smtp.close()
            raise
        return smtp

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Turn what goes wrong with the server into a TransportError that says what to do.

        :raises TransportError: for each such error in the block.
        """
        where = f"the SMTP server {self._server}"
        try:
            yield
        except smtplib.SMTPAuthenticationError as error:
            hint = "are the user and the password right?"
            raise TransportError(f"{where} does not let us in: {_said(error)}", hint=hint) from error
        except smtplib.SMTPRecipientsRefused as error:
            (code, text), *_ = error.recipients.values()
            said = f"{where} does not take mail for this address: {code} {_one_line(text)}"
            raise (MailRefused(said) if code >= _PERMANENT else TransportError(said, retryable=True)) from error
        except smtplib.SMTPNotSupportedError as error:
            raise TransportError(f"{where}: {error}", hint="is the scheme of its address right?") from error
        except smtplib.SMTPResponseException as error:
            of_mail = isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= _PERMANENT
            if of_mail or error.smtp_code == _TOO_MUCH:
                raise MailRefused(f"{where} does not take this mail: {_said(error)}") from error
            raise TransportError(f"{where}: {_said(error)}", retryable=True) from error
        except ssl.SSLError as error:
            said = getattr(error, "verify_message", "") or error.reason or str(error)
            raise TransportError(f"{where}: TLS failed: {said}", hint="see the options about TLS", tls=True) from error
        except (OSError, UnicodeError) as error:
            # SMTPException is an OSError.
            raise TransportError(f"{where}: {error}", retryable=True) from error


def _said(error: smtplib.SMTPResponseException) -> str:
    return f"{error.smtp_code} {_one_line(error.smtp_error)}"


def _one_line(text: bytes | str) -> str:
    return " ".join((text.decode(errors="replace") if isinstance(text, bytes) else text).split())
