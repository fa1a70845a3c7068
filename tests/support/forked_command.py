"""Stands for the program ``cmpkit`` in a shell: tells the fork server to run it, for Python starts slowly.

It runs without site-packages, and takes nothing from this folder.
"""

from __future__ import annotations

import json
import os
import socket
import sys


def main() -> int:
    """Order the command with the streams of this process, and end as it does."""
    channel, theirs = socket.socketpair()
    order = {
        "arguments": sys.argv[1:],
        "killed_at": None,
        "directory": os.getcwd(),
        "environment": dict(os.environ),
    }
    with socket.socket(fileno=int(os.environ["CMPKIT_FORK_SERVER"])) as server, theirs, channel:
        channel.sendall(json.dumps(order).encode() + b"\n")
        socket.send_fds(server, [b"!"], [0, 1, 2, theirs.fileno()])
        theirs.close()
        with channel.makefile() as told:
            _, status = told
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
