"""Thresholds as values: parsed from k6's notation and from the command line, checked before the run.

A threshold says what must hold of a metric, or of the part of it that carries certain tags (`name{tag:value}`), and
how strictly it is to be judged. Judging itself is `evaluate`'s business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pika_locust.judge.expressions import Expression, parse
from pika_locust.load.durations import parse_duration
from pika_locust.metrics.metric import Kind, Metric, parse_series, series_text

_SPELLINGS = {
    "threshold": "threshold",
    "abortOnFail": "abort_on_fail",
    "abort_on_fail": "abort_on_fail",
    "delayAbortEval": "delay_abort_eval",
    "delay_abort_eval": "delay_abort_eval",
    "allowEmpty": "allow_empty",
    "allow_empty": "allow_empty",
    "window": "window",
    "optional": "optional",
    "about": "about",
}
_FLAGS = {"true": True, "false": False}
_OPTION_FORM = "name:expression or name{tag:value}:expression, such as http_req_duration{name:join}:p(95)<300"


@dataclass(frozen=True, slots=True)
class Threshold:
    """What must hold of a metric.

    metric: a series as text, `name` or `name{tag:value,tag2:value}`; kept with its tags in order, so that equal series
        are equal texts.
    abort_on_fail: end the test as soon as it fails, but not before `delay_abort_eval_s` seconds of it.
    allow_empty: pass when there are no samples. Without it, nothing measured is a failure.
    optional: `not_observed` when there are no samples: for what some targets cannot show at all.
    window_s: judge the worst stretch of that many seconds instead of the whole run.
    about: a sentence for the reader of the report.

    Raises ValueError for a series that cannot be read and for options that contradict each other.
    """

    metric: str
    expression: Expression
    abort_on_fail: bool = False
    delay_abort_eval_s: float = 0.0
    allow_empty: bool = False
    window_s: float | None = None
    optional: bool = False
    about: str = ""

    def __post_init__(self) -> None:
        name, tags = parse_series(self.metric)
        object.__setattr__(self, "metric", series_text(name, tags))
        if self.allow_empty and self.optional:
            raise ValueError(
                f"{self}: allow_empty and optional contradict each other: no samples is either a pass or not"
            )
        if self.window_s is not None and not self.window_s > 0:
            raise ValueError(f"{self}: a window needs some length, such as 30s, not {self.window_s}")
        if self.window_s is not None and self.expression.is_slope:
            raise ValueError(f"{self}: a slope is judged over all the time that load is held, not by windows")
        if self.delay_abort_eval_s < 0:
            raise ValueError(f"{self}: the delay before an abort cannot be negative: {self.delay_abort_eval_s}")

    @classmethod
    def of(cls, metric: str, spec: str | Mapping[str, Any]) -> Threshold:
        """A threshold from an expression, or from a mapping in k6's spelling or ours.

        A mapping holds `threshold` and any of `abortOnFail`, `delayAbortEval`, `allowEmpty`, `window`, `optional`,
        `about` (or the same in snake case). Durations are as in k6: `10s`, `1m30s`; plain numbers are milliseconds.

        Raises ValueError (ExpressionError for the expression), which says what would be right.
        """
        if isinstance(spec, str):
            return cls(metric, parse(spec))
        options = _options(metric, spec)
        expression = options.get("threshold")
        if not isinstance(expression, str):
            raise ValueError(f"threshold of {metric}: the key 'threshold' must hold an expression, such as 'p(95)<500'")
        window = options.get("window")
        return cls(
            metric,
            parse(expression),
            abort_on_fail=_flag(metric, options, "abort_on_fail"),
            delay_abort_eval_s=_seconds(metric, "delay_abort_eval", options.get("delay_abort_eval", 0)),
            allow_empty=_flag(metric, options, "allow_empty"),
            window_s=None if window is None else _seconds(metric, "window", window),
            optional=_flag(metric, options, "optional"),
            about=str(options.get("about", "")),
        )

    @property
    def name(self) -> str:
        """The metric's base name, without tags."""
        return parse_series(self.metric)[0]

    def __str__(self) -> str:
        return f"{self.metric}:{self.expression.text}"


ThresholdSpec = str | Mapping[str, Any]
"""An expression, or a mapping with options, as `Threshold.of` takes them."""
ThresholdSpecs = Mapping[str, ThresholdSpec | Sequence[ThresholdSpec]]
"""k6's `thresholds` option: metric, with tags where wanted -> one of them or several."""


def read_thresholds(given: ThresholdSpecs, problems: list[str]) -> tuple[Threshold, ...]:
    """The thresholds of k6's `thresholds` option; what cannot be read is added to `problems`, a sentence each."""
    found = []
    for metric, specs in given.items():
        several: Sequence[Any] = specs if isinstance(specs, list | tuple) else [specs]
        for spec in several:
            subject = f"the threshold {spec!r} of {metric}"
            if not isinstance(spec, str | Mapping):
                problems.append(f"{subject}: it must be an expression, such as 'p(95)<500'")
                continue
            try:
                found.append(Threshold.of(metric, spec))
            except ValueError as error:
                problems.append(f"{subject}: {error}")
    return tuple(found)


