"""Tables and coloured text for terminals of any width."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pika_locust.format import width_of

Tone = Literal["", "good", "bad", "doubt", "dim", "strong", "good badge", "bad badge", "doubt badge"]

_STYLES: dict[Tone, str] = {
    "": "",
    "good": "green",
    "bad": "bold red",
    "doubt": "yellow",
    "dim": "dim",
    "strong": "bold",
    "good badge": "bold black on green",
    "bad badge": "bold white on red",
    "doubt badge": "bold black on yellow",
}
_INDENT, _GAP, _FOLD = 2, 2, 6


@dataclass(frozen=True, slots=True)
class Span:
    """Words in one tone."""

    text: str
    tone: Tone = ""


Line = tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """Where the table is too wide, the columns with the highest `folds` go to a second line under their row, as
    `title value`; those with 0 stay."""

    title: str
    right: bool = False
    folds: int = 0


@dataclass(frozen=True, slots=True)
class Medium:
    """What the text is for. A terminal gets colours, marks beyond ASCII and wrapped sentences; anything else none of
    them, so that it can be searched."""

    terminal: bool
    width: int

    def choose(self, rich: str, plain: str) -> str:
        return rich if self.terminal else plain


def heading(title: str, words: str = "") -> Line:
    """How each section starts."""
    return (Span(title, "strong"), Span(f"  {words}" if words else "", "dim"))


def table(columns: Sequence[Column], rows: Sequence[Sequence[Span]], medium: Medium) -> list[Line]:
    """Aligned columns under their titles. Columns without any text are left out; without titles there is no heading."""
    used = [i for i in range(len(columns)) if any(row[i].text for row in rows)]
    wide = {i: max(width_of(text) for text in [columns[i].title, *(row[i].text for row in rows)]) for i in used}
    kept = list(used)
    while _INDENT + sum(wide[i] + _GAP for i in kept) - _GAP > medium.width and any(columns[i].folds for i in kept):
        kept.remove(max(kept, key=lambda i: columns[i].folds))
    lines: list[Line] = []
    if any(columns[i].title for i in kept):
        titles = {i: Span(columns[i].title, "dim") for i in kept}
        lines.append(_row([(titles[i], wide[i], columns[i].right) for i in kept]))
    for row in rows:
        lines.append(_row([(row[i], wide[i], columns[i].right) for i in kept]))
        folded = [(columns[i].title, row[i]) for i in used if i not in kept and row[i].text]
        lines.extend(_folded(folded, medium.width))
    return lines


def prose(
    words: str, medium: Medium, tone: Tone = "", *, lead: Span | None = None, indent: int = _INDENT
) -> list[Line]:
    """A sentence, indented, after an optional `lead` that stands in the margin; a terminal gets it wrapped."""
    first = Span(" " * indent)
    margin: Line = (first,)
    if lead is not None:
        margin = (Span(" " * _INDENT), lead, Span(" " * max(_GAP, indent - _INDENT - width_of(lead.text))))
    parts = [words]
    if medium.terminal:
        columns = max(20, medium.width - indent)
        parts = textwrap.wrap(words, columns, break_long_words=False, break_on_hyphens=False) or [""]
    return [(*(margin if at == 0 else (first,)), Span(part, tone)) for at, part in enumerate(parts)]


def paint(lines: Iterable[Line], medium: Medium) -> str:
    """The text. `NO_COLOR` turns colours off; nothing in the words is taken for markup."""
    if not medium.terminal:
        return "".join("".join(span.text for span in line).rstrip() + "\n" for line in lines)
    from rich.console import Console
    from rich.text import Text

    stream = io.StringIO()
    console = Console(
        file=stream, force_terminal=True, width=medium.width, color_system="standard", legacy_windows=False
    )
    for line in lines:
        text = Text.assemble(*((span.text, _STYLES[span.tone]) for span in line))
        text.rstrip()
        console.print(text, soft_wrap=True, highlight=False)
    return stream.getvalue()


def _row(cells: Sequence[tuple[Span, int, bool]]) -> Line:
    spans: list[Span] = [Span(" " * _INDENT)]
    for at, (span, wide, right) in enumerate(cells):
        padding = " " * (wide - width_of(span.text))
        gap = " " * _GAP if at < len(cells) - 1 else ""
        if right:
            spans += [Span(padding), span, Span(gap)]
        else:
            spans += [span, Span(padding + gap if gap else "")]
    return tuple(span for span in spans if span.text)


def _folded(cells: Sequence[tuple[str, Span]], width: int) -> list[Line]:
    """The folded cells of one row: as many on a line as fit, a cell never broken."""
    lines: list[list[Span]] = []
    used = width
    for title, span in cells:
        words = width_of(title) + (1 if title else 0) + width_of(span.text)
        if not lines or used + 3 + words > width:
            lines.append([Span(" " * _FOLD)])
            used = _FOLD
        else:
            lines[-1].append(Span(" " * 3))
            used += 3
        lines[-1] += [Span(f"{title} ", "dim")] if title else []
        lines[-1].append(span)
        used += words
    return [tuple(line) for line in lines]
