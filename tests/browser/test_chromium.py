"""What browser users need, and what is said where it is not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pika_locust.browser import chromium
from pika_locust.browser.chromium import BROWSER_SETTINGS, browser_problems, find_chromium
from pika_locust.settings import Setting, Settings, read_settings, text


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which there is nothing but a browser of another name."""
    path = tmp_path / "google-chrome"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return path


def wanted(**environ: str) -> Settings:
    settings, problems = read_settings((*BROWSER_SETTINGS, Setting("CA_FILE", text, None, "")), environ, "shop")
    assert problems == []
    return settings


def test_a_relative_of_chromium_is_as_good_and_a_named_one_better(program: Path, tmp_path: Path) -> None:
    assert find_chromium(None) == str(program)
    other = tmp_path / "mine"
    assert find_chromium(str(other)) is None
    other.write_text("")
    assert find_chromium(str(other)) is None
    other.chmod(0o755)
    assert find_chromium(str(other)) == str(other)
    assert find_chromium(str(tmp_path)) is None


def test_nothing_is_missed_where_no_browser_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    assert list(browser_problems(wanted(CA_FILE="some.pem"))) == []


def test_all_that_is_missing_is_told_with_what_helps(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(browser_problems(wanted(BROWSER_USERS="2"))) == []
    program.unlink()
    nothing: Any = lambda name: None  # noqa: E731
    monkeypatch.setattr(chromium, "find_spec", nothing)
    playwright, browser, authorities = browser_problems(wanted(BROWSER_USERS="2", CA_FILE="some.pem"))
    assert playwright == (
        "BROWSER_USERS=2 needs Playwright, which drives the browser: pip install 'pika-locust[browser]'"
    )
    assert "there is none on PATH: apt-get install chromium, or name one with BROWSER_EXECUTABLE_PATH" in browser
    assert "CA_FILE" in authorities
    assert "certutil" in authorities
