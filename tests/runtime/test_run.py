from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pika_locust.errors import ExitCode
from pika_locust.judge import AuditResult, Grade, Observed, Reason, Report, Threshold, ThresholdEvaluator, parse_option
from pika_locust.metrics.builtin import CLOCK_METRICS, HTTP_METRICS
from pika_locust.observe.target import Outages
from pika_locust.runtime.clock_sync import CrossHostLatency
from pika_locust.runtime.collector import Collector
from pika_locust.runtime.monitors import PrometheusMonitor, TargetMonitor
from pika_locust.runtime.options import all_metrics
from pika_locust.runtime.run import Run, RunFacts, empty_report, unwritten, versions
from pika_locust.runtime.timeline import RunTimeline
from pika_locust.scenario import Scenario
from pika_locust.testing.worker import RecordingContext
from tests.runtime.sample_scenario import SAMPLE_SCENARIO, make_context, read

FACTS = RunFacts("r1", 7, "locust -f sample.py", {"PAGES": "3"}, "http://sample/", False, "2026-05-01T20:00:00+00:00")
OPTIONS = read("-u 4 -t 60")
THRESHOLDS = ("latency:p(95)<500", "errors:count<10")


def worked(*latencies_us: int, users: int = 2, lag_us: int = 1_000, errors: int = 0) -> RecordingContext:
    """A process that has measured something."""
    worker = make_context()
    for latency_us in latencies_us:
        worker.metrics.trend("latency").add(latency_us)
        worker.iterations.add()
    worker.metrics.counter("errors").add(errors)
    worker.metrics.gauge("vus").set(users)
    for _ in range(100):
        worker.metrics.trend("generator_lag_ms").add(lag_us)
    return worker


def collect(*shares: RecordingContext, final: bool = True, cpu_percent: float | None = 20.0) -> Collector:
    collector = Collector("r1")
    for index, worker in enumerate(shares):
        whole = {
            "worker": f"w{index}",
            "index": index,
            "sequence": 1,
            "host": "box",
            "pid": 100 + index,
            "cpu_percent": 9.0,
            "cpu_percent_max": cpu_percent,
            "rss_mb_max": 50.0 + index,
            **worker.report(final=final or index > 0),
            "metrics": worker.figures().to_wire(),
        }
        collector.take(whole, 58.0)
    return collector


def close(
    collector: Collector,
    *,
    thresholds: tuple[str, ...] = THRESHOLDS,
    audits: tuple[AuditResult, ...] = (),
    run_reasons: tuple[Reason, ...] = (),
    notes: tuple[str, ...] = (),
    observed: tuple[Observed, ...] = (),
    strict: bool = False,
    fail_on: Grade | None = None,
    facts: RunFacts = FACTS,
    outages: Outages | None = None,
    scenario: Scenario = SAMPLE_SCENARIO,
) -> Report:
    judged: list[Threshold] = [parse_option(threshold) for threshold in thresholds]
    run = Run(
        options=replace(OPTIONS, strict=strict, fail_on=fail_on),
        facts=facts,
        collector=collector,
        evaluator=ThresholdEvaluator(judged, all_metrics(scenario)),
        target_monitor=cast(TargetMonitor, SimpleNamespace(outages=outages or Outages(), fault_changes=[])),
        began_s=0.0,
        supporters=0,
        timeline=RunTimeline(all_metrics(scenario), OPTIONS),
        notes=list(notes),
    )
    run.prometheus = cast(PrometheusMonitor, SimpleNamespace(found=lambda: observed, notes=list))
    return run.report(scenario, collector.fold(), audits=audits, run_reasons=run_reasons, duration_s=60.0)


def codes(report: Report) -> list[tuple[str, str]]:
    return [(reason.code, reason.subject) for reason in report.reasons]


MANY = (10_000,) * 1000


def test_a_latency_that_holds_only_without_the_failures_is_noted() -> None:
    shop = replace(SAMPLE_SCENARIO, metrics=(*SAMPLE_SCENARIO.metrics, *HTTP_METRICS))
    worker = make_context(shop)
    for failed, us in ((False, 20_000), (True, 1_500_000)):
        worker.metrics.trend("http_req_failed_duration" if failed else "http_req_duration").add(us)
    report = close(collect(worker), thresholds=("http_req_duration:max<300",), scenario=shop)
    assert [note for note in report.notes if "with the one that failed it would be 1,500 ms" in note]


