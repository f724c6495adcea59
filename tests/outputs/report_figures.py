"""What a report must say of a summary, by rules of its own: which figure stands where, and how a number is written.

Nothing of the product's formatting is used here. The rules are those of `shown`, `clock` and `interval`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from pika_locust.metrics.snapshot import histogram_of
from pika_locust.outputs.suite_findings import readiness
from pika_locust.outputs.suite_results import SuiteEntry, SuiteResults
from tests.outputs.report_blocks import Block, Chart, ReadReport, Section, read_markdown, read_page

Summary = Mapping[str, Any]

DERIVED = {"Findings and actions", "Compared with the baseline", "Bottlenecks", "Before and after"}
"""Sections of conclusions, which have tests of their own: their figures stand for no value of the summary."""

_TIMES = ("ms", "s", "us")
_PLACES = (("99.95", 0), ("9.995", 1), ("0.0995", 2), ("0", 3))
"""From which size on a number has how many decimals: about three digits, and all before the point."""
_TREND = ("min", "avg", "med", "p(90)", "p(95)", "p(99)", "p(99.9)", "max")
_PHASES = ("blocked", "connecting", "tls_handshaking", "sending", "waiting", "receiving")
_NOT_BY_NAME = {"generator_lag_ms", "arrival_lateness", *(f"http_req_{phase}" for phase in _PHASES)}
_MOST_BY_NAME, _MOST_ERRORS = 16, 50
_TRAFFIC = (
    ("http_reqs", "HTTP requests"),
    ("ws_messages_received", "Messages received"),
    ("ws_messages_sent", "Messages sent"),
    ("iterations", "Iterations"),
)


def shown(value: float | None, unit: str = "", limit: float | None = None) -> str:
    """A number as it is to be written.

    Thousands are separated by commas. What is whole has no decimals, but for times; anything else has as many as
    `_PLACES` says, rounded half to even, and more where rounding would move it to 0 or to or over its limit. In `%` a
    share is a hundred times the ratio, with two decimals, and is 0 % and 100 % only when it is just that. The unit
    follows after a space; without a value there is a dash.
    """
    if value is None:
        return "-"
    is_share = unit == "%"
    exact = Decimal(round(value * 100, 9) if is_share else value)
    guards = [Decimal(0)] if limit is None else [Decimal(0), Decimal(round(limit * 100, 9) if is_share else limit)]
    guards += [Decimal(100)] if is_share else []
    is_whole = value in (0, 1) if is_share else value == 0 or (value == int(value) and unit not in _TIMES)
    if is_whole:
        places = 0
    else:
        places = 2 if is_share else next(many for least, many in _PLACES if abs(exact) >= Decimal(least))
        while places < 9 and any(_side(_rounded(exact, places), one) != _side(exact, one) for one in guards):
            places += 1
    return f"{_rounded(exact, places):,f} {unit}".rstrip()


def _rounded(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)


def _side(value: Decimal, limit: Decimal) -> int:
    return (value > limit) - (value < limit)


def clock(seconds: float | None) -> str:
    """`m:ss`, from an hour on `h:mm:ss`; fractions are cut."""
    if seconds is None:
        return "-"
    hours, rest = divmod(int(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def interval(ends: Sequence[float | None] | None, unit: str, limit: float) -> str:
    """Both ends, the unit once; an end that the samples leave open is not there."""
    if ends is None:
        return ""
    low, high = ends
    if low is None:
        return "open" if high is None else f"<= {shown(high, unit, limit)}"
    if high is None:
        return f">= {shown(low, unit, limit)}"
    return f"{shown(low, unit, limit).removesuffix(f' {unit}')} .. {shown(high, unit, limit)}"


def words(text: object) -> str:
    """Somebody's words: on one line."""
    return " ".join("".join(one if one.isprintable() else " " for one in str(text)).split())


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Block:
    """A table without the columns that are empty."""
    kept = [at for at in range(len(titles)) if any(row[at] for row in rows)]
    blank = [at for at in kept if not titles[at]]
    return Block(
        "table",
        [[row[at] for at in kept] for row in rows],
        [titles[at] or f"#{blank.index(at)}" for at in kept],
    )


