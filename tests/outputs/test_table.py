from __future__ import annotations

import re

import pytest

from pika_locust.outputs.table import Column, Medium, Span, heading, paint, prose, table

COLUMNS = [
    Column("name"),
    Column("value", right=True),
    Column("worst", folds=2),
    Column("samples", right=True, folds=1),
]
ROWS = [
    [Span("join"), Span("12.3 ms", "bad"), Span("19 ms at 0:41", "dim"), Span("48,211")],
    [Span("match"), Span("7 ms"), Span(""), Span("9")],
]


def plain(width: int, columns: list[Column] = COLUMNS, rows: list[list[Span]] = ROWS) -> list[str]:
    medium = Medium(terminal=False, width=width)
    return paint(table(columns, rows, medium), medium).splitlines()


def test_columns_are_aligned_under_their_titles() -> None:
    assert plain(60) == [
        "  name     value  worst          samples",
        "  join   12.3 ms  19 ms at 0:41   48,211",
        "  match     7 ms                       9",
    ]


def test_a_narrow_table_folds_the_least_important_column_first() -> None:
    assert plain(38) == [
        "  name     value  samples",
        "  join   12.3 ms   48,211",
        "      worst 19 ms at 0:41",
        "  match     7 ms        9",
    ]


def test_a_very_narrow_table_folds_all_it_may_and_loses_nothing() -> None:
    assert plain(20) == [
        "  name     value",
        "  join   12.3 ms",
        "      worst 19 ms at 0:41",
        "      samples 48,211",
        "  match     7 ms",
        "      samples 9",
    ]


def test_columns_without_text_are_left_out() -> None:
    rows = [[Span("join"), Span(""), Span(""), Span("9")]]
    assert plain(60, rows=rows) == ["  name  samples", "  join        9"]


def test_wide_characters_keep_the_alignment() -> None:
    rows = [[Span("等待"), Span("1")], [Span("wait"), Span("2")]]
    assert plain(60, [Column(""), Column("")], rows) == ["  等待  1", "  wait  2"]


def test_sentences_wrap_on_a_terminal_only() -> None:
    words = "a sentence that is longer than the terminal is wide"
    terminal, log = Medium(True, 30), Medium(False, 30)
    assert len(prose(words, log)) == 1
    lines = [line.rstrip() for line in uncoloured(paint(prose(words, terminal, lead=Span("why"), indent=8), terminal))]
    assert lines == ["  why   a sentence that is", "        longer than the", "        terminal is wide"]


def test_colours_are_for_terminals() -> None:
    lines = [heading("Thresholds", "2 of 2 hold"), (Span("FAIL", "bad"),)]
    assert paint(lines, Medium(False, 80)) == "Thresholds  2 of 2 hold\nFAIL\n"
    assert "\x1b[1;31mFAIL\x1b[0m" in paint(lines, Medium(True, 80))


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "31m" not in paint([(Span("FAIL", "bad"),)], Medium(True, 80))


def test_words_are_never_markup() -> None:
    for words in ("[red]not red[/red]", ":smile: [/] [bold"):
        assert uncoloured(paint([(Span(words),)], Medium(True, 80))) == [words]


def uncoloured(text: str) -> list[str]:
    return re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
