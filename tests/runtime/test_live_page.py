from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from flask_login import UserMixin, login_user
from locust import User
from locust.env import Environment

from pika_locust.judge import Decision, Reason, ThresholdResult, WorkerReport
from pika_locust.judge.timeline_recorder import TimelineRecorder
from pika_locust.load.plan import LoadPlan
from pika_locust.load.stages import Stage
from pika_locust.metrics import Registry, counter
from pika_locust.runtime.collector import Collector
from pika_locust.runtime.coordinator import Coordinator
from pika_locust.runtime.live_page import LivePage
from pika_locust.runtime.run import Evaluation
from tests.outputs.samples import GREEN, RED
from tests.runtime.sample_scenario import SAMPLE_SCENARIO

WHOLE = replace(GREEN, distributions={})
METRICS = (counter("http_reqs"),)
FAILED = ThresholdResult("http_reqs", "rate>5", 2.0, 4, "fail", kind="counter")


class Nobody(User):
    abstract = False


class RunningTest:
    """What the page reads of a test that runs; it is evaluated when the test says so."""

    def __init__(self, run_id: str) -> None:
        self.facts = SimpleNamespace(run_id=run_id, target="http://shop", started_at="2026-01-01T00:00:00+00:00")
        self.options = SimpleNamespace(plan=LoadPlan("standard", (Stage(30.0, 5), Stage(30.0, 5)), 0, 60.0))
        self.collector = Collector(run_id, METRICS)
        self.timeline = SimpleNamespace(recorder=TimelineRecorder(METRICS))
        self.registry = Registry(METRICS)
        self.latest: Evaluation | None = None
        self.present = [3]
        self.began_s = 0.0
        self.finishing = False
        self.judge: Any = object()
        self.decided = 0

    def evaluate(self, at_s: float, value: float = 2.0) -> None:
        self.registry.counter("http_reqs").add(4)
        snapshot = self.registry.snapshot()
        results = (replace(FAILED, value=value),)
        self.latest = Evaluation(at_s, snapshot, results)
        self.timeline.recorder.observe(at_s, snapshot, results=results, load={"users": 3})

    def worker_reports(self) -> tuple[WorkerReport, ...]:
        return ()

    def decision_so_far(self, scenario: Any, workers: Any) -> Decision | None:
        self.decided += 1
        if self.latest is None:
            return None
        return Decision("fail", 99, (Reason("threshold", "http_reqs", "too few"),), ())


class Site:
    """Locust's page with the live page in it."""

    def __init__(self, *, base_path: str = "", login: bool = False) -> None:
        options = SimpleNamespace(
            num_users=None, spawn_rate=None, run_time=20, host=None, load_profile=None, stats_history_enabled=False,
            web_base_path=base_path,
        )  # fmt: skip
        self.environment = Environment(user_classes=[Nobody], host="http://shop", parsed_options=options)
        self.environment.create_local_runner()
        self.environment.web_base_path = base_path
        self.web_ui = self.environment.create_web_ui(
            "127.0.0.1", 0, delayed_start=True, web_login=login, web_base_path=base_path or None
        )
        self.coordinator = SimpleNamespace(running=None, reports=[])
        LivePage(SAMPLE_SCENARIO, cast(Coordinator, self.coordinator)).attach(self.environment)
        self.client = self.web_ui.app.test_client()

    def begin(self, run_id: str = "r1") -> RunningTest:
        self.coordinator.running = RunningTest(run_id)
        return cast(RunningTest, self.coordinator.running)

    def data(self, **query: Any) -> dict[str, Any]:
        answer = self.client.get("/verdict/data.json", query_string=query)
        assert answer.status_code == 200
        found = answer.get_json()
        return {**found.pop("test"), **found}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    # Locust's page parses the command line again.
    monkeypatch.setattr(sys, "argv", ["locust"])
    opened = Site()
    yield opened
    opened.environment.runner.greenlet.kill()


def test_before_the_first_test_it_is_ready(site: Site) -> None:
    assert (site.data()["phase"], site.data()["word"]) == ("ready", "READY")
    assert "No test has been started" in site.client.get("/verdict").text
    assert site.client.get("/verdict/summary.json?run=1").status_code == 404


def test_who_has_seen_some_points_is_sent_the_others(site: Site) -> None:
    run = site.begin()
    run.evaluate(2.0)
    first = site.data()
    assert (first["word"], first["exit_code"], first["reasons"]) == ("FAILING", 99, ["too few"])
    assert first["stage"].startswith("standard, stage ")
    assert first["points"]["times_s"] == [2.0]
    again = site.client.get("/verdict/data.json", query_string={"stamp": first["stamp"]})
    assert (again.status_code, again.data) == (204, b"")
    run.evaluate(4.0)
    run.evaluate(6.0)
    second = site.data(stamp=first["stamp"])
    assert (second["since"], second["points"]["times_s"]) == (1, [4.0, 6.0])
    run.finishing = True
    third = site.data(stamp=second["stamp"])
    assert (third["phase"], third["since"], third["points"]["times_s"]) == ("ending", 3, [])
    # Locust's own page may have missed it, and asks for nothing more.
    site.environment.runner.state = "stopped"
    fourth = site.data(stamp=third["stamp"])
    assert (third["locust_state"], fourth["locust_state"], fourth["since"]) == ("ready", "stopped", 3)


def test_points_that_have_become_fewer_are_sent_anew(site: Site) -> None:
    run = site.begin()
    run.evaluate(2.0)
    run.evaluate(4.0)
    seen = site.data()["stamp"]
    run.timeline.recorder.thinned += 1
    run.evaluate(6.0)
    found = site.data(stamp=seen)
    assert (found["since"], found["points"]["times_s"]) == (0, [2.0, 4.0, 6.0])


