"""A document as GitHub's Markdown: for pull requests, and to be read as it is. Charts are left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pika_locust.outputs import redact
from pika_locust.outputs.document import (
    Banner,
    Bars,
    Block,
    Bullets,
    Chart,
    Code,
    Document,
    Fold,
    Heading,
    Paragraph,
    Table,
    Tiles,
)
from pika_locust.outputs.table import Span

_SPECIAL = re.compile(r"([\\`*|<>\[\]#~]|(?<!\w)_|_(?!\w))")
_MENTION = re.compile(r"(?<!\w)@(?=\w)")
_MARKS = {"good": "", "bad": "**", "strong": "**"}


def render(document: Document) -> str:
    """The whole document."""
    return "\n".join(_lines(_kept(document.blocks))).rstrip() + "\n"


def text(words: str) -> str:
    """Words as themselves: on one line, without secrets, and nothing of them taken for Markdown."""
    # Of a `@name` a forge would make a mention, and send its owner a letter.
    return _MENTION.sub("@\u2060", _SPECIAL.sub(r"\\\1", redact.one_line(str(words))))


def _kept(blocks: Iterable[Block]) -> list[Block]:
    """What is left without charts: no fold around nothing, and no heading above nothing."""
    kept: list[Block] = []
    for block in blocks:
        if isinstance(block, Fold):
            block = Fold(block.title, tuple(_kept(block.blocks)))
        if isinstance(block, (Chart, Bars)) or (isinstance(block, Fold) and not block.blocks):
            continue
        if isinstance(block, Heading):
            kept = _without_bare_heading(kept, block.level)
        kept.append(block)
    return _without_bare_heading(kept, 1)


def _without_bare_heading(blocks: list[Block], level: int) -> list[Block]:
    last = blocks[-1] if blocks else None
    return blocks[:-1] if isinstance(last, Heading) and last.level >= max(2, level) else blocks


def _lines(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        match block:
            case Heading(words, level):
                yield f"{'#' * level} {text(words)}"
            case Paragraph(words):
                yield text(words)
            case Banner(word, words):
                yield f"**{text(word)}**: {text(words)}" if words else f"**{text(word)}**"
            case Bullets(items):
                yield from (f"- {_span(item)}" for item in items)
            case Table():
                yield from _table(block)
            case Tiles(items):
                yield " · ".join(f"{text(title)} **{text(value)}**" for title, value, _ in items)
            case Fold(title, inner):
                yield f"<details><summary>{text(title)}</summary>"
                yield ""
                yield from _lines(inner)
                yield "</details>"
            case Code(words):
                yield from _code(words)
        yield ""


def _table(block: Table) -> Iterator[str]:
    yield f"| {' | '.join(text(column.title) for column in block.columns)} |"
    yield f"|{''.join('---:|' if column.right else '---|' for column in block.columns)}"
    for row in block.rows:
        yield f"| {' | '.join(map(_span, row))} |"


def _span(span: Span) -> str:
    words, mark = text(span.text), _MARKS.get(span.tone, "")
    return f"{mark}{words}{mark}" if words else ""


def _code(words: str) -> Iterator[str]:
    fence = "```"
    while fence in words:
        fence += "`"
    yield fence
    yield from (redact.one_line(line) for line in words.splitlines())
    yield fence
