from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from pika_locust.errors import ExitCode
from pika_locust.format import width_of
from pika_locust.judge.report import (
    CheckResult,
    ErrorCount,
    GeneratorReport,
    LoadReport,
    Outcome,
    Reason,
    ReasonCode,
    ThresholdResult,
    WorkerReport,
)
from pika_locust.judge.verdict import decide
from pika_locust.outputs.console import render
from pika_locust.outputs.figures import SummaryMode
from tests.outputs.samples import BEFORE_START, GREEN, RED

GREEN_TEXT = """\
PASS  queue-concurrency  1:01, 10,000 VUs at peak, 2 workers, seed 7
  target    http://127.0.0.1:8711 (sandbox)
  load      profile standard, 48,211 iterations (788 /s)
  run       q-7, 2026-05-01T20:00:00Z, pika_locust 0.1.0, locust 2.47.0
  settings  HOLD=1m QUEUE_REGION='west coast'
  command   locust -f locustfiles/queue.py --seed 7

Thresholds  2 of 3 hold, 1 not observed
  status        metric              threshold      value      95 % interval       worst 30 s    samples  grade
  pass          queue_join_latency  p(95)<3000   12.3 ms    11.0 .. 14.9 ms  19.0 ms at 0:41     48,211  healthy
  pass          checks              rate>0.999  99.997 %  99.99 .. 99.999 %  99.99 % at 0:00  1,234,567
  not observed  server_memory       value<500          -                                              0
  server_memory: the target has no /metrics
  not observed: nothing in this run could show it (fails with --strict)

Data-integrity checks  1 of 1 hold
  status  check             acknowledged  stored  unanswered
  pass    tokens conserved        48,211  48,211           0

Checks  48,211 passed, 0 failed, of 1 kind

Metrics  the others with --summary-mode=full
  trend, ms            avg   min   med   max  p(90)  p(95)
  queue_join_latency  4.06  0.91  3.50  88.0   9.99   12.3
  metric                   count      rate
  checks  1,234,530 of 1,234,567  99.997 %

Load generator  lag p95 3.20 ms, p99 8.10 ms, CPU max 71 %, memory max 210 MB

Minimum detectable failure
  Losing 4 of 48,211 joins would have failed the run.

Exit code 0: every threshold and every data-integrity check that was observed holds
"""

RED_TEXT_80 = """\
FAIL  queue-concurrency  0:31 of 1:00, 10,000 VUs at peak, 2 workers, seed 7
  target    http://127.0.0.1:8711 (sandbox)
  load      profile standard, 48,211 iterations (1,545 /s), 12 dropped, 1 worker lost, incomplete
  run       q-8, 2026-05-01T20:00:00Z, pika_locust 0.1.0, locust 2.47.0
  settings  HOLD=1m QUEUE_REGION='west coast'
  command   locust -f locustfiles/queue.py --seed 7

Thresholds  1 of 3 hold, 1 failed, 1 without data
  status   metric              threshold        value  samples  grade
  FAIL ?   queue_join_latency  p(95)<3000  3,000.4 ms   48,211  critical
      95 % interval 2,980 .. 3,015 ms   worst 30 s 4,119 ms at 0:41
  pass ?   checks              rate>0.99      99.01 %    4,567
      95 % interval 98.50 .. 99.31 %   worst 30 s 98.00 % at 0:00
  NO DATA  match_latency       med<100              -        0
  ? inconclusive: the limit lies inside the 95 % interval, more samples could turn the result (fails with --strict)

Data-integrity checks  0 of 1 hold, 1 failed
  status  check             acknowledged  stored  unanswered
  FAIL    tokens conserved        48,211  48,208           2
      lost: b-17, b-21, b-40

Checks  48,215 passed, 3 failed, of 2 kinds
  failed      of   passed  check
       3  48,214  99.99 %  queue join ok

Metrics  the others with --summary-mode=full
  trend, ms            avg   min   med   max  p(90)  p(95)
  queue_join_latency  4.06  0.91  3.50  88.0   9.99   12.3
  metric                   count      rate
  checks  1,234,530 of 1,234,567  99.997 %

Errors  12,348 of 2 kinds
   count  name         error
  12,345  queue_leave  ConnectionRefusedError: [Errno 111]
       3  queue_join   429 Too Many Requests

Load generator  lag p95 3.20 ms, p99 8.10 ms, CPU max 71 %, memory max 210 MB
  worker 1 on web-2 was lost at 0:22

Reasons
  integrity   tokens conserved: 3 acknowledged bookings are not stored by the target
  threshold   queue_join_latency p(95) was 3,000.4 ms, limit <3,000 ms
  no data     match_latency med had no samples (limit <100 ms): nothing was measured

Notes
  Clocks of two machines are compared after an estimated offset of 0.4 ms.

Exit code 99: a threshold or a data-integrity check failed, or data is missing
"""

