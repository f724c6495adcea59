"""Users who ask over REST, against the sandbox on real sockets: what is counted, and what is noticed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pika_locust.platforms.pixelated import inference_user
from pika_locust.platforms.pixelated.inference_user import InferenceUser
from pika_locust.platforms.pixelated.scenarios import INFERENCE
from pika_locust.platforms.pixelated.texts import CORPUS, Text, is_foreign, marked, reported_us
from pika_locust.sandbox import SandboxProcess, start_sandbox
from pika_locust.testing.worker import RecordingContext, make_context, make_user

CRISIS, GIVING_UP, BIAS = CORPUS[-3:]
ORDINARY = CORPUS[0]
Ask = Callable[..., RecordingContext]


@pytest.fixture(scope="module", params=["server", "suite"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, SandboxProcess]]:
    contract = request.param
    env = {"PATH": os.environ["PATH"], "CONTRACT": contract, "GENERATION_MS": "5"}
    with start_sandbox(["pixelated"], env=env) as process:
        yield contract, process


@pytest.fixture
def ask(server: tuple[str, SandboxProcess], monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Has users ask, each one of the texts once."""
    contract, process = server
    users: list[Any] = []
    workers: list[RecordingContext] = []

    def ask(*texts: Text, **settings: str) -> RecordingContext:
        environ = {"CONTRACT": contract, "THINK_TIME_MIN": "0", "THINK_TIME_MAX": "0", **settings}
        worker = make_context(INFERENCE, environ, target=process.url)
        workers.append(worker)
        for text in texts:
            user = make_user(InferenceUser, worker)
            users.append(user)
            user.on_start()
            monkeypatch.setattr(inference_user, "CORPUS", (text,))
            user.act()
        return worker

    yield ask
    process.clear_faults()
    for user in users:
        user.on_stop()
    assert all(worker.internal_errors == [] for worker in workers)


def test_what_the_api_reports_and_what_it_detects_is_counted(ask: Ask, server: tuple[str, SandboxProcess]) -> None:
    worker = ask(ORDINARY, CRISIS, GIVING_UP, BIAS)
    as_suite = server[0] == "suite"
    assert worker.count_of("successful_inferences") == 4
    assert worker.rate_of("errors") == (0, 4)
    assert worker.rate_of("detections_correct") == (4, 0)
    assert worker.count_of("crisis_detections") == (2 if as_suite else 1)
    assert worker.count_of("bias_detections") == (1 if as_suite else 0)
    latency = worker.trend_of("inference_latency")
    assert (latency.count, latency.minimum, latency.maximum) == (4, 5000, 5000)
    assert worker.trend_of("http_req_duration").minimum >= 5000


@pytest.mark.parametrize(
    ("fault", "value"),
    [("error", "1"), ("expired-token", "1"), ("throttle", "1/60s")],
)
def test_refusals_are_no_fast_successes(ask: Ask, server: tuple[str, SandboxProcess], fault: str, value: str) -> None:
    contract, process = server
    if contract == "suite" and fault == "expired-token":
        pytest.skip("the suite has no tokens")
    process.set_faults({fault: value})
    worker = ask(ORDINARY, ORDINARY, ORDINARY)
    served = 1 if fault == "throttle" else 0
    assert worker.rate_of("errors") == (3 - served, served)
    assert worker.rate_of("http_req_failed") == (3 - served, served)
    assert worker.trend_of("inference_latency").count == worker.trend_of("http_req_duration").count == served
    assert worker.trend_of("http_req_failed_duration").count == 3 - served


def test_a_crisis_that_is_missed_is_a_failed_check(ask: Ask, server: tuple[str, SandboxProcess]) -> None:
    server[1].set_faults({"miss-crisis": "1"})
    worker = ask(CRISIS, ORDINARY)
    assert worker.rate_of("detections_correct") == (1, 1)
    assert worker.rate_of("checks", check="crisis detected where there is one") == (1, 1)
    # The answer itself is as it should be.
    assert worker.rate_of("errors") == (0, 2)


def test_an_answer_that_belongs_to_somebody_else_is_an_error(ask: Ask, server: tuple[str, SandboxProcess]) -> None:
    server[1].set_faults({"cross-talk": "1"})
    worker = ask(ORDINARY, ORDINARY, ORDINARY)
    failed, _ = worker.rate_of("errors")
    assert failed >= 2
    assert worker.rate_of("checks", check="answer is our own") == (3 - failed, failed)


def test_a_token_that_names_nobody_is_refused(ask: Ask, server: tuple[str, SandboxProcess]) -> None:
    worker = ask(ORDINARY, API_TOKEN="nocolon")
    # The suite's dialect has no tokens.
    assert worker.rate_of("errors") == ((0, 1) if server[0] == "suite" else (1, 0))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        *[(40, 40_000), (0.5, 500), (0, 0), (-1, None), (1e999, None), (float("nan"), None), (10**30, None)],
        *[(True, None), ("40", None), (None, None)],
    ],
)
def test_a_time_that_is_none_is_not_counted(given: Any, told: int | None) -> None:
    assert reported_us(given) == told


def test_the_mark_in_a_text_tells_whose_it_is() -> None:
    words = marked("I am tired.", "r1-7-2")
    assert not is_foreign(f"You said: {words}", "r1-7-2")
    assert is_foreign(f"You said: {words}", "r1-7-3")
    assert not is_foreign("That's an interesting question.", "r1-7-3")
