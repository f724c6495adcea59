"""Runs before a change and runs after it: every figure that both have, and whether it differs by more than noise.

What noise is, `judge.changes` says. `read_runs` reads runs from files, `compare` compares them, `method` says in
words how.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

from pika_locust.errors import ConfigurationError
from pika_locust.format import amount, number, plain, plural
from pika_locust.judge import changes
from pika_locust.judge.changes import FALSE_ALARMS, LEAST_FREEDOM, Difference, RunFigure, difference, holm
from pika_locust.judge.expressions import Expression, parse
from pika_locust.judge.verdict import OWN_TIMES
from pika_locust.metrics.metric import scale_of
from pika_locust.metrics.snapshot import histogram_of
from pika_locust.outputs.k6_export import is_k6, read_k6
from pika_locust.outputs.suite_results import MANIFEST

Outcome = Literal["worse", "better", "changed", "same"]
Want = Literal["low", "high", ""]
"""Which way a figure is better; of some nobody knows."""

ALLOWED = 0.02
"""Differences up to this share of the figure are nobody's regression, however certain."""
_STATISTICS = ("med", "p(95)")
"""What is compared of a trend that no threshold asks for more."""
_PHASES = frozenset(
    f"http_req_{phase}" for phase in ("blocked", "connecting", "tls_handshaking", "sending", "waiting", "receiving")
)
_OWN = frozenset({"vus", "vus_max", "iteration_duration", "generator_errors", *OWN_TIMES})
_WANTED_HIGH = ("checks", "iterations", "http_reqs")
_FAILURES = ("fail", "error", "dropped", "lost", "timeout", "nacks", "duplicates", "exceptions")
_HUGE = 700.0
"""Beyond, `exp` overflows."""
_FROM_NOTHING = 0.1
"""What was 0 is worse from this share of its limit on: no ratio says how much more something is than nothing."""
_SUCCESSES = ("success", "delivery", "correct", "kept", "served")


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """One finished run as its summary tells of it."""

    name: str
    summary: Mapping[str, Any]

    @property
    def scenario(self) -> str:
        return str(self.summary.get("scenario") or "")

    @property
    def is_k6(self) -> bool:
        return bool(self.summary.get("k6"))

    @property
    def is_lost(self) -> bool:
        """Whether only the common summary of several scenarios tells of it."""
        return "verdict" not in self.summary


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure, before and after.

    `before` and `after` are medians of the runs, in `unit`. `change` is the difference as a share of what was before
    (None: there was nothing), of a share (unit "%") the difference itself; `noise` is the smallest that would have
    counted as one. `expression` is the threshold that the figure is of; None for others.
    """

    scenario: str
    series: str
    statistic: str
    unit: str
    before: float
    after: float
    change: float | None
    noise: float | None
    outcome: Outcome
    expression: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it. `broken` are sentences about what needs no statistics: an audit that fails now, a figure or a whole
    scenario that is gone. `warnings` decide nothing."""

    before: int
    after: int
    rows: tuple[Compared, ...]
    broken: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    method: str = ""

    @property
    def regressions(self) -> tuple[Compared, ...]:
        """What is worse by more than noise."""
        return tuple(row for row in self.rows if row.outcome == "worse")

    @property
    def is_worse(self) -> bool:
        """Whether a gate should close."""
        return bool(self.regressions or self.broken)


def read_runs(paths: Iterable[Path]) -> list[RecordedRun]:
    """The runs in files and folders: summaries of ours, k6's exports; of a suite's folder the runs that decide.

    Raises ConfigurationError where there is none, and for a file that is neither.
    """
    found, problems = [], []
    for path in paths:
        try:
            runs = _in_folder(path) if path.is_dir() else _in_file(path)
            for run in runs:
                _check(run)
            found += runs
        except (OSError, ValueError) as error:
            problems.append(f"{path}: {error.strerror if isinstance(error, OSError) else error}")
    if problems:
        raise ConfigurationError(problems)
    return found


def _in_file(path: Path) -> list[RecordedRun]:
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise ValueError("it is neither a summary nor a k6 export")
    if is_k6(found):
        return [RecordedRun(path.name, read_k6(found))]
    if isinstance(several := found.get("scenarios"), dict):
        # Of scenarios that ran beside each other.
        return [RecordedRun(f"{path.name}: {name}", one or _lost(name)) for name, one in several.items()]
    if found.get("schema") != 1 or "metrics" not in found:
        raise ValueError("it is neither a summary nor a k6 export")
    return [RecordedRun(path.name, found)]


