from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from pika_locust.runtime import clock_sync as module
from pika_locust.runtime import messages
from pika_locust.runtime.clock_sync import ClockClient, ClockServer
from pika_locust.runtime.clocks import Clocks, LocalTime
from pika_locust.runtime.machine import boot_id
from pika_locust.testing.worker import wait_until
from tests.runtime.sample_scenario import make_context

pytestmark = pytest.mark.usefixtures("virtual_time")

MS = 1_000_000
S = 1_000_000_000
DAY = 86_400 * S


class Network:
    """A master and workers, each with a clock of its own, on a network with latency."""

    def __init__(self, patches: pytest.MonkeyPatch, way_ns: int = MS) -> None:
        self.now_ns = 0
        self.way_ns = way_ns
        self.place = "master"
        self.ahead = {"master": 0}
        self.workers: dict[str, ClockClient] = {}
        self.answers: list[Mapping[str, Any]] = []
        patches.setattr(module, "monotonic_ns", self.clock)
        patches.setattr(module, "boot_id", lambda: self.place)
        self.server = ClockServer(self)

    def clock(self) -> int:
        return 1000 * S + self.now_ns + self.ahead[self.place]

    def register_message(self, kind: str, listener: Callable[..., None]) -> None:
        assert kind == messages.CLOCK_REQUEST
        self.listener = listener

    def send_message(self, kind: str, data: Mapping[str, Any], client_id: str) -> None:
        """The master answers."""
        assert kind == messages.CLOCK_REPLY
        self.answers.append(data)
        self.now_ns += self.way_ns
        self.place = client_id
        self.workers[client_id].on_answer(None, SimpleNamespace(data=data))

    def join(self, name: str, ahead_ns: int) -> ClockClient:
        """A worker's process on a machine of the same name."""
        self.place, self.ahead[name] = name, ahead_ns

        def send(kind: str, data: Mapping[str, Any]) -> None:
            assert kind == messages.CLOCK_REQUEST
            self.now_ns += self.way_ns
            self.place = "master"
            self.listener(environment=None, msg=SimpleNamespace(data=dict(data), node_id=name))

        self.workers[name] = ClockClient(send)
        return self.workers[name]

    def ask(self, name: str, way_ns: int = MS) -> None:
        self.place, self.way_ns = name, way_ns
        self.workers[name]._ask()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


def test_one_question_tells_a_worker_what_the_master_s_clock_says(network: Network) -> None:
    away = network.join("away", DAY)
    network.ask("away")
    reading = away.clocks.here("master", 1000 * S, 1000 * S + DAY)
    assert reading is not None
    assert (reading.ns, reading.error_ns // MS) == (1000 * S + DAY, 1)


def test_workers_learn_of_each_other_by_what_they_tell_the_master(network: Network) -> None:
    one, two = network.join("one", DAY), network.join("two", -3 * S)
    network.ask("one")
    network.ask("two")
    assert two.clocks.here("one", 0, 1000 * S) is None
    network.ask("one")
    network.ask("two")
    sent = two.clocks.here("one", 1000 * S + DAY, 1000 * S)
    assert sent is not None
    assert (sent.ns, sent.error_ns // MS) == (1000 * S - 3 * S, 2)
    network.ask("one")
    assert one.clocks.here("two", 1000 * S, 1000 * S + DAY) is not None


def test_a_worker_beside_the_master_reports_nothing_and_learns_of_others(network: Network) -> None:
    network.join("away", DAY)
    network.ask("away")
    network.ask("away")
    beside = network.join("master", 0)
    network.ask("master")
    network.ask("master")
    assert set(network.answers[-1]["offsets"]) == {"away"}
    assert beside.clocks.here("master", 77, 1000 * S) == LocalTime(77, 0)
    there = beside.clocks.here("away", 1000 * S + DAY, 1000 * S)
    assert there is not None
    assert (there.ns, there.error_ns // MS) == (1000 * S, 1)


@pytest.mark.parametrize(
    "asked",
    [
        None,
        {"machine": "b"},
        {"machine": "b", "sent_ns": "now", "offset": None},
        {"machine": "b", "sent_ns": 1, "offset": ["a", "b", "c"]},
        {"machine": "b", "sent_ns": 1, "offset": [1, float("nan"), 1]},
        {"machine": ["b"], "sent_ns": 1, "offset": [1, 1, 1]},
    ],
)
def test_a_question_that_cannot_be_read_spoils_nobody_s_clock(network: Network, asked: Any) -> None:
    network.listener(None, SimpleNamespace(data=asked, node_id="b"))
    worker = network.join("a", DAY)
    worker._ask()
    worker._ask()
    assert worker.clocks.here("master", network.clock(), network.clock()) is not None
    assert "b" not in network.answers[-1]["offsets"]


def test_a_slow_answer_does_no_harm_to_what_is_known(network: Network) -> None:
    away = network.join("away", DAY)
    for way_ns in (200 * MS, MS // 2, 300 * MS):
        network.ask("away", way_ns)
    found = away.clocks.to_report()
    assert found is not None
    assert (found.ns, found.error_ns) == (-DAY, MS // 2 + 1)


def test_a_clock_that_jumped_while_an_answer_was_on_its_way_says_nothing(network: Network) -> None:
    away = network.join("away", DAY)
    network.ask("away")
    before = away.clocks.to_report()
    listener = network.listener

    def jump(**message: Any) -> None:
        network.ahead["away"] -= 10 * S
        listener(**message)

    network.listener = jump
    network.ask("away")
    assert away.clocks.to_report() == before
    network.listener = listener
    network.ask("away")
    assert away.clocks.to_report().ns == 10 * S - DAY  # type: ignore[union-attr]


def test_who_waits_for_an_answer_is_called_once_and_the_last_who_came(network: Network) -> None:
    called: list[str] = []
    away = network.join("away", DAY)
    away.when_answered(lambda: called.append("early"))
    away.when_answered(lambda: called.append("late"))
    network.ask("away")
    network.ask("away")
    assert called == ["late"]


def test_a_worker_goes_on_asking(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BURST_EVERY_S", 0.001)
    monkeypatch.setattr(module, "EVERY_S", 0.002)
    away = network.join("away", DAY)
    away.start()
    assert len(network.answers) == 1
    wait_until(lambda: len(network.answers) > module.BURST + 2)
    away._asking.kill()


def test_a_share_of_its_own_knows_its_own_clock() -> None:
    clocks: Clocks = make_context().clocks
    assert clocks.here(boot_id(), 77, 80) == LocalTime(77, 0)
    assert clocks.here("elsewhere", 77, 80) is None
