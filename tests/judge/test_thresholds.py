from __future__ import annotations

from typing import Any

import pytest

from pika_locust.judge.expressions import ExpressionError, parse
from pika_locust.judge.thresholds import Threshold, check, parse_option, replace_or_add
from pika_locust.metrics.metric import counter, gauge, rate, trend

METRICS = [trend("latency"), rate("checks"), counter("errors"), gauge("memory", unit="MB")]


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        pytest.param("p(95)<500", {}, id="an expression alone"),
        pytest.param({"threshold": "p(95)<500"}, {}, id="a mapping with nothing else"),
        pytest.param(
            {"threshold": "p(95)<500", "abortOnFail": True, "delayAbortEval": "1m30s"},
            {"abort_on_fail": True, "delay_abort_eval_s": 90.0},
            id="k6's spelling",
        ),
        pytest.param(
            {"threshold": "p(95)<500", "abort_on_fail": True, "delay_abort_eval": "10s"},
            {"abort_on_fail": True, "delay_abort_eval_s": 10.0},
            id="our spelling",
        ),
        pytest.param(
            {"threshold": "p(95)<500", "delayAbortEval": 500},
            {"delay_abort_eval_s": 0.5},
            id="a plain number is milliseconds, as in k6",
        ),
        pytest.param(
            {"threshold": "p(95)<500", "delayAbortEval": "500ms"},
            {"delay_abort_eval_s": 0.5},
            id="milliseconds with their unit",
        ),
        pytest.param({"threshold": "p(95)<500", "window": "30s"}, {"window_s": 30.0}, id="the worst window"),
        pytest.param({"threshold": "p(95)<500", "allow_empty": True}, {"allow_empty": True}, id="may be empty"),
        pytest.param(
            {"threshold": "p(95)<500", "optional": True, "about": "as the suite has it"},
            {"optional": True, "about": "as the suite has it"},
            id="optional, with a sentence",
        ),
    ],
)
def test_a_threshold_from_what_was_written(spec: str | dict[str, Any], wanted: dict[str, Any]) -> None:
    assert Threshold.of("latency", spec) == Threshold("latency", parse("p(95)<500"), **wanted)


@pytest.mark.parametrize(
    ("metric", "spec", "taught"),
    [
        pytest.param("latency", "p(95)<fast", "'fast' in 'p(95)<fast' is not a number", id="a number that is none"),
        pytest.param("latency", {"abortOnFail": True}, "must hold an expression", id="no expression"),
        pytest.param("latency", {"threshold": ["p(95)<5"]}, "must hold an expression", id="a list for an expression"),
        pytest.param(
            "latency", {"threshold": "p(95)<5", "abortOnFial": True}, "did you mean abortOnFail?", id="a slip"
        ),
        pytest.param(
            "latency", {"threshold": "p(95)<5", "zz": 1}, "legal are threshold, abortOnFail", id="no such option"
        ),
        pytest.param(
            "latency",
            {"threshold": "p(95)<5", "abortOnFail": True, "abort_on_fail": False},
            "both spellings",
            id="one option twice",
        ),
        pytest.param(
            "latency",
            {"threshold": "p(95)<5", "abortOnFail": "yes"},
            "must be true or false, not 'yes'",
            id="a text flag",
        ),
        pytest.param(
            "latency", {"threshold": "p(95)<5", "window": "half a minute"}, "window: 'half a minute'", id="no duration"
        ),
        pytest.param(
            "latency", {"threshold": "p(95)<5", "window": True}, "must be a duration", id="a flag for a duration"
        ),
        pytest.param("latency", {"threshold": "p(95)<5", "window": "0s"}, "a window needs some length", id="no window"),
        pytest.param(
            "latency", {"threshold": "p(95)<5", "delayAbortEval": -5}, "'-5' is not a duration", id="a negative delay"
        ),
        pytest.param(
            "latency", {"threshold": "p(95)<5", "allowEmpty": True, "optional": True}, "contradict", id="two readings"
        ),
        pytest.param("lat ency", "p(95)<5", "no metric name", id="a name that is none"),
        pytest.param("latency{x", "p(95)<5", "closing brace", id="a brace that stays open"),
    ],
)
def test_a_mistake_is_refused_with_what_would_be_right(metric: str, spec: str | dict[str, Any], taught: str) -> None:
    with pytest.raises(ValueError) as caught:
        Threshold.of(metric, spec)

    assert taught in str(caught.value)


