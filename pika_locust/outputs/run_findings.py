"""What the figures of a run point at, each with its evidence, what to do about it, and the thresholds it explains.

Rules over the summary, its timeline above all. A rule that has no evidence says nothing; none of them decides anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from pika_locust.format import amount, clock, number, percent, plain, plural
from pika_locust.judge.expressions import parse
from pika_locust.judge.verdict import OWN_TIMES

SLOWER = 1.5
"""From so many times on, a time has changed."""
NOTICED_MS = 5.0
"""Smaller differences are nobody's problem."""
GROWN = 1.2
GROWN_MB = 16.0
TAIL = 10.0
FAILED_SHARE = 0.01
LEAST_SAMPLES = 50
LEAST_POINTS = 6
"""Intervals of a timeline on each side of a comparison of two parts of it, taken together."""
HELD = 0.95
"""Intervals with so much of the most users count as held load."""
FEW = 0.4
DOMINANT = 0.7
SEEN_WITHIN_S = 5.0
"""So late an outage may be noticed, as the health page is looked at so often: errors are there before it."""
_PHASES = ("blocked", "connecting", "tls_handshaking", "sending", "waiting", "receiving")
_LIMITED = re.compile(r"\b429\b|too many requests|rate.?limit", re.IGNORECASE)
_POOL = re.compile(r"\bpool\b|too many (?:clients|connections)|connection slots|max_connections", re.IGNORECASE)
_CONNECTED = re.compile(r"connection_success(?:_rate)?$")
_DELIVERED = re.compile(r"(?:^|_)delivery(?:_success)?$")
_ANSWERED = re.compile(r"http_req_failed|http_rate_limited|checks|error_rate|\w+_errors|\w+_success")
"""Metrics of whether what was asked for was answered as it should be."""
_BUSY = re.compile(r"\b(?:502|503|504)\b")
_TIMED_OUT = re.compile(r"timed? ?out|no answer within", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the figures show. `thresholds` are those that fail and that it explains; `weight` orders."""

    what: str
    evidence: str
    action: str
    thresholds: tuple[str, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class _Run:
    """A summary, and what the rules ask of it."""

    summary: Mapping[str, Any]

    @property
    def metrics(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.summary["metrics"]
        return found

    @property
    def timeline(self) -> Mapping[str, Any]:
        return self.summary.get("timeline") or {}

    @property
    def users(self) -> Sequence[float | None]:
        found: Sequence[float | None] = (self.timeline.get("load") or {}).get("users") or ()
        return found

    def column(self, series: str, statistic: str) -> Sequence[float | None]:
        found: Sequence[float | None] = (self.timeline.get("metrics") or {}).get(series, {}).get(statistic) or ()
        return found

    def failing(self, *metrics: str) -> tuple[str, ...]:
        """The thresholds on these metrics, or on parts of them, that do not hold."""
        return tuple(
            f"{one['metric']} {one['expression']}"
            for one in self.summary["thresholds"]
            if one["status"] == "fail" and one["metric"].partition("{")[0] in metrics
        )

    def failing_connections(self) -> tuple[str, ...]:
        """The thresholds on connections, however they are called, that do not hold."""
        return tuple(
            f"{one['metric']} {one['expression']}"
            for one in self.summary["thresholds"]
            if one["status"] == "fail" and "connect" in one["metric"]
        )

    def failing_answers(self) -> tuple[str, ...]:
        """The thresholds on whether answers are good, however they are called, that do not hold."""
        names = {one["metric"].partition("{")[0] for one in self.summary["thresholds"]}
        return self.failing(*(name for name in names if _ANSWERED.fullmatch(name) and "connect" not in name))

    def outages(self) -> list[Mapping[str, Any]]:
        """The marks of when the target went away."""
        marks = self.timeline.get("marks") or ()
        return [mark for mark in marks if mark["kind"] == "outage" and "is away" in mark["text"]]

    def slope(self, metric: str) -> Mapping[str, Any] | None:
        """The threshold on a metric's growth that does not hold, if there is one."""
        for one in self.summary["thresholds"]:
            if one["metric"] == metric and one["status"] == "fail" and parse(one["expression"]).is_slope:
                found: Mapping[str, Any] = one
                return found
        return None

    def errors(self, pattern: re.Pattern[str], *, connecting: bool = False) -> tuple[int, str]:
        """How many errors match, and the most frequent of them; those of connecting have a rule of their own."""
        errors = [one for one in self.summary["errors"] if connecting or one["name"] != "connect"]
        found = [one for one in errors if pattern.search(one["error"])]
        most = max(found, key=lambda one: one["count"], default=None)
        return sum(one["count"] for one in found), f"{most['name']}: {most['error']}" if most else ""

    def times(self) -> Iterator[str]:
        """The times of the target that are told apart by nothing but their metric, and have enough samples."""
        for name, one in self.metrics.items():
            own = name in OWN_TIMES or name.startswith(("iteration_", "health_")) or name.endswith("_failed_duration")
            phase = name.removeprefix("http_req_") in _PHASES
            is_time = one["kind"] == "trend" and one["unit"] == "ms" and "{" not in name
            if is_time and not own and not phase and one["count"] >= LEAST_SAMPLES:
                yield name

    def held(self) -> list[int]:
        """The intervals in which the load was about what it was at most, without the first of them."""
        most = max((value for value in self.users if value is not None), default=0)
        found = [at for at, value in enumerate(self.users) if value is not None and most and value >= HELD * most]
        return found[1:]


_Rule = Callable[[_Run], Iterator[Finding]]


def findings(summary: Mapping[str, Any]) -> list[Finding]:
    """All that the figures of a run point at, the heaviest first."""
    run = _Run(summary)
    return sorted((found for rule in _RULES for found in rule(run)), key=lambda one: -one.weight)


def _generator(run: _Run) -> Iterator[Finding]:
    for reason in run.summary["reasons"]:
        if reason["code"] == "generator":
            action = "more workers, or fewer users on each; what these figures say of the target is not to be trusted"
            yield Finding("The load generator itself is the bottleneck", reason["text"], action, (), 1000.0)


def _lost_writes(run: _Run) -> Iterator[Finding]:
    for audit in run.summary["audits"]:
        if audit["status"] != "fail" or audit["expected"] is None or audit["actual"] is None:
            continue
        expected, actual, unanswered = audit["expected"], audit["actual"], audit["unanswered"]
        facts = f"{audit['name']}: {number(expected)} acknowledged, {number(actual)} stored"
        facts += f", {number(unanswered)} unanswered" if unanswered else ""
        if actual < expected:
            what = "Acknowledged writes are missing"
            action = "answer after the write is durable; look for writes behind a queue or a cache that are given up"
        elif actual > expected + unanswered:
            what = "Writes are stored more than once"
            action = "make them idempotent: a key of the client's, unique in the database; look at retries"
        else:
            continue
        yield Finding(what, facts, action, (), 500.0)


def _away(run: _Run) -> Iterator[Finding]:
    gone = run.outages()
    if gone:
        evidence = f"{plural(len(gone), 'outage')}, the first at {clock(gone[0]['at_s'])}: {gone[0]['text']}"
        action = "look at its log and its restarts at that time; errors from then on may be this one"
        explained = dict.fromkeys((*run.failing("health_success", "http_req_failed"), *run.failing_connections()))
        yield Finding("The target went away", evidence, action, tuple(explained), 400.0)


def _lost_deliveries(run: _Run) -> Iterator[Finding]:
    for name, figure in run.metrics.items():
        failing = run.failing(name)
        if figure["kind"] == "rate" and failing and _DELIVERED.search(name) is not None:
            lost = figure["count"] - figure["passes"]
            evidence = f"{name}: {number(lost)} of {number(figure['count'])} deliveries that were owed never came"
            action = (
                "look for what the server leaves out when it broadcasts: full send queues, clients that it takes for "
                "gone, other servers that are not told"
            )
            yield Finding("Messages do not reach everybody", evidence, action, failing, 350.0)


def _connection_ceiling(run: _Run) -> Iterator[Finding]:
    for name, figure in run.metrics.items():
        is_share = figure["kind"] == "rate" and _CONNECTED.search(name) is not None
        if is_share and figure["count"] >= LEAST_SAMPLES and (figure["rate"] or 0.0) <= 1 - FAILED_SHARE:
            yield from _connections_that_fail(run, name, figure)


def _connections_that_fail(run: _Run, name: str, figure: Mapping[str, Any]) -> Iterator[Finding]:
    failed = figure["count"] - figure["passes"]
    evidence = f"{number(failed)} of {number(figure['count'])} connections failed"
    rates, counts = run.column(name, "rate"), run.column(name, "count")
    first = next((at for at, rate in enumerate(rates) if rate is not None and rate < 1 - FAILED_SHARE), None)
    before = sum(count or 0 for count in counts[:first]) if first is not None else 0
    times_s = run.timeline.get("times_s") or ()
    if first is not None and any(times_s[first] >= mark["at_s"] - SEEN_WITHIN_S for mark in run.outages()):
        return  # They fail because nobody is there, which has been said.
    failing = run.failing_connections()
    if first is not None and before >= LEAST_SAMPLES / 2 and first < len(run.users) and run.users[first]:
        evidence += f"; the first {number(before)} did not, failures begin at {number(run.users[first])} users"
        action = "raise limits (file descriptors, backlog, the server's and the proxy's maximum), or add servers"
        yield Finding("There is a ceiling of connections", evidence, action, failing, 300.0)
        return
    action = "see the errors: credentials, origin, path or proxy, and not capacity"
    errors = [one for one in run.summary["errors"] if one["name"] == "connect"]
    if errors:
        most = max(errors, key=lambda one: one["count"])
        evidence += f"; {number(most['count'])} of them: {most['error']}"
        if _BUSY.search(most["error"]):
            action = "the target, or a proxy before it, turns them away: see its log, and what it may still take"
    yield Finding("Connections fail whatever the load", evidence, action, failing, 300.0)


def _rate_limited(run: _Run) -> Iterator[Finding]:
    limited = int(run.metrics.get("http_rate_limited", {}).get("count") or 0)
    errors, example = run.errors(_LIMITED, connecting=True)
    if max(limited, errors) == 0:
        return
    evidence = plural(max(limited, errors), "answer") + " of 429" + (f", such as {example}" if example else "")
    action = (
        "if limits are per address, let the load generators through or use more of them; if per user, use more users"
    )
    yield Finding("Requests are rate limited", evidence, action, run.failing_answers(), 200.0)


def _pool(run: _Run) -> Iterator[Finding]:
    pool, example = run.errors(_POOL)
    if pool:
        action = "size the pool by what runs at once and not by users; look for queries and transactions that hold on"
        evidence = f"{plural(pool, 'error')} that name it, such as {example}"
        yield Finding("A pool is exhausted", evidence, action, run.failing_answers(), 190.0)
        return
    busy, example = run.errors(_BUSY)
    if busy:
        action = "something behind it takes no more: pools, workers or upstreams that are all in use; see their metrics"
        evidence = f"{plural(busy, 'answer')} of 502, 503 or 504, such as {example}"
        yield Finding("The target turns requests away", evidence, action, run.failing_answers(), 180.0)


def _timed_out(run: _Run) -> Iterator[Finding]:
    late, example = run.errors(_TIMED_OUT)
    if late:
        action = "find what such a request waits for: a trace of a failed one, locks, a dependency without a time limit"
        evidence = (
            f"{plural(late, 'request or message', 'requests or messages')} without an answer in time, such as {example}"
        )
        yield Finding("Requests time out", evidence, action, run.failing_answers(), 170.0)


def _wrong_answers(run: _Run) -> Iterator[Finding]:
    """Checks of what answers say, where the requests themselves did not fail."""
    requests = run.metrics.get("http_req_failed")
    if requests is None or (requests["rate"] or 0.0) > FAILED_SHARE:
        return
    of_answers = [one for one in run.summary["checks"] if "connect" not in one["name"].lower()]
    wrong = [one for one in of_answers if one["fails"] > FAILED_SHARE * (one["passes"] + one["fails"])]
    if wrong:
        evidence = "; ".join(
            f"'{one['name']}' failed in {number(one['fails'])} of {number(one['passes'] + one['fails'])}"
            for one in sorted(wrong, key=lambda one: -one["fails"])
        )
        action = "read one of those answers: neither times nor status codes show it"
        yield Finding("Answers come, and are wrong", evidence, action, run.failing_answers(), 160.0)


def _dropped(run: _Run) -> Iterator[Finding]:
    load = run.summary["load"]
    if dropped := load.get("dropped_iterations"):
        began = load.get("iterations") or 0
        evidence = f"{number(dropped)} of {number(dropped + began)} iterations found no free user"
        action = "prepare more users (-u) if the target kept up; if its times rise, this is more than it can do"
        yield Finding(
            "Arrivals come faster than they are served", evidence, action, run.failing("dropped_iterations"), 150.0
        )


def _memory(run: _Run) -> Iterator[Finding]:
    for name, one in run.metrics.items():
        if one["kind"] != "gauge" or not name.startswith("target_memory"):
            continue
        action = "hold the load for longer (soak) and compare heap dumps of its beginning and end: caches, sessions"
        slope = run.slope(name)
        if slope is not None:
            evidence = f"{name} grew by {amount(slope['value'], slope['unit'])} while the load was held"
            yield Finding("The target's memory grows under the same load", evidence, action, run.failing(name), 140.0)
            continue
        early, late = _parts(run.column(name, "value"), run.held())
        if early and late and late >= GROWN * early and late - early >= GROWN_MB:
            evidence = (
                f"{name} was {amount(early, one['unit'])} early in the held load and {amount(late, one['unit'])} late"
            )
            action = "hold the load for longer (soak) and compare heap dumps of its beginning and end: caches, sessions"
            yield Finding("The target's memory grows under the same load", evidence, action, run.failing(name), 140.0)


def _rising(run: _Run) -> Iterator[Finding]:
    """Times that change while the load does not, and times that change with it."""
    held = run.held()
    for name in run.times():
        column = run.column(name, "p50")
        early, late = _parts(column, held)
        if early and late and late >= SLOWER * early and late - early >= NOTICED_MS:
            evidence = f"{name}: median {amount(early, 'ms')} early in the held load, {amount(late, 'ms')} late"
            action = "something fills up: queues, tables without an index, memory; hold the load for longer and see"
            yield Finding(f"{name} rises under the same load", evidence, action, run.failing(name), 130.0)
            continue
        low, high = _by_load(run, column)
        if low and high and high >= SLOWER * low and high - low >= NOTICED_MS:
            most = number(max(value for value in run.users if value is not None))
            evidence = f"{name}: median {amount(low, 'ms')} with few users, {amount(high, 'ms')} with {most}"
            action = "look for what they share: CPU, locks, a pool; `pika-locust capacity` finds how many it can take"
            yield Finding(f"{name} rises with the load", evidence, action, run.failing(name), 120.0)


def _never_fast(run: _Run) -> Iterator[Finding]:
    """Times of which even the shortest is over a limit."""
    limits: dict[str, dict[str, float]] = {}
    for one in run.summary["thresholds"]:
        expression, figure = parse(one["expression"]), run.metrics.get(one["metric"])
        is_time = one["status"] == "fail" and one["kind"] == "trend" and one["unit"] == "ms" and not expression.is_slope
        if is_time and figure and expression.operator in ("<", "<=") and figure["min"] > expression.limit:
            limits.setdefault(one["metric"], {})[f"{one['metric']} {one['expression']}"] = expression.limit
    for name, explained in limits.items():
        figure, limit = run.metrics[name], plain(max(explained.values()))
        evidence = f"the fastest of {number(figure['count'])} took {amount(figure['min'], 'ms')}"
        evidence += f", the median {amount(figure['med'], 'ms')}; the limit is {limit} ms"
        action = "hardly a matter of load: trace one, and measure the way there (ping, proxies)"
        yield Finding(f"{name} is never fast enough", evidence, action, tuple(explained), 125.0)


def _cold(run: _Run) -> Iterator[Finding]:
    """The first answers are the slowest, with no more users than later."""
    for name in run.times():
        column = run.column(name, "p95")
        known = [at for at, value in enumerate(column) if value is not None]
        if len(known) < 2 * LEAST_POINTS:
            continue
        first, rest = column[known[0]], [column[at] for at in known[len(known) // 4 :]]
        later = median(value for value in rest if value is not None)
        users = run.users[known[0]] if known[0] < len(run.users) else None
        more_later = users is not None and users <= median([value or 0 for value in run.users])
        if first is not None and first >= 2 * SLOWER * later and first - later >= NOTICED_MS and more_later:
            evidence = f"{name}: p(95) {amount(first, 'ms')} in the first interval, {amount(later, 'ms')} later"
            action = "warm caches, pools and compiled code before users come; --reset-stats leaves the ramp-up out"
            yield Finding(f"{name} begins cold", evidence, action, run.failing(name), 60.0)


def _tails(run: _Run) -> Iterator[Finding]:
    for name in run.times():
        figure = run.metrics[name]
        middle, late = figure["med"], figure["p(99)"]
        if middle and late > max(TAIL * middle, middle + 4 * NOTICED_MS):
            evidence = (
                f"p(99) is {amount(late, 'ms')}, {number(late / middle)} times the median of {amount(middle, 'ms')}"
            )
            action = "a few are slow for another reason than the rest: collections, locks, cache misses; trace those"
            yield Finding(f"{name} has a long tail", evidence, action, run.failing(name), 50.0)


def _phases(run: _Run) -> Iterator[Finding]:
    """Where the time of HTTP requests goes, when most of it goes to one of their phases other than waiting."""
    means = {
        phase: figure["avg"]
        for phase in _PHASES
        if (figure := run.metrics.get(f"http_req_{phase}")) and figure["count"] and figure["avg"] is not None
    }
    total = sum(means.values())
    if not total or "http_req_duration" not in run.metrics:
        return
    phase, mean = max(means.items(), key=lambda pair: pair[1])
    if phase != "waiting" and mean / total >= DOMINANT and total >= NOTICED_MS:
        evidence = f"{amount(mean, 'ms')} of {amount(total, 'ms')} on average ({percent(mean / total)})"
        action = {
            "receiving": "answers are large or sent in drips: smaller pages, compression, the network between",
            "sending": "requests are large, or the network between is slow",
        }.get(phase, "connections are made anew: keep them alive on both sides, look at proxies that close them")
        what = f"Requests spend their time {phase.replace('_', ' ')}"
        yield Finding(what, evidence, action, run.failing("http_req_duration"), 110.0)


def _parts(column: Sequence[float | None], held: Sequence[int]) -> tuple[float | None, float | None]:
    """The medians of the first and of the last third of the held load."""
    values = [column[at] for at in held if at < len(column)]
    known = [value for value in values if value is not None]
    if len(known) < LEAST_POINTS:
        return None, None
    third = len(known) // 3
    return median(known[:third]), median(known[-third:])


def _by_load(run: _Run, column: Sequence[float | None]) -> tuple[float | None, float | None]:
    """The medians with few users and with most."""
    pairs = [(users, value) for users, value in zip(run.users, column, strict=False) if users and value is not None]
    if len(pairs) < LEAST_POINTS:
        return None, None
    most = max(users for users, _ in pairs)
    few = [value for users, value in pairs if users <= FEW * most]
    many = [value for users, value in pairs if users >= HELD * most]
    return (median(few), median(many)) if len(few) >= 2 and len(many) >= 2 else (None, None)


_RULES: tuple[_Rule, ...] = (
    _generator,
    _lost_writes,
    _away,
    _lost_deliveries,
    _connection_ceiling,
    _rate_limited,
    _pool,
    _timed_out,
    _wrong_answers,
    _dropped,
    _memory,
    _rising,
    _never_fast,
    _cold,
    _tails,
    _phases,
)
