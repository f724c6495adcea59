"""Figures of the target during the load: what may be named, and what is read from pages, processes, groups and logs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pika_locust.metrics import Kind
from pika_locust.observe import sources
from pika_locust.observe.sources import Observation, UnobservedError, find, read_observation, source_of
from pika_locust.testing.worker import wait_until
from tests.wire.http_servers import Peer, serving
from tests.wire.http_servers import content as answer

HEALTH = b'{"status": "ok", "checks": {"redis": {"latency": 12.5, "up": true}, "pools": [{"used": 3}, {"used": 4}]}}'
SCRAPED = b"""# HELP pool_used Connections in use
# TYPE pool_used gauge
pool_used{pool="a"} 3
pool_used{pool="b"} 4.5 1700000000000
pool_used_max 9
hits_total 1e3
broken NaN
"""

FOUND = {
    "a member of a member": (HEALTH, "checks.redis.latency", 12.5),
    "a position in a list": (HEALTH, "checks.pools.1.used", 4.0),
    "a series": (SCRAPED, 'pool_used{pool="b"}', 4.5),
    "all series of a name": (SCRAPED, "pool_used", 7.5),
    "a series without labels": (SCRAPED, "hits_total", 1000.0),
}


@pytest.mark.parametrize(("page", "key", "value"), FOUND.values(), ids=FOUND)
def test_a_number_is_found_on_a_page(page: bytes, key: str, value: float) -> None:
    assert find(page, key) == value


MISSING = {
    "no such member": (HEALTH, "checks.redis.hits", "the page has no checks.redis.hits"),
    "beyond a list": (HEALTH, "checks.pools.2.used", "the page has no checks.pools.2.used"),
    "a member of a number": (HEALTH, "checks.redis.latency.p95", "has no"),
    "a text": (HEALTH, "status", "status on the page is no number"),
    "true": (HEALTH, "checks.redis.up", "no number"),
    "an object": (HEALTH, "checks", "no number"),
    "beyond all floats": (b'{"a": 1%b}' % (b"0" * 400), "a", "no finite number"),
    "infinite": (b'{"a": Infinity}', "a", "no finite number"),
    "no such series": (SCRAPED, "pool", "no series pool"),
    "a series that is no number": (SCRAPED, "broken", "broken is no finite number"),
    "a page in HTML": (b"<html>up 5</html>", "up", "the page is no JSON, and has no series up"),
    "nothing": (b"", "up", "no series up"),
}


@pytest.mark.parametrize(("page", "key", "why"), MISSING.values(), ids=MISSING)
def test_what_is_not_there_is_not_zero(page: bytes, key: str, why: str) -> None:
    with pytest.raises(UnobservedError, match=why):
        find(page, key)


def test_a_page_is_read_with_the_headers_for_it_and_also_when_it_reports_a_trouble() -> None:
    def script(peer: Peer) -> None:
        assert b"\r\nx-key: let-me\r\n" in peer.request().lower()
        peer.send(answer(HEALTH, "503 Service Unavailable"))

    with serving(script) as server:
        read = source_of(
            Observation("latency", f"http://127.0.0.1:{server.port}/health#checks.redis.latency"), {"X-Key": "let-me"}
        )
        assert read() == 12.5


def test_a_page_that_is_refused_is_not_observed() -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer(b'{"a": 1}', "401 Unauthorized"))

    with serving(script) as server, pytest.raises(UnobservedError, match="answered 401 Unauthorized"):
        source_of(Observation("a", f"http://127.0.0.1:{server.port}/metrics#a"))()
    with pytest.raises(UnobservedError, match="refused"):
        source_of(Observation("a", "http://127.0.0.1:1/metrics#a"))()


def test_a_query_gives_the_value_of_its_one_series() -> None:
    one = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"a"},"value":[1,"0.25"]}]}}'
    two = one.replace(b'"result":[', b'"result":[{"metric":{"job":"b"},"value":[1,"1"]},')

    def script(peer: Peer) -> None:
        assert b"GET /api/v1/query?query=avg%28up%29 " in peer.request()
        peer.send(answer(pages.pop(0)))

    pages = [one, two]
    with serving(script) as server:
        read = source_of(read_observation(f"up=promql:http://127.0.0.1:{server.port}#avg(up)"))
        assert read() == 0.25
        with pytest.raises(UnobservedError, match=r"2 series; a sum\(\) or max\(\) makes them one"):
            read()


# This machine


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "x = bytearray(80_000_000)\nwhile True: pass"]) as process:
        yield process
        process.kill()


def test_memory_and_processor_of_a_process(busy: subprocess.Popen[bytes]) -> None:
    memory_mb, percent = (source_of(read_observation(f"a={kind}:{busy.pid}")) for kind in ("rss", "cpu"))
    wait_until(lambda: memory_mb() > 80)
    wait_until(lambda: percent() > 1)
    busy.kill()
    busy.wait()
    for read in (memory_mb, percent):
        with pytest.raises(UnobservedError, match="no such process"):
            read()


@pytest.mark.parametrize("name", ["memory.current", "memory.usage_in_bytes"])
def test_memory_of_a_control_group(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("123456789\n")
    read = source_of(read_observation(f"container_mb=cgroup:{tmp_path}"))
    assert read() == pytest.approx(123.456789)
    (tmp_path / name).unlink()
    with pytest.raises(UnobservedError, match="cannot be read any more"):
        read()


def test_lines_of_a_log_are_counted_from_the_beginning_of_the_load(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("ERROR of yesterday\n")
    count_new = source_of(read_observation(f"errors=log:{log}"))
    assert count_new() == 0
    with log.open("a") as file:
        file.write("INFO fine\nERROR bad\nFatal: wor")
        file.flush()
        assert count_new() == 1
        file.write("se\nno terrors here\n")
    assert (count_new(), count_new()) == (1, 0)
    # Rotated: another file of that name, shorter or not; then cut in place.
    log.rename(tmp_path / "server.log.1")
    log.write_text("error\n" * 3)
    assert count_new() == 3
    log.write_text("")
    log.write_text("error\n")
    assert count_new() == 1
    log.unlink()
    with pytest.raises(UnobservedError, match="No such file"):
        count_new()


def test_what_is_written_to_a_log_before_and_after_it_is_rotated_is_counted(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.touch()
    count_new = source_of(read_observation(f"errors=log:{log}"))
    with log.open("a") as file:
        file.write("error\n" * 2)
        file.flush()
        log.rename(tmp_path / "server.log.1")
        log.write_text("error\n" * 3)
        assert count_new() == 5
        # A server goes on with the file that it has until it is told to open another.
        file.write("error\n" * 4)
    log.write_text("error\n" * 4)
    assert (count_new(), count_new()) == (5, 0)
    # Rotated and deleted, and the new one is the size that the old one was.
    size = log.stat().st_size
    log.unlink()
    log.write_text("error\n".ljust(size - 1) + "\n")
    assert count_new() == 1
    count_new.close()


def test_a_log_that_grows_faster_than_it_is_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_LOG_BYTES_A_LOOK", 12)
    log = tmp_path / "server.log"
    log.touch()
    count_new = source_of(read_observation(f"errors=log:{log}"))
    log.write_text("error\n" * 5)
    log.rename(tmp_path / "server.log.1")
    log.write_text("error\n" * 3)
    counts = [count_new()]
    while count_new.is_behind:
        counts.append(count_new())
    assert sum(counts) == 8
    assert max(counts) <= 4
    count_new.close()


def test_a_log_has_a_pattern_of_ones_own(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.touch()
    count_new = source_of(read_observation(f"errors=log:{log}#slow query|dead ?lock"))
    log.write_text("ERROR\na slow query\ndeadlock\n")
    assert count_new() == 2


# Options


def test_an_option_is_a_metric(tmp_path: Path) -> None:
    (tmp_path / "a.log").touch()
    options = (f"a=rss:{os.getpid()}", f"b=cpu:{os.getpid()}", f"c=log:{tmp_path}/a.log", "d=http://127.0.0.1/m#k")
    metrics = [read_observation(option).metric for option in options]
    assert [(metric.name, metric.kind, metric.unit) for metric in metrics] == [
        ("a", Kind.GAUGE, "MB"),
        ("b", Kind.GAUGE, "%"),
        ("c", Kind.COUNTER, ""),
        ("d", Kind.GAUGE, ""),
    ]


def test_a_worker_knows_the_metric_and_not_the_masters_files() -> None:
    for where in ("rss:999999999", "cgroup:/nowhere", "log:/nowhere.log"):
        assert read_observation(f"a={where}", is_here=False).where == where
    with pytest.raises(ValueError, match="no source"):
        read_observation("a=ftp:b", is_here=False)


MISTAKES = {
    "no name": ("http://127.0.0.1/health", "it must be NAME=SOURCE, such as redis_latency=http"),
    "no source": ("a=", "it must be NAME=SOURCE"),
    "a name that is none": ("a-b=http://127.0.0.1/m#k", "metric name 'a-b' is not legal"),
    "a page without a key": ("a=http://127.0.0.1/m", "behind a # must be what to read there"),
    "no URL": ("a=http://#k", "not a URL that begins with http"),
    "another kind": ("a=ftp://127.0.0.1/m#k", "'ftp:' is no source; there are redis_latency=http"),
    "no process": ("a=rss:999999999", "the number of a process of this machine"),
    "no number": ("a=cpu:nginx", "the number of a process of this machine"),
    "no group": ("a=cgroup:/nowhere", "/nowhere is no control group with memory.current or"),
    "beyond all processes": (f"a=cpu:{'9' * 30}", "the number of a process of this machine"),
    "beyond all numbers": (f"a=rss:{'9' * 5000}", "the number of a process of this machine"),
    "no name of a group": (f"a=cgroup:/{'a' * 300}", "/aaa.*: File name too long"),
    "no name of a file": (f"a=log:/{'a' * 300}#x", "/aaa.*: File name too long"),
    "no file": ("a=log:/nowhere.log", "/nowhere.log is no file; a log is named as in server_errors=log:"),
    "no pattern": (f"a=log:{__file__}#(", r"the pattern '\(' is no regular expression"),
    "no query": ("a=promql:http://127.0.0.1:9090", "behind a # must be what to read there, as in pool_used=promql"),
}


@pytest.mark.parametrize(("option", "says"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_what_would_be_right(option: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_observation(option)


@pytest.fixture
def hidden() -> Iterator[Path]:
    """A folder that nobody but its owner may look into, with a log and a group in it that nobody else may read; the
    test is somebody else."""
    with TemporaryDirectory() as above:
        folder = Path(above, "hidden")
        folder.mkdir()
        for name in ("a.log", "memory.current"):
            Path(above, name).write_text("5\n")
            Path(above, name).chmod(0o600)
        folder.chmod(0o700)
        Path(above).chmod(0o755)
        if (own := os.geteuid()) != 0:
            pytest.skip("only root can be somebody else")
        os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(own)


@pytest.mark.parametrize("where", ["log:{0}/a.log", "log:{1}/a.log#x", "cgroup:{0}", "cgroup:{1}"])
def test_what_may_not_be_read_is_a_mistake_before_the_run(hidden: Path, where: str) -> None:
    with pytest.raises(ValueError, match=rf"^{hidden.parent}\S+: Permission denied$"):
        read_observation(f"a={where.format(hidden, hidden.parent)}")
