"""The command line: ``cmpkit``. What a command needs is imported when it runs."""

from cmpkit.cli.app import app, main

__all__ = ["app", "main"]
