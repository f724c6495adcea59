from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.load.durations import format_duration, parse_duration

READ = {
    "seconds": ("90s", 90.0),
    "minutes": ("10m", 600.0),
    "hours and minutes": ("1h30m", 5400.0),
    "hours, minutes and seconds": ("1h1m1s", 3661.0),
    "milliseconds": ("500ms", 0.5),
    "microseconds": ("250us", 0.00025),
    "microseconds with the micro sign": ("250\u00b5s", 0.00025),
    "microseconds with the Greek letter": ("250\u03bcs", 0.00025),
    "minutes are not the m of milliseconds": ("1m500ms", 60.5),
    "a fraction of a unit": ("1.5h", 5400.0),
    "any order, as Go takes it": ("30s1m", 90.0),
    "space around": (" 2m ", 120.0),
    "nothing": ("0s", 0.0),
    "a plain number is milliseconds": ("1500", 1.5),
    "a plain fraction is milliseconds, too": ("0.5", 0.0005),
}


@pytest.mark.parametrize(("text", "seconds"), READ.values(), ids=READ)
def test_a_duration_is_read_as_k6_reads_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12)


def test_a_plain_number_counts_in_the_unit_that_is_asked_for() -> None:
    assert [parse_duration("90", bare_unit=unit) for unit in ("ms", "s", "m", "h")] == [0.09, 90.0, 5400.0, 324_000.0]
    assert parse_duration("90ms", bare_unit="s") == 0.09


WRONG = {
    "nothing": "",
    "only space": " ",
    "no number": "s",
    "an unknown unit": "5d",
    "a number without its unit at the end": "1h30",
    "a space between": "1h 30m",
    "a sign": "-5s",
    "an exponent": "1e3s",
    "not a number": "nan",
    "infinity": "inf",
    "two points": "1.2.3s",
    "a fraction without its whole": ".5s",
    "an underscore": "1_000s",
    "digits of another script": "٣s",
    "more than anybody waits for": "9" * 400 + "s",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_is_no_duration_is_refused_and_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration; write it like 90s|is longer than thirty years") as caught:
        parse_duration(text, bare_unit="s")
    assert repr(text) in str(caught.value)


WRITTEN = {
    "nothing": (0.0, "0s"),
    "seconds": (59.0, "59s"),
    "a whole minute": (60.0, "1m"),
    "minutes and seconds": (90.0, "1m30s"),
    "a whole hour": (3600.0, "1h"),
    "hours and seconds": (3601.0, "1h1s"),
    "all three": (3661.0, "1h1m1s"),
    "below a second": (0.25, "250ms"),
    "seconds and milliseconds": (1.5, "1.5s"),
    "minutes and milliseconds": (60.25, "1m0.25s"),
    "rounded to a millisecond": (0.9996, "1s"),
    "days stay hours": (172_800.0, "48h"),
}


@pytest.mark.parametrize(("seconds", "text"), WRITTEN.values(), ids=WRITTEN)
def test_a_duration_is_written_in_the_shortest_way(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=0, max_value=10**9))
def test_what_is_written_is_read_back(milliseconds: int) -> None:
    assert round(parse_duration(format_duration(milliseconds / 1000)) * 1000) == milliseconds


def test_no_duration_is_negative() -> None:
    with pytest.raises(ValueError, match="cannot be negative: -1"):
        format_duration(-1)
