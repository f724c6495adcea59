"""Reads a report back: what its HTML, or its Markdown as a forge would show it, says block by block."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from markdown_it import MarkdownIt

_WITHOUT_END = {"meta", "link", "br", "hr", "img"}
_NO_SPACE = "\u2060"
"""What Markdown gets behind an @, so that nobody is mentioned."""


@dataclass
class Block:
    """Words of one block as rows of cells: a table's rows, a list's items, a tile's title, value and note."""

    kind: str
    rows: list[list[str]]
    titles: list[str] = field(default_factory=list)
    """Of a table's columns. Those without one are `#0`, `#1`, …"""


@dataclass
class Section:
    """A heading and what stands below it; the first of a document has no title."""

    title: str
    level: int = 0
    blocks: list[Block] = field(default_factory=list)


@dataclass
class Chart:
    """What a chart is drawn from: `data` as in the page. `part` is the heading of level 2 above it."""

    part: str
    section: str
    title: str
    data: dict[str, Any]


@dataclass
class ReadReport:
    sections: list[Section]
    charts: list[Chart] = field(default_factory=list)

    def texts(self) -> Iterator[tuple[Section, list[str], int]]:
        """Every text of the report, as a place in a row."""
        for section in self.sections:
            for block in section.blocks:
                for row in block.rows:
                    for at in range(len(row)):
                        yield section, row, at


@dataclass
class Node:
    tag: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    inside: list[Node | str] = field(default_factory=list)

    @property
    def children(self) -> list[Node]:
        return [one for one in self.inside if isinstance(one, Node)]

    @property
    def text(self) -> str:
        return " ".join(self.raw.split())

    @property
    def raw(self) -> str:
        return "".join(one if isinstance(one, str) else one.raw for one in self.inside)

    def all(self, tag: str) -> list[Node]:
        found = [self] if self.tag == tag else []
        return found + [one for child in self.children for one in child.all(tag)]

    def first(self, tag: str) -> Node:
        return self.all(tag)[0]

    @property
    def classes(self) -> list[str]:
        return (self.attributes.get("class") or "").split()


class _Tree(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = Node("root")
        self._open = [self.root]
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs))
        self._open[-1].inside.append(node)
        if tag not in _WITHOUT_END:
            self._open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].inside.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> ends {self._open[-1].tag}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].inside.append(data)


def read_page(page: str) -> ReadReport:
    """The report in an HTML page, as it was written or as a browser has it after its scripts have run."""
    root = _Tree(page).root
    main = root.first("main")
    sections = _sections(block for child in main.children for block in _blocks(child))
    data = json.loads(next(one for one in root.all("script") if one.attributes.get("id") == "charts").raw)
    return ReadReport(sections, [*_charts(main, data)])


def read_markdown(text: str) -> ReadReport:
    """The report in a Markdown file, as it is shown."""
    html = MarkdownIt("commonmark").enable("table").render(text.replace(_NO_SPACE, ""))
    return ReadReport(_sections(block for child in _Tree(html).root.children for block in _blocks(child)))


def _sections(found: Iterator[Block | Section]) -> list[Section]:
    sections = [Section("")]
    for one in found:
        if isinstance(one, Section):
            sections.append(one)
        else:
            sections[-1].blocks.append(one)
    return sections


def _blocks(node: Node) -> Iterator[Block | Section]:
    match node.tag:
        case "h1" | "h2" | "h3" | "h4":
            yield Section(node.text, int(node.tag[1]))
        case "p":
            yield _paragraph(node)
        case "ul":
            yield Block("bullets", [[item.text] for item in node.all("li")])
        case "table":
            yield _table(node)
        case "pre":
            yield Block("code", [[node.text]])
        case "figure":
            # The lines of a chart are in its data, and what is drawn by a script is no text of the report.
            yield from () if "pika-chart" in node.classes else [_bars(node)]
        case "details":
            title, *inside = node.children
            yield Block("fold", [[title.text]])
            for child in inside:
                yield from _blocks(child)
        case "div" if "banner" in node.classes:
            word, words = node.children
            yield Block("banner", [[word.text, words.text]])
        case "div" if "tiles" in node.classes:
            yield Block("tiles", [[part.text for part in tile.children] for tile in node.children])
        case "div":
            for child in node.children:
                yield from _blocks(child)
        case _:
            raise AssertionError(f"<{node.tag}> is no block of a report")


def _paragraph(node: Node) -> Block:
    """Markdown has paragraphs for what is a banner or tiles on a page."""
    strong = [one.text for one in node.all("strong")]
    if strong and isinstance(node.inside[0], Node):
        return Block("banner", [[strong[0], node.text.removeprefix(strong[0]).removeprefix(":").strip()]])
    if strong:
        tiles = [part.rpartition(f" {value}") for part, value in zip(node.text.split(" · "), strong, strict=True)]
        return Block("tiles", [[title, value.strip()] for title, value, _ in tiles])
    return Block("paragraph", [[node.text]])


def _table(node: Node) -> Block:
    titles, blank = [], 0
    for cell in node.all("th"):
        titles.append(cell.text or f"#{blank}")
        blank += not cell.text
    rows = [[cell.text for cell in row.all("td")] for row in node.first("tbody").all("tr")]
    assert all(len(row) == len(titles) for row in rows)
    return Block("table", rows, titles)


def _bars(node: Node) -> Block:
    """The values that are named in the drawing of a distribution, and where it begins and ends."""
    svg = node.first("svg")
    marks = [line.first("title").text.split(" ", 1) for line in svg.all("line")]
    first, last = (one.text for one in svg.all("text")[-2:])
    return Block("bars", [[node.first("figcaption").text], *marks, ["from", first], ["to", last]])


def _charts(node: Node, data: list[dict[str, Any]]) -> Iterator[Chart]:
    part = section = ""
    for one in _in_order(node):
        if one.tag in ("h2", "h3"):
            section = one.text
            part = section if one.tag == "h2" else part
        elif one.tag == "figure" and "pika-chart" in one.classes:
            title = one.first("figcaption").first("b").text
            yield Chart(part, section, title, data[int(str(one.attributes["data-chart"]))])


def _in_order(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _in_order(child)