def test_connections_that_this_machine_had_no_file_for_are_not_the_targets_fault() -> None:
    worker = worked(*MANY, errors=30)
    worker.generator_errors.add(3)
    report = close(collect(worker))
    assert (report.verdict, report.exit_code) == ("invalid", 110)
    assert codes(report) == [("generator", "sockets"), ("threshold", "errors")]
    assert "no file, port or memory left for a connection, 3 times" in report.reasons[0].text


def test_a_good_run_passes_and_says_what_it_was() -> None:
    report = close(collect(worked(*MANY), worked(20_000, 30_000, users=3)))
    assert (report.verdict, report.exit_code, report.reasons) == ("pass", 0, ())
    assert (report.run_id, report.seed, report.scenario, report.target) == ("r1", 7, "sample", "http://sample/")
    assert report.settings == {"PAGES": "3"}
    assert (report.command, report.sandbox, report.started_at) == (FACTS.command, False, FACTS.started_at)
    assert (report.duration_s, report.versions) == (60.0, versions())
    assert report.metrics["latency"]["count"] == 1002
    assert report.metrics["latency"]["max"] == 30.0
    assert "latency" in report.distributions


def test_what_a_threshold_is_of_is_in_the_report_though_samples_have_further_tags() -> None:
    worker = worked(*MANY)
    for method, us in (("GET", 10_000), ("POST", 30_000)):
        worker.metrics.trend("latency").tagged(name="/a", method=method).add(us)
    report = close(collect(worker), thresholds=("latency{name:/a}:max<40", "latency{name:/b}:max<40"))
    assert (report.metrics["latency{name:/a}"]["count"], report.metrics["latency{name:/a}"]["max"]) == (2, 30)
    assert report.distributions["latency{name:/a}"]["count"] == 2
    assert report.metrics["latency{name:/b}"]["count"] == 0


def test_the_load_is_what_was_really_there() -> None:
    load = close(collect(worked(*MANY), worked(20_000, 30_000, users=3))).load
    assert (load.users_peak, load.iterations, load.dropped_iterations) == (5, 1002, 0)
    assert (load.workers, load.workers_lost, load.complete) == (2, 0, True)
    assert (load.profile, load.planned_s, load.stages) == ("constant", 60.0, ({"duration_s": 60, "target": 4},))


def test_each_process_and_the_worst_of_them_are_told() -> None:
    report = close(collect(worked(*MANY, lag_us=1_000), worked(lag_us=3_000)))
    assert [(worker.host, worker.index, worker.final) for worker in report.workers] == [
        ("box", 0, True),
        ("box", 1, True),
    ]
    assert report.workers[1].lag_ms["p(95)"] == pytest.approx(3.0, rel=0.002)
    assert report.generator.lag_ms["max"] == 3.0
    assert report.generator.lag_ms["med"] is not None
    assert (report.generator.cpu_percent_max, report.generator.rss_mb_max) == (20.0, 51.0)


def test_a_green_run_says_what_it_would_have_caught_and_a_red_one_does_not() -> None:
    audit = AuditResult("visits", "pass", 5, 5)
    (sentence,) = close(collect(worked(*MANY)), audits=(audit,)).resolving_power
    assert sentence.startswith("visits: one lost or doubled item of 5")
    assert close(collect(worked(*MANY)), audits=(audit,), thresholds=("latency:p(95)<5",)).resolving_power == ()


def test_a_worker_whose_end_is_missing_fails_the_run() -> None:
    report = close(collect(worked(*MANY), worked(10_000), final=False))
    assert codes(report) == [("incomplete", "worker 0")]
    assert (report.verdict, report.exit_code) == ("fail", 99)
    assert (report.load.workers_lost, report.load.complete) == (1, False)
    assert report.resolving_power == ()


def test_a_worker_that_was_never_heard_of_is_missing_too() -> None:
    collector = collect(worked(*MANY))
    collector.expect("w9", 9)
    report = close(collector)
    assert codes(report) == [("incomplete", "worker 9")]
    assert report.workers[1].host == "w9"


def test_nobody_measured_anything() -> None:
    report = close(Collector("r1"))
    assert codes(report) == [("no_data", "latency"), ("no_data", "errors")]
    assert report.generator.cpu_percent_max is None
    assert report.generator.lag_ms == {}
    assert report.load.users_peak == 0