def _lost(scenario: str) -> dict[str, Any]:
    """What stands for a run of which nothing is left but that there was one."""
    return {"scenario": scenario, "metrics": {}, "reasons": [{"code": "internal", "text": "it has left no results"}]}


def _check(run: RecordedRun) -> None:
    """Raises ValueError for a run that could not be compared with anything, even itself: one of another version, or a
    part of one. It is to be known before the run that it is compared with, which may take an hour."""
    try:
        compare([run], [run])
    except ConfigurationError:
        return  # It is left out, whatever is in it.
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{run.name} is not a summary of this version, or not all of one: {error!r}") from error


def _in_folder(folder: Path) -> list[RecordedRun]:
    """The summaries of a folder, and of the folders in it, without a suite's baselines and without other JSON."""
    runs = []
    nested = [path for path in folder.glob("*/*.json") if path.parent.name != "baseline"]
    for path in sorted([*folder.glob("*.json"), *nested]):
        if path.name == MANIFEST:
            continue
        try:
            found = _in_file(path)
        except ValueError:
            continue
        # A common summary of several scenarios lies beside those of each, as far as there are any.
        runs += found if len(found) == 1 else [run for run in found if run.is_lost]
    if not runs:
        raise ValueError("no summary of a run and no k6 export is in it")
    return runs


def compare(before: Sequence[RecordedRun], after: Sequence[RecordedRun], allowed: float = ALLOWED) -> Comparison:
    """Compare runs of the same scenarios under the same load.

    Arguments:
        allowed: differences up to this share of the figure before are not called worse or better.

    Raises ConfigurationError where they have no scenario in common, and where a side has no run that counts.
    """
    sides, warnings = [], []
    for side, runs in (("before", before), ("after", after)):
        counted = [run for run in runs if not (why := _unusable(run))]
        warnings += [f"{run.name} ({side}) is left out: {why}" for run in runs if (why := _unusable(run))]
        if not counted:
            raise ConfigurationError([f"no run {side} can be compared", *warnings])
        sides.append(_by_scenario(counted))
    was, now = _matched(*sides)
    shared = [name for name in now if name in was]
    if not shared:
        names = [", ".join(name or "k6" for name in side) for side in (was, now)]
        raise ConfigurationError(f"nothing in common: before {names[0]}, after {names[1]}")
    found: list[tuple[_Pair, Difference]] = []
    broken: list[str] = []
    for name in dict.fromkeys([*was, *now]):
        if name in was and name not in now and any(run.scenario == name for run in after):
            # Not to run a scenario is a choice, as where one is compared with a folder of many; this is none.
            broken.append(f"{name}: was measured before, and no run after can be compared")
        elif name not in shared:
            warnings.append(f"{name} is on one side only")
    for name in shared:
        warnings += _unlike(name, was[name], now[name])
        broken += _broken(name, was[name], now[name])
        figures, told = _pairs(name, was[name], now[name])
        broken += told.broken
        warnings += told.warnings()
        found += [(pair, difference(pair.before, pair.after)) for pair in figures]
    most = [max(len(side[name]) for name in shared) for side in (was, now)]
    return Comparison(
        before=most[0],
        after=most[1],
        rows=tuple(_judged(found, allowed)),
        broken=tuple(broken),
        warnings=tuple(warnings),
        method=method(most[0], most[1], len(found)),
    )


def method(before: int, after: int, figures: int) -> str:
    """How differences were told from noise, in words."""
    chance = f"the chance that any of {plural(figures, 'figure')} is called different by accident is below"
    chance += f" {plain(100 * FALSE_ALARMS)} % (Holm)"
    runs = f"{plural(before, 'run')} before, {after:,} after: "
    if before + after - 2 >= LEAST_FREEDOM:
        noise = "how far runs of a side lie apart, at least what their samples leave open"
        return f"{runs}Student's test on {noise}; {chance}"
    spread = f"{plain(100 * changes.ASSUMED_SPREAD)} %"
    return (
        f"{runs}too few to see how far runs lie apart, so {spread} is assumed (or twice what they show) and only large "
        f"differences count; 3 or more a side (--repeat) see smaller ones; {chance}"
    )