def fold(title: str) -> Block:
    return Block("fold", [[title]])


def bullets(items: Sequence[object]) -> Block:
    return Block("bullets", [[words(item)] for item in items])


def several(count: int, one: str) -> str:
    return f"{count:,} {one}" if count == 1 else f"{count:,} {one}s"


def tally(statuses: Sequence[str], what: str = "") -> str:
    others = {"fail": "failed", "no_data": "without data", "not_observed": "not observed"}
    found = [f"{statuses.count(status)} {name}" for status, name in others.items() if status in statuses]
    return ", ".join([f"{statuses.count('pass')} of {len(statuses)} {what}hold", *found])


def run_sections(summary: Summary) -> list[Section]:
    """All that the page of one run must say."""
    return [Section(words(f"Load test: {summary['scenario']}"), 1, [*_head(summary)]), *_parts(summary, None, 2)]


def suite_sections(results: SuiteResults) -> list[Section]:
    """All that the page of a suite must say, but for what it derives."""
    verdict = readiness(results)
    passed, count = sum(one.state == "pass" for one in results.loads), len(results.loads)
    head = [Block("banner", [[verdict.word, f"{passed} of {several(count, 'scenario')} passed."]])]
    head.append(bullets(verdict.because))
    if verdict.reservations:
        head.append(fold(f"{several(len(verdict.reservations), 'reservation')}, which decide nothing"))
        head.append(bullets(verdict.reservations))
    title = words(f"Load test report: {results.platform or results.name}")
    sections = [Section(title, 1, [*head, _suite_facts(results)])]
    rows = [[*_overview(entry)] for entry in results.loads]
    titles = ["scenario", "result", "exit", "users", "iterations", "time", "thresholds", "data integrity", ""]
    sections.append(Section("Scenarios", 2, [table(titles, rows)]))
    for entry in results.loads:
        title = words(f"{entry.scenario}: {_state(entry)}")
        if entry.summary is None:
            sections.append(Section(title, 2, [Block("paragraph", [[words(entry.why or "It did not run.")]])]))
            continue
        alone = results.baseline_of(entry.scenario)
        metrics = alone.summary["metrics"] if alone is not None and alone.summary is not None else None
        sections += [Section(title, 2, [*_head(entry.summary)]), *_parts(entry.summary, metrics, 3)]
    return sections


def _suite_facts(results: SuiteResults) -> Block:
    summaries = [one.summary for one in results.loads if one.summary is not None]
    endings = {"complete": "", "fail_fast": ", ended by the first failure", "stopped": ", stopped"}
    endings |= {"setup": ", which never began", "unfinished": ", unfinished"}
    targets = [f"{one['target']}{' (sandbox)' if one['sandbox'] else ''}" for one in summaries if one["target"]]
    if len(summaries) > 1 and all(one["sandbox"] for one in summaries):
        targets = ["sandboxes, one for each run"]
    versions = [f"{name} {version}" for one in summaries for name, version in one["versions"].items()]
    rows = [
        ["run", words(results.name) + endings[results.ending]],
        ["began", results.started_at],
        ["runs took", clock(sum(one.seconds for one in results.entries))],
        ["target", ", ".join(dict.fromkeys(targets))],
        ["load", "shortened (--quick)" if results.quick else "the scenarios' own, or as set"],
        ["made with", ", ".join(dict.fromkeys(versions))],
    ]
    return table(["", ""], [[name, words(value)] for name, value in rows if value])


def _overview(entry: SuiteEntry) -> Iterator[str]:
    summary: Summary = entry.summary or {}
    yield from (words(entry.scenario), _state(entry), "" if entry.exit_code is None else str(entry.exit_code))
    load = summary.get("load", {})
    yield from (shown(load.get("users_peak")), shown(load.get("iterations")), clock(summary.get("duration_s")))
    for part in ("thresholds", "audits"):
        statuses = [one["status"] for one in summary.get(part, ())]
        yield tally(statuses) if statuses else "-"
    yield words(entry.why)