@pytest.mark.parametrize(("limit", "verdict"), [("p(95)<500", "pass"), ("p(95)<1", "fail")])
def test_when_the_target_was_away_explains_a_failure_and_is_a_note_otherwise(limit: str, verdict: str) -> None:
    outages = Outages()
    outages.note("", 5.0)
    outages.note("refused", 12.0)
    outages.note("", 31.0)
    report = close(collect(worked(*[2_000] * 50)), thresholds=(f"latency:{limit}",), outages=outages)
    assert report.verdict == verdict
    told = "the target's health page was not answered from 0:12 to 0:31 (refused)"
    assert (told in report.notes) is (verdict == "pass")
    assert (Reason("target", "target", told) in report.reasons) is (verdict == "fail")
    if verdict == "fail":
        assert report.reasons[0].code == "threshold"


def test_internal_errors_are_told_once_each_and_are_nobody_else_s_failure() -> None:
    first, second = worked(*MANY), worked(10_000)
    for worker, fault in ((first, KeyError("x")), (first, KeyError("x")), (second, KeyError("x")), (second, OSError())):
        worker.internal_error(fault)
    report = close(collect(first, second))
    assert codes(report) == [("internal", "exception")] * 2
    assert (report.verdict, report.exit_code) == ("invalid", 107)


ENDINGS: dict[str, tuple[dict[str, Any], str, int]] = {
    "a threshold fails": ({"thresholds": ("latency:p(95)<5",)}, "fail", 99),
    "a threshold has no data": ({"thresholds": ("delivery:rate>0.9",)}, "fail", 99),
    "an audit fails": ({"audits": (AuditResult("visits", "fail", 5, 4),)}, "fail", 99),
    "an audit was not observed": ({"audits": (AuditResult("visits", "not_observed", 5, None),)}, "pass", 0),
    "an audit was not observed, and we are strict": (
        {"audits": (AuditResult("visits", "not_observed", 5, None),), "strict": True},
        "fail",
        99,
    ),
    "stopped from outside": ({"run_reasons": (Reason("stopped", "SIGINT", "stopped"),)}, "fail", 105),
    "a set-up step failed": ({"run_reasons": (Reason("setup", "seeding", "no"),)}, "fail", 100),
}


@pytest.mark.parametrize(("how", "verdict", "code"), ENDINGS.values(), ids=ENDINGS)
def test_every_ending_has_its_verdict(how: dict[str, Any], verdict: str, code: int) -> None:
    report = close(collect(worked(*MANY)), **how)
    assert (report.verdict, report.exit_code) == (verdict, code)


def test_a_generator_that_could_not_keep_up_makes_no_pass() -> None:
    report = close(collect(worked(*MANY, lag_us=200_000)))
    assert report.reasons[0].code == "generator"
    assert (report.verdict, report.exit_code) == ("invalid", 110)


def test_checks_errors_audits_notes_and_what_was_observed_are_in_it() -> None:
    worker = worked(*MANY)
    worker.check("polite", True)
    worker.check("answered", False)
    worker.error("join", "429")
    worker.error("join", "429")
    audit = AuditResult("visits", "pass", 5, 5)
    keys = Observed("keys", {"db": "0"}, 1.0, 3.0, 2.0)
    report = close(collect(worker), audits=(audit,), notes=("stopped in the web page",), observed=(keys,))
    assert [(check.name, check.passes, check.fails) for check in report.checks] == [
        ("answered", 0, 1),
        ("polite", 1, 0),
    ]
    assert [(error.name, error.error, error.count) for error in report.errors] == [("join", "429", 2)]
    assert report.audits == (audit,)
    assert report.observed == (keys,)
    assert "stopped in the web page" in report.notes


def test_the_report_says_which_clocks_latencies_between_machines_were_measured_by() -> None:
    worker = worked(*MANY)
    for metric in CLOCK_METRICS:
        worker.metrics.declare(metric)
    CrossHostLatency(worker, "latency").latency_us("0badc10c", 0, 0)
    (note,) = [note for note in close(collect(worker)).notes if "clock" in note]
    assert note.startswith("latency: 0 samples by one clock, 1 across machines left out")


def test_series_that_were_refused_are_told() -> None:
    worker = worked(*MANY)
    for number in range(2100):
        worker.metrics.counter("errors").tagged(user=str(number)).add(0)
    (note,) = [note for note in close(collect(worker)).notes if "series" in note]
    assert note.endswith("tagged series were refused beyond the limit and counted as series:other")


