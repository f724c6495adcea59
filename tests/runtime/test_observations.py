"""What `--observe` names is watched: levels and counts are measured, failed looks are told, and none delays another."""

from __future__ import annotations

import subprocess
from pathlib import Path

import gevent
import pytest

from pika_locust.judge import ThresholdResult
from pika_locust.metrics import gauge
from pika_locust.metrics.values import CounterValue, GaugeValue
from pika_locust.observe import sources
from pika_locust.observe.sources import Observation, Source
from pika_locust.platforms.greeter.scenarios import REDIS_LATENCY, WIDGET
from pika_locust.runtime import observations as module
from pika_locust.runtime.observations import Observations, observations_of
from pika_locust.testing.worker import wait_until
from tests.wire.http_servers import Peer, content, serving


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(module, "PROBE_WITHIN_S", 0.3)


def held(metric: str) -> ThresholdResult:
    return ThresholdResult(metric, "value<9", 1.0, 1, "pass")


def level(observations: Observations, name: str) -> GaugeValue:
    value = observations.snapshot().select(name)
    assert isinstance(value, GaugeValue)
    return value


def test_levels_and_counts_are_measured_until_the_last_look(tmp_path: Path) -> None:
    group, log = tmp_path / "memory.current", tmp_path / "a.log"
    group.write_text("5000000")
    log.touch()
    observations = Observations([Observation("mb", f"cgroup:{tmp_path}"), Observation("errors", f"log:{log}")])
    observations.start()
    wait_until(lambda: level(observations, "mb").value == 5)
    group.write_text("3000000")
    log.write_text("error\nerror\n")
    wait_until(lambda: observations.snapshot().select("errors") == CounterValue(2))
    group.write_text("4000000")
    observations.finish()
    group.write_text("9000000")
    gevent.sleep(0.05)
    seen = level(observations, "mb")
    assert (seen.value, seen.min, seen.max) == (4, 3, 5)
    assert observations.notes() == []
    assert observations.reasons([held("mb"), held("errors")]) == []


def test_a_figure_that_is_lost_fails_the_threshold_that_asks_for_it(tmp_path: Path) -> None:
    group = tmp_path / "memory.current"
    group.write_text("5000000")
    observations = Observations([Observation("mb", f"cgroup:{tmp_path}")])
    observations.start()
    wait_until(lambda: level(observations, "mb").value == 5)
    group.unlink()
    observations.finish()
    (note,) = observations.notes()
    assert note.startswith("mb: ")
    assert f" looks failed, the last one of these: {group} cannot be read any more" in note
    (reason,) = observations.reasons([held("mb")])
    assert (reason.code, reason.subject) == ("no_data", "mb")
    assert "could not be read at the end of the load" in reason.text
    # Nobody has asked for it, or it has failed by itself.
    assert observations.reasons([held("another")]) == []


def test_a_page_that_hangs_delays_nothing_else_and_the_end_not_for_long(tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text("5000000")

    def script(peer: Peer) -> None:
        peer.request()
        gevent.sleep(60)

    with serving(script) as server:
        observations = Observations(
            [Observation("a", f"http://127.0.0.1:{server.port}/m#a"), Observation("mb", f"cgroup:{tmp_path}")]
        )
        observations.start()
        wait_until(lambda: level(observations, "mb").samples > 5)
        with gevent.Timeout(2):
            observations.finish()
    assert observations.reasons([held("a")])[0].text.endswith("no answer within 0.3 s")


def test_who_interrupts_the_last_look_leaves_nobody_looking() -> None:
    looking: list[str] = []

    def script(peer: Peer) -> None:
        peer.request()
        looking.append("on")
        assert peer.request() == b""
        looking.append("gone")

    with serving(script) as server:
        observations = Observations([Observation("a", f"http://127.0.0.1:{server.port}/m#a")])
        me = gevent.getcurrent()

        def interrupt() -> None:
            wait_until(lambda: looking != [])
            me.throw(KeyboardInterrupt)

        gevent.spawn(interrupt)
        with pytest.raises(KeyboardInterrupt):
            observations.finish()
        wait_until(lambda: looking == ["on", "gone"])


def test_a_log_is_read_to_its_end_when_the_load_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_LOG_BYTES_A_LOOK", 60)
    log = tmp_path / "a.log"
    log.touch()
    observations = Observations([Observation("errors", f"log:{log}")])
    log.write_text("error\n" * 1000)
    observations.finish()
    assert observations.snapshot().select("errors") == CounterValue(1000)
    assert observations.reasons([held("errors")]) == []


def test_a_log_whose_end_is_not_reached_fails_the_threshold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_LOG_BYTES_A_LOOK", 1)
    log = tmp_path / "a.log"
    log.touch()
    observations = Observations([Observation("errors", f"log:{log}")])
    log.write_text("fine\n" * 1_000_000 + "error\n")
    with gevent.Timeout(5):
        observations.finish()
    (reason,) = observations.reasons([held("errors")])
    assert reason.text.endswith("at the end of the load: it was not read to its end within 0.3 s")


def test_a_figure_whose_look_goes_wrong_is_not_judged_by_what_it_was_before(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = iter([5.0])
    monkeypatch.setattr(module, "source_of", lambda observation, headers: Source(lambda: next(figures)))
    observations = Observations([Observation("mb", "cgroup:/x")])
    observations.start()
    wait_until(lambda: observations.internal_errors != [])
    observations.finish()
    assert level(observations, "mb").value == 5
    assert observations.internal_errors == ["observing mb: StopIteration:"]
    (reason,) = observations.reasons([held("mb")])
    assert "could not be read at the end of the load: StopIteration" in reason.text


def test_a_source_that_is_not_there_when_a_test_begins_is_a_figure_that_cannot_be_read(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    log = tmp_path / "a.log"
    wheres = (f"rss:{process.pid}", f"cpu:{process.pid}", f"cgroup:{tmp_path}", f"log:{log}")
    observations = Observations([Observation(where.partition(":")[0], where) for where in wheres])
    observations.start()
    wait_until(lambda: len(observations.notes()) == 4)
    # All that is in a log which comes later is new.
    log.write_text("error\n")
    (tmp_path / "memory.current").write_text("5000000")
    observations.finish()
    assert observations.internal_errors == []
    assert level(observations, "cgroup").value == 5
    assert observations.snapshot().select("log") == CounterValue(1)
    assert [
        reason.text for reason in observations.reasons([held(kind) for kind in ("rss", "cpu", "cgroup", "log")])
    ] == [
        f"{kind} could not be read at the end of the load: there is no such process any more" for kind in ("rss", "cpu")
    ]


def test_what_a_scenario_observes_by_itself_may_be_missing() -> None:
    (observation,) = observations_of(WIDGET, WIDGET.normalise_target("ws://127.0.0.1:3001"))
    assert observation.where == "http://127.0.0.1:3001/health#checks.redis.latency"
    assert observation.metric == REDIS_LATENCY

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(content(b'{"checks": {}}'))

    with serving(script) as server:
        observations = Observations(
            [Observation("a", f"http://127.0.0.1:{server.port}/#checks.redis", True, gauge("a"))]
        )
        observations.finish()
    assert observations.notes() == []
    assert observations.reasons([held("a")]) == []
