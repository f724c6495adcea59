"""What follows from the results of a suite: readiness, and bottlenecks with their evidence. No output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pika_locust.format import amount, number, percent, plural
from pika_locust.judge.verdict import OWN_TIMES
from pika_locust.outputs.recorded import Judged, judged_in
from pika_locust.outputs.run_findings import findings
from pika_locust.outputs.suite_results import SuiteEntry, SuiteResults

Word = Literal["READY", "NOT READY", "NOT SHOWN"]

OF_THE_TARGET = frozenset({"threshold", "audit", "no_answer", "target"})
"""Reasons that speak against the target; all others say that nobody knows."""
NEAR = 0.8
"""The part of a limit from which on a threshold that holds is worth a look."""
SLOWER = 2.0
"""From so many times a baseline's median on, a time grows with the load."""
NOTICED_MS = 5.0
"""Smaller differences are nobody's bottleneck."""
LEAST_IN_BASELINE = 5
"""Below, a median is an accident."""
MOST_ERRORS = 3
_PHASES = ("blocked", "connecting", "tls_handshaking", "sending", "waiting", "receiving")


@dataclass(frozen=True, slots=True)
class Readiness:
    """The verdict: `because` is what decides, `reservations` what a reader should know and that decides nothing."""

    word: Word
    because: tuple[str, ...]
    reservations: tuple[str, ...] = ()


def readiness(results: SuiteResults) -> Readiness:
    """Whether the target is ready: not, when something spoke against it; not shown, when something is missing."""
    against, missing, reservations = [], [*results.problems], []
    for entry in results.loads:
        against += [f"{entry.scenario}: {text}" for text in _against(entry)]
        missing += [f"{entry.scenario}: {text}" for text in _missing(entry)]
        reservations += [f"{entry.scenario}: {text}" for text in _reservations(entry)]
    missing += _missing_from_all(results)
    if against:
        return Readiness("NOT READY", (*against, *missing), tuple(reservations))
    if missing:
        return Readiness("NOT SHOWN", tuple(missing), tuple(reservations))
    ran = plural(len(results.loads), "scenario")
    return Readiness("READY", (f"{ran} ran under full load, and all passed",), tuple(reservations))


def _against(entry: SuiteEntry) -> Iterator[str]:
    reasons = entry.summary["reasons"] if entry.summary is not None else ()
    # A generator that could not keep up makes thresholds fail by itself.
    spoilt = any(reason["code"] == "generator" for reason in reasons)
    for reason in reasons:
        if reason["code"] in OF_THE_TARGET and not (spoilt and reason["code"] == "threshold"):
            yield reason["text"]


def _missing(entry: SuiteEntry) -> Iterator[str]:
    match entry.state:
        case "pass":
            load = entry.summary["load"] if entry.summary is not None else {}
            if dropped := load.get("dropped_iterations"):
                share = dropped / (dropped + (load["iterations"] or 0))
                yield f"{number(dropped)} iterations ({percent(share)}) never began: less load than planned"
        case "not_run":
            yield "it did not run"
        case "crash":
            yield f"it crashed: {entry.why}"
        case "stopped":
            yield "it was stopped"
        case _:
            reasons = entry.summary["reasons"] if entry.summary is not None else ()
            others = [reason["text"] for reason in reasons if reason["code"] not in OF_THE_TARGET]
            yield from others
            if not reasons:
                yield f"it ended with {entry.exit_code}"


def _missing_from_all(results: SuiteResults) -> Iterator[str]:
    if not results.loads:
        yield "no scenario ran"
    if results.quick:
        yield "the loads were shortened (--quick)"
    if results.left_out:
        yield f"left out: {', '.join(results.left_out)}"
    if not results.platform:
        yield "there is no suite.json, so nobody knows which scenarios should have run"
    on_sandbox = [one.scenario for one in results.loads if one.summary is not None and one.summary["sandbox"]]
    if on_sandbox:
        yield f"tested on the built-in sandbox, which is no server of yours: {', '.join(on_sandbox)}"