def _unusable(run: RecordedRun) -> str:
    """Why a run's figures say nothing of the target, as a clause."""
    codes = {reason["code"]: reason["text"] for reason in run.summary.get("reasons", ())}
    for code in ("config", "internal", "unfinished", "setup", "generator", "stopped", "incomplete"):
        if code in codes:
            return str(codes[code])
    return "" if run.summary["metrics"] else "it has no figures"


def _by_scenario(runs: Iterable[RecordedRun]) -> dict[str, list[RecordedRun]]:
    found: dict[str, list[RecordedRun]] = {}
    for run in runs:
        found.setdefault(run.scenario, []).append(run)
    return found


_Side = dict[str, list[RecordedRun]]


def _matched(was: _Side, now: _Side) -> tuple[_Side, _Side]:
    """k6's exports name no scenario: they are taken for the other side's, if that has but one."""
    if len(was) == len(now) == 1 and "" in (*was, *now):
        name = next((name for name in (*now, *was) if name), "k6")
        return {name: next(iter(was.values()))}, {name: next(iter(now.values()))}
    return was, now


def _unlike(scenario: str, was: Sequence[RecordedRun], now: Sequence[RecordedRun]) -> Iterator[str]:
    """What is not the same of the load and the target, as sentences: figures may differ for that reason alone."""
    if any(run.is_k6 for run in (*was, *now)):
        return
    facts = (
        ("target", lambda run: "the sandbox" if run.summary["sandbox"] else "a server"),
        ("load profile", lambda run: run.summary["load"].get("profile")),
        ("stages", lambda run: ", ".join(map(_stage, run.summary["load"].get("stages") or ()))),
        ("workers", lambda run: run.summary["load"].get("workers")),
    )
    for what, fact in facts:
        sides = [sorted({str(fact(run)) for run in side}) for side in (was, now)]
        if sides[0] != sides[1]:
            yield f"{scenario}: not the same {what}: {' or '.join(sides[0])} before, {' or '.join(sides[1])} after"


def _stage(stage: Mapping[str, Any]) -> str:
    return f"{plain(stage['duration_s'])}s:{stage['target']}"


def _broken(scenario: str, was: Sequence[RecordedRun], now: Sequence[RecordedRun]) -> Iterator[str]:
    """Audits that failed in no run before, and in one after."""
    failed = [
        {one["name"] for run in side for one in run.summary["audits"] if one["status"] == "fail"} for side in (was, now)
    ]
    held = {one["name"] for run in was for one in run.summary["audits"] if one["status"] == "pass"}
    for name in sorted((failed[1] & held) - failed[0]):
        yield f"{scenario}: data-integrity check {name} held before, and fails"


@dataclass(frozen=True, slots=True)
class _Figure:
    """One figure of one run: in its unit, and as it is compared (None: it has no logarithm, or no bounds)."""

    shown: float
    run: RunFigure | None


@dataclass(frozen=True, slots=True)
class _Pair:
    """One figure of all runs of both sides."""

    scenario: str
    series: str
    statistic: str
    unit: str
    kind: str
    want: Want
    expression: str | None
    shown: tuple[float, float]
    before: Sequence[RunFigure]
    after: Sequence[RunFigure]


@dataclass(slots=True)
class _Uncompared:
    """Thresholds whose figures have no row of their own, and what is said of them."""

    scenario: str
    broken: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    zero: list[str] = field(default_factory=list)
    few: list[str] = field(default_factory=list)
    moving: list[str] = field(default_factory=list)

    def warnings(self) -> Iterator[str]:
        for names, why in (
            (self.absent, "no run has their figures"),
            (self.missing, "not every run has them"),
            (self.zero, "some are 0"),
            (self.few, "too few samples"),
            (self.moving, "of slopes and windows, only whether they hold is"),
        ):
            if names:
                yield f"{self.scenario}: thresholds that were not compared ({why}): {', '.join(names)}"


