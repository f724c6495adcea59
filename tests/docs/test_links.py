"""Every link and every picture of README, CHANGELOG and docs/ leads to a file, or a heading, that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.snippets import PAGES, ROOT

_BLOCK = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<path>[^)#\s]*)(?:#(?P<heading>[^)\s]+))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def prose(page: Path) -> str:
    return _BLOCK.sub("", page.read_text())


def headings(page: Path) -> set[str]:
    """As GitHub and MkDocs have them behind a #."""
    titles = _HEADING.findall(prose(page))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(page: Path) -> list[str]:
    """Links within this repository that lead nowhere."""
    found = []
    for link in _LINK.finditer(prose(page)):
        target = page if not link["path"] else page.parent / link["path"]
        is_elsewhere = link["path"].startswith(("http:", "https:"))
        if not is_elsewhere and (not target.exists() or (link["heading"] and link["heading"] not in headings(target))):
            found.append(link[0])
    return found


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_links_that_lead_nowhere_are_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A page, here\n\n[a](#a-page-here) [b](page.md#a-page-here) [c](https://example.com/x) ![d](none.png)\n"
        "[e](none.md) [f](#nothing) [g](page.md#nothing)\n```text\n[h](none.md)\n```\n"
    )
    assert broken(page) == ["![d](none.png)", "[e](none.md)", "[f](#nothing)", "[g](page.md#nothing)"]
