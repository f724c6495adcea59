"""`pika-locust doctor`: what it finds of a machine, of settings and of a target, and what it advises."""

from __future__ import annotations

import resource
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pika_locust.cli.doctor import (
    Finding,
    advice_for,
    clocks_apart,
    local_ports,
    memory,
    open_files,
    processors,
    synchronised,
    timers,
)
from pika_locust.errors import ExitCode
from pika_locust.sandbox import start_sandbox
from tests.e2e.support import free_port
from tests.e2e.test_new import run


def said(finding: Finding) -> str:
    return f"{finding.status}: {finding.text} | {finding.advice}"


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (open_files(500, 1024, 20_000), "ok: 20,000 for each process, raised from 1,024 by each run | "),
        (open_files(500, 500, resource.RLIM_INFINITY), "ok: no limit | "),
        (open_files(25_000, 20_000, 20_000), "problem: 20,000 for each process, and 25,000 sockets are needed"),
        (open_files(0, 1024, 1024), "warning: 1,024 for each process: enough for 960 sockets | ulimit -Hn 65536"),
        (local_ports(20_000, 28_232, 1), "ok: 28,232 local ports | "),
        (local_ports(28_000, 28_232, 1), "problem: 28,232 local ports, and 28,000 connections at the peak | sysctl -w"),
        (local_ports(50_000, 28_232, 4), "ok: 28,232 local ports on each of 4 source addresses | "),
        (processors(4, None, 0.3), "ok: 4 cores; load average 0.3 | one process uses one core: --processes 4"),
        (processors(4, 1.0, 0.3), "ok: 4 cores, of which 1 may be used here; load average 0.3 | "),
        (processors(4, 0.5, 0.1), "warning: 4 cores, of which 0.5 may be used here; load average 0.1 | give"),
        (processors(2, None, 1.5), "warning: 2 cores; load average 1.5 | end what else computes here"),
        (memory(1000, 2_000_000_000), "ok: 2.0 GB available | "),
        (memory(100_000, 2_000_000_000), "problem: 2.0 GB available, and 100,000 users may take 15.0 GB | fewer users"),
        (timers([0.1] * 95 + [40.0] * 5), "warning: timers are 40.0 ms late (p95) | the machine is busy"),
        (timers([0.1] * 96 + [40.0] * 4), "ok: timers are 0.1 ms late (p95) | "),
        (synchronised(0), "ok: synchronised | "),
        (synchronised(5), "warning: nobody synchronises it | for workers on several machines: chrony"),
        (synchronised(None), "ok: it is not known whether it is synchronised"),
    ],
)
def test_the_machine_is_compared_with_what_the_load_needs(finding: Finding, expected: str) -> None:
    assert said(finding).startswith(expected)


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Fri, 02 Jan 2026 03:04:04 GMT", "ok: agrees with this machine's"),
        ("Fri, 02 Jan 2026 03:09:05 GMT", "warning: 300 s apart from this machine's | synchronise both"),
        ("yesterday", "warning: its Date cannot be read: yesterday"),
    ],
)
def test_the_target_s_clock_is_compared_by_the_date_of_its_answer(date: str, expected: str) -> None:
    assert said(clocks_apart(date, NOW)).startswith(expected)


@pytest.mark.parametrize(
    ("kind", "advice"),
    [("tls", "CA_FILE=ca.pem"), ("connect_refused", "start the server"), ("connect_timeout", "look for a firewall")],
)
def test_the_advice_depends_on_why_the_target_is_not_reached(kind: str, advice: str) -> None:
    assert advice_for(kind).startswith(advice)


def doctor(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run(folder, "pika_locust.cli.main", "doctor", *words)


def test_a_machine_alone_is_looked_at_without_a_scenario(tmp_path: Path) -> None:
    done = doctor(tmp_path)
    assert done.returncode in (ExitCode.PASS, ExitCode.SETUP), done.stderr
    for subject in ("versions", "open files", "local ports", "processors", "memory", "timers", "clock", "ports"):
        assert subject in done.stdout
    assert "settings" not in done.stdout


def test_a_healthy_target_is_reached_and_nothing_is_in_the_way(tmp_path: Path) -> None:
    with start_sandbox(["verity"]) as sandbox:
        (tmp_path / ".env.load-tests").write_text("STRIPE_WEBHOOK_SECRET=whsec_quite_secret\n")
        done = doctor(tmp_path, "queue", "-u", "5", "-H", sandbox.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"target         {sandbox.url}/health answers 200 in" in done.stdout
    assert "secrets        STRIPE_WEBHOOK_SECRET set; STRIPE_WEBHOOK_SECRET needed" in done.stdout
    assert "whsec_quite_secret" not in done.stdout


def test_options_that_are_locusts_own_are_taken_and_what_nobody_knows_is_104(tmp_path: Path) -> None:
    with start_sandbox(["greeter"]) as sandbox:
        words = ("connections", "-u", "5", "-H", sandbox.url, "--headless", "--processes", "2")
        taken, port = doctor(tmp_path, *words), free_port()
        told = doctor(tmp_path, *words, "--web-port", str(port), "--procesess", "2")
    assert taken.returncode == 0, taken.stdout + taken.stderr
    assert told.returncode == 104
    assert f"{port} (web page)" in told.stdout
    assert "unrecognized arguments: --procesess; Did you mean '--processes'?" in told.stdout


def test_what_nobody_knows_is_104_without_a_scenario_too(tmp_path: Path) -> None:
    (tmp_path / ".env.load-tests").write_text("USERS=many\n")
    told = doctor(tmp_path, "--procesess", "2")
    assert told.returncode == 104, told.stdout
    assert "Did you mean '--processes'?" in told.stdout
    assert "USERS" not in told.stdout


def test_a_target_that_is_not_there_is_100_and_says_what_to_change(tmp_path: Path) -> None:
    done = doctor(tmp_path, "connections", "-u", "5", "-H", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 100, done.stdout
    assert "problem  target" in done.stdout
    assert "start the server, or correct the port" in done.stdout


def test_more_users_than_a_process_can_have_are_a_problem(tmp_path: Path) -> None:
    done = doctor(tmp_path, "connections", "-u", "900000")
    assert done.returncode == 100, done.stdout
    assert "900,000 connections at the peak" in done.stdout


def test_settings_that_cannot_be_read_are_all_told_and_are_104(tmp_path: Path) -> None:
    (tmp_path / ".env.load-tests").write_text("USERS=many\nRAMPUP=5s\n")
    done = doctor(tmp_path, "dancers", "--sead", "7")
    assert done.returncode == 104, done.stdout
    for problem in ("USERS=many in .env.load-tests: not a whole number", "did you mean RAMP_UP?", "arguments: --sead"):
        assert problem in done.stdout
    assert doctor(tmp_path, "dansers").stderr.endswith("there is no scenario 'dansers'; did you mean dancers?\n")