def test_a_negative_delay_is_refused_however_it_comes() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        Threshold("latency", parse("p(95)<5"), delay_abort_eval_s=-1)


@pytest.mark.parametrize(
    ("text", "metric", "expression"),
    [
        pytest.param("latency:p(95)<300", "latency", "p(95)<300", id="a metric"),
        pytest.param("latency{name:join}:p(95)<300", "latency{name:join}", "p(95)<300", id="a submetric"),
        pytest.param(
            "latency{url:http://x:80/,b:2}: avg < 3",
            "latency{b:2,url:http://x:80/}",
            "avg < 3",
            id="colons inside braces",
        ),
        pytest.param('latency{a:"x}:y"}:avg<3', 'latency{a:"x}:y"}', "avg<3", id="a quoted brace and colon"),
    ],
)
def test_the_command_line_form(text: str, metric: str, expression: str) -> None:
    assert parse_option(text) == Threshold(metric, parse(expression))
    assert parse_option(str(parse_option(text))) == parse_option(text)


@pytest.mark.parametrize(
    ("text", "taught"),
    [
        pytest.param("latency", "no colon between metric and expression", id="a metric alone"),
        pytest.param("p(95)<300", "no colon between metric and expression", id="an expression alone"),
        pytest.param("latency{name:join}p(95)<300", "no colon between", id="the only colon is inside the braces"),
        pytest.param("latency:", "an empty threshold", id="no expression"),
        pytest.param(":p(95)<300", "no metric name", id="no metric"),
        pytest.param("a:b:avg<1", "no metric name", id="a colon too many"),
    ],
)
def test_the_command_line_form_teaches(text: str, taught: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_option(text)

    assert taught in str(caught.value)


def thresholds(*texts: str) -> tuple[Threshold, ...]:
    return tuple(map(parse_option, texts))


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        pytest.param([], ["a:p(95)<5", "a:avg<3", "b:rate>0.9"], id="none leaves the defaults"),
        pytest.param(
            ["a:p(95)<7"], ["a:p(95)<7", "a:avg<3", "b:rate>0.9"], id="the same aggregation is replaced in place"
        ),
        pytest.param(
            ["a:p(95.0)>7"], ["a:p(95.0)>7", "a:avg<3", "b:rate>0.9"], id="whatever its operator and spelling"
        ),
        pytest.param(
            ["a:p(99)<7"], ["a:p(95)<5", "a:avg<3", "b:rate>0.9", "a:p(99)<7"], id="another aggregation is added"
        ),
        pytest.param(
            ["a{x:1}:p(95)<7"],
            ["a:p(95)<5", "a:avg<3", "b:rate>0.9", "a{x:1}:p(95)<7"],
            id="a submetric is another series",
        ),
        pytest.param(
            ["b:rate<1", "b:rate>0.5"], ["a:p(95)<5", "a:avg<3", "b:rate<1", "b:rate>0.5"], id="a floor and a ceiling"
        ),
    ],
)
def test_overrides_replace_or_add(overrides: list[str], wanted: list[str]) -> None:
    defaults = thresholds("a:p(95)<5", "a:avg<3", "b:rate>0.9")

    assert [str(threshold) for threshold in replace_or_add(defaults, thresholds(*overrides))] == wanted


def test_one_override_replaces_every_default_on_its_place() -> None:
    defaults = thresholds("b:rate>0.9", "a:avg<1", "b:rate<0.99")

    assert replace_or_add(defaults, thresholds("b:rate>0.5")) == thresholds("b:rate>0.5", "a:avg<1")