def _reservations(entry: SuiteEntry) -> Iterator[str]:
    if entry.summary is None:
        return
    for one in entry.summary["thresholds"]:
        name = f"{one['metric']} {one['expression']}"
        if one["status"] == "not_observed":
            yield f"{name} was not observed"
        elif one["status"] == "pass" and not one["conclusive"]:
            yield f"{name} holds, but {number(one['samples'])} samples leave it open"
        if one["status"] == "pass" and one["grade"] in ("warning", "critical"):
            yield f"{name} holds, and is graded {one['grade']}"
    for one in entry.summary["audits"]:
        if one["status"] == "not_observed":
            yield f"data-integrity check {one['name']} was not observed"


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """Something that limits, and the figures that say so. `weight` orders them, the heaviest first."""

    scenario: str
    what: str
    evidence: str
    weight: float


def bottlenecks(results: SuiteResults) -> list[Bottleneck]:
    """All that the figures show, the heaviest first."""
    found: list[Bottleneck] = []
    for entry in results.loads:
        if entry.summary is None:
            continue
        for what, evidence, weight in _of_run(entry.summary, results.baseline_of(entry.scenario)):
            found.append(Bottleneck(entry.scenario, what, evidence, weight))
    return sorted(found, key=lambda one: -one.weight)


def _of_run(summary: Mapping[str, Any], baseline: SuiteEntry | None) -> Iterator[tuple[str, str, float]]:
    for judged in judged_in(summary):
        yield from _limit(judged)
    before = baseline.summary["metrics"] if baseline is not None and baseline.summary is not None else {}
    times = {name: one for name, one in summary["metrics"].items() if _is_time(name, one)}
    for name, figure in times.items():
        yield from _slower(name, figure, before.get(name))
    for one in findings(summary):
        yield one.what, one.evidence, one.weight
    for error in sorted(summary["errors"], key=lambda one: -one["count"])[:MOST_ERRORS]:
        yield "errors", f"{number(error['count'])} times {error['name']}: {error['error']}", 5.0


def _limit(judged: Judged) -> Iterator[tuple[str, str, float]]:
    used = judged.used
    if judged.status == "fail" and judged.limit:
        more = f", {percent(used)} of what is allowed" if used is not None else ""
        yield (
            f"{judged.name} fails",
            f"it is {judged.shown_value or 'not there'}{more}",
            100.0 + min(100.0, used or 0.0),
        )
    elif judged.status == "pass" and used is not None and NEAR <= used <= 1:
        part = "of it" if judged.allowed_loss is None else "of what may fail"
        yield f"{judged.name} is near its limit", f"it is {judged.shown_value}, {percent(used)} {part}", 10.0 * used


def _is_time(name: str, figure: Mapping[str, Any]) -> bool:
    """A time of the target's, without tags: those of its parts are in it. Iterations have pauses in
    them, and a request's phases are in its duration."""
    return (
        figure["kind"] == "trend"
        and figure["unit"] == "ms"
        and bool(figure["count"])
        and "{" not in name
        and name not in OWN_TIMES
        and not name.startswith("iteration_")
        and name.removeprefix("http_req_") not in _PHASES
    )


def _slower(name: str, now: Mapping[str, Any], alone: Mapping[str, Any] | None) -> Iterator[tuple[str, str, float]]:
    if alone is None or alone["count"] < LEAST_IN_BASELINE or not alone["med"]:
        return
    ratio = now["med"] / alone["med"]
    if ratio >= SLOWER and now["med"] - alone["med"] >= NOTICED_MS:
        evidence = (
            f"median {_ms(alone, 'med')} in the baseline, {_ms(now, 'med')} under load ({number(ratio)} times); "
            f"p(95) {_ms(alone, 'p(95)')} and {_ms(now, 'p(95)')}"
        )
        yield f"{name} grows with the load", evidence, 20.0 + min(20.0, ratio)


def _ms(figure: Mapping[str, Any], part: str) -> str:
    return amount(figure[part], "ms")
