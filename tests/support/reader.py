"""A reader who types what a page of the documentation says, in an empty folder, and compares what it shows.

Every port of the page becomes one that is free; what the page shows is compared with the real output, where ``…``
stands for anything. Commands of cmpkit run in this process; what runs on, and what needs a shell, in one of its own.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import random
import re
import runpy
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer
from forking import Forked, shell
from pages import Block

from cmpkit.cli.app import app
from cmpkit.plugins import Plugins, load_plugins

DEFAULT_PORT = "8829"
COLUMNS = "100"
LISTENING = "listening on "
TOOLS = frozenset(
    {"cat", "chmod", "cp", "cmpkit", "export", "grep", "head", "ls", "mkdir", "mv", "printf", "python", "rm"}
)
_SECONDS = 60.0


def quiet_port() -> int:
    """A port below those that the system gives to clients: nobody takes it between now and its use."""
    for number in random.sample(range(20000, 32000), 100):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", number))
            return number
    raise AssertionError("no port is free")


@functools.cache
def command_line() -> Any:
    """The command line, put together once: that takes longer than most commands."""
    return typer.main.get_command(app)


@functools.cache
def installed_plugins() -> Plugins:
    """What commands use that run in this process."""
    return load_plugins()


def new_stream() -> io.TextIOWrapper:
    """What stands for standard output, or error."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def written_to(stream: io.TextIOWrapper) -> bytes:
    """What was written to one of these."""
    stream.seek(0)
    return stream.buffer.read()


