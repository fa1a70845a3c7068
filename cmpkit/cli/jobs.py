"""What a client command was asked to do, as a value: kept in its transaction, so that another process can go on.

It holds references to secrets and keys, and neither.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from cmpkit.cli.options import (
    CredentialOptions,
    InfoOptions,
    IssuanceOptions,
    KeepingOptions,
    OutputOptions,
    RequestOptions,
    TransferOptions,
    TrustOptions,
)
from cmpkit.cli.sources import absolute_address, absolute_source
from cmpkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cmpkit.engine.client_transaction import ClientTransaction

__all__ = ["Job", "Wanted", "default_state", "job_of", "key_uri"]

_JOB = "job"
_REQUEST = "request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is wanted of the server; which fields count depends on the command."""

    subject: str | None = None
    sans: str | None = None
    san_nodefault: bool = False
    newkey: Path | None = None
    newkey_type: str | None = None
    newkeypass: str | None = None
    popo: int | None = None
    agree_with: Path | None = None
    centralkeygen: bool = False
    archive: bool = False
    newkeyout: Path | None = None
    csr: Path | None = None
    oldcert: list[Path] | None = None
    issuer: str | None = None
    serial: str | None = None
    revreason: str | None = None
    keysout: Path | None = None
    keysoutpass: str | None = None
    questions: list[str] = field(default_factory=list)
    config: Path | None = None
    issuer_cert: Path | None = None
    signed_like: Path | None = None
    name: str | None = None
    validity: str | None = None
    path_length: int = 0

    @classmethod
    def from_options(cls, group: Any) -> Wanted:
        """From a group of options whose names are fields of this."""
        return cls(**{member.name: getattr(group, member.name) for member in fields(group)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One client command with its options.

    :param directory: where relative paths in the road's own options start.
    """

    command: str
    url: str
    credentials: CredentialOptions
    trust: TrustOptions
    transfer: TransferOptions
    keeping: KeepingOptions
    wanted: Wanted = field(default_factory=Wanted)
    request: RequestOptions = field(default_factory=RequestOptions)
    outputs: OutputOptions | None = None
    info: InfoOptions | None = None
    directory: Path = field(default_factory=Path.cwd)

    @classmethod
    def issuance(
        cls, command: str, url: str, credentials: CredentialOptions, certificate: Any, others: IssuanceOptions
    ) -> Job:
        """A job that gets a certificate.

        :param certificate: a group of options as for :meth:`Wanted.from_options`.
        """
        return cls(
            command=command,
            url=url,
            credentials=credentials,
            wanted=Wanted.from_options(certificate),
            request=others.request,
            trust=others.trust,
            outputs=others.outputs,
            keeping=others.keeping,
            transfer=others.transfer,
        )

    @property
    def context(self) -> dict[str, str]:
        """The job as it goes into its transaction: paths absolute, so that the directory does not matter."""
        kept = replace(self, keeping=KeepingOptions())
        return {_JOB: json.dumps(_dump(kept), sort_keys=True), _REQUEST: self.fingerprint}

    @property
    def fingerprint(self) -> str:
        """The same for jobs that ask the same server for the same thing: the later one goes on with the former."""
        plain = _dump(self)
        asked = {name: plain[name] for name in ("command", "url", "wanted")}
        asked["wanted"] = {key: value for key, value in asked["wanted"].items() if key not in _WITHOUT_MEANING}
        who = {name: plain["credentials"][name] for name in ("ref", "cert")}
        about = {name: plain["info"][name] for name in InfoOptions.INPUTS} if self.info is not None else None
        text = json.dumps([asked, who, plain["request"]["profile"], about], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def state(self) -> Path:
        """The folder of its transaction."""
        return self.keeping.state or default_state()

    def fits(self, transaction: ClientTransaction) -> bool:
        """Whether a saved transaction is one that does this job."""
        return transaction.context.get(_REQUEST) == self.fingerprint


_WITHOUT_MEANING = {"newkey_type", "newkeypass", "keysoutpass"}


def default_state() -> Path:
    """Where transactions are kept by default (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state") / "cmpkit"


def key_uri(key: str) -> str:
    """The URI of a private key that may be given as a path."""
    scheme, colon, rest = key.partition(":")
    if not colon or not scheme.isalnum():
        return Path(key).absolute().as_uri()
    relative = scheme == "file" and not rest.startswith("/")
    return Path(rest).absolute().as_uri() if relative else key


def job_of(transaction: ClientTransaction) -> Job:
    """The job that a saved transaction does.

    :raises ConfigurationError: if the command line did not begin it.
    """
    try:
        job: Job = _load(Job, json.loads(transaction.context[_JOB]))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            "the saved transaction was not begun by a command of this version of cmpkit",
            hint="go on with it by cmpkit.Client.resume",
        ) from error
    return job


_PORTABLE: Mapping[str, Callable[[str], str | None]] = {
    **dict.fromkeys(("secret", "keypass", "newkeypass", "keysoutpass", "passphrase", "tls_keypass"), absolute_source),
    "crl": absolute_address,
    "key": key_uri,
}
"""How options become what they mean in another process, in another directory."""


def _dump(value: Any, name: str = "") -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {member.name: _dump(getattr(value, member.name), member.name) for member in fields(value)}
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, list):
        return [_dump(item, name) for item in value]
    if isinstance(value, str) and name in _PORTABLE:
        return _PORTABLE[name](value)
    return value


@functools.cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _load(hint: Any, value: Any) -> Any:
    """The value that :func:`_dump` made plain, by the type of its field."""
    kind: Any = next(kind for kind in (get_args(hint) or (hint,)) if kind is not type(None))
    if value is None:
        return None
    if isinstance(value, dict):
        hints = _hints(kind)
        return kind(**{name: _load(hints[name], item) for name, item in value.items()})
    if kind is Path:
        return Path(value)
    return [Path(item) for item in value] if kind == list[Path] else value
