"""Outputs that hang, are slow, refuse or fill up: nobody waits for them, and what is lost is counted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest

from pika_locust.clock import monotonic
from pika_locust.errors import ConfigurationError
from pika_locust.metrics import Registry, counter, gauge
from pika_locust.outputs.csv_points import CsvEncoder
from pika_locust.outputs.points import Interval, Window
from pika_locust.outputs.sinks import FileSink, Sink, UndeliveredError
from pika_locust.outputs.targets import OutputTarget
from pika_locust.runtime import outputs
from pika_locust.runtime.outputs import MetricsEndpoint, OutputWriter, RunOutputs, start_outputs
from tests.runtime.sample_scenario import read

HITS = counter("hits")


class Recorder:
    """A network's sink: it does what `answers` says, one after another, and then takes everything."""

    is_file = False

    def __init__(self, *answers: UndeliveredError | float) -> None:
        self.answers = list(answers)
        self.taken: list[bytes] = []
        self.closed = False

    def send(self, data: bytes) -> None:
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, float):
            gevent.sleep(answer)
        elif answer is not None:
            raise answer
        self.taken.append(data)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def registry() -> Registry:
    return Registry([HITS])


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[OutputWriter]]:
    monkeypatch.setattr(outputs, "RETRY_AFTER_S", 0.01)
    monkeypatch.setattr(outputs, "FLUSH_WITHIN_S", 0.5)
    made: list[OutputWriter] = []
    yield made
    for writer in made:
        writer.stop()


def outputs_to(sink: Sink, writers: list[OutputWriter], encoder: Any = None) -> RunOutputs:
    writers.append(OutputWriter("csv=somewhere", encoder or CsvEncoder(), sink))
    return RunOutputs(list(writers), {"hits"})


def measure(run: RunOutputs, registry: Registry, times: int = 1) -> None:
    for _ in range(times):
        registry.counter("hits").add(1)
        run.observe(registry.snapshot())


def finish(run: RunOutputs) -> float:
    began_s = monotonic()
    run.end()
    run.wait()
    return monotonic() - began_s


def counted(run: RunOutputs) -> tuple[int, int]:
    (report,) = run.reports()
    return report.points, report.dropped


def test_everything_is_delivered_in_its_order(registry: Registry, writers: list[OutputWriter]) -> None:
    sink = Recorder()
    run = outputs_to(sink, writers)
    measure(run, registry, 3)
    assert finish(run) < 4.0
    assert [data.count(b"\nhits") + data.startswith(b"hits") for data in sink.taken] == [1, 1, 1]
    times = [data.split(b",")[1] for data in sink.taken]
    assert times == sorted(set(times))
    assert sink.closed
    assert (counted(run), run.reasons(), run.notes()) == ((3, 0), [], [])


def test_a_server_that_hangs_holds_nobody_up_and_its_points_are_counted(
    registry: Registry, writers: list[OutputWriter]
) -> None:
    run = outputs_to(Recorder(60.0), writers)
    began_s = monotonic()
    for _ in range(outputs.BUFFERED + 11):
        measure(run, registry)
        gevent.sleep(0)
    assert monotonic() - began_s < 4.0
    assert 0.4 < finish(run) < 4.0
    assert counted(run) == (0, outputs.BUFFERED + 11)
    (note,) = run.notes()
    assert note.startswith("--out csv=somewhere: 41 of 41 points were dropped: more than 30 intervals behind")
    assert run.reasons() == [], "a server that is away is not the run's fault"


