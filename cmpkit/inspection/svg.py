"""Sequence diagrams as SVG: one self-contained file, readable in light and dark surroundings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from cmpkit.inspection.sequence import Diagram, Step

__all__ = ["svg"]

_WIDTH = 860
_LEFT = 150
_RIGHT = 710
_LINE = 18
_TOP = 40
_LONGEST = 66
_STYLE = """
text { font: 13px ui-monospace, Menlo, Consolas, monospace; fill: #1c2733; }
.name { font-weight: bold; }
.title { font-weight: bold; fill: #0b5cad; }
.fault { fill: #b3261e; }
.label { fill: #66727f; font-size: 11px; }
.life { stroke: #9aa5b1; stroke-dasharray: 4 4; }
.arrow { stroke: #0b5cad; stroke-width: 1.5; }
.head { fill: #0b5cad; }
.box { fill: #eef3f8; stroke: #9aa5b1; }
.paper { fill: #ffffff; }
"""


def svg(diagrams: Sequence[Diagram]) -> str:
    """The diagrams below each other, as one SVG document."""
    parts, y = [], 20
    for diagram in diagrams:
        drawn, y = _diagram(diagram, y)
        parts += drawn
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y}" viewBox="0 0 {_WIDTH} {y}" '
        f'role="img" aria-label="CMP transactions">\n<style>{_STYLE}</style>\n'
        f'<rect class="paper" width="{_WIDTH}" height="{y}"/>\n'
    )
    return head + "\n".join(parts) + "\n</svg>\n"


def _diagram(diagram: Diagram, top: int) -> tuple[list[str], int]:
    number = diagram.transaction_id or "without transactionID"
    parts = [_text(20, top, f"transaction {number}", "label")]
    top += 16
    parts += [*_party(_LEFT, top, diagram.client), *_party(_RIGHT, top, diagram.server)]
    y = top + _TOP
    drawn: list[str] = []
    for index, step in enumerate(diagram.steps, start=1):
        step_parts, y = _step(index, step, y)
        drawn += step_parts
    end = y + _LINE
    lives = [f'<line class="life" x1="{x}" y1="{top + _TOP - 8}" x2="{x}" y2="{end}"/>' for x in (_LEFT, _RIGHT)]
    return [*parts, *lives, *drawn], end + 30


def _party(x: int, top: int, name: str) -> Iterator[str]:
    yield f'<rect class="box" x="{x - 130}" y="{top}" width="260" height="{_TOP - 8}" rx="5"/>'
    shown = name if len(name) <= 32 else f"{name[:31]}…"
    yield f"<g><title>{escape(name)}</title>{_text(x, top + 21, shown, 'name', anchor='middle')}</g>"


def _step(number: int, step: Step, top: int) -> tuple[list[str], int]:
    x, anchor = (_LEFT + 12, "start") if step.to_server else (_RIGHT - 12, "end")
    y = top + _LINE + 4
    parts = [_text(x, y, f"{number} {step.title}", "title", anchor=anchor)]
    for text, kind in [(line, "line") for line in step.lines] + [(fault, "fault") for fault in step.faults]:
        for line in _wrapped(text):
            y += _LINE
            parts.append(_text(x, y, line, kind, anchor=anchor))
    y += 10
    start, end = (_LEFT, _RIGHT) if step.to_server else (_RIGHT, _LEFT)
    back = -10 if step.to_server else 10
    parts.append(f'<line class="arrow" x1="{start}" y1="{y}" x2="{end + back}" y2="{y}"/>')
    parts.append(f'<polygon class="head" points="{end},{y} {end + back},{y - 5} {end + back},{y + 5}"/>')
    parts.append(_text((_LEFT + _RIGHT) // 2, y + 14, step.label, "label", anchor="middle"))
    return parts, y + 14


def _wrapped(text: str) -> list[str]:
    return [text[start : start + _LONGEST] for start in range(0, len(text), _LONGEST)] or [""]


def _text(x: int, y: int, text: str, kind: str, *, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class={quoteattr(kind)} text-anchor="{anchor}">{escape(text)}</text>'