def _state(entry: SuiteEntry) -> str:
    return "pass" if entry.state == "pass" else entry.state.replace("_", " ").upper()


def _head(summary: Summary) -> Iterator[Block]:
    reasons, statuses = summary["reasons"], [one["status"] for one in summary["thresholds"]]
    unfinished = any(one["code"] == "unfinished" for one in reasons)
    verdict = "NOT FINISHED" if unfinished else summary["verdict"].upper()
    held = tally(statuses, "thresholds ") if statuses else "no thresholds"
    held += " so far" if unfinished else ""
    yield Block("banner", [[verdict, f"{held}; exit code {summary['exit_code']}"]])
    if reasons:
        sentences = [
            one["text"] if not one["subject"] or one["subject"] in one["text"] else f"{one['subject']}: {one['text']}"
            for one in reasons
        ]
        yield bullets(sentences)
    if notes := summary.get("notes"):
        yield fold(several(len(notes), "note"))
        yield bullets(notes)
    yield Block("tiles", [[words(part) for part in tile] for tile in _tiles(summary)])


def _tiles(summary: Summary) -> Iterator[tuple[str, str, str]]:
    load, metrics = summary["load"], summary["metrics"]
    yield "Users at the peak", shown(load["users_peak"]), load.get("profile") or ""
    yield "Time", clock(summary["duration_s"]), f"{clock(load['planned_s'])} planned" if load.get("planned_s") else ""
    for name, title in _TRAFFIC:
        if (one := metrics.get(name)) and one["count"]:
            yield title, shown(one["count"]), f"{shown(one['rate'])} a second" if one.get("rate") else ""
    for name in ("http_req_duration", "ws_message_latency"):
        if (one := metrics.get(name)) and one["count"]:
            yield f"{name} p(95)", shown(one["p(95)"], one["unit"]), f"median {shown(one['med'], one['unit'])}"
    kinds = summary["errors"]
    if summary["duration_s"]:
        yield "Errors", shown(sum(one["count"] for one in kinds)), several(len(kinds), "kind") if kinds else ""
    if load.get("dropped_iterations"):
        yield "Dropped iterations", shown(load["dropped_iterations"]), "found no free user"


def _parts(summary: Summary, alone: Summary | None, level: int) -> list[Section]:
    parts = {
        "Thresholds": _thresholds(summary),
        "Data-integrity checks": _audits(summary),
        "Timeline": _timeline(summary),
        "The target meanwhile": _target(summary),
        "By name": _by_name(summary),
        "All metrics": _metrics(summary, alone),
        "Checks": _checks(summary),
        "Errors": _errors(summary),
        "Load generator": _generator(summary),
        "This run": _settings(summary),
    }
    return [Section(title, level, list(blocks)) for title, blocks in parts.items() if blocks is not None]


def _judged(threshold: Summary) -> tuple[str, str, float]:
    """What a threshold is on: the aggregation, the unit of its value, and the limit."""
    found = re.fullmatch(r"\s*(.+?)\s*[<>=!]+\s*([\d.]+)\s*", threshold["expression"])
    assert found is not None
    unit = threshold["unit"]
    if threshold["kind"] == "rate":
        unit = "%"
    elif threshold["kind"] == "counter" and found[1] == "rate":
        unit = f"{unit}/s"
    return found[1], unit, float(found[2])


