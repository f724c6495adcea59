"""A Report as text for people: calm where all is well, exact where it is not, the decisive things last.

A terminal gets colours and marks; anything else (a log, a file, a pipe) gets plain aligned words with one fact per
line, so that `grep FAIL` finds what failed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from pika_locust.errors import ExitCode
from pika_locust.judge.report import Reason, Report
from pika_locust.outputs import judged, observed
from pika_locust.outputs.humanise import amount, clock, cut, number, percent, plural, width_of
from pika_locust.outputs.layout import Column, Line, Medium, Span, Tone, heading, paint, prose, table
from pika_locust.outputs.redact import one_line

MAX_ERRORS = 10
"""Kinds of errors shown; the summary JSON has all."""

_MIN_WIDTH, _MIN_ERROR_WIDTH = 40, 40
_BADGES: dict[str, Tone] = {"pass": "good badge", "fail": "bad badge", "invalid": "doubt badge"}
_REASON_MARGIN = 14
_MEANINGS = {
    ExitCode.PASS: "every threshold and every audit that was observed holds",
    ExitCode.FAILED: "a threshold or an audit failed, or data is missing",
    ExitCode.SETUP: "a required step before the load failed",
    ExitCode.CONFIG: "the settings are wrong; nothing was sent",
    ExitCode.STOPPED: "stopped from outside before the end",
    ExitCode.INTERNAL: "a fault of pika-locust itself or of the locustfile, not of the target",
    ExitCode.GENERATOR: "the load generator could not keep up; the numbers say more about it than about the target",
}


def render(report: Report, *, terminal: bool, width: int) -> str:
    """The whole report, ending in a newline.

    `terminal`: say False for a stream that is none, or whose encoding is not UTF-8. `width` in columns: a table that
    is wider puts its less important columns on a second line under each row, so nothing is lost; give logs 120 or
    more. Reasons keep the report's order, most decisive first. No secret is shown, and control characters in the
    target's words are dropped.
    """
    medium = Medium(terminal, max(width, _MIN_WIDTH))
    sections = (
        _headline(report, medium),
        judged.thresholds(report, medium),
        judged.audits(report, medium),
        _checks(report, medium),
        _errors(report, medium),
        observed.section(report, medium),
        _generator(report, medium),
        _reasons(report, medium),
        _sentences("Notes", report.notes, medium),
        _sentences("Resolving power", report.resolving_power, medium),
        _ending(report, medium),
    )
    lines: list[Line] = [line for section in sections if section for line in (*section, ())]
    return paint(lines[:-1], medium)


def _headline(report: Report, medium: Medium) -> list[Line]:
    load, verdict = report.load, report.verdict.upper()
    facts = [_duration(report), f"{plural(load.users_peak, 'user')} at peak", plural(load.workers, "worker")]
    facts = facts if _started(report) else ["before the start"]
    facts += [] if report.seed is None else [f"seed {report.seed}"]
    badge = Span(medium.choose(f" {verdict} ", verdict), _BADGES[report.verdict])
    scenario = Span(f"  {one_line(report.scenario) or '(no scenario)'}  ", "strong")
    versions = [f"{name} {version}" for name, version in report.versions.items()]
    rows = {
        "target": one_line(report.target) + (" (sandbox)" if report.sandbox else ""),
        "load": _load(report),
        "run": one_line(", ".join(part for part in (report.run_id, report.started_at, *versions) if part)),
        "settings": one_line(" ".join(f"{name}={shlex.quote(text)}" for name, text in report.settings.items())),
        "command": one_line(report.command),
    }
    cells = [[Span(name, "dim"), Span(words.strip())] for name, words in rows.items() if words.strip()]
    facts_table = table([Column(""), Column("")], cells, medium) if cells else []
    return [(badge, scenario, Span(", ".join(facts))), *facts_table]


def _duration(report: Report) -> str:
    planned_s = report.load.planned_s
    early = planned_s is not None and report.duration_s < planned_s - 1
    return f"{clock(report.duration_s)} of {clock(planned_s)}" if early else clock(report.duration_s)


def _started(report: Report) -> bool:
    return bool(report.duration_s or report.load.users_peak)


def _load(report: Report) -> str:
    load, duration_s = report.load, report.duration_s
    facts = [f"profile {one_line(load.profile)}"] if load.profile else []
    if load.iterations is not None and duration_s > 0:
        facts.append(f"{plural(load.iterations, 'iteration')} ({amount(load.iterations / duration_s, '/s')})")
    facts += [f"{number(load.dropped_iterations)} dropped"] if load.dropped_iterations else []
    facts += [f"{plural(load.workers_lost, 'worker')} lost"] if load.workers_lost else []
    facts += ["incomplete"] if _started(report) and not load.complete else []
    return ", ".join(facts)


def _checks(report: Report, medium: Medium) -> list[Line]:
    checks = report.checks
    if not checks:
        return []
    passed, failed = sum(check.passes for check in checks), sum(check.fails for check in checks)
    words = f"{number(passed)} passed, {number(failed)} failed, of {plural(len(checks), 'kind')}"
    failing = sorted((check for check in checks if check.fails), key=lambda check: (-check.fails, check.name))
    rows = []
    for check in failing:
        total = check.passes + check.fails
        share, name = percent(check.passes / total), one_line(check.name)
        rows.append([Span(number(check.fails), "bad"), Span(number(total)), Span(share), Span(name)])
    columns = [Column(title, right=True) for title in ("failed", "of", "passed")] + [Column("check")]
    return [heading("Checks", words), *(table(columns, rows, medium) if rows else [])]


def _errors(report: Report, medium: Medium) -> list[Line]:
    kinds = sorted(report.errors, key=lambda kind: (-kind.count, kind.name, kind.error))
    if not kinds:
        return []
    shown, rest = kinds[:MAX_ERRORS], kinds[MAX_ERRORS:]
    counts, names = [number(kind.count) for kind in shown], [one_line(kind.name) for kind in shown]
    taken = max(map(width_of, [*counts, "count"])) + max(map(width_of, [*names, "name"])) + 6
    room = max(_MIN_ERROR_WIDTH, medium.width - taken)
    rows = [
        [Span(count, "bad"), Span(name), Span(cut(one_line(kind.error), room, medium.choose("…", "...")))]
        for count, name, kind in zip(counts, names, shown, strict=True)
    ]
    columns = [Column("count", right=True), Column("name"), Column("error")]
    words = f"{number(sum(kind.count for kind in kinds))} of {plural(len(kinds), 'kind')}"
    lines = [heading("Errors", words), *table(columns, rows, medium)]
    if rest:
        more = f"and {number(sum(kind.count for kind in rest))} of {plural(len(rest), 'more kind')}"
        lines += prose(f"{more}, listed in the summary JSON", medium, "dim")
    return lines


def _generator(report: Report, medium: Medium) -> list[Line]:
    health = report.generator
    lags = {p: health.lag_ms.get(f"p({p})", health.lag_ms.get(f"p{p}")) for p in (95, 99)}
    lag = ", ".join(f"p{p} {amount(value, 'ms')}" for p, value in lags.items() if value is not None)
    facts = [f"lag {lag}"] if lag else []
    facts += [] if health.cpu_percent_max is None else [f"CPU max {number(health.cpu_percent_max)} %"]
    facts += [] if health.rss_mb_max is None else [f"memory max {number(health.rss_mb_max)} MB"]
    lost: list[Line] = []
    for worker in report.workers:
        name = f"worker {worker.index} on {one_line(worker.host)}"
        if worker.lost_at_s is not None:
            lost += prose(f"{name} was lost at {clock(worker.lost_at_s)}", medium, "bad")
        elif not worker.final:
            lost += prose(f"{name} never delivered its final snapshot", medium, "bad")
    return [heading("Generator", ", ".join(facts)), *lost] if facts or lost else []


def _reasons(report: Report, medium: Medium) -> list[Line]:
    if not report.reasons:
        return []
    tone: Tone = "bad" if report.verdict == "fail" else "doubt"
    lines = [heading("Reasons")]
    for reason in report.reasons:
        lead = Span(reason.code.replace("_", " "), tone)
        lines += prose(_why(reason), medium, lead=lead, indent=_REASON_MARGIN)
    return lines


def _why(reason: Reason) -> str:
    text, subject = one_line(reason.text), one_line(reason.subject)
    return f"{subject}: {text}" if subject and subject not in text else text


def _sentences(title: str, sentences: Sequence[str], medium: Medium) -> list[Line]:
    lines = [line for sentence in sentences for line in prose(one_line(sentence), medium)]
    return [heading(title), *lines] if lines else []


def _ending(report: Report, medium: Medium) -> list[Line]:
    code = int(report.exit_code)
    meaning = next((words for known, words in _MEANINGS.items() if known == code), "")
    if code == ExitCode.PASS and not report.thresholds and not report.audits:
        meaning = "nothing failed, but no threshold and no audit was there to fail"
    if code == ExitCode.FAILED and _failed_by_doubt_alone(report):
        meaning = "everything that was observed holds, but not as firmly as --strict or --fail-on ask"
    return prose(f"Exit code {code}" + (f": {meaning}" if meaning else ""), medium, "strong", indent=0)


def _failed_by_doubt_alone(report: Report) -> bool:
    statuses = [result.status for result in report.thresholds] + [audit.status for audit in report.audits]
    return not {"fail", "no_data"} & set(statuses) and all(
        reason.code in ("threshold", "no_data") for reason in report.reasons
    )
