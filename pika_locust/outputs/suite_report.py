"""`LOAD_TEST_REPORT.md`: the results of a suite in Markdown. Every sentence follows from the figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pika_locust.format import amount, clock, number, percent, plural, span
from pika_locust.metrics.snapshot import PERCENTILES
from pika_locust.outputs import redact
from pika_locust.outputs.recorded import judged_in
from pika_locust.outputs.suite_findings import Readiness, bottlenecks, compare, readiness
from pika_locust.outputs.suite_results import SuiteEntry, SuiteResults

_SPECIAL = re.compile(r"([\\`*|<\[\]]|(?<!\w)_|_(?!\w))")


def render(results: SuiteResults, before: SuiteResults | None = None) -> str:
    """The whole report; `before` is an earlier suite to compare with."""
    return "\n".join(_lines(results, before)).rstrip() + "\n"


def _lines(results: SuiteResults, before: SuiteResults | None) -> Iterator[str]:
    verdict = readiness(results)
    yield f"# Load test report: {_text(results.platform or results.name)}"
    yield ""
    yield from _head(results, verdict)
    yield "## Scenarios"
    yield ""
    yield from _overview(results)
    yield "## Bottlenecks"
    yield ""
    yield from _bottlenecks(results)
    yield from _before_after(results, before) if before is not None else ()
    for entry in results.loads:
        yield from _scenario(entry, results.baseline_of(entry.scenario))


def _head(results: SuiteResults, verdict: Readiness) -> Iterator[str]:
    passed = sum(entry.passed for entry in results.loads)
    yield f"**{verdict.word}**: {passed} of {plural(len(results.loads), 'scenario')} passed."
    yield ""
    yield from (f"- {_text(reason)}" for reason in verdict.because)
    yield ""
    if verdict.reservations:
        yield "Reservations, which decide nothing:"
        yield ""
        yield from (f"- {_text(reason)}" for reason in verdict.reservations)
        yield ""
    summaries = [entry.summary for entry in results.loads if entry.summary is not None]
    targets = dict.fromkeys(
        f"{one['target']}{' (sandbox)' if one['sandbox'] else ''}" for one in summaries if one["target"]
    )
    versions = dict.fromkeys(f"{name} {version}" for one in summaries for name, version in one["versions"].items())
    lasted_s = sum(entry.seconds for entry in results.entries)
    ending = {"complete": "", "fail_fast": ", ended by the first failure", "stopped": ", stopped"}
    rows = [
        ("run", f"{results.name}{ending.get(results.ending, ', unfinished')}"),
        ("began", results.started_at),
        ("runs took", clock(lasted_s)),
        ("target", "sandboxes, one for each run" if _sandboxes(summaries) else ", ".join(targets)),
        ("load", "shortened (--quick)" if results.quick else "the scenarios' own, or as set"),
        ("made with", ", ".join(versions)),
    ]
    yield from _table(["", ""], [[name, words] for name, words in rows if words])


def _sandboxes(summaries: Sequence[Mapping[str, Any]]) -> bool:
    return len(summaries) > 1 and all(one["sandbox"] for one in summaries)


def _overview(results: SuiteResults) -> Iterator[str]:
    rows = []
    for entry in results.loads:
        summary = entry.summary or {}
        judged = judged_in(summary) if summary else ()
        thresholds = [one.status for one in judged if one.limit]
        audits = [one.status for one in judged if not one.limit]
        load = summary.get("load", {})
        rows.append(
            [
                entry.scenario,
                _word(entry),
                "" if entry.exit_code is None else str(entry.exit_code),
                number(load.get("users_peak")),
                number(load.get("iterations")),
                clock(summary.get("duration_s")),
                _held(thresholds),
                _held(audits),
                entry.why,
            ]
        )
    titles = ["scenario", "result", "exit", "users", "iterations", "time", "thresholds", "data integrity", ""]
    yield from _table(titles, rows)


def _held(states: Sequence[str]) -> str:
    """How many hold of those that could be looked at."""
    seen = [state for state in states if state != "not_observed"]
    return f"{seen.count('pass')} of {len(seen)}" if seen else "-"


def _word(entry: SuiteEntry) -> str:
    return "pass" if entry.passed else entry.state.replace("_", " ").upper()


def _bottlenecks(results: SuiteResults) -> Iterator[str]:
    found = bottlenecks(results)
    if not found:
        yield "No figure of these runs shows one."
        yield ""
        return
    yield from _table(["scenario", "what", "evidence"], [[one.scenario, one.what, one.evidence] for one in found])


def _before_after(results: SuiteResults, before: SuiteResults) -> Iterator[str]:
    yield "## Before and after"
    yield ""
    yield f"Before: {_text(before.name)} ({_text(before.started_at)}). Better and worse are said where the 95 %"
    yield "intervals of the two values are apart."
    yield ""
    was = {entry.scenario: entry for entry in before.loads}
    states = [
        [entry.scenario, _word(was[entry.scenario]) if entry.scenario in was else "not there", _word(entry)]
        for entry in results.loads
    ]
    yield from _table(["scenario", "before", "after"], states)
    rows = [
        [
            one.scenario,
            one.name,
            one.before,
            one.after,
            "" if one.relative is None else f"{100 * one.relative:+.1f} %",
            f"{one.change} ({one.why})" if one.why else one.change,
        ]
        for one in compare(before, results)
    ]
    if rows:
        yield from _table(["scenario", "metric", "before", "after", "change", ""], rows)
    else:
        yield "No threshold has values in both."
        yield ""


def _scenario(entry: SuiteEntry, baseline: SuiteEntry | None) -> Iterator[str]:
    yield f"## {_text(entry.scenario)}: {_word(entry)}"
    yield ""
    summary = entry.summary
    if summary is None:
        yield _text(entry.why or "It did not run.")
        yield ""
        return
    for reason in summary["reasons"]:
        yield f"- {_text(reason['code'])}: {_text(reason['text'])}"
    yield from ("",) if summary["reasons"] else ()
    load = summary["load"]
    dropped = f", {number(load['dropped_iterations'])} dropped" if load["dropped_iterations"] else ""
    iterations = "" if load["iterations"] is None else f", {plural(load['iterations'], 'iteration')}{dropped}"
    yield f"Load: {_text(load['profile'])}, {plural(load['users_peak'], 'user')} at the peak{iterations}, in"
    yield f"{clock(summary['duration_s'])}; seed {summary['seed']}."
    yield ""
    yield from _thresholds(summary)
    yield from _audits(summary)
    yield from _figures(summary, baseline)
    yield from _others(summary)
    if summary["errors"]:
        rows = [[number(one["count"]), one["name"], one["error"]] for one in summary["errors"]]
        yield from _table(["count", "where", "error"], rows)
    for title, sentences in (("Notes", summary["notes"]), ("Smallest losses that", summary["resolving_power"])):
        if sentences:
            yield f"{title} would have failed it:" if title != "Notes" else "Notes:"
            yield ""
            yield from (f"- {_text(sentence)}" for sentence in sentences)
            yield ""


def _thresholds(summary: Mapping[str, Any]) -> Iterator[str]:
    judged = [one for one in judged_in(summary) if one.limit]
    rows = []
    for one, result in zip(judged, summary["thresholds"], strict=True):
        interval = result.get("interval")
        low, high = interval or (None, None)
        ends = (float("-inf") if low is None else low, float("inf") if high is None else high)
        rows.append(
            [
                one.name,
                one.shown_value or "-",
                span(*ends, one.unit) if interval else "",
                number(result["samples"]),
                percent(one.used) if one.used is not None else "",
                _status(one.status, bool(result["conclusive"])),
                result["grade"] or "",
            ]
        )
    titles = ["threshold", "value", "95 % interval", "samples", "used", "result", "grade"]
    yield from _table(titles, rows) if rows else ()


def _status(status: str, conclusive: bool) -> str:
    words = status.upper() if status in ("fail", "no_data") else status
    return words.replace("_", " ") + ("" if conclusive or status not in ("pass", "fail") else " ?")


def _audits(summary: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        [
            one["name"],
            number(one["expected"]),
            number(one["actual"]),
            number(one["unanswered"]),
            _status(one["status"], True),
            one["detail"],
        ]
        for one in summary["audits"]
    ]
    titles = ["data-integrity check", "acknowledged", "stored", "unanswered", "result", ""]
    yield from _table(titles, rows) if rows else ()


def _figures(summary: Mapping[str, Any], baseline: SuiteEntry | None) -> Iterator[str]:
    """All trends with all their percentiles; beside them the baseline's median and p(95)."""
    parts = ["min", "avg", "med", *(f"p({percentile})" for percentile in PERCENTILES), "max"]
    alone = baseline.summary["metrics"] if baseline is not None and baseline.summary is not None else {}
    rows = []
    for name, figure in summary["metrics"].items():
        if figure["kind"] == "trend" and figure["count"]:
            unit = figure.get("unit", "")
            cells = [number(figure["count"]), *(amount(figure.get(part), unit) for part in parts)]
            was = alone.get(name, {})
            rows.append([name, *cells, *(amount(was.get(part), unit) for part in ("med", "p(95)") if alone)])
    titles = ["trend", "count", *parts, *(["baseline med", "baseline p(95)"] if alone else [])]
    yield from _table(titles, rows) if rows else ()


def _others(summary: Mapping[str, Any]) -> Iterator[str]:
    """Rates, counters and gauges that have samples."""
    rows = []
    for name, figure in summary["metrics"].items():
        kind, unit = figure["kind"], figure.get("unit", "")
        if not figure["count"] or kind == "trend":
            continue
        if kind == "rate":
            words = f"{percent(figure['rate'])} ({number(figure['passes'])} of {number(figure['count'])})"
        elif kind == "gauge":
            least, most = (amount(figure.get(part), unit) for part in ("min", "max"))
            words = f"{amount(figure.get('value'), unit)} (min {least}, max {most})"
        else:
            words = f"{amount(figure['count'], unit)} ({amount(figure.get('rate'), f'{unit}/s')})"
        rows.append([name, kind, words])
    yield from _table(["metric", "kind", "value"], rows) if rows else ()


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    for row in rows:
        yield f"| {' | '.join(map(_text, row))} |"
    yield ""


def _text(words: str) -> str:
    """Words as themselves: on one line, without secrets, and nothing of them taken for Markdown."""
    return _SPECIAL.sub(r"\\\1", redact.one_line(str(words)))
