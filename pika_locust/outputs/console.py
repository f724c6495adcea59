"""The report as terminal text, the verdict last; and its delivery to the screen, the log and the summary file.

A terminal gets colours and marks; anything else (a log, a file, a pipe) gets plain aligned words with one fact per
line, so that `grep FAIL` finds what failed.
"""

from __future__ import annotations

import logging
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from pika_locust.errors import ExitCode
from pika_locust.format import amount, clock, cut, number, percent, plural, span, width_of
from pika_locust.judge.report import AuditResult, Observed, Reason, Report, ThresholdResult
from pika_locust.outputs import figures, redact, summary
from pika_locust.outputs.figures import SummaryMode
from pika_locust.outputs.recorded import tally
from pika_locust.outputs.redact import one_line
from pika_locust.outputs.table import Column, Line, Medium, Span, Tone, heading, paint, prose, table

logger = logging.getLogger(__name__)


_STATUSES: dict[str, tuple[str, str, Tone]] = {
    "pass": ("✓", "pass", "good"),
    "fail": ("✗", "FAIL", "bad"),
    "no_data": ("✗", "NO DATA", "bad"),
    "not_observed": ("○", "not observed", "dim"),
}
_GRADES: dict[str, Tone] = {"healthy": "good", "warning": "doubt", "critical": "bad"}
_AUDIT_COLUMNS = (
    Column("status"),
    Column("check"),
    Column("acknowledged", right=True),
    Column("stored", right=True),
    Column("unanswered", right=True),
    Column("", folds=1),
)


def thresholds(report: Report, medium: Medium) -> list[Line]:
    """Every threshold on a row, and below them what the marks mean."""
    results = report.thresholds
    if not results:
        return [heading("Thresholds", "none declared")] if report.duration_s else []
    lengths = [result.worst_window.seconds for result in results if result.worst_window]
    # A window ends with an evaluation, so that it is a little longer than it should be.
    length = round(min(lengths)) if lengths and max(lengths) < 1.1 * min(lengths) else None
    columns = (
        Column("status"),
        Column("metric"),
        Column("threshold"),
        Column("value", right=True),
        Column("95 % interval", right=True, folds=4),
        Column("worst window" if length is None else f"worst {number(length)} s", right=True, folds=3),
        Column("samples", right=True, folds=1),
        Column("grade", folds=2),
    )
    rows = [_threshold(result, unit_of(result, report), length is None, medium) for result in results]
    lines = [heading("Thresholds", tally(result.status for result in results)), *table(columns, rows, medium)]
    for result in results:
        if result.about and result.status != "pass" and not result.why:
            lines += prose(f"{one_line(result.metric)}: {one_line(result.about)}", medium, "dim")
    if not all(result.conclusive for result in results):
        meaning = "inconclusive: the limit lies inside the 95 % interval, more samples could turn the result"
        lines += prose(f"? {meaning} (fails with --strict)", medium, "doubt")
    for result in results:
        if result.why:
            subject = f"{one_line(result.metric)} {one_line(result.expression)}"
            lines += prose(f"{subject}: {one_line(result.why)}", medium, "dim")
    if any(result.status == "not_observed" and not result.why for result in results):
        lines += prose("not observed: nothing in this run could show it (fails with --strict)", medium, "dim")
    return lines


def audits(report: Report, medium: Medium) -> list[Line]:
    """Every audit on a row, with its detail."""
    if not report.audits:
        return []
    rows = [_audit(result, medium) for result in report.audits]
    words = tally(result.status for result in report.audits)
    return [heading("Data-integrity checks", words), *table(_AUDIT_COLUMNS, rows, medium)]


def unit_of(result: ThresholdResult, report: Report) -> str:
    """What a threshold's value counts, `%` for a ratio. Where neither the result nor the report knows its metric, a
    trend's aggregation stands for a time."""
    metrics = report.metrics
    metric = metrics.get(result.metric) or metrics.get(result.metric.partition("{")[0]) or {}
    kind, unit = result.kind or metric.get("kind"), result.unit or str(metric.get("unit") or "")
    aggregation = re.split(r"[<>=!\s]", result.expression.strip(), maxsplit=1)[0]
    if kind == "rate":
        return "%"
    if kind == "counter" and aggregation == "rate":
        return f"{unit}/s"
    if kind is None and re.match(r"p\(|avg|min|max|med", aggregation):
        return "ms"
    return unit