@dataclass
class Command:
    """A command of a console block, and what the page shows that it prints."""

    text: str
    shown: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """Words and operators, as a shell sees them."""
        lexer = shlex.shlex(self.text.replace("\\\n", ""), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        return list(lexer)

    @property
    def program(self) -> str:
        """What is run, behind settings of the environment."""
        return next(word for word in self.words if not re.match(r"\w+=", word))

    @property
    def plain(self) -> tuple[list[str], str | None] | None:
        """Arguments of cmpkit and where its output goes; ``None`` if a shell is needed."""
        words = self.words
        if words[0] != "cmpkit" or re.search(r"[$`*?~]", self.text):
            return None
        target = words[-1] if words[-2] == ">" else None
        arguments = words[1:-2] if target else words[1:]
        return None if any(re.fullmatch(r"[();<>|&]+", word) for word in arguments) else (arguments, target)


def read_commands(text: str) -> Iterator[Command]:
    """The commands of a console block; a line that ends with a backslash goes on."""
    command: Command | None = None
    continued = False
    for line in text.splitlines():
        if continued and command is not None:
            command.text += f"\n{line}"
        elif line.startswith("$ "):
            if command is not None:
                yield command
            command = Command(line.removeprefix("$ "))
        elif line == "^C":
            if command is not None:
                yield command
            command = Command(line)
        else:
            assert command is not None, f"no command before {line!r}"
            command.shown.append(line)
        continued = command is not None and not command.shown and line.endswith("\\")
    if command is not None:
        yield command


def as_pattern(shown: Sequence[str]) -> str:
    """What the page shows as a pattern: whole lines, one after the other."""
    lines = ["…" if line.strip() == "…" else line.rstrip() for line in shown]
    lines = [re.escape(line).replace("…", ".*?") for line in lines]
    return r"^" + "\n".join(lines).replace("\n.*?\n", "\n(?:.*\n)*?") + r"\s*?$"


def started(command: Command, home: Path) -> Forked | subprocess.Popen[str]:
    """A process of it, with one stream for all that it prints."""
    plain = command.plain
    if plain is not None and plain[1] is None:
        return Forked(plain[0], stderr=subprocess.STDOUT, directory=home)
    return subprocess.Popen(
        ["bash", "-c", f"exec {command.text}"],
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Running:
    """A program that runs on while the page does."""

    def __init__(self, command: Command, home: Path) -> None:
        self.command = command
        self._changed = threading.Condition()
        self._text = ""
        self._ended = False
        self._process = started(command, home)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._text += line
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, pattern: str) -> str:
        """Wait until it has printed this; what it printed until then."""

        def settled() -> bool:
            return self.printed(pattern) or self._ended

        with self._changed:
            self._changed.wait_for(settled, _SECONDS)
            assert self.printed(pattern), f"`{self.command.text}` did not print {pattern!r}:\n{self._text}"
            return self._text

    def printed(self, pattern: str) -> bool:
        """Whether it has printed this yet."""
        return re.search(pattern, self._text, re.MULTILINE) is not None

    def stop(self) -> None:
        """End it; a command of cmpkit must end as if nothing were wrong."""
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(_SECONDS)
        self._reader.join(_SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()
        if self.command.program == "cmpkit":
            assert status == 0, f"`{self.command.text}` ended with {status}:\n{self._text}"


class Reader:
    """Follows the blocks of one page.

    :param home: an empty folder, which is the current one.
    :param blocks: of the whole page.
    :param openssl: the version of the ``openssl`` on PATH; without it, blocks that need one are passed over.
    """

    def __init__(self, home: Path, blocks: Sequence[Block], openssl: tuple[int, ...] | None = None) -> None:
        self._home = home
        self._blocks = blocks
        self._openssl = openssl
        self._running: list[Running] = []
        text = "\n".join(block.text for block in blocks)
        named = re.findall(r"(?:127\.0\.0\.1|localhost|\[::1?\]):(\d+)|-port (\d+)", text)
        ports = {DEFAULT_PORT, *(port for pair in named for port in pair if port)} - {"0"}
        self._ports = {port: str(quiet_port()) for port in ports}

    def follow(self) -> int:
        """Run what there is to run; how many blocks that were."""
        done = 0
        failure = ""
        try:
            for block in self._blocks:
                if block.runs and self._can_run(block):
                    self._follow(block)
                    done += 1
        except (AssertionError, SystemExit, OSError) as error:
            failure = f"{block.where}: {error}"
        finally:
            for running in reversed(self._running):
                running.stop()
        if failure:
            pytest.fail(failure, pytrace=False)
        return done

    def _can_run(self, block: Block) -> bool:
        needed = block.openssl
        return needed is None or (self._openssl is not None and self._openssl >= needed)

    def _follow(self, block: Block) -> None:
        text = self._with_free_ports(block.text)
        name = block.notes.get("file")
        if name is not None:
            path = self._home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")
        elif "tables into" in block.notes:
            name = block.notes["tables into"]
            path = self._home / name
            path.write_text(put_tables(path.read_text(), text))
        elif "server prints" in block.notes:
            self._running[-1].wait_for(as_pattern(text.splitlines()))
        elif block.language == "python":
            self._run_program(text, block.line)
        else:
            self._type(block, text)
        if name is not None and "[store]" in (self._home / name).read_text() and "unchecked" not in block.notes:
            self._run_here(["serve", "--check", "--config", name], 0)

    def _type(self, block: Block, text: str) -> None:
        commands = list(read_commands(text))
        for command in commands:
            last = command is commands[-1]
            status = int(block.notes.get("exit status", "0")) if last else 0
            ready = block.notes.get("background") if last else None
            if command.text == "^C":
                self._running.pop().stop()
                continue
            serving = command.text.startswith("cmpkit serve ") and not {"--check", "--explain"} & set(command.words)
            if serving and not status:
                ready = ready or LISTENING
            assert block.openssl is not None or command.program in TOOLS, f"{command.program} may not be there"
            if ready is not None:
                self._start(command, ready)
            else:
                self._compare(command, self._run(command, status))

    def _start(self, command: Command, ready: str) -> None:
        """In place of what runs by the same command: a reader would have stopped that."""
        for running in [running for running in self._running if running.command.text == command.text]:
            running.stop()
            self._running.remove(running)
        running = Running(command, self._home)
        self._running.append(running)
        running.wait_for(re.escape(ready))
        if command.shown:
            running.wait_for(as_pattern(command.shown))

    def _run(self, command: Command, status: int) -> str:
        plain = command.plain
        if plain is None:
            return self._run_in_shell(command.text, status)
        arguments, target = plain
        if arguments[0] == "init" and "--listen" not in arguments:
            arguments = [*arguments, "--listen", f"http://127.0.0.1:{self._ports[DEFAULT_PORT]}/.well-known/cmp"]
        return self._run_here(arguments, status, target)

    def _run_here(self, arguments: list[str], status: int, target: str | None = None) -> str:
        shown = new_stream()
        out = shown if target is None else new_stream()
        ended: object = 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(shown):
            try:
                command_line().main(arguments, prog_name="cmpkit", obj=installed_plugins())
            except SystemExit as end:
                ended = end.code or 0
        output = written_to(shown).decode()
        assert ended == status, f"cmpkit {shlex.join(arguments)}: {ended}\n{output}"
        if target is not None:
            (self._home / target).write_bytes(written_to(out))
        return output

    def _run_in_shell(self, text: str, status: int) -> str:
        process = shell(text, self._home)
        try:
            output, _ = process.communicate(timeout=_SECONDS)
        finally:
            process.kill()
        assert process.returncode == status, f"{text}: {process.returncode}\n{output}"
        return output

    def _run_program(self, text: str, line: int) -> None:
        path = self._home / f"program_at_line_{line}.py"
        path.write_text(text)
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path(str(path), run_name="__main__")

    def _compare(self, command: Command, output: str) -> None:
        if not command.shown:
            return
        real = "\n".join(line.rstrip() for line in output.splitlines())
        found = re.search(as_pattern(command.shown), real, re.MULTILINE)
        shown = "\n".join(command.shown)
        assert found, f"`{command.text}` shows\n{shown}\nbut it prints\n{real}"

    def _with_free_ports(self, text: str) -> str:
        return re.sub(r"\b\d{3,5}\b", lambda found: self._ports.get(found[0], found[0]), text)


def put_tables(text: str, tables: str) -> str:
    """A TOML text with some tables in place of those of the same name, or behind them all."""
    names = re.findall(r"^\[.*\]$", tables, re.MULTILINE)
    for name in names:
        text = re.sub(rf"^{re.escape(name)}\n(?:(?!\[).*\n)*", "", text, flags=re.MULTILINE)
    return f"{text}\n{tables}\n"


@contextlib.contextmanager
def environment(home: Path, *programs: Path) -> Iterator[None]:
    """An empty folder as the current one and as home, where programs are found as in an activated environment."""
    path = os.pathsep.join([*map(str, programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        for name, value in {"PATH": path, "HOME": str(home), "COLUMNS": COLUMNS, "NO_COLOR": "1"}.items():
            patch.setenv(name, value)
        # A pytest that a page runs would otherwise spend its time on removing what earlier runs of the suite left.
        patch.setenv("PYTEST_DEBUG_TEMPROOT", str(home))
        # What stands for servers of others, in setups that readers do not see.
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "OPENSSL_CONF", "PYTEST_ADDOPTS"):
            patch.delenv(name, raising=False)
        yield