def _pairs(scenario: str, was: Sequence[RecordedRun], now: Sequence[RecordedRun]) -> tuple[list[_Pair], _Uncompared]:
    """The figures that every run of both sides has, and what is to be said of the other thresholds."""
    pairs, told = [], _Uncompared(scenario)
    for (series, statistic), expression in _wanted(was, now).items():
        before = [_figure(run.summary, series, statistic, expression) for run in was]
        after = [_figure(run.summary, series, statistic, expression) for run in now]
        figure = _metric(now[0].summary, series) or _metric(was[0].summary, series) or {}
        want = _want(series, figure, expression)
        earlier, later = (
            [one.run for one in side if one is not None and one.run is not None] for side in (before, after)
        )
        if len(earlier) < len(before) or len(later) < len(after):
            name = f"{series} {statistic}"
            if expression is not None and _is_gone(was, now, series):
                told.broken.append(f"{scenario}: {name} was measured before, and is not after")
            elif expression is not None and not any((*before, *after)):
                # What no run has is the same everywhere; k6 judges percentiles that it does not export.
                told.absent += [name] if _is_judged((*was, *now), series, statistic) else []
            elif expression is not None:
                _tell(told, name, before, after, expression, want)
            continue
        pairs.append(
            _Pair(
                scenario,
                series,
                statistic,
                _unit(figure, statistic),
                str(figure.get("kind")),
                want,
                str(expression.text) if expression is not None else None,
                (_median(before), _median(after)),
                earlier,
                later,
            )
        )
    _tell_moving(told, was, now)
    return pairs, told


def _median(side: Sequence[_Figure | None]) -> float:
    return median(one.shown for one in side if one is not None)


def _is_gone(was: Sequence[RecordedRun], now: Sequence[RecordedRun], series: str) -> bool:
    """Whether every run before has samples, and those after lack them: all, or one whose threshold fails for it.

    Too few samples for a comparison are samples all the same.
    """
    lacking = [run.summary for run in now if not _has_samples(run.summary, series)]
    if not lacking or not all(_has_samples(run.summary, series) for run in was):
        return False
    return len(lacking) == len(now) or any(_is_missed(summary, series) for summary in lacking)


def _is_missed(summary: Mapping[str, Any], series: str) -> bool:
    return any(one["metric"] == series and one["status"] == "no_data" for one in summary["thresholds"])


def _is_judged(runs: Iterable[RecordedRun], series: str, statistic: str) -> bool:
    """Whether a run has judged a threshold on a figure by samples."""
    return any(
        one["metric"] == series and one["status"] in ("pass", "fail") and one["samples"]
        for run in runs
        for one in run.summary["thresholds"]
        if parse(one["expression"]).aggregation == statistic
    )


def _tell_moving(told: _Uncompared, was: Sequence[RecordedRun], now: Sequence[RecordedRun]) -> None:
    """Slopes and worst windows. How far their values lie apart between equal runs, samples do not say."""
    statuses: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for at, side in enumerate((was, now)):
        for one in (one for run in side for one in run.summary["thresholds"] if _is_moving(one)):
            window = f" in the worst {plain(one['window_s'])} s" if one.get("window_s") else ""
            both = statuses.setdefault((one["metric"], f"{one['metric']} {one['expression']}{window}"), ([], []))
            both[at].append(one["status"] if one["value"] is not None else "")
    for (series, name), (before, after) in statuses.items():
        if _is_gone(was, now, series):
            told.broken.append(f"{told.scenario}: {name} was measured before, and is not after")
        elif before == ["pass"] * len(was) and after == ["fail"] * len(now):
            told.broken.append(f"{told.scenario}: {name} held in every run before, and in none after")
        elif any((*before, *after)):
            told.moving.append(name)


def _is_moving(threshold: Mapping[str, Any]) -> bool:
    return parse(threshold["expression"]).is_slope or bool(threshold.get("window_s"))


def _tell(
    told: _Uncompared,
    name: str,
    before: Sequence[_Figure | None],
    after: Sequence[_Figure | None],
    expression: Expression,
    want: Want,
) -> None:
    """Why a threshold's figure was not compared. A 0 has no logarithm; what comes from nothing, or comes to nothing,
    is worse all the same."""
    known = [[one.shown for one in side if one is not None] for side in (before, after)]
    if len(known[0]) < len(before) or len(known[1]) < len(after):
        told.missing.append(name)
    elif min(*known[0], *known[1]) > 0:
        told.few.append(name)
    elif want == "low" and not any(known[0]) and min(known[1]) > _FROM_NOTHING * expression.limit:
        told.broken.append(f"{told.scenario}: {name} was 0 before, and is {number(median(known[1]))} after")
    elif want == "high" and min(known[0]) > 0 and not any(known[1]):
        told.broken.append(f"{told.scenario}: {name} was {number(median(known[0]))} before, and is 0 after")
    elif any(known[0]) or any(known[1]):
        told.zero.append(name)