def _thresholds(summary: Summary) -> list[Block] | None:
    order = ["fail no_data", "pass", "not_observed"]
    results = sorted(
        summary["thresholds"], key=lambda one: next(at for at, found in enumerate(order) if one["status"] in found)
    )
    if not results:
        return None
    rows = []
    names = {"pass": "pass", "fail": "FAIL", "no_data": "NO DATA", "not_observed": "not observed"}
    for one in results:
        _, unit, limit = _judged(one)
        worst, window_s = one["worst_window"], one["window_s"]
        is_open = not one["conclusive"] and one["status"] in ("pass", "fail")
        rows.append(
            [
                names[one["status"]] + (" ?" if is_open else ""),
                words(one["metric"]),
                one["expression"] + (f" in the worst {shown(window_s)} s" if window_s is not None else ""),
                shown(one["value"], unit, limit),
                interval(one["interval"], unit, limit),
                _worst(worst, unit, limit) if worst else "",
                shown(one["samples"]),
                one["grade"] or "",
                words(one["why"] or one["about"]),
            ]
        )
    titles = ["", "metric", "threshold", "value", "95 % interval", "worst window", "samples", "grade", "meaning"]
    blocks = [table(titles, rows)]
    if not all(one["conclusive"] for one in results):
        sentence = "? the limit lies inside the 95 % interval: more samples could turn the result"
        blocks.append(Block("paragraph", [[sentence]]))
    if sentences := summary.get("resolving_power"):
        blocks += [fold("The smallest failures that this run would have found"), bullets(sentences)]
    return blocks


def _worst(window: Summary, unit: str, limit: float) -> str:
    seconds = shown(round(window["seconds"]))
    return f"{shown(window['value'], unit, limit)} in the {seconds} s from {clock(window['from_s'])}"


def _audits(summary: Summary) -> list[Block] | None:
    names = {"pass": "pass", "fail": "FAIL", "not_observed": "not observed"}
    rows = [
        [
            names[one["status"]],
            words(one["name"]),
            shown(one["expected"]),
            shown(one["actual"], "", one["expected"]),
            shown(one["unanswered"]),
            words(one["detail"]),
        ]
        for one in summary["audits"]
    ]
    return [table(["", "check", "acknowledged", "stored", "unanswered", ""], rows)] if rows else None


def _marks(summary: Summary) -> list[Any]:
    return list((summary.get("timeline") or {}).get("marks") or ())


def _timeline(summary: Summary) -> list[Block] | None:
    if not (summary.get("timeline") or {}).get("times_s"):
        return None
    rows = [[clock(one["at_s"]), one["kind"], words(one["text"])] for one in _marks(summary)]
    return [fold(f"What happened ({len(rows)})"), table(["at", "", ""], rows)] if rows else []


def _of_target(summary: Summary) -> list[str]:
    own = [name for name in summary["metrics"] if name.startswith("target_")]
    return list(dict.fromkeys(["health_latency", *own, *(summary.get("observed_metrics") or ())]))


def _target(summary: Summary) -> list[Block] | None:
    columns = (summary.get("timeline") or {}).get("metrics") or {}
    drawn = [one for name in _of_target(summary) for column in columns.get(name, {}).values() for one in column]
    blocks = []
    if outages := [f"{clock(one['at_s'])} {one['text']}" for one in _marks(summary) if one["kind"] == "outage"]:
        blocks.append(bullets(outages))
    rows = [
        [
            words(one["query"]),
            words(", ".join(f"{label}={value}" for label, value in one["labels"].items())),
            *(shown(one[part]) for part in ("start", "end", "difference")),
            words(one["note"]),
        ]
        for one in summary.get("observed") or ()
    ]
    if rows:
        blocks.append(table(["query", "series", "before", "after", "difference", ""], rows))
    if traces := summary.get("traces"):
        rows = [
            [one["why"], words(one["name"]), shown(one["duration_ms"], "ms"), words(one["error"]), one["trace_id"]]
            for one in traces
        ]
        blocks += [Block("paragraph", [["what these are"]]), table(["", "request", "took", "error", "trace id"], rows)]
    return blocks if blocks or any(one is not None for one in drawn) else None


