"""``python forkserver.py FD``: imports the command line once, and forks a process for each command that it is told.

FD is a Unix stream socket. Each order on it is one octet, with it the standard input, output and error of the command
and a socket of its own. That has the order, a line of JSON, to read, and takes two lines: the number of the process,
and the status with which it ended.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import importlib.metadata
import json
import os
import socket
import sys
import threading
from typing import Any, NoReturn

import killed
import typer.main

from cmpkit.cli.app import app, main
from cmpkit.plugins import load_plugins

# What commands import when they run.
PRELOADED = (
    *("anyio._backends._asyncio", "anyio._backends._trio", "anyio.to_thread", "rich.console", "rich.status"),
    *("cmpkit.ca.opening", "cmpkit.cli.operations", "cmpkit.cli.renewing", "cmpkit.cli.results", "cmpkit.cli.watching"),
    *("cmpkit.config", "cmpkit.endpoints.client", "cmpkit.renewal.renewer", "cmpkit.store.sql"),
    *("cmpkit_http.client", "cmpkit_http.on_asyncio", "cmpkit_http.on_trio", "httpcore", "sqlalchemy.dialects.sqlite"),
)
DESCRIPTORS = 4


def preload() -> None:
    """Do what every command does before it differs from the others."""
    for name in PRELOADED:
        importlib.import_module(name)
    importlib.metadata.entry_points = functools.cache(importlib.metadata.entry_points)
    typer.main.get_command = functools.cache(typer.main.get_command)
    typer.main.get_command(app)
    load_plugins()
    # What is here stays, and need not be looked at, and copied by that, in each process.
    gc.collect()
    gc.freeze()


def obey(orders: socket.socket) -> None:
    """Fork until the socket ends. Only in the new processes this returns, or ends as the command does."""
    while True:
        _, descriptors, _, _ = socket.recv_fds(orders, 1, DESCRIPTORS)
        if not descriptors:
            # Without what is done at the end of Python: coverage of this process would come too late to be combined.
            os._exit(0)
        if not os.fork():
            orders.close()
            keep(descriptors[:-1], socket.socket(fileno=descriptors[-1]))
            return
        for descriptor in descriptors:
            os.close(descriptor)
        while reaped():
            pass


def reaped() -> bool:
    """Whether there was a process to forget."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def keep(streams: list[int], channel: socket.socket) -> None:
    """Fork the process of an order, and tell how it ends: only its parent hears of that."""
    with channel.makefile("rw") as lines:
        order = json.loads(lines.readline())
        pid = os.fork()
        if pid:
            for descriptor in streams:
                os.close(descriptor)
            print(pid, file=lines, flush=True)
            _, status = os.waitpid(pid, 0)
            print(os.waitstatus_to_exitcode(status), file=lines, flush=True)
            os._exit(0)
    channel.close()
    become(streams, order)


def become(streams: list[int], order: dict[str, Any]) -> None:
    """Be the process of an order."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environment"])
    try:
        if order["killed_at"] is None:
            main(order["arguments"])
        killed.run(order["arguments"], order["killed_at"])
    except SystemExit as end:
        finish(end)


def finish(end: SystemExit) -> NoReturn:
    """End as Python does, without taking apart what was imported: that takes longer than most commands."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    assert isinstance(end.code, int)
    os._exit(end.code)


if __name__ == "__main__":
    preload()
    with socket.socket(fileno=int(sys.argv[1])) as listened_to:
        obey(listened_to)