def parse_option(text: str) -> Threshold:
    """A threshold as the command line has it: `name{tag:value}:p(95)<300`; the last colon before the options separates.

    Options follow after semicolons: `name:p(95)<300; abort_on_fail; delay_abort_eval=10s; window=30s; allow_empty`.

    Raises ValueError, which shows the form.
    """
    # Tags may hold semicolons, and options colons: options begin after what can be read as a series.
    judged, _, options = text[(begins := _series_end(text)) :].partition(";")
    # An expression holds neither a colon nor a brace, so the last colon decides, whatever the tags hold.
    series, colon, expression = (text[:begins] + judged).rpartition(":")
    if not colon or "}" in expression:
        raise ValueError(f"threshold {text!r}: no colon between metric and expression; write {_OPTION_FORM}")
    spec: dict[str, Any] = {"threshold": expression.strip()}
    for option in filter(None, (part.strip() for part in options.split(";"))):
        name, equals, value = (part.strip() for part in option.partition("="))
        if name in spec:
            raise ValueError(f"threshold {text!r}: {name} is given twice; keep one")
        spec[name] = _FLAGS.get(value, value) if equals else True
    return Threshold.of(series, spec)


def _series_end(text: str) -> int:
    """How long the series is that a text begins with; 0 where it begins with none."""
    for at, character in enumerate(text):
        if character == ":":
            with suppress(ValueError):
                parse_series(text[:at])
                return at
    return 0


def replace_or_add(defaults: Iterable[Threshold], overrides: Iterable[Threshold]) -> tuple[Threshold, ...]:
    """The defaults, in which every override takes the place of those on the same series and aggregation.

    An override that meets none is added at the end. Several overrides on one aggregation (a floor and a ceiling, say)
    all count. Nothing is inherited from what is replaced.
    """
    waiting: dict[tuple[str, str], list[Threshold]] = {}
    for threshold in overrides:
        waiting.setdefault(_place(threshold), []).append(threshold)
    replaced = frozenset(waiting)
    result: list[Threshold] = []
    for threshold in defaults:
        place = _place(threshold)
        result.extend(waiting.pop(place, []) if place in replaced else [threshold])
    for left in waiting.values():
        result.extend(left)
    return tuple(result)


def check(thresholds: Iterable[Threshold], metrics: Iterable[Metric]) -> list[str]:
    """Every mistake in the thresholds, one sentence each: metrics nobody declares, aggregations their kind lacks, and
    shares beyond 1. A limit at the end of what there is, such as `rate<=1`, is a way to leave a threshold out.
    """
    declared = {metric.name: metric for metric in metrics}
    problems = []
    for threshold in thresholds:
        metric = declared.get(threshold.name)
        if metric is None:
            problems.append(_unknown(threshold, list(declared)))
        elif not threshold.expression.legal_for(metric.kind):
            legal = ", ".join(metric.kind.aggregations)
            problems.append(
                f"threshold {threshold}: a {metric.kind} has no {threshold.expression.aggregation}; legal are {legal}"
            )
        elif metric.kind is Kind.RATE and threshold.expression.limit > 1:
            problems.append(
                f"threshold {threshold}: a rate is a share from 0 to 1, so its limit cannot be "
                f"{threshold.expression.limit:g}; 95 % is 0.95"
            )
    return problems


def _place(threshold: Threshold) -> tuple[str, str]:
    return threshold.metric, threshold.expression.aggregation


def _unknown(threshold: Threshold, names: Sequence[str]) -> str:
    close = get_close_matches(threshold.name, names, n=3)
    if close:
        return f"threshold {threshold}: no metric is called {threshold.name!r}; did you mean {' or '.join(close)}?"
    legal = ", ".join(sorted(names)) or "none"
    return f"threshold {threshold}: no metric is called {threshold.name!r}; there are: {legal}"


def _options(metric: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping's options under our names; unknown and doubly spelled ones are refused."""
    options: dict[str, Any] = {}
    for key, value in spec.items():
        name = _SPELLINGS.get(key)
        if name is None:
            close = get_close_matches(str(key), _SPELLINGS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"legal are {', '.join(_SPELLINGS)}"
            raise ValueError(f"threshold of {metric}: {key!r} is not an option; {hint}")
        if name in options:
            raise ValueError(f"threshold of {metric}: {name} is given in both spellings; keep one")
        options[name] = value
    return options


def _flag(metric: str, options: Mapping[str, Any], name: str) -> bool:
    value = options.get(name, False)
    if not isinstance(value, bool):
        raise ValueError(f"threshold of {metric}: {name} must be true or false, not {value!r}")
    return value


def _seconds(metric: str, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"threshold of {metric}: {name} must be a duration such as '10s', not {value!r}")
    try:
        return parse_duration(str(value))
    except ValueError as error:
        raise ValueError(f"threshold of {metric}: {name}: {error}") from error
