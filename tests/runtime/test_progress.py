from __future__ import annotations

import io
import sys

import pytest

from pika_locust.metrics import Registry
from pika_locust.metrics.builtin import BASE_METRICS
from pika_locust.outputs.progress import ProgressPrinter
from tests.runtime.sample_scenario import read

PLAN = read("-u 4 -t 60").plan


def test_a_log_gets_a_line_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    printer = ProgressPrinter(PLAN, {"rounds/s": "iterations"})
    registry = Registry(BASE_METRICS)
    registry.counter("iterations").add(30)
    for at_s in (2.0, 9.9, 10.0, 12.0, 20.0):
        printer.show(at_s, registry.snapshot(), ())
    first, second = stream.getvalue().splitlines()
    assert "0:10" in first
    assert "0:20" in second


def test_trouble_is_worth_a_line_when_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    printer = ProgressPrinter(PLAN, {})
    snapshot = Registry(BASE_METRICS).snapshot()
    for at_s in (2.0, 4.0, 6.0):
        printer.show(at_s, snapshot, (), "nothing answered at ws://u:s3cr3t@a: connection refused")
    (shown,) = stream.getvalue().splitlines()
    assert "0:02" in shown
    assert shown.endswith("nothing answered at ws://REDACTED@a: connection refused")


class Gone(io.StringIO):
    """A pipe whose reader has ended, or a terminal that is closed."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_nobody_who_reads_along_is_no_reason_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Gone())
    printer = ProgressPrinter(PLAN, {})
    printer.show(10.0, Registry(BASE_METRICS).snapshot(), ())
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    printer.show(20.0, Registry(BASE_METRICS).snapshot(), ())
    assert "0:20" in stream.getvalue()