def _wanted(was: Sequence[RecordedRun], now: Sequence[RecordedRun]) -> dict[tuple[str, str], Expression | None]:
    """What is compared: the figure of every threshold, then what every kind of metric has."""
    wanted: dict[tuple[str, str], Expression | None] = {}
    for run in (*now, *was):
        for threshold in run.summary["thresholds"]:
            if not _is_moving(threshold):
                expression = parse(threshold["expression"])
                wanted.setdefault((threshold["metric"], expression.aggregation), expression)
    shared = [name for name in now[0].summary["metrics"] if name in was[0].summary["metrics"]]
    for series in shared:
        figure, name = now[0].summary["metrics"][series], series.partition("{")[0]
        if name in _OWN or name in _PHASES or _repeats_whole(now[0].summary, series):
            continue
        statistics = {"trend": _STATISTICS, "rate": ("rate",), "counter": ("rate",), "gauge": ("max",)}
        for statistic in statistics[figure["kind"]]:
            wanted.setdefault((series, statistic), None)
    return wanted


def _repeats_whole(summary: Mapping[str, Any], series: str) -> bool:
    """Whether a part is all there is of its metric, so that it would be compared twice; parts of what is no trend are
    left to thresholds, as there are too many of them."""
    name, tags, _ = series.partition("{")
    if not tags:
        return False
    part, whole = summary["metrics"][series], summary["metrics"].get(name)
    return part["kind"] != "trend" or (whole is not None and part["count"] == whole["count"])


def _metric(summary: Mapping[str, Any], series: str) -> Mapping[str, Any] | None:
    figure = summary["metrics"].get(series)
    return figure if isinstance(figure, Mapping) else None


def _has_samples(summary: Mapping[str, Any], series: str) -> bool:
    figure = _metric(summary, series)
    return figure is not None and (bool(figure.get("count")) or figure["kind"] == "counter")


def _unit(figure: Mapping[str, Any], statistic: str) -> str:
    unit = str(figure.get("unit") or "")
    match figure.get("kind"), statistic:
        case "rate", _:
            return "%"
        case "counter", "rate":
            return f"{unit}/s"
        case _:
            return unit


def _want(series: str, figure: Mapping[str, Any], expression: Expression | None) -> Want:
    if expression is not None:
        if expression.operator in ("<", "<="):
            return "low"
        if expression.operator in (">", ">="):
            return "high"
        if expression.operator in ("==", "==="):
            return (
                "high"
                if expression.limit == 1 and figure.get("kind") == "rate"
                else "low"
                if not expression.limit
                else ""
            )
        return ""
    name = series.partition("{")[0]
    if figure.get("kind") == "trend":
        return "low" if figure.get("unit") in ("ms", "s") else ""
    if figure.get("kind") == "gauge":
        return ""
    if any(word in name for word in _FAILURES):
        return "low"
    return "high" if name in _WANTED_HIGH or any(word in name for word in _SUCCESSES) else ""


def _figure(summary: Mapping[str, Any], series: str, statistic: str, expression: Expression | None) -> _Figure | None:
    """One figure of one run; None where it has none."""
    figure = _metric(summary, series)
    if figure is None or not (figure.get("count") or figure.get("kind") == "counter"):
        return None
    shown = figure.get(statistic)
    run: RunFigure | None = None
    match figure["kind"]:
        case "rate":
            shown, run = figure["rate"], changes.share(int(figure["passes"]), int(figure["count"]))
        case "counter":
            # Nothing counted is no rate, and a figure all the same.
            shown = shown or 0.0
            run = changes.count(float(figure["count"]), float(summary["duration_s"]))
        case "trend":
            shown, run = _of_trend(summary, figure, series, statistic, expression)
        case _ if shown is not None:
            run = changes.logarithm(float(shown))
    return _Figure(float(shown), run) if shown is not None else None