def _threshold(result: ThresholdResult, unit: str, with_seconds: bool, medium: Medium) -> list[Span]:
    limit = _limit(result.expression)
    worst, interval = result.worst_window, result.interval
    judged_by = "" if result.window_s is None else f" in worst {number(result.window_s)} s"
    seconds = f" in {number(worst.seconds)} s" if worst and with_seconds else ""
    return [
        _status(result.status, result.conclusive, medium),
        Span(one_line(result.metric)),
        Span(one_line(result.expression) + judged_by),
        Span(amount(result.value, unit, limit), "bad" if result.status in ("fail", "no_data") else ""),
        Span(_interval(interval, unit, limit, medium) if interval else "", "dim"),
        Span(f"{amount(worst.value, unit, limit)}{seconds} at {clock(worst.from_s)}" if worst else "", "dim"),
        Span(number(result.samples)),
        Span(result.grade or "", _GRADES.get(result.grade or "", "")),
    ]


def _interval(interval: tuple[float, float], unit: str, limit: float | None, medium: Medium) -> str:
    to, at_least, at_most = medium.choose("–", " .. "), medium.choose("≥", ">="), medium.choose("≤", "<=")
    return span(*interval, unit, to, limit, at_least, at_most)


def _audit(result: AuditResult, medium: Medium) -> list[Span]:
    return [
        _status(result.status, True, medium),
        Span(one_line(result.name)),
        Span(number(result.expected)),
        Span(number(result.actual, result.expected), "bad" if result.status == "fail" else ""),
        Span(number(result.unanswered)),
        Span(one_line(result.detail), "dim"),
    ]


def _status(status: str, conclusive: bool, medium: Medium) -> Span:
    mark, word, tone = _STATUSES[status]
    words = f"{medium.choose(f'{mark} ', '')}{word}"
    return Span(words, tone) if conclusive else Span(f"{words} ?", "doubt" if status == "pass" else tone)


def _limit(expression: str) -> float | None:
    found = re.search(r"\d+(?:\.\d*)?$|\.\d+$", expression.strip())
    return float(found[0]) if found else None


MAX_QUERY_WIDTH, MAX_NAME_WIDTH = 60, 110
"""Columns for a query and for the name of a series; the summary JSON has the whole."""

_OBSERVED_COLUMNS = (
    Column("query"),
    Column("start", right=True),
    Column("end", right=True),
    Column("difference", right=True),
    Column("", folds=1),
    Column("series", folds=2),
)


def observed(report: Report, medium: Medium) -> list[Line]:
    """What a Prometheus showed before and after the load: every series on a row, with what tells it from others."""
    if not report.observed:
        return []
    rows = [_series(series, medium) for series in report.observed]
    queries = len({series.query for series in report.observed})
    words = f"{plural(queries, 'query', 'queries')} to Prometheus, before and after the load"
    return [heading("Observed", words), *table(_OBSERVED_COLUMNS, rows, medium)]


def _series(series: Observed, medium: Medium) -> list[Span]:
    dots = medium.choose("…", "...")
    seen = series.start is not None or series.end is not None
    return [
        Span(cut(one_line(series.query), MAX_QUERY_WIDTH, dots)),
        Span(number(series.start) if seen else ""),
        Span(number(series.end) if seen else ""),
        Span(_signed(series.difference) if seen else ""),
        Span(one_line(series.note), "doubt"),
        Span(cut(one_line(_name(series.labels, series.query)), MAX_NAME_WIDTH, dots), "dim"),
    ]


def _signed(difference: float | None) -> str:
    return f"+{number(difference)}" if difference is not None and difference > 0 else number(difference)


def _name(labels: Mapping[str, str], query: str) -> str:
    """A series as PromQL writes it, without the metric's name where that is the query."""
    metric = labels.get("__name__", "")
    words = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
    return f"{metric if metric != query else ''}{'{' + words + '}' if words else ''}"


MAX_ERRORS = 10
"""Kinds of errors shown; the summary JSON has all."""

_MIN_WIDTH, _MIN_ERROR_WIDTH = 40, 40
_BADGES: dict[str, Tone] = {"pass": "good badge", "fail": "bad badge", "invalid": "doubt badge"}
_REASON_MARGIN = 14
_LEADS = {"audit": "integrity", "generator": "overload"}
"""What a reason begins with where its code is not the field's word."""
_MEANINGS = {
    ExitCode.PASS: "every threshold and every data-integrity check that was observed holds",
    ExitCode.FAILED: "a threshold or a data-integrity check failed, or data is missing",
    ExitCode.SETUP: "a required step before the load failed",
    ExitCode.CONFIG: "the settings are wrong; nothing was sent",
    ExitCode.STOPPED: "stopped from outside before the end",
    ExitCode.INTERNAL: "an error of pika-locust itself or of the locustfile, not of the target",
    ExitCode.GENERATOR: "load generator overload; the numbers say more about the generator than about the target",
}


