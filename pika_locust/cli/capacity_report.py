"""What `pika-locust capacity` prints and writes: trials, bounds, where each threshold was first crossed, scaling."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pika_locust.cli.capacity_trial import TrialResult
from pika_locust.format import clock, plural
from pika_locust.load.capacity import Bounds, Ending, Goal
from pika_locust.outputs import redact
from pika_locust.outputs.recorded import Judged
from pika_locust.outputs.table import Column, Line, Medium, Span, Tone, heading, prose, table
from pika_locust.scenario import Sizing

_TONES: dict[str, Tone] = {"pass": "good", "fail": "bad", "void": "doubt"}
_WORDS = {"pass": "pass", "fail": "FAIL", "void": "VOID"}
_OPEN = "-"


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where a threshold or audit first failed: the smallest load at which it did, with its value there, and the largest
    load below at which it held."""

    name: str
    held_at: int | None
    crossed_at: int
    value: str


@dataclass(frozen=True, slots=True)
class Found:
    """All that a search has found. `ending` None: it was stopped."""

    scenario: str
    target: str
    unit: str
    trial_s: int
    goal: Goal
    bounds: Bounds
    ending: Ending | None
    results: tuple[TrialResult, ...]
    sizing: Sizing | None = None


def crossings(results: Sequence[TrialResult]) -> list[Crossing]:
    """Where each threshold and audit first failed, in the order of loads; those that never did are left out."""
    failed: dict[str, tuple[int, Judged]] = {}
    held: dict[str, list[int]] = {}
    for result in sorted((one for one in results if one.outcome != "void"), key=lambda one: one.load):
        for judged in result.judged:
            if judged.status == "fail":
                failed.setdefault(judged.name, (result.load, judged))
            elif judged.status == "pass":
                held.setdefault(judged.name, []).append(result.load)
    found = []
    for name, (load, judged) in failed.items():
        below = [one for one in held.get(name, ()) if one < load]
        found.append(Crossing(name, max(below, default=None), load, judged.shown_value))
    return found


def begin(found: Found, losses: Sequence[Judged], medium: Medium) -> Iterator[Line]:
    """What is about to be searched, and by what a trial passes: trial length, loss and goal."""
    goal = found.goal
    yield heading(f"Capacity of {found.scenario}", f"{found.unit}, from {goal.first:,} to {goal.most:,} at most")
    verdict = "it passes when its verdict does, and ends the search when it says nothing of the target"
    for name, words in (
        ("target", found.target),
        ("trial", f"{found.trial_s} s; {verdict}"),
        ("goal", f"an upper bound at most {100 * goal.width:.4g} % above the lower one"),
    ):
        yield from prose(words, medium, lead=Span(name, "dim"), indent=10)
    shares = [f"{100 * loss:.4g} % ({one.name})" for one in losses if (loss := one.allowed_loss) is not None]
    yield from prose(", ".join(shares) or "what the thresholds allow", medium, lead=Span("loss", "dim"), indent=10)
    yield ()
    yield (Span(f"{'load':>10}  trial  "), Span("what came closest to its limit, or failed", "dim"))


def trial_row(result: TrialResult) -> Line:
    """One trial, as soon as it is over."""
    return (
        Span(f"{result.load:>10,}  "),
        Span(_WORDS[result.outcome], _TONES[result.outcome]),
        Span(f"   {redact.one_line(result.why)}"),
    )


def end(found: Found, medium: Medium) -> Iterator[Line]:
    """Everything that was found, the bounds last."""
    yield ()
    yield from _trials(found.results, medium)
    yield from _crossings(found.results, medium)
    if found.sizing is not None and found.bounds.lower is not None:
        yield from _scaling(found.sizing, found.bounds, medium)
    yield heading(f"Capacity of {found.scenario}", _bounds(found))
    yield from prose(_ending(found), medium)
    if found.bounds.inverted:
        loads = ", ".join(f"{load:,}" for load in found.bounds.inverted)
        yield from prose(f"{loads} passed although {found.bounds.upper:,} did not: they do not count", medium)


def _bounds(found: Found) -> str:
    lower, upper, unit = found.bounds.lower, found.bounds.upper, found.unit
    if lower is None:
        return "unknown" if upper is None else f"below {upper:,} {unit}: no load passed"
    if upper is None:
        return f"at least {lower:,} {unit}: no load failed"
    return f"at least {lower:,}, below {upper:,} {unit}"


def _ending(found: Found) -> str:
    ratio, goal = found.bounds.ratio, found.goal
    apart = f"upper/lower {ratio:.3f}" if ratio is not None else "no two bounds"
    tried = f"{apart}, {plural(len(found.results), 'trial')} of {found.trial_s} s, in {clock(_seconds(found))}"
    last = found.results[-1] if found.results else None
    match found.ending:
        case "goal":
            narrow = ratio is not None and ratio <= 1 + goal.width
            return f"{tried}: " + ("the goal is met" if narrow else "as close as whole numbers come")
        case "most":
            return f"{tried}: the largest load that was to be tried passes (--to)"
        case "least":
            return f"{tried}: not even the smallest load passes"
        case "trials":
            return f"{tried}: the goal is not met, there were as many trials as there may be (--max-trials)"
        case "void":
            assert last is not None
            return f"{tried}: ended, the trial at {last.load:,} says nothing of the target: {redact.one_line(last.why)}"
        case None:
            return f"{tried}: stopped, this is what is known so far"


