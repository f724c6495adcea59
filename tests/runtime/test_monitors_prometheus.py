"""Asking a Prometheus at both ends of a test: at once, in a bounded time, and without ever failing the run."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from pika_locust.clock import monotonic
from pika_locust.observe.prometheus import Reading
from pika_locust.observe.prometheus_settings import PROMETHEUS_SETTINGS
from pika_locust.runtime import monitors as module
from pika_locust.runtime.monitors import PrometheusMonitor
from pika_locust.settings import Settings, read_settings
from tests.layers import ROOT

URL, TOKEN = "http://me:word@prom:9090", "pr0m-t0ken"
LABELS = (("job", "j"),)


def settings(**environ: str) -> Settings:
    found, problems = read_settings(PROMETHEUS_SETTINGS, environ, "verity")
    assert problems == []
    return found


def observer(queries: str = "a; b") -> PrometheusMonitor:
    return PrometheusMonitor(settings(PROMETHEUS_URL=URL, PROMETHEUS_BEARER_TOKEN=TOKEN, PROMETHEUS_QUERIES=queries))


class Server:
    """Stands in for the Prometheus; `poll` is what the test wants it to be."""

    made: list[tuple[Any, ...]] = []
    asked: list[str] = []
    poll_as: Callable[[str], Reading]

    def __init__(self, *arguments: Any) -> None:
        self.made.append(arguments)

    def poll(self, query: str) -> Reading:
        self.asked.append(query)
        return type(self).poll_as(query)


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> type[Server]:
    monkeypatch.setattr(module, "Prometheus", Server)
    monkeypatch.setattr(module, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(Server, "made", [])
    monkeypatch.setattr(Server, "asked", [])
    monkeypatch.setattr(Server, "poll_as", staticmethod(growing()), raising=False)
    return Server


def growing() -> Callable[[str], Reading]:
    """Each query gives 10, then 20, and so on."""
    counts: dict[str, int] = {}

    def poll(query: str) -> Reading:
        counts[query] = counts.get(query, 0) + 10
        return Reading(query, {LABELS: float(counts[query])})

    return poll


def hanging(query: str) -> Reading:
    gevent.sleep(60)
    return Reading(query)


def told(observer: PrometheusMonitor) -> list[tuple[str, float | None, float | None, float | None, str]]:
    return [(row.query, row.start, row.end, row.difference, row.note) for row in observer.found()]


def test_without_a_server_nobody_is_asked_and_nothing_is_told(
    server: type[Server], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for idle in (PrometheusMonitor(settings()), PrometheusMonitor(Settings({}, {}))):
        idle.before()
        idle.after()
        assert (idle.found(), idle.notes()) == ((), ())
    assert server.made == []
    assert caplog.messages == []


def test_each_query_is_asked_once_at_each_end(server: type[Server], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    both = observer()
    both.before()
    assert server.asked == ["a", "b"]
    both.after()
    assert server.asked == ["a", "b", "a", "b"]
    assert server.made == [(URL, TOKEN, 0.2)] * 2
    assert told(both) == [("a", 10.0, 20.0, 10.0, ""), ("b", 10.0, 20.0, 10.0, "")]
    assert both.notes() == ()
    assert caplog.messages == [
        "Prometheus at http://REDACTED@prom:9090, before the load: 2 series of 2 queries",
        "Prometheus at http://REDACTED@prom:9090, after the load: 2 series of 2 queries",
    ]


def test_what_shows_nothing_is_told_once_for_each_reason(
    server: type[Server], caplog: pytest.LogCaptureFixture
) -> None:
    answers = {"a": Reading("a", problem="refused\n"), "b": Reading("b"), "c": Reading("c", problem="refused\n")}
    server.poll_as = staticmethod(answers.__getitem__)
    both = observer("a; b; c")
    both.before()
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    start = "Prometheus at http://REDACTED@prom:9090, before the load: "
    assert warnings == [f"{start}a, c: not observed: refused", f"{start}b: not observed: no such series"]
    both.after()
    assert [note for *_, note in told(both)] == [
        "not observed: refused\n",
        "not observed: no such series",
        "not observed: refused\n",
    ]


@pytest.mark.usefixtures("virtual_time")
def test_a_server_that_hangs_holds_nobody_up_and_costs_no_other_query_its_answer(server: type[Server]) -> None:
    server.poll_as = staticmethod(lambda query: hanging(query) if query == "a" else Reading(query, {(): 1.0}))
    both = observer()
    for ask in (both.before, both.after):
        began_s = monotonic()
        ask()
        assert monotonic() - began_s == pytest.approx(0.2)
    assert told(both) == [
        ("a", None, None, None, "not observed: no answer within 0.2 s"),
        ("b", 1.0, 1.0, 0.0, ""),
    ]


def test_who_interrupts_the_asking_still_gets_the_report(server: type[Server]) -> None:
    both = observer("a")
    both.before()

    def interrupt(query: str) -> Reading:
        gevent.get_hub().handle_system_error(KeyboardInterrupt, KeyboardInterrupt())
        return hanging(query)

    server.poll_as = staticmethod(interrupt)
    with pytest.raises(KeyboardInterrupt):
        both.after()
    assert told(both) == [("a", 10.0, None, None, "not observed at the end: interrupted")]


def test_a_test_that_ends_while_its_beginning_is_asked_is_not_held_up_again(server: type[Server]) -> None:
    server.poll_as = staticmethod(hanging)
    both = observer("a")
    beginning = gevent.spawn(both.before)
    gevent.sleep(0.01)
    both.after()
    assert server.asked == ["a"]
    assert told(both) == [("a", None, None, None, "not observed: the test ended before it was asked")]
    beginning.kill()
    gevent.sleep(0)


def test_an_exception_while_asking_is_told_and_fails_nothing(
    server: type[Server], capfd: pytest.CaptureFixture[str]
) -> None:
    server.poll_as = staticmethod({}.__getitem__)
    both = observer("a")
    both.before()
    both.after()
    assert [note for *_, note in told(both)] == ["not observed: asking failed, as the log tells"]
    assert "KeyError: 'a'" in capfd.readouterr().err


def test_a_query_with_many_series_is_noted(server: type[Server]) -> None:
    server.poll_as = staticmethod(lambda query: Reading(query, {(("n", f"{n}"),): 1.0 for n in range(21)}))
    both = observer("a")
    both.before()
    both.after()
    assert len(both.found()) == 20
    assert [note.partition(" are")[0] for note in both.notes()] == ["a: the first 20 of 21 series"]


HANGS = """
    from gevent import monkey
    monkey.patch_all()
    import gevent, time
    from gevent.server import StreamServer
    from pika_locust.runtime import monitors as module
    from pika_locust.settings import Settings

    def drip(connection, address):
        # Bytes enough that no single wait is long, and never an answer.
        if SILENT:
            gevent.sleep(60)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 10000\\r\\n\\r\\n")
        while True:
            connection.sendall(b" ")
            gevent.sleep(0.05)

    module.TIMEOUT_S = 1.0
    server = StreamServer(("127.0.0.1", 0), drip)
    server.start()
    url = f"http://127.0.0.1:{server.server_port}"
    observer = module.PrometheusMonitor(Settings({"PROMETHEUS_URL": url, "PROMETHEUS_QUERIES": "a;b;c;d"}, {}))
    began_s = time.monotonic()
    observer.before()
    print(time.monotonic() - began_s, {row.note for row in observer.found()})
    """


@pytest.mark.parametrize("silent", [True, False], ids=["no byte comes", "a byte comes now and then"])
def test_all_queries_together_wait_no_longer_than_one(silent: bool) -> None:
    code = textwrap.dedent(HANGS).replace("SILENT", str(silent))
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert answer.returncode == 0, answer.stderr
    took_s, _, notes = answer.stdout.partition(" ")
    # gevent's timers count from the loop's last turn, which may be a little ago
    assert 0.1 < float(took_s) < 3.0
    assert notes.startswith("{'not observed: no answer within 1 s")
