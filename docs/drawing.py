"""Sequence diagrams and boxes as SVG: what ``pictures.py`` draws with, black on white wherever they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import TypeAlias

__all__ = ["Box", "Gap", "Message", "Note", "Panel", "Step", "draw_boxes", "draw_sequence", "draw_tree"]

_FONT = "font-family='system-ui, Helvetica, Arial, sans-serif'"
_INK, _PALE, _LINE, _BLUE = "#1a1a1a", "#f3f6fa", "#8a94a3", "#1f5fa8"
_ROW = 18
_MARGIN = 16


@dataclass(frozen=True)
class Message:
    """An arrow from one actor to another, by their numbers.

    :param label: above the arrow: the name of the message.
    :param detail: below the arrow.
    """

    source: int
    target: int
    label: str
    detail: str = ""


@dataclass(frozen=True)
class Note:
    """What an actor does between two messages."""

    actor: int
    lines: Sequence[str]


@dataclass(frozen=True)
class Gap:
    """Time that passes."""

    text: str


Step: TypeAlias = Message | Note | Gap
"""What a sequence diagram is made of."""


@dataclass
class _Canvas:
    """Elements, and how much room they take."""

    width: float
    title: str
    y: float = _MARGIN
    elements: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, size: int = 14, anchor: str = "start", **style: str) -> None:
        extra = "".join(f" {key.replace('_', '-')}='{value}'" for key, value in {"fill": _INK, **style}.items())
        self.elements.append(
            f"<text x='{x:g}' y='{y:g}' font-size='{size}' text-anchor='{anchor}'{extra}>{escape(text)}</text>"
        )

    def box(self, x: float, y: float, width: float, height: float, *, fill: str = "white", stroke: str = _LINE) -> None:
        self.elements.append(
            f"<rect x='{x:g}' y='{y:g}' width='{width:g}' height='{height:g}' rx='4' fill='{fill}' stroke='{stroke}'/>"
        )

    def line(
        self, start: tuple[float, float], end: tuple[float, float], *, dash: str = "", arrow: bool = False
    ) -> None:
        style = f" stroke-dasharray='{dash}'" if dash else ""
        style += " marker-end='url(#arrow)'" if arrow else ""
        stroke = _BLUE if arrow else _LINE
        self.elements.append(
            f"<line x1='{start[0]:g}' y1='{start[1]:g}' x2='{end[0]:g}' y2='{end[1]:g}' stroke='{stroke}'{style}/>"
        )

    def svg(self) -> str:
        height = self.y + _MARGIN
        head = (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {self.width:g} {height:g}' width='{self.width:g}' "
            f"height='{height:g}' role='img' {_FONT}>"
        )
        marker = (
            "<defs><marker id='arrow' viewBox='0 0 10 10' refX='9' refY='5' markerWidth='9' markerHeight='9' "
            f"orient='auto-start-reverse'><path d='M0 0L10 5L0 10z' fill='{_BLUE}'/></marker></defs>"
        )
        ground = f"<rect width='{self.width:g}' height='{height:g}' rx='6' fill='white'/>"
        return "\n".join([head, f"<title>{escape(self.title)}</title>", marker, ground, *self.elements, "</svg>", ""])


def draw_sequence(title: str, actors: Sequence[str], steps: Sequence[Step], width: float = 720) -> str:
    """Who sends what to whom, from top to bottom."""
    canvas = _Canvas(width, title)
    room = (width - 2 * _MARGIN - 200) / (len(actors) - 1)
    places = [_MARGIN + 100 + room * number for number in range(len(actors))]
    for x, actor in zip(places, actors, strict=True):
        canvas.box(x - 90, canvas.y, 180, 32, fill=_PALE)
        canvas.text(x, canvas.y + 21, actor, 15, "middle", font_weight="600")
    canvas.y += 32
    top, drawn = canvas.y, canvas.elements
    canvas.elements = []
    for step in steps:
        _draw_step(canvas, places, step)
    canvas.y += 14
    steps_drawn, canvas.elements = canvas.elements, drawn
    for x in places:
        canvas.line((x, top), (x, canvas.y), dash="4 4")
    canvas.elements += steps_drawn
    return canvas.svg()


def _draw_step(canvas: _Canvas, places: Sequence[float], step: Step) -> None:
    if isinstance(step, Gap):
        canvas.y += 16
        canvas.box(_MARGIN, canvas.y, canvas.width - 2 * _MARGIN, 26, fill=_PALE, stroke=_PALE)
        canvas.text(canvas.width / 2, canvas.y + 18, step.text, 13, "middle", font_style="italic")
        canvas.y += 26
    elif isinstance(step, Note):
        canvas.y += 12
        width = max(map(len, step.lines)) * 7.3 + 24
        x = min(max(places[step.actor] - width / 2, _MARGIN), canvas.width - _MARGIN - width)
        height = len(step.lines) * _ROW + 12
        canvas.box(x, canvas.y, width, height, fill="#fffbe8", stroke="#d8c878")
        for number, line in enumerate(step.lines, start=1):
            canvas.text(x + 12, canvas.y + number * _ROW, line, 13)
        canvas.y += height
    else:
        start, end = places[step.source], places[step.target]
        middle = (start + end) / 2
        canvas.y += 34
        canvas.text(middle, canvas.y - 7, step.label, 15, "middle", font_weight="600", fill=_BLUE)
        canvas.line((start, canvas.y), (end, canvas.y), arrow=True)
        if step.detail:
            canvas.text(middle, canvas.y + 17, step.detail, 12, "middle", fill="#555")
            canvas.y += 18


@dataclass(frozen=True)
class Box:
    """A part of a structure: its name, what it is for, and the parts in it."""

    name: str
    meaning: str = ""
    inside: Sequence[Box] = ()


def draw_boxes(title: str, box: Box, width: float = 720, column: float = 190) -> str:
    """Boxes in boxes, with their meanings beside their names.

    :param column: where the meanings begin, from the left of the outer box.
    """
    canvas = _Canvas(width, title)
    canvas.y += _draw_box(canvas, box, (_MARGIN, canvas.y), width - 2 * _MARGIN, _MARGIN + column)
    return canvas.svg()


def _height(box: Box) -> float:
    return 30 + sum(_height(inner) + 6 for inner in box.inside) + (6 if box.inside else 0)


def _draw_box(canvas: _Canvas, box: Box, place: tuple[float, float], width: float, column: float) -> float:
    x, y = place
    height = _height(box)
    canvas.box(x, y, width, height, fill=_PALE if box.inside else "white")
    canvas.text(x + 10, y + 20, box.name, 14, font_weight="600" if box.inside else "400")
    canvas.text(max(column, x + 20 + 8 * len(box.name)), y + 20, box.meaning, 13, fill="#444")
    below = y + 36
    for inner in box.inside:
        below += _draw_box(canvas, inner, (x + 12, below), width - 24, column) + 6
    return height


@dataclass(frozen=True)
class Panel:
    """A row of boxes with arrows from each to the next, under a heading."""

    heading: str
    boxes: Sequence[Sequence[str]]


def draw_tree(title: str, panels: Sequence[Panel], width: float = 720) -> str:
    """Rows of boxes, one below the other; the first line of a box is its name."""
    canvas = _Canvas(width, title)
    for panel in panels:
        canvas.text(_MARGIN, canvas.y + 16, panel.heading, 15, font_weight="600")
        canvas.y += 28
        room = (width - 2 * _MARGIN - 28 * (len(panel.boxes) - 1)) / len(panel.boxes)
        height = max(map(len, panel.boxes)) * _ROW + 14
        starts = [_MARGIN + number * (room + 28) for number in range(len(panel.boxes))]
        for x, lines in zip(starts, panel.boxes, strict=True):
            canvas.box(x, canvas.y, room, height, fill=_PALE)
            for number, line in enumerate(lines, start=1):
                weight = "600" if number == 1 else "400"
                canvas.text(x + room / 2, canvas.y + number * _ROW + 2, line, 13, "middle", font_weight=weight)
        for left, right in pairwise(starts):
            canvas.line((left + room + 2, canvas.y + height / 2), (right - 3, canvas.y + height / 2), arrow=True)
        canvas.y += height + 18
    canvas.y -= 18
    return canvas.svg()