@pytest.mark.parametrize("stamp", ["", "x", "a.b.c.d.e", "....", "a.1.running.0.999999999999", "\N{SUPERSCRIPT TWO}"])
def test_a_stamp_of_somebody_else_begins_from_the_start(stamp: str, site: Site) -> None:
    site.begin().evaluate(2.0)
    assert site.data(stamp=stamp)["since"] == 0


def test_however_many_look_it_is_worked_out_once_for_each_evaluation(site: Site) -> None:
    run = site.begin()
    run.evaluate(2.0)
    for _ in range(10):
        site.data()
    assert run.decided == 1
    run.evaluate(4.0)
    site.data()
    assert run.decided == 2


def test_the_report_takes_the_place_of_the_last_evaluation_and_earlier_ones_can_be_seen(site: Site) -> None:
    run = site.begin("q-8")
    run.evaluate(2.0)
    seen = site.data()["stamp"]
    site.coordinator.running, site.coordinator.reports = None, [replace(GREEN, run_id="q-7"), RED]
    found = site.data(stamp=seen)
    assert (found["number"], found["word"], found["phase"]) == (2, "FAIL", "ended")
    assert [one["verdict"] for one in found["finished"]] == ["pass", "fail"]
    assert site.data(show=1)["word"] == "PASS"
    assert site.data(show=7)["word"] == "FAIL"
    next_run = site.begin("q-9")
    next_run.judge = None
    assert (site.data()["number"], site.data()["word"]) == (3, "STARTING")
    assert site.data(show=2)["word"] == "FAIL"


def test_summaries_and_reports_can_be_downloaded(site: Site) -> None:
    site.coordinator.reports = [WHOLE]
    for name, kind, begins in (
        ("summary.json", "application/json", "{"),
        ("report.html", "text/html", "<!doctype html>"),
        ("report.md", "text/markdown", "# "),
    ):
        answer = site.client.get(f"/verdict/{name}?run=1")
        assert answer.mimetype == kind
        assert answer.text.lower().startswith(begins)
        suffix = name.rpartition(".")[2]
        assert answer.headers["Content-Disposition"] == f'attachment; filename="queue-concurrency-q-7.{suffix}"'
        for run in ("", "?run=0", "?run=2", "?run=x"):
            assert site.client.get(f"/verdict/{name}{run}").status_code == 404


def test_locusts_page_has_the_tab_the_script_and_a_table_of_text(site: Site) -> None:
    theirs = {"title": "Mine", "key": "mine"}
    site.web_ui.template_args["extended_tabs"] = [theirs]
    page = site.client.get("/").text
    assert '<script defer src="./verdict/static/live.js"></script></head>' in page
    site.client.get("/")
    assert site.web_ui.template_args["extended_tabs"] == [theirs, {"title": "Verdict", "key": "verdict"}]
    run = site.begin()
    for value in (2, 3, 4):
        run.evaluate(2.0 * value, value)
        # Locust keeps its own answer for some seconds.
        statistics = json.loads(site.client.get("/stats/requests").text)
        ((table,), state) = statistics["extended_stats"], statistics["state"]
        assert (table["key"], state) == ("verdict", "ready")
        (row,) = table["data"]
        assert list(row.values())[:4] == ["FAIL", "http_reqs", "rate>5", f"{value} /s"]


def test_a_table_that_a_locustfile_has_put_there_itself_stays(site: Site) -> None:
    @site.web_ui.app.after_request
    def extend(response: Any) -> Any:
        body = response.get_json(silent=True)
        if body is not None and "stats" in body:
            response.set_data(json.dumps({**body, "extended_stats": [*body["extended_stats"], {"key": "mine"}]}))
        return response

    found = json.loads(site.client.get("/stats/requests").text)["extended_stats"]
    assert [one["key"] for one in found] == ["verdict", "mine"]


def test_the_files_of_the_page_and_no_others_are_served(site: Site) -> None:
    answer = site.client.get("/verdict/static/live.js")
    assert (answer.status_code, answer.mimetype) == (200, "text/javascript")
    again = site.client.get("/verdict/static/live.js", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    for name in ("missing.js", "report.html", "..%2Fassets.py", "uPlot.LICENSE"):
        assert site.client.get(f"/verdict/static/{name}").status_code == 404


def test_the_page_by_itself_runs_its_own_scripts_only(site: Site) -> None:
    policy = site.client.get("/verdict").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy


def test_it_is_below_the_path_that_locusts_page_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["locust"])
    site = Site(base_path="/load")
    assert site.client.get("/load/verdict/data.json").get_json()["test"]["word"] == "READY"
    assert site.client.get("/verdict").status_code == 404
    assert "live.js" in site.client.get("/load/").text
    site.environment.runner.greenlet.kill()


class Somebody(UserMixin):  # type: ignore[misc]
    id = "somebody"


def test_who_must_log_in_sees_nothing_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["locust"])
    site = Site(login=True)
    site.web_ui.app.config["SECRET_KEY"] = "not-so-secret"
    site.web_ui.login_manager.user_loader(lambda name: Somebody())
    site.web_ui.app.add_url_rule("/come-in", "come_in", lambda: str(login_user(Somebody())))
    site.coordinator.reports = [WHOLE]
    paths = [str(rule) for rule in site.web_ui.app.url_map.iter_rules() if str(rule).startswith("/verdict")]
    assert len(paths) == 6
    for path in paths:
        answer = site.client.get(f"{path.replace('<name>', 'live.js')}?run=1")
        assert (answer.status_code, "/login" in answer.headers["Location"]) == (302, True), path
    site.client.get("/come-in")
    for path in paths:
        assert site.client.get(f"{path.replace('<name>', 'live.js')}?run=1").status_code == 200, path
    site.environment.runner.greenlet.kill()
