"""A report as a list of blocks, which `document_html` and `document_markdown` write.

Words are plain text everywhere: whoever writes them makes them harmless in its own language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pika_locust.outputs.table import Column, Span, Tone


@dataclass(frozen=True, slots=True)
class Heading:
    """The beginning of a section; 1 is the document's own title."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Banner:
    """The verdict, in a word and a sentence."""

    word: str
    text: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Bullets:
    items: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Table:
    columns: tuple[Column, ...]
    rows: tuple[tuple[Span, ...], ...]


@dataclass(frozen=True, slots=True)
class Tiles:
    """Figures at a glance: title, value, and a few words below."""

    items: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart; `style` is `main`, or `plan` (grey and dashed)."""

    label: str
    values: Sequence[float | None]
    style: str = "main"


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the time of the run, in seconds since the load began; `limit` is a horizontal line."""

    title: str
    note: str
    times_s: Sequence[float]
    lines: tuple[Line, ...]
    unit: str = ""
    limit: float | None = None
    marks: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Bars:
    """How values are distributed: for each bar its lowest and highest value, and the share of the samples in it.
    `marks` are values with a name, such as percentiles."""

    title: str
    unit: str
    bars: tuple[tuple[float, float, float], ...]
    marks: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks that are closed until they are asked for."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Words as a machine would take them, on lines of their own."""

    text: str


Block = Heading | Paragraph | Banner | Bullets | Table | Tiles | Chart | Bars | Fold | Code


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    blocks: tuple[Block, ...] = field(default=())


def table(titles: Sequence[str], rows: Sequence[Sequence[Span | str]], right: Sequence[int] = ()) -> Table:
    """A table whose columns without any text are left out; `right` are the places of those that hold numbers."""
    cells = [[cell if isinstance(cell, Span) else Span(cell) for cell in row] for row in rows]
    kept = [at for at in range(len(titles)) if any(row[at].text for row in cells)]
    columns = tuple(Column(titles[at], right=at in right) for at in kept)
    return Table(columns, tuple(tuple(row[at] for at in kept) for row in cells))
