"""Runs the programs of an issuer: what each gets, and what its exit status means."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.issuers.authority import failed
from cmpkit.issuers.task import OUT, Task, fill
from cmpkit.parts import Pending
from cmpkit.processes import Ended, run_process

__all__ = ["PENDING", "REJECTED", "Programs"]

_log = logging.getLogger("cmpkit.issuer")

REJECTED: Final = 65
"""The exit status of a refusal: EX_DATAERR of sysexits.h."""
PENDING: Final = 75
"""The exit status for "ask again later": EX_TEMPFAIL of sysexits.h."""
_MAX_OUTPUT: Final = 1 << 20
_MAX_SHOWN: Final = 300
_LONGEST_PAUSE: Final = 86400
_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "TZ")
_FAILURES: Final[Mapping[str, PKIFailureInfo]] = {
    failure.wire_names[0]: failure for failure in PKIFailureInfo if failure.wire_names
}


@dataclass(frozen=True)
class Programs:
    """The programs of an issuer.

    :param commands: program and arguments, by what it is for: ``issue``, ``revoke`` ...
    :param directory: where they run.
    :param inherited: names of the variables that they get besides the usual ones.
    :param time_limit: how long each may take.
    :param check_after: seconds until it is worth asking again, if a program does not say.
    """

    commands: Mapping[str, Sequence[str]]
    directory: Path
    inherited: Sequence[str]
    time_limit: timedelta
    check_after: int

    async def run(self, command: str, task: Task) -> bytes | Pending:
        """What a program gives, or that it needs time.

        :raises CMPError: what it refused with; systemUnavail if it cannot be run, systemFailure if it failed.
        """
        scratch = await anyio.to_thread.run_sync(_make_files, task)
        with scratch:
            files = Path(scratch.name)
            ended = await self._run(command, task, files)
            result = await anyio.to_thread.run_sync(_read_out, files, ended)
        if ended.errors:
            _log.warning("%s of [issuer] says: %s", command, _shown(ended.errors))
        if ended.status is None:
            _log.error("%s of [issuer] took longer than %s and was ended", command, self.time_limit)
            return Pending(self.check_after, "the CA has not answered yet")
        return self._understand(command, ended.status, result)

    async def _run(self, command: str, task: Task, files: Path) -> Ended:
        usual = {name: os.environ[name] for name in (*_INHERITED, *self.inherited) if name in os.environ}
        try:
            return await run_process(
                fill(self.commands[command], task, files),
                {**usual, **task.environment},
                time_limit=self.time_limit,
                max_output=_MAX_OUTPUT,
                standard_input=task.document,
                directory=self.directory,
            )
        except (OSError, ValueError) as error:
            raise CMPError(
                f"{command} of [issuer] cannot be run: {error}",
                PKIFailureInfo.SYSTEM_UNAVAIL,
                hint="name a program that is there",
            ) from error

    def _understand(self, command: str, status: int, result: bytes | None) -> bytes | Pending:
        if status == 0 and result is not None:
            return result
        if result is None:
            raise failed(f"{command} of [issuer] wrote more than {_MAX_OUTPUT} octets")
        text = _shown(result)
        if status == PENDING:
            seconds = re.match(r"\d{1,9}", text)
            return Pending(min(int(seconds[0]), _LONGEST_PAUSE) if seconds else self.check_after, "the CA needs time")
        if status == REJECTED:
            name, _, said = text.partition(" ")
            failure = _FAILURES.get(name.rstrip(":"))
            if failure is None:
                failure, said = PKIFailureInfo.BAD_REQUEST, text
            raise CMPError(f"{command} of [issuer] refused: {text}", failure, status_text=said.strip())
        raise failed(f"{command} of [issuer] ended with status {status}: {text}", hint="see what it says above")


def _make_files(task: Task) -> tempfile.TemporaryDirectory[str]:
    """A folder that nobody else can read, with what the program gets."""
    made = tempfile.TemporaryDirectory(prefix="cmpkit-")
    for name, content in {"request": task.document, **task.files}.items():
        Path(made.name, name).write_bytes(content)
    return made


def _read_out(files: Path, ended: Ended) -> bytes | None:
    """What the program gave, by file or by standard output; ``None`` if that is too much."""
    out = files / OUT
    if not out.is_file():
        return ended.output if ended.is_whole else None
    return out.read_bytes() if out.stat().st_size <= _MAX_OUTPUT else None


def _shown(octets: bytes) -> str:
    text = " ".join(octets.decode(errors="replace").split())
    return "".join(character if character.isprintable() else "?" for character in text)[:_MAX_SHOWN]
