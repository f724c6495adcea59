from __future__ import annotations

import pytest

from pika_locust.judge.grades import Band, at_least, check_bands, grade_of
from pika_locust.judge.report import Grade
from pika_locust.judge.thresholds import parse_option


@pytest.mark.parametrize(
    ("healthy", "warning", "values"),
    [
        pytest.param(
            "<500", "<1000", {499: "healthy", 500: "warning", 999: "warning", 1000: "critical"}, id="low is good"
        ),
        pytest.param(">0.99", ">0.95", {1.0: "healthy", 0.99: "warning", 0.95: "critical"}, id="high is good"),
        pytest.param("==0", "<5", {0: "healthy", 4: "warning", 5: "critical"}, id="none at all is good"),
        pytest.param("<5", "<=5", {4: "healthy", 5: "warning", 6: "critical"}, id="the limit itself is the warning"),
        pytest.param("<5", "<5", {4: "healthy", 5: "critical"}, id="no warning at all"),
    ],
)
def test_the_grade_of_a_value(healthy: str, warning: str, values: dict[float, Grade]) -> None:
    band = Band("m", "value", healthy, warning)

    assert {value: band.grade(value) for value in values} == values
    assert band.grade(None) is None


@pytest.mark.parametrize(
    ("aggregation", "healthy", "warning", "taught"),
    [
        pytest.param("value", "<1000", "<500", "stricter", id="the wrong way round"),
        pytest.param("value", ">0.9", ">0.95", "stricter", id="the wrong way round, high is good"),
        pytest.param("value", "<500", ">1000", "same way", id="different ways"),
        pytest.param("value", "<=5", "<5", "stricter", id="the limit would be healthy and not a warning"),
        pytest.param("value", "==7", "<5", "stricter", id="an exact value outside the warning"),
        pytest.param("value", "<5", "==5", "stricter", id="an exact warning"),
        pytest.param("value", "!=5", "<9", "stricter", id="a forbidden value"),
        pytest.param("value", "500", "<1000", "no operator", id="no operator"),
        pytest.param("p(195)", "<500", "<1000", "p(0) to p(100)", id="no such percentile"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(aggregation: str, healthy: str, warning: str, taught: str) -> None:
    with pytest.raises(ValueError) as caught:
        Band("m", aggregation, healthy, warning)

    assert taught in str(caught.value)


def test_a_band_is_found_by_series_and_aggregation() -> None:
    bands = [Band("m", "p(95.0)", "<5", "<9"), Band("m{a:1,b:2}", "p(95)", "<1", "<2"), Band("m", "avg", "<1", "<2")]

    assert grade_of(bands, "m", "p(95)", 3) == "healthy"
    assert grade_of(bands, "m{a:1,b:2}", "p(95)", 3) == "critical"
    assert grade_of(bands, "m", "avg", 1.5) == "warning"
    assert grade_of(bands, "m", "p(99)", 3) is None
    assert grade_of([], "m", "p(95)", 3) is None


def test_a_band_that_no_threshold_stands_beside_is_reported() -> None:
    bands = [Band("m", "p(95)", "<5", "<9"), Band("m{b:2,a:1}", "med", "<5", "<9")]

    assert check_bands(bands, [parse_option("m:p(95)<7"), parse_option("m{a:1,b:2}:med<9")]) == []
    problems = check_bands(bands, [parse_option("m:p(95)<7"), parse_option("m:med<7")])
    assert len(problems) == 1
    assert "m{a:1,b:2} med" in problems[0]
    assert "med<9" in problems[0]


@pytest.mark.parametrize(
    ("grade", "floor", "wanted"),
    [
        ("healthy", "warning", False),
        ("warning", "warning", True),
        ("critical", "warning", True),
        ("warning", "critical", False),
        ("critical", "critical", True),
        (None, "warning", False),
    ],
)
def test_as_bad_as(grade: Grade | None, floor: Grade, wanted: bool) -> None:
    assert at_least(grade, floor) is wanted
