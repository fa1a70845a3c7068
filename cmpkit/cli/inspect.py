"""``cmpkit inspect``: what messages hold, and the rules that they break."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmpkit.cli.command import plugins_of
from cmpkit.cli.serverside import JSONOption, print_json
from cmpkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cmpkit.inspection.inspecting import Inspection
    from cmpkit.inspection.sources import Source
    from cmpkit.plugins import Plugins

__all__ = ["inspect", "read_messages"]

_HOW = "How it is shown"
_CHECKS = "What proofs are checked with"


def inspect(
    ctx: typer.Context,
    *,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Messages as DER, PEM or base64, several in a file if need be, or captures of traffic; - is stdin.",
        ),
    ],
    full: Annotated[
        bool, typer.Option("--full", help="Show all octets, details and secrets of controls.", rich_help_panel=_HOW)
    ] = False,
    diff: Annotated[
        bool, typer.Option("--diff", help="Show only what differs between two messages.", rich_help_panel=_HOW)
    ] = False,
    sequence: Annotated[
        bool, typer.Option("--sequence", help="Show transactions as sequence diagrams.", rich_help_panel=_HOW)
    ] = False,
    svg: Annotated[
        Path | None,
        typer.Option("--svg", metavar="FILE", help="Write the sequence diagrams as SVG, too.", rich_help_panel=_HOW),
    ] = None,
    json: JSONOption = False,
    secret: Annotated[
        str | None,
        typer.Option(
            "--secret",
            metavar="file:PATH|env:NAME|fd:N",
            help="Where the shared secret is, to check MACs.",
            rich_help_panel=_CHECKS,
        ),
    ] = None,
    trusted: Annotated[
        list[Path] | None,
        typer.Option(
            "--trusted", metavar="FILE", help="Trust anchors (PEM or DER), to check signers.", rich_help_panel=_CHECKS
        ),
    ] = None,
) -> None:
    """Show what CMP messages hold, and the rules that they break.

    Broken messages are shown as far as they can be read; the exit status is 0 for them, too.
    """
    sources = [source for name in files for source in read_messages(name)]
    inspections = _inspect(sources, plugins_of(ctx), secret, trusted or (), secrets=full)
    if diff:
        _print_difference(inspections, as_json=json, full=full)
    elif sequence or svg is not None:
        _print_diagrams(inspections, svg, as_json=json)
    elif json:
        from cmpkit.inspection.report import inspection_object

        print_json([inspection_object(one) for one in inspections])
    else:
        from cmpkit.inspection.report import inspection_lines

        print("\n\n".join("\n".join(inspection_lines(one, full=full)) for one in inspections))


def read_messages(name: str) -> tuple[Source, ...]:
    """The messages in a file.

    :param name: of the file; ``-`` is standard input.
    :raises ConfigurationError: if it cannot be read.
    """
    from cmpkit.inspection.sources import MAX_FILE_SIZE, read_source

    try:
        if name == "-":
            octets, name = sys.stdin.buffer.read(MAX_FILE_SIZE + 1), "stdin"
        else:
            with open(name, "rb") as file:
                octets = file.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {error.strerror}") from error
    if len(octets) > MAX_FILE_SIZE:
        raise ConfigurationError(f"{name} has more than {MAX_FILE_SIZE} octets", hint="cut the capture down first")
    return read_source(Path(name).name, octets)


def _inspect(
    sources: Sequence[Source], plugins: Plugins, secret: str | None, trusted: Sequence[Path], *, secrets: bool
) -> tuple[Inspection, ...]:
    from datetime import UTC, datetime

    import anyio

    from cmpkit.cli.sources import read_secret
    from cmpkit.crypto.x509 import load_certificates
    from cmpkit.inspection.inspecting import inspect as inspect_messages
    from cmpkit.inspection.inspecting import prove
    from cmpkit.inspection.proofs import Evidence

    async def run() -> tuple[Inspection, ...]:
        evidence = Evidence(
            plugins,
            datetime.now(UTC),
            secret=None if secret is None else await read_secret(secret, "--secret"),
            anchors=tuple(der for path in trusted for der in load_certificates(_octets(path))),
        )
        return await prove(inspect_messages(sources, secrets=secrets), evidence)

    return anyio.run(run)


def _octets(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error


def _print_difference(inspections: Sequence[Inspection], *, as_json: bool, full: bool) -> None:
    from cmpkit.inspection.comparing import compare
    from cmpkit.inspection.report import difference_lines, difference_objects

    if len(inspections) != 2:
        raise ConfigurationError(f"--diff takes two messages, {len(inspections)} were given")
    first, second = inspections
    labels = first.source.label, second.source.label
    differences = compare(first.node, second.node)
    if as_json:
        print_json(difference_objects(labels, differences))
    else:
        print("\n".join(difference_lines(labels, differences, full=full)))


def _print_diagrams(inspections: Sequence[Inspection], picture: Path | None, *, as_json: bool) -> None:
    from cmpkit.crypto.keys import write_file_atomically
    from cmpkit.inspection.report import diagram_object
    from cmpkit.inspection.sequence import diagram_lines, make_diagrams
    from cmpkit.inspection.svg import svg

    diagrams = make_diagrams(inspections)
    if picture is not None:
        write_file_atomically(picture, svg(diagrams).encode())
    if as_json:
        print_json([diagram_object(diagram) for diagram in diagrams])
        return
    texts = ["\n".join(diagram_lines(diagram)) for diagram in diagrams]
    texts += [f"{one.source.label}: no message" for one in inspections if one.message is None]
    print("\n\n".join(texts))