def _seconds(found: Found) -> float:
    return sum(result.seconds for result in found.results)


def _trials(results: Sequence[TrialResult], medium: Medium) -> Iterator[Line]:
    if not results:
        return
    yield heading("Trials", "by load")
    rows = []
    for load in sorted({result.load for result in results}):
        here = [result for result in results if result.load == load]
        counts = {outcome: sum(one.outcome == outcome for one in here) for outcome in _WORDS}
        worst = max(here, key=lambda one: (one.outcome != "pass", one.outcome == "void"))
        rows.append(
            [
                Span(f"{load:,}"),
                *(Span(str(counts[outcome] or ""), _TONES[outcome]) for outcome in _WORDS),
                Span(redact.one_line(worst.why)),
            ]
        )
    columns = [Column("load", right=True), Column("passed", right=True), Column("failed", right=True)]
    yield from table([*columns, Column("void", right=True), Column("")], rows, medium)
    yield ()


def _crossings(results: Sequence[TrialResult], medium: Medium) -> Iterator[Line]:
    found = crossings(results)
    yield heading("First crossed", "" if found else "no threshold was")
    rows = [
        [Span(one.name), Span(_number(one.held_at)), Span(f"{one.crossed_at:,}", "bad"), Span(one.value)]
        for one in found
    ]
    columns = [Column("threshold"), Column("held at", right=True), Column("crossed at", right=True)]
    yield from table([*columns, Column("value there", right=True)], rows, medium) if rows else ()
    yield ()


def _scaling(sizing: Sizing, bounds: Bounds, medium: Medium) -> Iterator[Line]:
    yield heading("Scaling", "the suite's advice, and what one server of one size was measured to hold")
    rows = [
        [
            Span(f"{one['users']:,}"),
            Span(f"{one['suite']:,}"),
            Span(_number(one["measured"])),
            Span(one["basis"], "dim"),
        ]
        for one in scaling(sizing, bounds)
    ]
    columns = [Column("users", right=True), Column("replicas, suite", right=True)]
    yield from table([*columns, Column("by measurement", right=True), Column("")], rows, medium)
    sizes = [[Span(name), Span(f"{most:,}"), Span("not measured", "dim")] for name, most in sizing.sizes.items()]
    here = f"{_number(bounds.lower)} to {_number(bounds.upper)}"
    sizes.append([Span("this target, whatever its size"), Span(""), Span(here)])
    yield from table([Column("size"), Column("users, suite", right=True), Column("by measurement")], sizes, medium)
    if sizing.caveat:
        yield from prose(sizing.caveat, medium)
    yield ()


def scaling(sizing: Sizing, bounds: Bounds) -> list[dict[str, Any]]:
    """The suite's replicas beside those that follow from the lower bound, and what these rest on."""
    rows = []
    for users, suite in sizing.replicas.items():
        measured = math.ceil(users / bounds.lower) if bounds.lower else None
        basis = "not measured" if measured is None else "measured" if measured == 1 else "extrapolated"
        rows.append({"users": users, "suite": suite, "measured": measured, "basis": basis})
    return rows


def to_json(found: Found) -> dict[str, Any]:
    """All that was found, as JSON can carry it."""
    return {
        "schema": 1,
        "scenario": found.scenario,
        "target": found.target,
        "unit": found.unit,
        "trial_s": found.trial_s,
        "goal": asdict(found.goal),
        "lower": found.bounds.lower,
        "upper": found.bounds.upper,
        "ratio": found.bounds.ratio,
        "inverted": list(found.bounds.inverted),
        "ending": found.ending or "stopped",
        "trials": [_trial(result) for result in found.results],
        "crossings": [asdict(one) for one in crossings(found.results)],
        "scaling": scaling(found.sizing, found.bounds) if found.sizing else [],
        "sizes": dict(found.sizing.sizes) if found.sizing else {},
    }


def _trial(result: TrialResult) -> dict[str, Any]:
    return {
        "load": result.load,
        "outcome": result.outcome,
        "exit_code": result.exit_code,
        "why": redact.text(result.why),
        "seconds": round(result.seconds, 1),
        "thresholds": [
            {"metric": one.subject, "expression": one.limit, "status": one.status, "value": one.value}
            for one in result.judged
            if one.limit
        ],
        "audits": [{"name": one.subject, "status": one.status} for one in result.judged if not one.limit],
    }


def _number(value: int | None) -> str:
    return _OPEN if value is None else f"{value:,}"