def test_a_send_that_takes_too_long_is_begun_again(
    registry: Registry, writers: list[OutputWriter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "SEND_WITHIN_S", 0.05)
    sink = Recorder(60.0)
    run = outputs_to(sink, writers)
    measure(run, registry)
    finish(run)
    assert (counted(run), len(sink.taken)) == ((1, 0), 1)


def test_what_may_arrive_later_is_sent_again_and_what_may_not_is_dropped(
    registry: Registry, writers: list[OutputWriter]
) -> None:
    busy = [UndeliveredError("answered 503", again=True) for _ in range(3)]
    sink = Recorder(*busy, UndeliveredError("answered 400 Bad Request", again=False))
    sink.answers.insert(3, 0.0)
    run = outputs_to(sink, writers)
    measure(run, registry, 3)
    finish(run)
    assert counted(run) == (2, 1)
    assert len(sink.taken) == 2
    assert "1 of 3 points were dropped" in run.notes()[0]


def test_a_full_disk_is_never_a_pass(tmp_path: Path, registry: Registry, writers: list[OutputWriter]) -> None:
    path = tmp_path / "full"
    path.symlink_to("/dev/full")
    run = outputs_to(FileSink(str(path)), writers)
    measure(run, registry, 2)
    finish(run)
    (reason,) = run.reasons()
    assert (reason.code, reason.subject) == ("internal", "--out csv=somewhere")
    assert reason.text == "--out csv=somewhere could not be written: No space left on device"
    assert counted(run) == (0, 2)


def test_a_pipe_that_nobody_reads_holds_neither_load_nor_end_up_and_is_no_pass(
    tmp_path: Path, registry: Registry, writers: list[OutputWriter]
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    run = outputs_to(FileSink(str(path)), writers)
    began_s = monotonic()
    measure(run, registry, 5)
    gevent.sleep(0.05)
    assert monotonic() - began_s < 4.0
    assert finish(run) < 4.0
    assert counted(run) == (0, 5)
    assert "not done within 0.5 s of the end of the run" in run.reasons()[0].text
    # Let the thread that has waited for a reader come to its end.
    with path.open("rb") as reader:
        assert reader.read(1)


def test_a_file_that_grew_to_its_end_is_whole(tmp_path: Path, registry: Registry, writers: list[OutputWriter]) -> None:
    path = tmp_path / "points.csv"
    run = outputs_to(FileSink(str(path)), writers)
    measure(run, registry, 4)
    finish(run)
    assert path.read_text().count("\nhits,") == 4
    assert counted(run) == (4, 0)


def test_an_exception_of_an_encoder_is_an_error_of_this_package(
    registry: Registry, writers: list[OutputWriter]
) -> None:
    class Broken(CsvEncoder):
        def encode(self, interval: Interval) -> bytes:
            raise KeyError("planted")

    run = outputs_to(Recorder(), writers, Broken())
    measure(run, registry, 2)
    finish(run)
    (reason,) = run.reasons()
    assert "KeyError: 'planted'" in reason.text
    assert counted(run) == (0, 2)


def test_an_interrupt_ends_the_wait(registry: Registry, writers: list[OutputWriter]) -> None:
    run = outputs_to(Recorder(60.0), writers)
    measure(run, registry)
    run.end()
    waiting = gevent.spawn(run.wait)
    gevent.spawn_later(0.05, waiting.kill, KeyboardInterrupt)
    began_s = monotonic()
    with suppress(KeyboardInterrupt):
        waiting.get()
    assert monotonic() - began_s < 4.0
    assert counted(run) == (0, 1)


def test_the_second_test_of_a_process_has_files_of_its_own(tmp_path: Path, registry: Registry) -> None:
    where = tmp_path / "points.csv"
    options = replace(read("-u 1"), outputs=(OutputTarget("csv", str(where)), OutputTarget("junit", "r.xml")))
    for number, times in ((1, 3), (2, 5)):
        run = start_outputs(options, [HITS], {}, number, None)
        for _ in range(times):
            measure(run, registry)
        finish(run)
        assert [report.dropped for report in run.reports()] == [0]
    assert where.read_text().count("\nhits,") == 3
    assert (tmp_path / "points-2.csv").read_text().count("\nhits,") == 5


# The endpoint


def scrape(port: int) -> str:
    """As a Prometheus does it, with gevent's own sockets: nothing here is patched."""
    from gevent import socket

    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts).decode()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def endpoint() -> Iterator[tuple[MetricsEndpoint, int]]:
    port = free_port()
    made = MetricsEndpoint(OutputTarget("prometheus", f"127.0.0.1:{port}"))
    yield made, port
    made._server.stop()


def test_a_scrape_is_answered_with_the_newest_figures(
    registry: Registry, endpoint: tuple[MetricsEndpoint, int]
) -> None:
    made, port = endpoint
    assert "k6_hits" not in scrape(port)
    options = replace(read("-u 1"), outputs=())
    run = start_outputs(options, [HITS, gauge("level")], {"run_id": "r1"}, 1, made)
    before = scrape(port)
    assert "k6_hits_total 0.0" in before, "rates see the first samples only where there was a zero before"
    assert "k6_level" not in before
    measure(run, registry, 3)
    answer = scrape(port)
    assert "k6_hits_total 3.0" in answer
    assert 'k6_run_info{run_id="r1"} 1.0' in answer
    with pytest.raises(ConfigurationError, match="cannot be listened on"):
        MetricsEndpoint(OutputTarget("prometheus", f"127.0.0.1:{port}"))


def test_the_end_waits_for_one_more_scrape_of_whoever_comes_regularly(
    registry: Registry, endpoint: tuple[MetricsEndpoint, int]
) -> None:
    made, port = endpoint
    run = RunOutputs([], {"hits"}, {}, made)
    measure(run, registry)
    assert finish(run) < 4.0, "nobody has ever come"
    for _ in range(2):
        scrape(port)
        gevent.sleep(0.4)
    measure(run, registry)
    gevent.spawn_later(0.2, scrape, port)
    assert 0.2 < finish(run) < 4.0
    measure(run, registry)
    assert 0.2 < finish(run) < 5.0, "and waits no longer than it takes to come"


def test_a_scrape_just_before_the_last_figures_has_not_fetched_them(
    registry: Registry, endpoint: tuple[MetricsEndpoint, int]
) -> None:
    made, port = endpoint
    run = RunOutputs([], {"hits"}, {}, made)
    measure(run, registry)
    scrape(port)
    gevent.sleep(0.4)
    scrape(port)
    measure(run, registry)
    fetched = gevent.spawn_later(0.5, scrape, port)
    assert finish(run) > 0.4
    assert fetched.ready()


def test_the_end_does_not_wait_for_whoever_comes_once_a_minute(
    registry: Registry, endpoint: tuple[MetricsEndpoint, int]
) -> None:
    made, _ = endpoint
    run = RunOutputs([], {"hits"}, {}, made)
    made._scrapes_s.extend((monotonic() - 91.0, monotonic() - 31.0))
    measure(run, registry)
    assert run.notes() == [], "nobody knows before the end"
    assert finish(run) < 4.0
    (note,) = run.notes()
    assert note.startswith(f"--out {made.name}: the last figures were not scraped, the last scrape was 31 s before")


@pytest.mark.parametrize("ago_s", [0.0, 7.0, 15.0])
def test_the_end_waits_for_whoever_comes_every_quarter_of_a_minute(
    ago_s: float, registry: Registry, endpoint: tuple[MetricsEndpoint, int]
) -> None:
    """However long before the end the last scrape was; other than it, here the next one comes at once."""
    made, port = endpoint
    run = RunOutputs([], {"hits"}, {}, made)
    made._scrapes_s.extend((monotonic() - ago_s - 15.0, monotonic() - ago_s))
    measure(run, registry)
    gevent.spawn_later(0.1, scrape, port)
    assert 0.1 < finish(run) < 4.0
    assert run.notes() == []


def test_a_page_that_nobody_has_scraped_is_noted(registry: Registry, endpoint: tuple[MetricsEndpoint, int]) -> None:
    made, _ = endpoint
    run = RunOutputs([], {"hits"}, {}, made)
    measure(run, registry)
    finish(run)
    assert run.notes() == [f"--out {made.name}: nobody has scraped it"]


def test_windows_are_the_difference_to_the_last_one_that_was_taken(
    registry: Registry, writers: list[OutputWriter]
) -> None:
    run = outputs_to(Recorder(60.0), writers)
    measure(run, registry, 2)
    windows: list[Window] = [*writers[0]._waiting]
    totals = [point.total.samples for window in windows for point in window.interval().points]
    assert totals == [1, 2]
    assert [point.value.samples for window in windows for point in window.interval().points] == [1, 1]