def _of_trend(
    summary: Mapping[str, Any], figure: Mapping[str, Any], series: str, statistic: str, expression: Expression | None
) -> tuple[float | None, RunFigure | None]:
    distribution = summary["distributions"].get(series)
    quantile = 0.95 if statistic == "p(95)" else 0.5 if statistic == "med" else None
    if expression is not None:
        quantile = expression.quantile
    if distribution is None:
        # k6's: a number, and no word of how many samples it is from.
        shown = figure.get(statistic, _judged_value(summary, series, statistic))
        return shown, changes.logarithm(float(shown)) if shown is not None else None
    histogram = histogram_of(distribution)
    scale = scale_of(figure["unit"])
    if quantile is not None:
        return histogram.quantile(quantile) / scale, _scaled(changes.quantile(histogram, quantile), scale)
    if statistic == "avg":
        return histogram.mean / scale, _scaled(changes.mean(histogram), scale)
    shown = figure.get(statistic)
    return shown, changes.logarithm(float(shown)) if shown is not None else None


def _judged_value(summary: Mapping[str, Any], series: str, statistic: str) -> float | None:
    """What a threshold was judged by: a percentile that is not among those of all trends."""
    for one in summary["thresholds"]:
        if one["metric"] == series and parse(one["expression"]).aggregation == statistic:
            return None if one["value"] is None else float(one["value"])
    return None


def _scaled(run: RunFigure | None, scale: int) -> RunFigure | None:
    """In the unit that is reported: others, such as k6, have nothing else."""
    return None if run is None else replace(run, value=run.value - math.log(scale))


def _judged(found: Sequence[tuple[_Pair, Difference]], allowed: float) -> Iterator[Compared]:
    """Thresholds first; each of the two groups is corrected for its own number of figures."""
    for is_threshold in (True, False):
        group = [one for one in found if (one[0].expression is not None) is is_threshold]
        # What is the same in all runs could not have been a difference, whichever runs were on which side: it takes
        # nothing from the others.
        varying = max(1, sum(_varies(pair) for pair, _ in group))
        level = FALSE_ALARMS / 2
        counted = holm([gap.p for _, gap in group], level, varying)
        for (pair, gap), counts in zip(group, counted, strict=True):
            yield Compared(
                pair.scenario,
                pair.series,
                pair.statistic,
                pair.unit,
                *pair.shown,
                _change(pair, gap.value),
                _change(pair, math.copysign(gap.detectable(level / varying), gap.value)),
                _outcome(pair.want, gap.value) if counts and _is_large(pair, gap.value, allowed) else "same",
                pair.expression,
            )


def _varies(pair: _Pair) -> bool:
    values = [run.value for run in (*pair.before, *pair.after)]
    return max(values) > min(values)


def _outcome(want: Want, change: float) -> Outcome:
    if not want:
        return "changed"
    return "worse" if (change > 0) == (want == "low") else "better"


def _change(pair: _Pair, change: float) -> float | None:
    """A difference on the scale of `RunFigure` as `Compared` gives it."""
    if pair.kind == "rate":
        was, now = _shares(pair, change)
        return now - was
    if pair.kind == "counter" and not pair.shown[0]:
        return None
    return math.expm1(change) if change < _HUGE else None


def _is_large(pair: _Pair, change: float, allowed: float) -> bool:
    """Whether a difference is more than is allowed. Of a share that is wanted high, what is missing counts."""
    if pair.kind != "rate":
        relative = _change(pair, change)
        return relative is None or abs(relative) > allowed
    was, now = _shares(pair, change)
    return abs(now - was) > allowed * (1 - was if pair.want == "high" else was)


def _shares(pair: _Pair, change: float) -> tuple[float, float]:
    angle = math.fsum(run.value for run in pair.before) / len(pair.before)
    return math.sin(angle) ** 2, math.sin(min(math.pi / 2, max(0.0, angle + change))) ** 2


def shown(row: Compared) -> tuple[str, str, str, str]:
    """Before, after, the difference and what would have counted as one, as people read them."""
    before, after = amount(row.before, row.unit), amount(row.after, row.unit)
    points = " points" if row.unit == "%" else " %"
    change, noise = (
        "" if value is None else f"{plain(abs(value) * 100, 2 if abs(value) < 0.1 else 0)}{points}"
        for value in (row.change, row.noise)
    )
    sign = "-" if (row.change or 0.0) < 0 else "+"
    return before, after, f"{sign}{change}" if change else "", noise


def to_json(comparison: Comparison) -> dict[str, Any]:
    """All of it, as JSON can carry it."""
    return {
        "runs": {"before": comparison.before, "after": comparison.after},
        "worse": comparison.is_worse,
        "method": comparison.method,
        "warnings": list(comparison.warnings),
        "broken": list(comparison.broken),
        "figures": [asdict(row) for row in comparison.rows],
    }