@pytest.mark.parametrize(
    ("text", "code", "verdict"),
    [("latency:p(95)<500", 107, "invalid"), ("latency:p(95)<1", 99, "fail")],
    ids=["pass", "fail"],
)
def test_a_run_whose_summary_could_not_be_written_is_no_pass(text: str, code: int, verdict: str) -> None:
    report = unwritten(close(collect(worked(*[2_000] * 50)), thresholds=(text,)), "summary", "The disk is full.")
    assert (report.exit_code, report.verdict, report.resolving_power) == (code, verdict, ())
    assert report.reasons[-1] == Reason("internal", "summary", "The disk is full.")


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (ExitCode.STOPPED, "fail"),
        (ExitCode.SETUP, "fail"),
        (ExitCode.CONFIG, "invalid"),
        (ExitCode.INTERNAL, "invalid"),
    ],
)
def test_a_test_that_never_began_has_the_verdict_of_its_exit_code(code: ExitCode, verdict: str) -> None:
    report = empty_report(SAMPLE_SCENARIO, "locust", [Reason("setup", "workers", "nobody came")], code)
    assert (report.exit_code, report.verdict) == (code, verdict)


def test_the_last_interval_has_the_figures_of_all_names() -> None:
    worker = worked()
    worker.metrics.trend("latency").tagged(name="join").add(2_000)
    options = replace(OPTIONS, thresholds=(parse_option("latency:p(95)<500"),))
    collector, evaluator = collect(worker, final=False), ThresholdEvaluator((), all_metrics(SAMPLE_SCENARIO))
    run = Run(
        options=options,
        facts=FACTS,
        collector=collector,
        evaluator=evaluator,
        target_monitor=cast(TargetMonitor, SimpleNamespace(outages=Outages(), fault_changes=[])),
        began_s=0.0,
        supporters=0,
        timeline=RunTimeline(all_metrics(SAMPLE_SCENARIO), options),
    )
    for at_s in (2.0, 4.0):
        run.record(at_s, collector.fold(), (), 2)
    report = run.report(SAMPLE_SCENARIO, collector.fold(), audits=(), run_reasons=(), duration_s=5.0)
    assert report.timeline.metrics["latency{name:join}"]["count"] == [1, None, 0]


def so_far(
    collector: Collector, at_s: float = 60.0, thresholds: tuple[str, ...] = THRESHOLDS, lost: bool = False
) -> tuple[str, int, list[str]]:
    """Verdict, exit code and subjects, if the run ended now."""
    judged = [parse_option(threshold) for threshold in thresholds]
    run = Run(
        options=OPTIONS,
        facts=FACTS,
        collector=collector,
        evaluator=ThresholdEvaluator(judged, all_metrics(SAMPLE_SCENARIO)),
        target_monitor=cast(TargetMonitor, SimpleNamespace(outages=Outages(), fault_changes=[])),
        began_s=0.0,
        supporters=0,
        timeline=RunTimeline(all_metrics(SAMPLE_SCENARIO), OPTIONS),
    )
    assert run.decision_so_far(SAMPLE_SCENARIO, ()) is None
    if lost:
        collector.workers["w1"].lost_at_s = at_s
    snapshot = collector.fold()
    run.record(at_s, snapshot, run.evaluator.results(snapshot, at_s), 2)
    found = run.decision_so_far(SAMPLE_SCENARIO, run.worker_reports())
    assert found is not None
    return found.verdict, int(found.exit_code), [reason.subject for reason in found.reasons]


def test_a_run_that_goes_on_is_judged_by_what_there_is_so_far() -> None:
    two = (worked(*MANY), worked(*MANY))
    assert so_far(collect(*two, final=False)) == ("pass", 0, [])
    assert so_far(collect(*two, final=False), thresholds=("latency:p(95)<5",)) == ("fail", 99, ["latency"])
    assert so_far(collect(*two, final=False), lost=True)[:2] == ("fail", 99)
    late = (worked(*MANY, lag_us=400_000), worked(*MANY))
    assert so_far(collect(*late, final=False))[:2] == ("invalid", 110)


def test_what_has_not_come_yet_and_what_starting_takes_are_not_held_against_it() -> None:
    nothing = collect(worked(), worked(), final=False)
    assert so_far(nothing, thresholds=("latency:p(95)<5", "errors:count>100")) == ("pass", 0, [])
    late = collect(worked(*MANY, lag_us=400_000), worked(*MANY), final=False)
    assert so_far(late, at_s=4.0) == ("pass", 0, [])