def _by_name(summary: Summary) -> list[Block] | None:
    metrics = summary["metrics"]
    found = []
    for name, one in metrics.items():
        metric, _, tags = name.partition("{")
        by_name_alone = not tags or (tags.startswith("name:") and "," not in tags)
        if one["kind"] == "trend" and one["count"] and metric not in _NOT_BY_NAME and by_name_alone:
            found.append(name)
    whole = [name for name in found if "{" not in name]
    named = sorted((name for name in found if "{" in name), key=lambda name: -metrics[name]["count"])
    kept = [*whole, *named][: max(_MOST_BY_NAME, len(whole))]
    blocks = []
    for name in kept:
        one, unit = metrics[name], metrics[name]["unit"]
        parts = [f"{part} {shown(one[part], unit)}" for part in ("med", "p(95)", "p(99)", "max")]
        blocks.append(fold(words(f"{name}: {shown(one['count'])} samples, {', '.join(parts)}")))
        if distribution := summary["distributions"].get(name):
            lowest = histogram_of(distribution).quantile(0.001) / (1000 if unit in ("ms", "score") else 1)
            marks = (("p50", one["med"]), ("p95", one["p(95)"]), ("p99", one["p(99)"]))
            ends = (("from", lowest), ("to", one["p(99.9)"]))
            rows = [[mark, shown(value, unit)] for mark, value in (*marks, *ends)]
            blocks.append(Block("bars", [[words(f"{name}: how values are distributed")], *rows]))
    if left := len(found) - len(kept):
        blocks.append(Block("paragraph", [[f"{left} more in the table of metrics."]]))
    return blocks or None


def _metrics(summary: Summary, alone: Summary | None) -> list[Block] | None:
    trends, others = [], []
    for name, one in summary["metrics"].items():
        unit, kind = one["unit"], one["kind"]
        if not one["count"]:
            continue
        if kind == "trend":
            was = [shown((alone.get(name) or {}).get(part), unit) for part in ("med", "p(95)")] if alone else []
            trends.append([words(name), shown(one["count"]), *(shown(one.get(part), unit) for part in _TREND), *was])
            continue
        if kind == "rate":
            value = f"{shown(one['rate'], '%')} ({shown(one['passes'])} of {shown(one['count'])})"
        elif kind == "gauge":
            value = f"{shown(one['value'], unit)} (min {shown(one['min'], unit)}, max {shown(one['max'], unit)})"
        else:
            value = f"{shown(one['count'], unit)} ({shown(one['rate'], f'{unit}/s')})"
        others.append([words(name), kind, value])
    if not trends and not others:
        return None
    blocks = [fold(f"{len(trends) + len(others)} series with samples")]
    titles = ["trend", "count", *_TREND, *(["baseline med", "baseline p(95)"] if alone else [])]
    blocks += [table(titles, trends)] if trends else []
    return blocks + ([table(["metric", "kind", "value"], others)] if others else [])


def _checks(summary: Summary) -> list[Block] | None:
    rows = []
    for one in summary["checks"]:
        asked = one["passes"] + one["fails"]
        share = shown(one["passes"] / asked, "%") if asked else ""
        rows.append([words(one["name"]), shown(one["passes"]), shown(one["fails"]), share])
    return [table(["check", "passed", "failed", "share"], rows)] if rows else None


def _errors(summary: Summary) -> list[Block] | None:
    most = sorted(summary["errors"], key=lambda one: -one["count"])
    if not most:
        return None
    rows = [[shown(one["count"]), words(one["name"]), words(one["error"])] for one in most[:_MOST_ERRORS]]
    left = len(most) - len(rows)
    more = [Block("paragraph", [[f"{left} more kinds are in the summary."]])] if left else []
    return [table(["count", "where", "error"], rows), *more]