BEFORE_START_TEXT = """\
INVALID  queue-concurrency  before the start
  run      q-9
  command  locust -f locustfiles/queue.py

Reasons
  config      RAMP_UP=soon is not a duration; write 90s, 10m or 1h30m

Exit code 104: the settings are wrong; nothing was sent
"""


def plain(report: object, width: int = 120) -> str:
    return render(report, terminal=False, width=width)  # type: ignore[arg-type]


def uncoloured(text: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", text)


@pytest.mark.parametrize("mode", ["compact", "full", "disabled"])
def test_the_verdict_is_first_and_last_however_much_of_the_metrics_is_shown(mode: SummaryMode) -> None:
    lines = render(RED, terminal=False, width=120, mode=mode).splitlines()
    titles = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    shown = [] if mode == "disabled" else ["Metrics"]
    before, after = ["FAIL", "Thresholds", "Data-integrity", "Checks"], ["Errors", "Load", "Reasons", "Notes", "Exit"]
    assert titles == [*before, *shown, *after]


def test_a_green_run_in_a_log() -> None:
    assert plain(GREEN) == GREEN_TEXT


def test_a_red_run_in_a_narrow_log() -> None:
    assert plain(RED, width=80) == RED_TEXT_80


def test_a_run_that_never_started_says_only_why() -> None:
    assert plain(BEFORE_START) == BEFORE_START_TEXT


def test_a_log_is_ascii_and_has_no_colour_codes() -> None:
    assert plain(GREEN).isascii()
    assert plain(RED).isascii()


def test_a_terminal_gets_the_same_facts_with_marks_and_colours() -> None:
    coloured = render(RED, terminal=True, width=120)
    assert "\x1b[1;37;41m FAIL \x1b[0m" in coloured
    words = uncoloured(coloured)
    assert "  ✗ FAIL ?   queue_join_latency  p(95)<3000  3,000.4 ms  2,980–3,015 ms" in words
    assert "  ✗ NO DATA  match_latency" in words
    assert words.endswith("Exit code 99: a threshold or a data-integrity check failed, or data is missing\n")


@pytest.mark.parametrize("report", [GREEN, RED, BEFORE_START], ids=["green", "red", "before the start"])
def test_a_narrow_terminal_is_not_overrun(report: object) -> None:
    lines = uncoloured(render(report, terminal=True, width=80)).splitlines()  # type: ignore[arg-type]
    facts = ("  load ", "  run ", "  command ")
    assert [line for line in lines if width_of(line) > 80 and not line.startswith(facts)] == []


@pytest.mark.parametrize(
    ("verdict", "code", "colour"), [("pass", 0, "1;30;42"), ("fail", 99, "1;37;41"), ("invalid", 110, "1;30;43")]
)
def test_each_verdict_has_its_colour(verdict: Outcome, code: int, colour: str) -> None:
    report = replace(GREEN, verdict=verdict, exit_code=code)
    assert render(report, terminal=True, width=120).startswith(f"\x1b[{colour}m {verdict.upper()} \x1b[0m")


@pytest.mark.parametrize("code", list(ExitCode))
def test_each_exit_code_has_a_meaning_and_stands_last(code: ExitCode) -> None:
    last = plain(replace(GREEN, exit_code=code)).splitlines()[-1]
    assert re.fullmatch(rf"Exit code {int(code)}: \w.{{20,}}", last)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param("threshold", "everything that was observed holds, but not as firmly as --strict", id="doubt"),
        pytest.param("incomplete", "a threshold or a data-integrity check failed, or data is missing", id="lost"),
    ],
)
def test_a_run_that_fails_for_doubt_alone_does_not_say_that_something_failed(code: ReasonCode, said: str) -> None:
    last = plain(replace(GREEN, exit_code=99, reasons=(Reason(code, "x", "why"),))).splitlines()[-1]
    assert last.startswith(f"Exit code 99: {said}")
    failed = replace(GREEN.thresholds[0], status="fail")
    last = plain(replace(GREEN, thresholds=(failed,), exit_code=99, reasons=(Reason(code, "x", "why"),)))
    assert last.endswith("Exit code 99: a threshold or a data-integrity check failed, or data is missing\n")


def test_a_foreign_exit_code_stands_without_a_meaning() -> None:
    assert plain(replace(GREEN, exit_code=3)).endswith("\nExit code 3\n")


def test_a_green_run_that_judged_nothing_does_not_boast() -> None:
    last = plain(replace(GREEN, thresholds=(), audits=())).splitlines()[-1]
    assert last == "Exit code 0: nothing failed, but no threshold and no data-integrity check was there to fail"


