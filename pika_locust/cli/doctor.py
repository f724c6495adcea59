"""`pika-locust doctor`: whether this machine, the settings and the target are fit for a run, and what to change."""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import resource
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import psutil

from pika_locust.catalogue import find_scenario, scenarios
from pika_locust.cli.arguments import locusts_own
from pika_locust.cli.inspect import options_parser
from pika_locust.errors import ConfigurationError, ExitCode, SetupError
from pika_locust.observe.target import look, problem_of
from pika_locust.outputs import redact
from pika_locust.outputs.table import Medium, Span, Tone, paint
from pika_locust.process import RESERVED_FILES
from pika_locust.runtime.options import RunOptions, parse_all, read_options
from pika_locust.runtime.ports import port_problems
from pika_locust.runtime.target_settings import reach
from pika_locust.sandbox.process import start_sandbox
from pika_locust.scenario import Scenario, load_reference
from pika_locust.settings import SourceAddresses, environment_of
from pika_locust.version import __version__

Status = Literal["ok", "warning", "problem"]
_TONES: Mapping[Status, Tone] = {"ok": "good", "warning": "doubt", "problem": "bad"}

HEALTH_WITHIN_S = 10.0
ENOUGH_FILES = 10_000
"""Open files that are enough for most loads, where no scenario says how many it needs."""
MEMORY_PER_USER_BYTES = 150_000
"""What a user takes at the most, its connection included."""
LATE_MS = 5.0
"""How late timers may fire on a machine with nothing else to do."""
CLOCK_APART_S = 5.0
"""Difference to the target's clock from which something must be wrong; its `Date` is in whole seconds."""
_TIMERS = 100
_TIME_ERROR = 5
"""What adjtimex(2) gives for a clock that nobody synchronises."""

_DESCRIPTION = """\
Look whether this machine, the settings and the target are fit for a run, and say what to change. Without a scenario,
only the machine is looked at. Takes the options of a run, and reads the same environment and .env.load-tests; sends
one GET to the target's health page, and nothing else."""
_EPILOG = """\
examples:
  pika-locust doctor
  WS_URL=wss://staging.example/ws pika-locust doctor dancers -u 500

exit codes: 0 nothing is in the way (warnings may be there); 100 the machine or the target is; 104 settings are
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `advice` says what to change, where something is to be changed."""

    status: Status
    subject: str
    text: str
    advice: str = ""


def run(argv: Sequence[str]) -> int:
    """Look at everything, print it, and return the exit code.

    Arguments:
        argv: what follows `pika-locust doctor` on the command line: a scenario or none, and options of a run.

    Raises ConfigurationError for a scenario that nobody knows.
    """
    words = list(argv)
    if {"-h", "--help"} & set(words):
        _help_parser().print_help()
        return int(ExitCode.PASS)
    named = bool(words) and not words[0].startswith("-")
    scenario = find_scenario(words[0]) if named else next(iter(scenarios().values()))
    environ = environment_of(os.environ, Path.cwd())
    options, arguments, wrong = _options(scenario, words if named else [scenario.name, *words], environ)
    if not named:
        # The settings in the environment may be those of any scenario.
        wrong = _options(scenario, [scenario.name, *words], {})[2]
    findings = list(_machine(scenario if named else None, options if named else None))
    findings += [_ports(arguments)] if arguments is not None else []
    if named or wrong:
        findings += _settings(scenario, options if named else None, wrong)
    if named and options is not None:
        findings += _target(scenario, options)
    medium = Medium(sys.stdout.isatty(), shutil.get_terminal_size().columns)
    print(paint(_lines(findings), medium), end="")
    problems = [one for one in findings if one.status == "problem"]
    if any(one.subject == "settings" for one in problems):
        return int(ExitCode.CONFIG)
    return int(ExitCode.SETUP if problems else ExitCode.PASS)


def _help_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pika-locust doctor",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="?", help="as `pika-locust list` names it; behind it, options of a run")
    return parser


def _options(
    scenario: Scenario, words: Sequence[str], environ: Mapping[str, str]
) -> tuple[RunOptions | None, Any, list[str]]:
    """What a run would read, the command line as Locust reads it, and what is wrong with it all."""
    parser = options_parser(scenario, "doctor")
    arguments = None
    try:
        given, unknown, problems = parse_all(parser, words, environ)
        locusts, wrong = locusts_own([word for word in unknown if word in words], parser)
        arguments = argparse.Namespace(**{**vars(locusts), **vars(given)})
        return read_options(scenario, arguments, environ, problems + wrong), arguments, []
    except ConfigurationError as error:
        return None, arguments, list(error.problems)


def _lines(findings: Iterable[Finding]) -> Iterator[tuple[Span, ...]]:
    for one in findings:
        yield Span(f"{one.status:<8}", _TONES[one.status]), Span(f" {one.subject:<14} {redact.text(one.text)}")
        if one.advice:
            yield (Span(f"{'':<24}{redact.text(one.advice)}"),)