def test_tags_in_another_order_are_the_same_series() -> None:
    assert replace_or_add(thresholds("a{x:1,y:2}:avg<3"), thresholds("a{y:2,x:1}:avg<9")) == thresholds(
        "a{x:1,y:2}:avg<9"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("latency:p(95)<500", None, id="a trend's percentile"),
        pytest.param("latency{anything:new}:med<500", None, id="a submetric goes by its base name"),
        pytest.param("errors:count==0", None, id="a counter's count"),
        pytest.param("checks:rate>=1", None, id="a rate may be all"),
        pytest.param("checks:rate<=1", None, id="a rate that may be anything leaves a threshold out"),
        pytest.param(
            "latncy:p(95)<500", "no metric is called 'latncy'; did you mean latency?", id="a slip names the metric"
        ),
        pytest.param("latncy{a:1}:avg<5", "did you mean latency?", id="a slip in a submetric's base name"),
        pytest.param("qqq:avg<1", "there are: checks, errors, latency, memory", id="no such metric lists all"),
        pytest.param("checks:p(95)<5", "a rate has no p(95); legal are rate", id="a rate has no percentiles"),
        pytest.param(
            "latency:rate>5", "a trend has no rate; legal are avg, min, max, med, p(N)", id="a trend has no rate"
        ),
        pytest.param("memory:max<5", None, id="a gauge's highest level"),
        pytest.param("memory:avg<5", "a gauge has no avg; legal are value, min, max", id="a gauge has no average"),
        pytest.param("errors:value<5", "a counter has no value; legal are count, rate", id="a counter has no value"),
        pytest.param("checks:rate<95", "95 % is 0.95", id="a share beyond 1 can never be crossed"),
        pytest.param("errors:rate<95", None, id="a counter's rate is per second and may be anything"),
    ],
)
def test_check_finds_what_can_never_be_judged(text: str, problem: str | None) -> None:
    problems = check([parse_option(text)], METRICS)

    if problem is None:
        assert problems == []
    else:
        assert len(problems) == 1
        assert text in problems[0]
        assert problem in problems[0]


def test_check_collects_all_mistakes() -> None:
    assert len(check(thresholds("nope:avg<1", "latency:p(95)<5", "checks:count>1", "checks:rate<5"), METRICS)) == 3


def test_check_without_metrics_says_so() -> None:
    assert "there are: none" in check(thresholds("nope:avg<1"), [])[0]


def test_an_expression_that_cannot_be_read_is_its_own_error() -> None:
    with pytest.raises(ExpressionError):
        Threshold.of("latency", {"threshold": "fast"})


def test_the_command_line_takes_options_after_semicolons() -> None:
    threshold = parse_option(
        "latency{kind:like}:p(95)<300; abort_on_fail; delay_abort_eval=10s; window=30s; allow_empty"
    )
    assert threshold.metric == "latency{kind:like}"
    assert threshold.expression.text == "p(95)<300"
    assert threshold.abort_on_fail is True
    assert threshold.delay_abort_eval_s == 10.0
    assert threshold.window_s == 30.0
    assert threshold.allow_empty is True


@pytest.mark.parametrize(
    ("text", "metric", "about"),
    [
        pytest.param("r:rate<0.1; about=see https://x.y/z", "r", "see https://x.y/z", id="a colon"),
        pytest.param("r{a:b}:rate<0.1; about={a:b} = all", "r{a:b}", "{a:b} = all", id="braces"),
        pytest.param('r{a:"x;}:y"}:rate<0.1; about=1:2', 'r{a:"x;}:y"}', "1:2", id="a semicolon in a tag as well"),
        pytest.param("r{a:x;y}:rate<0.1", "r{a:x;y}", "", id="a semicolon in a tag alone"),
    ],
)
def test_options_and_tags_may_hold_what_separates_others(text: str, metric: str, about: str) -> None:
    assert parse_option(text) == Threshold(metric, parse("rate<0.1"), about=about)


@pytest.mark.parametrize("given", [True, False])
def test_a_flag_on_the_command_line_may_say_what_it_is(given: bool) -> None:
    assert parse_option(f"latency:p(95)<300; abort_on_fail={str(given).lower()}").abort_on_fail is given


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("latency:p(95)<300; abort", "'abort' is not an option"),
        ("latency:p(95)<300; abort_on_fail=yes", "abort_on_fail must be true or false"),
        ("latency:p(95)<300; window=soon", "not a duration"),
        ("latency:p(95)<300; window=10s; window=30s", "window is given twice"),
    ],
    ids=["an option that there is not", "a flag with a value", "a duration that cannot be read", "one option twice"],
)
def test_a_wrong_option_on_the_command_line_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_option(text)
