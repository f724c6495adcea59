"""Verity's scenarios as a user starts them: green against a healthy sandbox, red for the right reason otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pika_locust.sandbox import start_sandbox
from tests.e2e.support import LOCAL_AND_WORKERS, ROOT, Finished, free_port, run

pytestmark = pytest.mark.e2e

QUEUE = ["--headless", "-f", "locustfiles/queue.py", "--seed", "11"]
SESSIONS = ["--headless", "-f", "locustfiles/sessions.py", "--seed", "11"]
TOKENS = ["--headless", "-f", "locustfiles/tokens.py", "--seed", "11"]

RUSH = {"BASE_RATE": "5", "SPIKE_RATE": "60", "RAMP_UP": "2s", "SPIKE_HOLD": "2s", "RAMP_DOWN": "2s"}
RUSH_S = 8
# 2 s from 5 to 60 a second, 2 s at 60, 2 s back to 5, and 2 s of the minute in which 5 go to 0:
# 65 + 120 + 65 + (5 + 5 * 58 / 60) / 2 * 2 = 259.8, and an arrival is due whenever the integral reaches a whole one.
RUSH_ARRIVALS = 259

SECRET = "whsec_5dXkq0vTjzYb3hPw"


def green(finished: Finished) -> Finished:
    assert finished.exit_code == 0, finished.output
    assert finished.reasons == []
    assert finished.summary is not None
    assert finished.summary["verdict"] == "pass"
    assert finished.summary["load"]["complete"] is True
    assert all(audit["status"] == "pass" for audit in finished.summary["audits"])
    return finished


# Green


@LOCAL_AND_WORKERS
def test_the_queue_is_green_against_a_healthy_target(extra: list[str], tmp_path: Path) -> None:
    prefix = tmp_path / "locust"
    finished = green(run([*QUEUE, "-u", "60", "-r", "60", "-t", "7s", "--json-file", str(prefix), *extra], tmp_path))
    joins = finished.metric("queue_join_latency")["count"]
    # A visit lasts 2.5 s on average, two pauses of 0.5 to 2 s.
    assert 90 < joins < 280
    assert finished.metric("http_reqs{name:queue_join}")["count"] == joins
    assert finished.metric("http_reqs{name:auth_signup}")["count"] == 60
    # Locust's own statistics have been told of every request, the last ones included.
    locusts = {row["name"]: row["num_requests"] for row in json.loads(prefix.with_suffix(".json").read_text())}
    assert (locusts["queue_join"], sum(locusts.values())) == (joins, finished.metric("http_reqs")["count"])
    assert finished.metric("iterations_cut")["count"] == 0
    assert (finished.audit("tokens")["expected"], finished.audit("tokens")["actual"]) == (120, 120)


@LOCAL_AND_WORKERS
def test_sessions_are_green_against_a_healthy_target(extra: list[str], tmp_path: Path) -> None:
    env = {"SESSION_VUS": "40", "SESSION_HOLD_SECONDS": "2", "RAMP_UP": "2s", "HOLD": "6s", "RAMP_DOWN": "2s"}
    finished = green(run([*SESSIONS, *extra], tmp_path, env))
    matches = finished.metric("match_time")["count"]
    assert matches >= 40
    assert matches == finished.metric("session_start_lag")["count"] == finished.audit("sessions")["actual"]
    assert 1990 < finished.metric("session_length")["med"] < 2100
    assert finished.metric("choice_latency")["count"] == finished.metric("session_length")["count"] > 0
    assert finished.metric("match_rate")["passes"] == matches
    assert finished.audit("tokens")["detail"] == "balances looked up: 40 of 40 users"
    assert finished.metric("http_reqs{name:tokens_balance}")["count"] < finished.metric("iterations")["count"]


@LOCAL_AND_WORKERS
def test_every_webhook_that_was_due_is_delivered_or_counted_as_dropped(extra: list[str], tmp_path: Path) -> None:
    finished = run([*TOKENS, "-t", f"{RUSH_S}s", *extra], tmp_path, RUSH)
    finished = green(finished)
    load = finished.summary["load"]  # type: ignore[index]
    assert load["iterations"] + load["dropped_iterations"] == RUSH_ARRIVALS
    assert load["dropped_iterations"] == 0
    assert finished.metric("stripe_webhook_latency")["count"] == finished.metric("iterations_started")["count"]
    assert finished.audit("webhooks")["actual"] == 5 * RUSH_ARRIVALS


# A locustfile that is called queue.py

USES_QUEUE = """
import concurrent.futures, importlib, json, os, sys
from locust import events

HERE = os.path.dirname(__file__)

