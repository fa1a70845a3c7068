"""``cmpkit plugins``: which plugins there are, what each of them brings, and which could not be loaded."""

from __future__ import annotations

import typer

from cmpkit.cli.exits import ExitStatus
from cmpkit.cli.serverside import JSONOption, print_json

__all__ = ["plugins"]


def plugins(ctx: typer.Context, *, json: JSONOption = False) -> None:
    """List the plugins and their parts. The exit status is 2 if one could not be loaded."""
    from cmpkit.plugins import load_plugins

    found = ctx.obj if ctx.obj is not None else load_plugins(strict=False)
    if json:
        print_json(
            [
                {
                    "name": plugin.name,
                    "distribution": plugin.distribution or None,
                    "parts": list(plugin.parts),
                    "error": plugin.error or None,
                }
                for plugin in found.loaded
            ]
        )
    else:
        for plugin in found.loaded:
            print(f"{plugin.name}  ({plugin.distribution or 'not from a distribution'})")
            for part in plugin.parts:
                print(f"  {part}")
            if plugin.error:
                print(f"  FAILED: {plugin.error}")
    if any(plugin.error for plugin in found.loaded):
        raise typer.Exit(ExitStatus.USAGE)