# The machine


def _machine(scenario: Scenario | None, options: RunOptions | None) -> Iterator[Finding]:
    users = options.plan.users_peak if options is not None else 0
    each = getattr(load_reference(scenario.primary), "sockets", 1) if scenario is not None else 1
    yield _versions()
    yield open_files(users * each, *resource.getrlimit(resource.RLIMIT_NOFILE))
    first, last = _local_ports()
    pool = options.settings.get("SOURCE_ADDRESSES") if options is not None else None
    yield local_ports(users * each, last - first + 1, SourceAddresses(pool).size if pool else 1)
    yield processors(os.cpu_count() or 1, _quota(), os.getloadavg()[0])
    yield memory(users, psutil.virtual_memory().available)
    yield timers(sorted(_lateness_ms() for _ in range(_TIMERS)))
    yield synchronised(_clock_state())


def _versions() -> Finding:
    found = [f"Python {sys.version.split()[0]}", f"pika-locust {__version__}"]
    for name in ("locust", "gevent"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            return Finding("problem", "versions", f"{name} is not installed", f"pip install {name}")
    return Finding("ok", "versions", ", ".join(found))


def open_files(sockets: int, soft: int, hard: int) -> Finding:
    """Whether a process may open so many sockets (0: not known how many). A run raises its limit to the hard one."""
    if hard == resource.RLIM_INFINITY:
        return Finding("ok", "open files", "no limit")
    needed = (sockets or ENOUGH_FILES) + 2 * RESERVED_FILES
    text = f"{hard:,} for each process" + (f", raised from {soft:,} by each run" if soft < hard else "")
    if needed <= hard:
        return Finding("ok", "open files", text)
    advice = f"ulimit -Hn {max(65_536, needed)} as root, or nofile in /etc/security/limits.conf; or --processes"
    if sockets:
        return Finding("problem", "open files", f"{text}, and {sockets:,} sockets are needed at the peak", advice)
    return Finding("warning", "open files", f"{text}: enough for {hard - 2 * RESERVED_FILES:,} sockets", advice)


def local_ports(sockets: int, ports: int, addresses: int) -> Finding:
    """Whether there are so many local ports for connections to one target, from so many source addresses."""
    text = f"{ports:,} local ports" + (f" on each of {addresses:,} source addresses" if addresses > 1 else "")
    if sockets <= ports * addresses * 0.9:
        return Finding("ok", "local ports", text)
    advice = "sysctl -w net.ipv4.ip_local_port_range='1024 65535', or SOURCE_ADDRESSES=10.0.0.0/24 with more addresses"
    return Finding("problem", "local ports", f"{text}, and {sockets:,} connections at the peak", advice)


def processors(cores: int, quota: float | None, load: float) -> Finding:
    """Whether the processors are free; `quota`: how many of them a container may use, None without a limit."""
    usable = min(float(cores), quota) if quota is not None else float(cores)
    text = f"{cores} cores" + (f", of which {quota:g} may be used here" if quota is not None and quota < cores else "")
    text += f"; load average {load:.1f}"
    if usable < 1:
        return Finding("warning", "processors", text, "give the container a whole core: less delays whatever is timed")
    if load > usable / 2:
        return Finding("warning", "processors", text, "end what else computes here: it makes the generator late")
    advice = f"one process uses one core: --processes {int(usable)} for large loads" if usable >= 2 else ""
    return Finding("ok", "processors", text, advice)


def memory(users: int, available_bytes: int) -> Finding:
    """Whether so many users fit into the memory."""
    text = f"{available_bytes / 1e9:.1f} GB available"
    if users * MEMORY_PER_USER_BYTES <= available_bytes:
        return Finding("ok", "memory", text)
    needed = f"{users:,} users may take {users * MEMORY_PER_USER_BYTES / 1e9:.1f} GB"
    return Finding("problem", "memory", f"{text}, and {needed}", "fewer users (-u), or workers on more machines")


def timers(late_ms: Sequence[float]) -> Finding:
    """Whether timers fire in time; `late_ms`: how late some of them were, in order."""
    p95 = late_ms[int(len(late_ms) * 0.95)]
    text = f"timers are {p95:.1f} ms late (p95)"
    if p95 <= LATE_MS:
        return Finding("ok", "timers", text)
    return Finding("warning", "timers", text, "the machine is busy, or a virtual one that has to wait: see processors")


def synchronised(state: int | None) -> Finding:
    """Whether this machine's clock is kept right; `state`: what adjtimex(2) says, None where it says nothing."""
    if state is None:
        return Finding("ok", "clock", "it is not known whether it is synchronised; one machine alone needs no more")
    if state != _TIME_ERROR:
        return Finding("ok", "clock", "synchronised")
    advice = "for workers on several machines: chrony or systemd-timesyncd on each"
    return Finding("warning", "clock", "nobody synchronises it", advice)


def _local_ports() -> tuple[int, int]:
    try:
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except (OSError, ValueError):
        return 49_152, 65_535
    return int(first), int(last)


def _quota() -> float | None:
    """How many processors this container may use (cgroup version 2, then 1); None without a limit."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        limit, period = (Path(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(limit) / int(period) if int(limit) > 0 else None
    except (OSError, ValueError):
        return None


def _lateness_ms() -> float:
    due = time.monotonic() + 0.001
    time.sleep(0.001)
    return (time.monotonic() - due) * 1000


def _clock_state() -> int | None:
    """What adjtimex(2) says of the clock, without changing it."""
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(1024)))
    except (OSError, AttributeError):
        return None


def _ports(arguments: Any) -> Finding:
    arguments.master = True
    problems = port_problems(arguments)
    if not problems:
        where = f"{arguments.web_port} (web page) and {arguments.master_bind_port} (workers)"
        return Finding("ok", "ports", f"{where} are free")
    return Finding("warning", "ports", "; ".join(problems))


# Settings and target


def _settings(scenario: Scenario, options: RunOptions | None, wrong: Sequence[str]) -> Iterator[Finding]:
    if options is None:
        yield from (Finding("problem", "settings", problem) for problem in wrong)
        return
    given = sorted(name for name, source in options.settings.sources.items() if source != "default")
    text = f"{', '.join(given)} are set" if given else f"none is set; `pika-locust inspect {scenario.name}` lists them"
    yield Finding("ok", "settings", f"{text}; {options.plan.describe()}")
    needed = list(scenario.secrets_needed(options.settings)) if options.target is not None else []
    secret = sorted(name for name in options.settings.secret_names if options.settings[name])
    wanted = f"; {', '.join(needed)} needed" if needed else ""
    yield Finding("ok", "secrets", f"{', '.join(secret) or 'none'} set{wanted}")
    proxies = sorted(name for name in os.environ if re.fullmatch("(https?|all)_proxy", name, re.IGNORECASE))
    if proxies and options.target is not None:
        yield Finding("ok", "proxy", f"{', '.join(proxies)}: not used, a load goes to the target itself")


def _target(scenario: Scenario, options: RunOptions) -> Iterator[Finding]:
    if options.target is None:
        yield _sandbox(scenario)
        return
    for target in options.target.split(", "):
        yield from _server(scenario.http_base(target), options)


def _sandbox(scenario: Scenario) -> Finding:
    world = scenario.world or scenario.platform
    try:
        with start_sandbox([world]):
            return Finding("ok", "target", "none is named: the embedded sandbox, which starts", "name one with -H")
    except (SetupError, ConfigurationError) as error:
        return Finding("problem", "target", f"none is named, and the embedded sandbox does not start: {error}")


def _server(base: str, options: RunOptions) -> Iterator[Finding]:
    url = f"{base}/health"
    reach([base], options.settings)
    answer = look(url, within_s=HEALTH_WITHIN_S)
    problem = problem_of(answer, HEALTH_WITHIN_S)
    if problem is not None:
        kind = str(answer.error.kind) if answer.error is not None else ""
        yield Finding("problem", "target", f"{url}: {problem}", advice_for(kind))
        return
    status = answer.status
    if status >= 500:
        yield Finding("problem", "target", f"{url} answers {status}: it is not healthy", "mend the server first")
    elif status == 429:
        advice = "SOURCE_ADDRESSES=10.0.0.0/24 sends from more addresses"
        yield Finding("warning", "target", f"{url} answers 429: it limits requests by address", advice)
    elif status >= 300:
        yield Finding("ok", "target", f"{url} answers {status}: there is a server, and no such page")
    else:
        yield Finding("ok", "target", f"{url} answers {status} in {answer.duration_us / 1000:.0f} ms")
    if (said := answer.headers.get("date")) is not None:
        yield clocks_apart(said, datetime.now(UTC))


def advice_for(kind: str) -> str:
    """What to change when the target cannot be reached for this kind of reason."""
    advice = {
        "local": "see open files and local ports above",
        "dns": "correct the host's name, or this machine's DNS",
        "tls": "CA_FILE=ca.pem for an authority of your own, or INSECURE_SKIP_TLS_VERIFY=true",
        "timeout": "look for a firewall between here and the target",
        "refused": "start the server, or correct the port",
    }
    return next((text for word, text in advice.items() if word in kind.lower()), "correct the target's address (-H)")


def clocks_apart(date: str, now: datetime) -> Finding:
    """Whether the target's clock, by the `Date` of its answer, agrees with this machine's."""
    try:
        apart_s = abs((parsedate_to_datetime(date) - now).total_seconds())
    except (TypeError, ValueError):
        return Finding("warning", "target's clock", f"its Date cannot be read: {date}")
    if apart_s <= CLOCK_APART_S:
        return Finding("ok", "target's clock", "agrees with this machine's")
    advice = "synchronise both: tokens that expire, and latencies by the server's own times, would be wrong"
    return Finding("warning", "target's clock", f"{apart_s:,.0f} s apart from this machine's", advice)
