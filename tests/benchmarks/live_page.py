"""What the live page costs a master: `python -m tests.benchmarks.live_page [--workers 20] [--users 10000] [--run]`.

The figures of so many workers with so many dancers are made up, folded and judged as a master does it every two
seconds; then they go into the timeline, and two browsers ask each second for what is new, and Locust's own page for its
table. Only the latter is the page's cost: the processor time of all of it by the time that goes by in a run.

`--run` also measures the master of real workers, interleaved: with two browsers' requests, and with nobody looking.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import argparse
import random
import statistics
import sys
import time
from types import SimpleNamespace
from typing import Any, cast

import requests
from locust import User
from locust.env import Environment

from pika_locust.judge import Threshold, ThresholdEvaluator
from pika_locust.load.plan import LoadPlan
from pika_locust.load.stages import Stage
from pika_locust.metrics import Kind, Registry, Snapshot
from pika_locust.metrics.changes import changes_to_wire
from pika_locust.observe.target import Outages
from pika_locust.platforms.pika.scenarios import DANCERS
from pika_locust.runtime.collector import Collector
from pika_locust.runtime.coordinator import Coordinator
from pika_locust.runtime.live_page import LivePage
from pika_locust.runtime.messages import REPORT_EVERY_S
from pika_locust.runtime.monitors import TargetMonitor
from pika_locust.runtime.observations import Observations
from pika_locust.runtime.options import all_metrics
from pika_locust.runtime.run import Run, RunFacts
from pika_locust.runtime.timeline import RunTimeline
from tests.benchmarks.master import SUBJECTS, settled_master, share_percent
from tests.e2e.support import free_port

LIMIT_PERCENT = 1.0
BROWSERS = 2
INTERVALS = 60
"""Two minutes of a run."""
BUSY = ("ws_message_latency", "ack_latency", "fanout_latency", "http_req_duration")
KINDS = ("like", "tempo", "vote", "track", "thanks", "listeners", "poll", "announcement")
PLAN = LoadPlan("standard", (Stage(60.0, 10_000), Stage(600.0, 10_000)), 0, 660.0)


class Nobody(User):
    abstract = False


def measure_some(registry: Registry, users: int, dice: random.Random) -> None:
    """What a worker measures in two seconds: a sample a second from each user in busy trends, a few in all others."""
    registry.gauge("vus").set(users)
    for metric in all_metrics(DANCERS):
        if metric.kind is Kind.TREND:
            is_named = metric.name in BUSY or metric.name.startswith("http_")
            series = [registry.trend(metric.name).tagged(name=f"request {n}") for n in range(8 if is_named else 1)]
            for number in range(2 * users if metric.name in BUSY else 20):
                series[number % len(series)].add(int(dice.lognormvariate(9, 0.6)))
        elif metric.kind is Kind.COUNTER and metric.name not in ("dropped_iterations", "iterations_cut"):
            registry.counter(metric.name).add(users)
        elif metric.kind is Kind.RATE:
            for kind in KINDS:
                registry.rate(metric.name).tagged(kind=kind).add(True, times=users)


def make_run(workers: int) -> Run:
    """A test that runs, with nothing reported yet."""
    metrics = all_metrics(DANCERS)
    thresholds: tuple[Threshold, ...] = (*DANCERS.thresholds, *DANCERS.profile_thresholds["standard"])
    options: Any = SimpleNamespace(
        plan=PLAN, thresholds=thresholds, fail_on=None, strict=False, observed=(), settings={}
    )
    facts = RunFacts("r1", 1, "locust", {}, "ws://127.0.0.1/ws", False, "2026-01-01T00:00:00+00:00")
    watching = cast(TargetMonitor, SimpleNamespace(outages=Outages(), fault_changes=[], snapshot=Snapshot))
    run = Run.__new__(Run)
    fields: dict[str, Any] = {
        "options": options,
        "facts": facts,
        "collector": Collector("r1", metrics),
        "evaluator": ThresholdEvaluator(thresholds, metrics, DANCERS.bands, holds=PLAN.holds),
        "target_monitor": watching,
        "began_s": time.monotonic(),
        "timeline": RunTimeline(metrics, options),
        "latest": None,
        "present": [],
        "finishing": False,
        "judge": object(),
        "observations": Observations(),
    }
    for name, value in fields.items():
        setattr(run, name, value)
    return run


class Worker:
    """A worker whose users are made up; it reports as real ones do."""

    def __init__(self, index: int) -> None:
        self._registry = Registry(all_metrics(DANCERS))
        self._before: Snapshot | None = None
        self._report: dict[str, Any] = {
            "run_id": "r1", "worker": f"w{index}", "index": index, "host": f"box-{index % 4}", "pid": 100 + index,
            "sequence": 0, "final": False, "cpu_percent": 30.0, "cpu_percent_max": 35.0, "rss_mb_max": 70.0,
            "ledgers": [], "facts": {}, "errors": [[f"/page/{n}", f"answered {500 + n}", 1] for n in range(5)],
            "traces": [], "internal_errors": [], "anew": 0, "arrivals_left_out": 0, "supporters": 0,
            "iterations": [0, 0],
        }  # fmt: skip

    def report(self, users: int, dice: random.Random) -> dict[str, Any]:
        """The next report, after two seconds of so many users."""
        measure_some(self._registry, users, dice)
        now, before = self._registry.snapshot(), self._before
        sequence = self._report["sequence"]
        self._before, self._report["sequence"] = now, sequence + 1
        if before is None:
            return {**self._report, "metrics": now.to_wire()}
        return {**self._report, "since": sequence, "changes": changes_to_wire(now, before)}


def figures(workers: int, users: int) -> tuple[float, float, float]:
    """Shares of a core in percent: the timeline's, that of answering browsers, and that of folding and judging."""
    run, dice = make_run(workers), random.Random(1)
    options = SimpleNamespace(
        num_users=None, spawn_rate=None, run_time=None, host=None, load_profile=None, stats_history_enabled=False
    )
    environment = Environment(user_classes=[Nobody], host="http://a", parsed_options=options)
    environment.create_local_runner()
    web_ui = environment.create_web_ui("127.0.0.1", 0, delayed_start=True)
    page = LivePage(DANCERS, cast(Coordinator, SimpleNamespace(running=run, reports=[])))
    statistics_alone = web_ui.app.view_functions["locust.request_stats"]
    page.attach(environment)
    client, stamps = web_ui.app.test_client(), [""] * BROWSERS
    staff = [Worker(index) for index in range(workers)]
    judging_s = timeline_s = answers_s = 0.0
    for interval in range(1, INTERVALS + 1):
        at_s = interval * REPORT_EVERY_S
        for worker in staff:
            run.collector.take(worker.report(users // workers, dice), at_s)
        began_s = time.process_time()
        snapshot = run.collector.fold()
        run.evaluator.observe(at_s, snapshot)
        results = run.evaluator.results(snapshot, at_s)
        judging_s += time.process_time() - began_s
        began_s = time.process_time()
        run.record(at_s, snapshot, results, users)
        timeline_s += time.process_time() - began_s
        began_s = time.process_time()
        for _ in range(int(REPORT_EVERY_S)):
            for browser in range(BROWSERS):
                answer = client.get("/verdict/data.json", query_string={"stamp": stamps[browser]})
                stamps[browser] = answer.get_json()["stamp"] if answer.status_code == 200 else stamps[browser]
        client.get("/stats/requests")
        answers_s += time.process_time() - began_s
        began_s = time.process_time()
        with web_ui.app.test_request_context("/stats/requests"):
            statistics_alone()
        answers_s -= time.process_time() - began_s
    environment.runner.greenlet.kill()
    passed_s = INTERVALS * REPORT_EVERY_S
    return timeline_s / passed_s * 100, answers_s / passed_s * 100, judging_s / passed_s * 100


def whole_run(workers: int, users: int, looking: bool) -> float:
    """The share of a core in percent that the master of real workers takes."""
    port = str(free_port())
    sessions, stamps = [requests.Session() for _ in range(BROWSERS)], [""] * BROWSERS

    def look() -> None:
        for browser, session in enumerate(sessions if looking else []):
            url = f"http://127.0.0.1:{port}/verdict/data.json"
            answer = session.get(url, params={"stamp": stamps[browser]}, timeout=10)
            if answer.status_code == 200:
                stamps[browser] = answer.json()["stamp"]

    page = ("--autostart", "--web-host", "127.0.0.1", "--web-port", port)
    with settled_master(SUBJECTS["ours"], workers, users, *page) as master:
        return share_percent(master, look)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--run", action="store_true")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    # Locust's page parses the command line again.
    sys.argv = ["locust"]
    timeline, answers, judging = figures(given.workers, given.users)
    page = timeline + answers
    print(
        f"{given.workers} workers, {given.users:,} users: the live page takes {page:.2f} % of a core (at most "
        f"{LIMIT_PERCENT:g}): {timeline:.2f} % recording, {answers:.2f} % answering {BROWSERS} browsers; folding and "
        f"judging, page or not, take {judging:.2f} %"
    )
    if given.run:
        for looking in (True, False):
            shares = [whole_run(given.workers, 500, looking) for _ in range(given.rounds)]
            print(f"master of {given.workers} real workers, {'' if looking else 'not '}looked at: "
                  f"{statistics.median(shares):.2f} % of a core")  # fmt: skip
    return 0 if page <= LIMIT_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