def note(where):
    try:
        import queue
        both = queue.Queue(), queue.SimpleQueue()
        for each in both:
            each.put(1)
            each.get(timeout=1)
        try:
            both[0].get_nowait()
        except queue.Empty:
            pass
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(int, "2").result(timeout=5)
        said = "works"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    with open(os.path.join(HERE, f"{where}-{os.getpid()}.json"), "w") as file:
        json.dump(said, file)

@events.init.add_listener
def on_init(environment, runner, **_):
    note(type(runner).__name__)

@events.test_start.add_listener
def on_test_start(environment, **_):
    note("test")

noted = set()

@events.request.add_listener
def in_a_task(**_):
    if os.getpid() not in noted:
        noted.add(os.getpid())
        note("task")
"""


def notes(directory: Path, where: str) -> list[str]:
    return [json.loads(path.read_text()) for path in sorted(directory.glob(f"{where}-*.json"))]


@pytest.mark.parametrize(
    ("extra", "runners", "tasks"),
    [([], ["LocalRunner"], 1), (["--processes", "2"], ["MasterRunner", "WorkerRunner"], 2)],
    ids=["in one process", "with two worker processes"],
)
def test_the_standard_librarys_queue_works_beside_a_locustfile_of_that_name(
    extra: list[str], runners: list[str], tasks: int, tmp_path: Path
) -> None:
    other = tmp_path / "other.py"
    other.write_text(USES_QUEUE)
    both = ["--headless", "-f", f"locustfiles/queue.py,{other}"]
    green(run([*both, "-u", "10", "-r", "10", "-t", "3s", *extra], tmp_path))
    for runner in runners:
        assert set(notes(tmp_path, runner)) == {"works"}, runner
    assert set(notes(tmp_path, "test")) == {"works"}
    assert notes(tmp_path, "task") == ["works"] * tasks


def test_without_the_line_that_puts_it_back_the_standard_librarys_queue_is_gone(tmp_path: Path) -> None:
    lines = (ROOT / "locustfiles/queue.py").read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith('sys.modules["queue"]')]
    assert len(kept) == len(lines) - 1
    (tmp_path / "queue.py").write_text("".join(kept))
    (tmp_path / "other.py").write_text(USES_QUEUE)
    both = f"{tmp_path / 'queue.py'},{tmp_path / 'other.py'}"
    finished = run(["--headless", "-f", both, "-u", "2", "-r", "2", "-t", "2s"], tmp_path)
    said = notes(tmp_path, "LocalRunner")
    assert said, finished.output
    assert "has no attribute 'Queue'" in said[0]


# Faults (each alone: tests/e2e/test_covers.py)

LEAK = {"leak=9000 double=0.1": {("threshold", "target_memory_mb"), ("audit", "tokens")}}


def red(finished: Finished, reasons: set[tuple[str, str]]) -> None:
    assert finished.exit_code == 99, finished.output
    assert set(finished.reasons) >= reasons, finished.reasons


def test_a_leak_is_seen_beside_another_fault_and_while_users_come_and_go(tmp_path: Path) -> None:
    ((faults, reasons),) = LEAK.items()
    planted = [word for fault in faults.split() for word in ("--sandbox-fault", fault)]
    env = {"USERS": "60", "RAMP_UP": "1s", "HOLD": "5s", "RAMP_DOWN": "2s"}
    finished = run([*QUEUE, "--load-profile", "spike", *planted], tmp_path, env)
    red(finished, reasons)
    # Those whom the ramp-down released are looked up like those who were there at the end.
    assert finished.audit("tokens")["detail"].endswith("balances looked up: 60 of 60 users")


def test_repeated_and_forged_webhooks_leave_a_healthy_target_green(tmp_path: Path) -> None:
    finished = green(run([*TOKENS, "-t", "5s"], tmp_path, {**RUSH, "REDELIVERY": "0.3"}))
    refused, ignored = finished.metric("forged_refused"), finished.metric("redelivery_ignored")
    assert refused["passes"] == ignored["passes"] > 20
    assert refused["fails"] == ignored["fails"] == 0
    assert finished.metric("http_reqs")["count"] == finished.metric("iterations")["count"]


# The open model


def test_a_dead_target_is_a_failed_run_with_an_attempt_for_every_webhook_that_was_due(tmp_path: Path) -> None:
    env = {"BASE_URL": f"http://127.0.0.1:{free_port()}", "STRIPE_WEBHOOK_SECRET": SECRET}
    rate = {"BASE_RATE": "20", "SPIKE_RATE": "20", "RAMP_UP": "1s"}
    finished = run([*TOKENS, "-t", "3s"], tmp_path, {**env, **rate})
    red(finished, {("threshold", "http_req_failed"), ("threshold", "error_rate"), ("no_data", "http_req_duration")})
    assert finished.metric("http_req_failed")["passes"] == finished.metric("http_reqs")["count"] == 20 * 3
    assert "setup" not in {code for code, _ in finished.reasons}
    assert finished.summary is not None
    (note,) = [note for note in finished.summary["notes"] if note.startswith("no user could be made before the load")]
    assert "refused the connection" in note
    hidden(finished, tmp_path)


@pytest.mark.long
def test_a_slow_target_costs_iterations_and_not_the_rate(tmp_path: Path) -> None:
    env = {"BASE_RATE": "10", "SPIKE_RATE": "10", "RAMP_UP": "2s", "SPIKE_HOLD": "7s", "RAMP_DOWN": "2s"}
    few = {"PREALLOCATED_VUS": "10", "MAX_VUS": "20", "SEED_USER_COUNT": "1"}
    arguments = [*TOKENS, "-t", "9s", "--sandbox-fault", "latency=3000"]
    finished = run(arguments, tmp_path, {**env, **few})
    red(finished, {("threshold", "dropped_iterations"), ("threshold", "http_req_duration")})
    load = finished.summary["load"]  # type: ignore[index]
    started, dropped = finished.metric("iterations_started")["count"], load["dropped_iterations"]
    assert started + dropped == 10 * 9
    # Ten users for about 3.1 s each, then twenty: 3.2 to 6.4 a second, as many as there were users for.
    assert 30 <= started <= 60
    assert load["users_peak"] == 20
    assert load["iterations"] == started
    lateness = finished.metric("arrival_lateness")
    assert lateness["count"] == started
    assert lateness["med"] < 5
    due, served = finished.metric("iteration_duration"), finished.metric("iteration_service_time")
    assert served["p(95)"] <= due["p(95)"] < served["p(95)"] + 50
    assert served["med"] > 3000


def test_use_simple_makes_a_closed_loop_of_it(tmp_path: Path) -> None:
    finished = green(run([*TOKENS, "-u", "5", "-t", "4s"], tmp_path, {"USE_SIMPLE": "1"}))
    load = finished.summary["load"]  # type: ignore[index]
    assert load["users_peak"] == 5
    assert finished.metric("iterations_started")["count"] == load["dropped_iterations"] == 0
    # Five users who pause for 50 to 200 ms make about 40 a second.
    assert 40 < load["iterations"] < 300
    assert finished.metric("iteration_duration")["count"] == load["iterations"]


# Secrets

NEEDS_SECRET = {"queue": QUEUE, "sessions": SESSIONS, "tokens": TOKENS}


@pytest.mark.parametrize("arguments", NEEDS_SECRET.values(), ids=NEEDS_SECRET)
def test_a_named_target_without_the_secret_is_refused_in_one_sentence(arguments: list[str], tmp_path: Path) -> None:
    target = f"http://127.0.0.1:{free_port()}"
    finished = run([*arguments, "-t", "5s"], tmp_path, {"BASE_URL": target, "STRIPE_WEBHOOK_SECRET": ""})
    assert finished.exit_code == 104, finished.output
    assert finished.summary is not None
    assert finished.summary["verdict"] == "invalid"
    said = f"STRIPE_WEBHOOK_SECRET is needed to test {target}"
    assert [reason["text"].startswith(said) for reason in finished.summary["reasons"]] == [True]
    assert finished.output.count("STRIPE_WEBHOOK_SECRET") == 1
    assert "Traceback" not in finished.output


def hidden(finished: Finished, directory: Path) -> None:
    assert SECRET not in finished.output
    assert SECRET not in (directory / "summary.json").read_text()


def test_a_secret_is_used_and_never_told(tmp_path: Path) -> None:
    with start_sandbox(["verity"], env={"STRIPE_WEBHOOK_SECRET": SECRET}) as target:
        env = {"BASE_URL": target.url, "STRIPE_WEBHOOK_SECRET": SECRET}
        finished = green(run([*QUEUE, "-u", "10", "-r", "10", "-t", "3s"], tmp_path, env))
        hidden(finished, tmp_path)
        assert target.state()["webhooks"]["credited"] == 10


def test_a_secret_is_not_told_by_a_run_against_nobody_either(tmp_path: Path) -> None:
    env = {"BASE_URL": f"http://127.0.0.1:{free_port()}", "STRIPE_WEBHOOK_SECRET": SECRET}
    finished = run([*QUEUE, "-u", "5", "-r", "5", "-t", "4s", "--processes", "2"], tmp_path, env)
    red(finished, {("threshold", "http_req_failed"), ("no_data", "queue_join_latency")})
    hidden(finished, tmp_path)
    assert finished.metric("http_req_failed")["passes"] < 5 * 4 * 2