def test_every_reason_keeps_its_place_and_names_its_subject_once() -> None:
    decision = decide(
        thresholds=RED.thresholds,
        audits=RED.audits,
        load=RED.load,
        run_reasons=[Reason("stopped", "SIGTERM", "stopped by SIGTERM"), Reason("setup", "seed", "no answer")],
    )
    lines = plain(replace(RED, reasons=decision.reasons)).splitlines()
    at = lines.index("Reasons") + 1
    shown = [line[2:13].strip() for line in lines[at : at + len(decision.reasons)]]
    assert shown == ["stopped", "setup", "integrity", "incomplete", "threshold", "no data"]
    assert lines[at] == "  stopped     stopped by SIGTERM"
    assert lines[at + 1] == "  setup       seed: no answer"


def test_only_the_ten_commonest_errors_are_shown_and_the_rest_is_counted() -> None:
    report = replace(RED, errors=tuple(ErrorCount("join", f"error {n}", n) for n in range(1, 18)))
    text = plain(report)
    assert re.findall(r"error (\d+)\n", text) == [str(n) for n in range(17, 7, -1)]
    assert "Errors  153 of 17 kinds" in text
    assert "  and 28 of 7 more kinds, listed in the summary JSON" in text


def test_a_long_error_is_cut_to_the_width() -> None:
    report = replace(RED, errors=(ErrorCount("join", "x" * 500, 1),))
    (line,) = [line for line in plain(report, width=80).splitlines() if "xxx" in line]
    assert len(line) == 80
    assert line.endswith("x...")


def test_failing_checks_are_listed_most_failures_first() -> None:
    checks = (CheckResult("a", 1, 1), CheckResult("b", 0, 9), CheckResult("c", 5, 0))
    lines = plain(replace(GREEN, checks=checks)).splitlines()
    at = lines.index("Checks  6 passed, 10 failed, of 3 kinds")
    assert lines[at + 1 : at + 4] == [
        "  failed  of   passed  check",
        "       9   9      0 %  b",
        "       1   2  50.00 %  a",
    ]


def test_a_worker_without_its_final_snapshot_is_named() -> None:
    report = replace(GREEN, workers=(WorkerReport("web-3", 2, False),), generator=GeneratorReport())
    assert "\nLoad generator\n  worker 2 on web-3 never delivered its final snapshot\n" in plain(report)


def test_huge_numbers_stay_readable() -> None:
    load = LoadReport(users_peak=1_000_000, iterations=9_876_543_210, workers=64)
    result = ThresholdResult("bytes", "count<1", 10**18, 10**12, "fail")
    text = plain(replace(GREEN, load=load, duration_s=360_000.0, thresholds=(result,)))
    assert "100:00:00, 1,000,000 VUs at peak, 64 workers" in text
    assert "9,876,543,210 iterations (27,435 /s)" in text
    assert "  FAIL    bytes   count<1    1e+18  1,000,000,000,000\n" in text


def test_what_is_not_finite_is_a_dash() -> None:
    result = ThresholdResult("x", "p(95)<3", math.nan, 4, "fail", (math.nan, math.nan))
    generator = GeneratorReport({"p95": math.inf}, math.nan, None)
    text = plain(replace(GREEN, thresholds=(result,), generator=generator, duration_s=math.nan))
    assert re.search(r"FAIL +x +p\(95\)<3 +- +- \.\. - +4\n", text)
    assert "Load generator  lag p95 -, CPU max - %\n" in text
    assert not re.search(r"\b(nan|inf)\b", text)


def test_no_secret_and_no_control_character_reaches_the_page() -> None:
    report = replace(
        RED,
        target="http://pika:hunter22@host:1/path",
        command="locust --host http://pika:hunter22@host",
        errors=(ErrorCount("login", "\x1b[31m401 for Bearer abc.def.123456\r\n\x07retry?token=s3cr3t", 1),),
        notes=("asked http://host/?api_key=s3cr3t&x=1",),
    )
    for terminal in (False, True):
        text = uncoloured(render(report, terminal=terminal, width=120))
        assert not re.search(r"hunter22|s3cr3t|123456|[\x00-\x09\x0b-\x1f]", text)
        assert "target    http://REDACTED@host:1/path (sandbox)" in text
        assert "401 for Bearer REDACTED retry?token=REDACTED" in text
        assert "asked http://host/?api_key=REDACTED&x=1" in text


def test_rich_is_only_imported_for_terminals() -> None:
    script = """
import sys
from tests.outputs.samples import GREEN
from pika_locust.outputs import console
console.render(GREEN, terminal=False, width=80)
assert "rich" not in sys.modules
console.render(GREEN, terminal=True, width=80)
assert "rich" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