def render(report: Report, *, terminal: bool, width: int, mode: SummaryMode = "compact") -> str:
    """The whole report, ending in a newline.

    `terminal`: say False for a stream that is none, or whose encoding is not UTF-8. `width` in columns: a table that
    is wider puts its less important columns on a second line under each row, so nothing is lost; give logs 120 or
    more. `mode` says how much of the table of metrics. Reasons keep the report's order, most decisive first. No secret
    is shown, and control characters in the target's words are dropped.
    """
    medium = Medium(terminal, max(width, _MIN_WIDTH))
    sections = (
        _headline(report, medium),
        thresholds(report, medium),
        audits(report, medium),
        _checks(report, medium),
        figures.metrics(report, medium, mode),
        _errors(report, medium),
        observed(report, medium),
        _generator(report, medium),
        _reasons(report, medium),
        _sentences("Notes", report.notes, medium),
        _sentences("Minimum detectable failure", report.resolving_power, medium),
        _ending(report, medium),
    )
    lines: list[Line] = [line for section in sections if section for line in (*section, ())]
    return paint(lines[:-1], medium)


def _headline(report: Report, medium: Medium) -> list[Line]:
    load, verdict = report.load, report.verdict.upper()
    facts = [_duration(report), f"{plural(load.users_peak, 'VU')} at peak", plural(load.workers, "worker")]
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
    columns_left = max(_MIN_ERROR_WIDTH, medium.width - taken)
    rows = [
        [Span(count, "bad"), Span(name), Span(cut(one_line(kind.error), columns_left, medium.choose("…", "...")))]
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
    return [heading("Load generator", ", ".join(facts)), *lost] if facts or lost else []


def _reasons(report: Report, medium: Medium) -> list[Line]:
    if not report.reasons:
        return []
    tone: Tone = "bad" if report.verdict == "fail" else "doubt"
    lines = [heading("Reasons")]
    for reason in report.reasons:
        lead = Span(_LEADS.get(reason.code, reason.code.replace("_", " ")), tone)
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
        meaning = "nothing failed, but no threshold and no data-integrity check was there to fail"
    if any(reason.code == "exit_code" for reason in report.reasons) and code not in _MEANINGS.keys() - {ExitCode.PASS}:
        meaning = "set by somebody else, as the reasons tell"
    if code == ExitCode.FAILED and _failed_by_doubt_alone(report):
        meaning = "everything that was observed holds, but not as firmly as --strict or --fail-on ask"
    return prose(f"Exit code {code}" + (f": {meaning}" if meaning else ""), medium, "strong", indent=0)


def _failed_by_doubt_alone(report: Report) -> bool:
    statuses = [result.status for result in report.thresholds] + [audit.status for audit in report.audits]
    return not {"fail", "no_data"} & set(statuses) and all(
        reason.code in ("threshold", "no_data") for reason in report.reasons
    )


PLAIN_WIDTH = 120


def problems(path: str | None) -> list[str]:
    """Why a summary will not be written to what `--summary-json` names, as far as that can be known beforehand."""
    why = summary.unwritable(path) if path else None
    return [f"--summary-json {path}: {why}"] if why is not None else []


def write(report: Report, path: str, number: int = 1) -> str | None:
    """Write the summary of a process's test `number`, counted from 1; where that fails, say so and why it did."""
    problem = summary.write(report, summary.numbered(path, number))
    if problem is not None:
        sys.stderr.write(f"{problem}\n")
    return problem


def log(report: Report) -> None:
    """Log the verdict, which the web page shows: a line, and one for each reason."""
    level = logging.INFO if report.verdict == "pass" else logging.ERROR
    logger.log(level, "%s %s, exit code %d", report.verdict.upper(), report.scenario, report.exit_code)
    for reason in report.reasons:
        logger.log(level, "%s", redact.one_line(reason.text))


def show(report: Report, stream: TextIO, mode: SummaryMode = "compact") -> None:
    """Print the report: with colours and marks on a terminal, plain elsewhere; `mode` as in `render`."""
    encoding = stream.encoding or "utf-8"
    terminal = stream.isatty() and encoding.lower().startswith("utf")
    width = shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns if terminal else PLAIN_WIDTH
    page = render(report, terminal=terminal, width=width, mode=mode) + "\n"
    # The target's words may hold letters that the stream's encoding lacks; the verdict must not be lost for that.
    stream.write(page.encode(encoding, "replace").decode(encoding))
    stream.flush()
