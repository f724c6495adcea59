"""What README and docs/ show to be typed: code blocks and commands between backticks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

SHELL = "sh"
SHOWN = "text"
"""What a command prints: nothing to execute."""
FILES = ("python", "javascript", "json", "yaml", "ini", "toml")
"""What a reader saves under the block's title."""

PROGRAMS = (
    "apt-get|cp|curl|docker|docker-compose|export|helm|ip|kubectl|locust|make|"
    "pika-locust|pip|pipx|python|source|sysctl|ulimit|uvx"
)
"""A span between backticks that begins with one of these, settings before it or not, is a command."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page. `title` is the file that a reader saves it to, where there is one."""

    page: str
    line: int
    language: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """Commands that are typed one after the other in one folder, and the files that the page has named before."""

    page: str
    line: int
    commands: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"


_FENCE = re.compile(r'(?P<indent>\s*)```(?P<language>\w*)(?:\s+title="(?P<title>[^"]+)")?\s*')


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page. Raises ValueError for a fence that is not closed or cannot be read."""
    found: list[Block] = []
    begun: tuple[int, re.Match[str]] | None = None
    text: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if not line.lstrip().startswith("```"):
            text.append(line)
        elif begun is None:
            match = _FENCE.fullmatch(line)
            if match is None:
                raise ValueError(f'{page.name}:{number}: write ```language or ```language title="file", not {line}')
            begun, text = (number, match), []
        else:
            first, match = begun
            indent = len(match["indent"])
            body = "".join(f"{line[indent:]}\n" for line in text)
            found.append(Block(page.name, first, match["language"], match["title"] or "", body))
            begun = None
    if begun is not None:
        raise ValueError(f"{page.name}:{begun[0]}: this block has no end")
    return found


_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")


def spans(page: Path) -> Iterator[tuple[int, str]]:
    """Line and text of everything between backticks outside of blocks; a table's escaped bars are bars."""
    inside = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside:
            yield from ((number, match[1].replace("\\|", "|")) for match in _SPAN.finditer(line))


def commands_of(script: str) -> tuple[str, ...]:
    """The commands of a block, one each, with lines that end in a backslash put together."""
    lines = re.sub(r"\\\n\s*", "", script).splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))


_COMMAND = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:{PROGRAMS}) \S.*")


def is_command(span: str) -> bool:
    """Whether a span is a whole command; with … it is the idea of one."""
    return "…" not in span and _COMMAND.fullmatch(span) is not None


def examples(page: Path) -> list[Example]:
    """All that a page has to be typed; each command once."""
    found: list[Example] = []
    files: dict[str, str] = {}
    shown = sorted([(block.line, block) for block in blocks(page)] + list(spans(page)), key=lambda one: one[0])
    for line, what in shown:
        if isinstance(what, str):
            if is_command(what):
                found.append(Example(page.name, line, (what,), tuple(files.items())))
        elif what.language in FILES and what.title:
            files[what.title] = files.get(what.title, "") + what.text
        elif what.language == SHELL:
            found.append(Example(page.name, line, commands_of(what.text), tuple(files.items())))
    return found


def each_once(found: list[Example]) -> list[Example]:
    """Examples without those whose commands all stand elsewhere already, with the same files."""
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    kept = []
    for example in found:
        new = [one for one in example.commands if (_bare(one), example.files) not in seen]
        seen |= {(_bare(one), example.files) for one in example.commands}
        if new:
            kept.append(replace(example, commands=example.commands))
    return kept


def _bare(command: str) -> str:
    return command.partition("  #")[0].strip()