def _generator(summary: Summary) -> list[Block] | None:
    rows = []
    if len(summary["workers"]) > 1:
        rows.append(["all", *_health(summary["generator"]), ""])
    for one in summary["workers"]:
        state = "" if one["final"] else "no final figures"
        state = state if one["lost_at_s"] is None else f"lost at {clock(one['lost_at_s'])}"
        rows.append([words(f"{one['index']} on {one['host']}"), *_health(one), state])
    titles = ["worker", "lag med", "lag p(95)", "lag p(99)", "lag max", "CPU max %", "memory max MB", ""]
    return [table(titles, rows)] if rows else None


def _health(one: Summary) -> Iterator[str]:
    yield from (shown(one["lag_ms"].get(part), "ms") for part in ("med", "p(95)", "p(99)", "max"))
    yield from (shown(one["cpu_percent_max"]), shown(one["rss_mb_max"]))


def _settings(summary: Summary) -> list[Block]:
    load = summary["load"]
    rows = {
        "run": summary["run_id"],
        "began": summary["started_at"],
        "target": summary["target"] and f"{summary['target']}{' (sandbox)' if summary['sandbox'] else ''}",
        "stages": ", ".join(f"{one['duration_s']:g}s:{one['target']}" for one in load.get("stages") or ()),
        "workers": shown(load["workers"]),
        "seed": "" if summary["seed"] is None else summary["seed"],
        "made with": ", ".join(f"{name} {version}" for name, version in summary["versions"].items()),
    } | dict(summary.get("settings") or {})
    command = [Block("code", [[words(summary["command"])]])] if summary["command"] else []
    kept = [[words(name), words(value)] for name, value in rows.items() if str(value)]
    return [table(["", ""], kept), *command]


def as_markdown(sections: Sequence[Section]) -> list[Section]:
    """What of it Markdown has: no drawings, no notes of tiles, and nothing that would be empty without them."""
    kept = []
    for section in sections:
        blocks = [one for one in section.blocks if section.title != "By name" or one.kind == "paragraph"]
        tiles = [Block("tiles", [row[:2] for row in one.rows]) if one.kind == "tiles" else one for one in blocks]
        if tiles:
            kept.append(Section(section.title, section.level, tiles))
    return kept


def differences(expected: Sequence[Section], report: ReadReport) -> list[str]:
    """Where a report says something else than it must; nothing is left out but what it derives."""
    said = [one for one in report.sections if one.title and one.title not in DERIVED]
    titles = [(one.title, one.level) for one in expected], [(one.title, one.level) for one in said]
    if titles[0] != titles[1]:
        return [f"sections {titles[1]}, and not {titles[0]}"]
    found = []
    for wanted, section in zip(expected, said, strict=True):
        if len(wanted.blocks) != len(section.blocks):
            found.append(f"{wanted.title}: {section.blocks}, and not {wanted.blocks}")
            continue
        for block, is_said in zip(wanted.blocks, section.blocks, strict=True):
            if block != is_said and not _are_sentences(block, is_said):
                found += [f"{wanted.title}: {text}" for text in _unequal(block, is_said)]
    return found


def _are_sentences(*blocks: Block) -> bool:
    """Whether these only explain what they stand above, and have no number."""
    return all(one.kind == "paragraph" and not re.search(r"\d", str(one.rows)) for one in blocks)


def _unequal(wanted: Block, said: Block) -> list[str]:
    if (wanted.kind, wanted.titles, len(wanted.rows)) != (said.kind, said.titles, len(said.rows)):
        return [f"{said}, and not {wanted}"]
    return [f"{row}, and not {one}" for one, row in zip(wanted.rows, said.rows, strict=True) if one != row]


