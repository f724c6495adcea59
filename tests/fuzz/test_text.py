"""What people write: thresholds, durations, stages, faults, URLs, the settings' file. Read, or refused in words."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from pika_locust.errors import ConfigurationError
from pika_locust.judge.expressions import ExpressionError, parse
from pika_locust.judge.thresholds import Threshold, parse_option, read_thresholds
from pika_locust.load.durations import format_duration, parse_duration
from pika_locust.load.iterations import Iterations
from pika_locust.load.stages import parse_stages, total_s, users_at
from pika_locust.metrics.metric import parse_series, series_text
from pika_locust.sandbox.faults import COMMON, faults_from_json, parse_faults
from pika_locust.settings import ENV_FILE, SourceAddresses, environment_of
from pika_locust.url import parse_url
from tests.fuzz.inputs import VALUES, changed, fuzz

NUMBERS = ("0", "1", "1.5", ".", "-", "1e9", "inf", "nan", "9" * 400, "9" * 5000, "\u0663", "0x1", "_", " ")
DURATIONS = ("90s", "10m", "1h30m", "500ms", "0s", "1.5s", "10us", "30", "1h1m1s1ms")
EXPRESSIONS = ("p(95)<500", "rate > 0.99", "count==0", "avg>=1.5", "p(99.9)<=1000", "med!=3", "max<10", "value===1")
SERIES = (
    "errors",
    "http_reqs{name:/search}",
    'checks{check:"a, b"}',
    "ack_latency{kind:SAY,worker:1}",
    "checks{a:'}'}",
)
MARKS = ("{", "}", ":", ",", ";", '"', "'", "\\", "=", "<", ">", "(", ")", "%", "\n", "\t", "\0", "\u2028", "\ud800")


def of(reader: Callable[[str], Any], text: str, error: type[Exception] = ValueError) -> Any:
    """What a reader makes of a text; None of one that it refuses, which it must do in words."""
    try:
        return reader(text)
    except error as refused:
        if not str(refused):
            pytest.fail(f"{text!r} was refused without a reason")
        return None


@fuzz(text=changed(DURATIONS, (*NUMBERS, "h", "m", "s", "ms", "us", "\u00b5s", "d")), unit=st.sampled_from(("ms", "s")))
def test_durations(text: str, unit: str) -> None:
    seconds = of(lambda given: parse_duration(given, bare_unit=unit), text)
    if seconds is not None:
        assert 0 <= seconds <= 1e9
        assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=0.001)


@fuzz(text=changed(EXPRESSIONS, (*NUMBERS, *MARKS, "p(95)", "rate", "===")))
def test_expressions(text: str) -> None:
    expression = of(parse, text, ExpressionError)
    if expression is not None:
        assert math.isfinite(expression.limit)
        assert parse(expression.text) == expression
        for value in (0.0, 1.0, math.inf, math.nan):
            expression.holds(value)
            expression.excess(value)


@fuzz(text=changed(SERIES, MARKS))
def test_series(text: str) -> None:
    series = of(parse_series, text)
    if series is not None:
        assert parse_series(series_text(*series)) == series


OPTIONS = (
    *(f"{series}:{expression}" for series, expression in zip(SERIES, EXPRESSIONS, strict=False)),
    "errors:count<5; abort_on_fail; delay_abort_eval=10s",
    "errors:rate<5; window=30s; allow_empty; about=why not",
)


@fuzz(text=changed(OPTIONS, (*MARKS, *NUMBERS, "; optional", "; window=", "abort_on_fail=false", "=true")))
def test_thresholds_of_the_command_line(text: str) -> None:
    threshold = of(parse_option, text)
    if threshold is not None:
        assert parse_option(str(threshold)).metric == threshold.metric


@fuzz(
    metric=changed(SERIES, MARKS),
    spec=VALUES
    | changed(EXPRESSIONS, MARKS)
    | st.dictionaries(
        st.sampled_from(("threshold", "abortOnFail", "delayAbortEval", "delay_abort_eval", "window", "optional", "x")),
        st.sampled_from(("rate<1", "10s", True, 0, 1.5, -1)) | VALUES,
    ),
)
def test_thresholds_of_a_locustfile(metric: str, spec: Any) -> None:
    problems: list[str] = []
    found = read_thresholds({metric: spec}, problems)
    assert all(isinstance(threshold, Threshold) for threshold in found)
    assert found or problems or spec in ([], ())


@fuzz(text=changed(("30s:100,1m:100,10s:0", "10:5", "0s:1"), (*NUMBERS, ":", ",", "s", "m")), at_s=st.floats(0, 1e10))
def test_stages(text: str, at_s: float) -> None:
    stages = of(parse_stages, text)
    if stages is not None:
        assert total_s(stages) >= 0
        assert 0 <= users_at(stages, at_s, 0) < 1e9


@fuzz(text=changed(("200", "3/user"), (*NUMBERS, "/", "user")))
def test_iterations(text: str) -> None:
    iterations = of(Iterations.parse, text)
    if iterations is not None:
        assert Iterations.parse(str(iterations)) == iterations
        assert iterations.total(5) >= 1


FAULTS = ("lose-write=0.02", "latency=250", "throttle=120/60s", "leak=60", "drop=2%", "error=1", "close-after=30")


@fuzz(texts=st.lists(changed(FAULTS, (*NUMBERS, "=", "/", "s", "%", "MB/min", "dead-session")), max_size=3))
def test_faults(texts: list[str]) -> None:
    for fault in of(lambda _: parse_faults(texts, COMMON), "", ConfigurationError) or ():
        assert 0 < fault.value < math.inf


@fuzz(value=VALUES | st.dictionaries(st.sampled_from([kind.name for kind in COMMON]), VALUES, max_size=3))
def test_faults_in_json(value: Any) -> None:
    of(lambda _: faults_from_json(value, COMMON), "", ConfigurationError)


URLS = (
    "http://127.0.0.1:8080", "https://user:pass@shop.example/api?x=1", "ws://[::1]:3001/ws",
    "http://b\u00fccher.example/\u00e4", "wss://xn--bcher-kva.example", "http://0x7f.1", "http://shop.example./",
)  # fmt: skip


@fuzz(text=changed(URLS, (*MARKS, "@", "//", "..", "%zz", "#", "[", "]", "::", "99999", "\u3002", "xn--", " ")))
def test_urls(text: str) -> None:
    url = of(lambda given: parse_url(given, "http", "https", "ws", "wss"), text)
    if url is not None:
        assert parse_url(url.full, url.scheme) == url
        assert url.full.isascii()
        assert 0 < url.port_number < 65536
        assert url.basic_auth is None or url.basic_auth.isascii()


@fuzz(text=changed(("127.0.8.0/22", "127.0.0.1-127.0.0.9", "127.0.0.1,::1", "::/64"), ("/", "-", ",", "::", *NUMBERS)))
def test_source_addresses(text: str) -> None:
    pool = of(SourceAddresses, text)
    if pool is not None:
        assert pool.size > 0
        assert pool[0] == pool[pool.size]


LINES = (
    b"WS_URL=ws://127.0.0.1:3001/ws\n", b"# a comment\n\nexport A='one two'\n", b'B="x\\ny"\nC=${A}-${MISSING:-no}\n',
    b"D=$HOME\nE=%PATH%\n", b"\xef\xbb\xbfF=1\r\nG=2 # why\r\n", b"H\nI=\n", b"A=1\nA=2\n", b'J="over\ntwo lines"\n',
)  # fmt: skip
LINE_FRAGMENTS = (
    b"=", b'"', b"'", b"\\", b"${", b"}", b":-", b"$A", b"#", b"\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf",
    b"export ", b"A=${A}\n", b" ", b"`x`", b"$(x)",
)  # fmt: skip


@fuzz(content=changed(LINES, LINE_FRAGMENTS))
def test_the_settings_file(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / ENV_FILE).write_bytes(content)
        environment = environment_of({"HOME": "/root"}, Path(folder))
    assert all(isinstance(value, str) for value in environment.from_file.values())
    assert all(environment.problems)
    # Byte order marks are nothing that anybody wrote, however many there are.
    said = [line.strip() for line in content.replace(b"\xef\xbb\xbf", b"").splitlines()]
    if not environment.from_file and not environment.problems:
        assert all(not line or line.startswith(b"#") for line in said), "a line without effect"