def chart_differences(summary: Summary, charts: Sequence[Chart]) -> list[str]:
    """Where the charts of a run are drawn from something else than the summary's timeline, or one is missing that a
    threshold or a name must have."""
    timeline = summary.get("timeline") or {}
    times = timeline.get("times_s") or []
    lengths = [end - start for start, end in zip([0.0, *times], times, strict=False)]
    # Rates of the last interval say nothing where it was cut short.
    points = len(times) - (len(times) > 2 and lengths[-1] < lengths[-2] / 2)
    found = []
    for chart in charts:
        data, columns = chart.data, _columns(summary, chart)
        if data["t"] != times[:points]:
            found.append(f"{chart.title}: times {data['t']}")
        for label, _, values in data["lines"]:
            if label not in columns or values != columns[label][:points]:
                found.append(f"{chart.title}: line {label} {values}, and not {columns.get(label)}")
        if data["marks"] != [[one["at_s"], one["kind"], words(one["text"])] for one in timeline["marks"]]:
            found.append(f"{chart.title}: marks {data['marks']}")
        limits = [_judged(one)[2] for one in summary["thresholds"] if one["metric"] == chart.title]
        limits += [95.0] if [line[0] for line in data["lines"]] == ["CPU"] else []
        if data["limit"] is not None and data["limit"] not in limits:
            found.append(f"{chart.title}: limit {data['limit']}, and not of {limits}")
        unit = str(summary["metrics"].get(chart.title, {}).get("unit", data["unit"]))
        if data["unit"] != unit:
            found.append(f"{chart.title}: unit {data['unit']}, and not {unit}")
    missing = set(_needed(summary, points)) - {(one.section, one.title) for one in charts}
    return found + [f"no chart {title} in {section}" for section, title in sorted(missing)]


def _columns(summary: Summary, chart: Chart) -> dict[str, Any]:
    """The columns of the timeline by the label that their line must have."""
    timeline = summary["timeline"]
    load, metrics = timeline["load"], timeline["metrics"]
    rate = {name: columns["rate"] for name, columns in metrics.items() if "rate" in columns}
    match chart.section, chart.title:
        case "Timeline", "Users":
            return {"users": load["users"], "planned": load.get("users_planned")}
        case "Timeline", "Arrivals":
            return {"iterations": rate.get("iterations"), "planned": load["arrivals_planned"]}
        case "Timeline", "Requests and messages":
            names = {"HTTP requests": "http_reqs", "messages received": "ws_messages_received"}
            names["messages sent"] = "ws_messages_sent"
            return {label: rate[name] for label, name in names.items() if name in rate}
        case "Timeline", "Errors":
            return {words(kind): column for kind, column in timeline["errors"].items()}
        case "Timeline", "Load generator":
            return {"lag p(95)": metrics["generator_lag_ms"]["p95"], "CPU": load.get("cpu_percent")}
        case "By name", title if title.endswith(" count"):
            return {"samples": metrics[title.removesuffix(" count")]["count"]}
    name = chart.title.removesuffix(" over time")
    found = dict(metrics.get(name, {}))
    is_share = summary["metrics"].get(name, {}).get("kind") == "rate"
    return found | {name: found.get("value"), "share" if is_share else "a second": found.get("rate")}


def _needed(summary: Summary, points: int) -> Iterator[tuple[str, str]]:
    """The charts without which a figure would not be drawn: thresholds on trends, and every name."""
    metrics = (summary.get("timeline") or {}).get("metrics") or {}

    def has(name: str) -> bool:
        return any(one is not None for one in metrics.get(name, {}).get("p95", [])[:points])

    for one in summary["thresholds"]:
        if one["kind"] == "trend" and _judged(one)[0] != "slope" and has(one["metric"]):
            yield "Timeline", words(one["metric"])
    for block in _by_name(summary) or ():
        name = block.rows[0][0].partition(": ")[0]
        if block.kind == "fold" and has(name):
            yield "By name", f"{name} over time"


def check_suite(results: SuiteResults, page: str, markdown: str) -> ReadReport:
    """Assert that the report of a suite says what its summaries say, in both languages; returns the page."""
    found, expected = read_page(page), suite_sections(results)
    assert differences(expected, found) == []
    assert differences(as_markdown(expected), read_markdown(markdown)) == []
    for entry in results.loads:
        charts = [chart for chart in found.charts if chart.part.startswith(f"{entry.scenario}: ")]
        if entry.summary is not None:
            assert chart_differences(entry.summary, charts) == []
    return found
