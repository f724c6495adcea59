"""The same examples in every run, so that a test that fails here fails everywhere, and again; and virtual time."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

import tests.quiet_locust  # noqa: F401
from pika_locust.outputs import redact
from pika_locust.testing.virtual_time import VirtualTime

# How long it takes to make the examples says something about this machine only.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")

TEST_WITHIN_S = 86_400.0
"""A test that takes more virtual time than this hangs."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the whole runs, mix them, so that runs alike are not at the same time; and begin
    with those that take long: at the end, one of them would leave all processes but its own idle."""
    if hasattr(config, "workerinput"):
        items.sort(key=_place)


def _place(item: pytest.Item) -> tuple[bool, bool, int]:
    is_run = item.get_closest_marker("e2e") is not None
    return is_run, item.get_closest_marker("long") is None, crc32(item.nodeid.encode()) if is_run else 0


@pytest.fixture(autouse=True)
def nothing_stays_concealed() -> Iterator[None]:
    """What a test has concealed, a password say, is a word like others in the next one."""
    yield
    redact._concealed.clear()
    redact._values = None
    redact.name.cache_clear()


@pytest.fixture
def virtual_time() -> Iterator[VirtualTime]:
    """The test runs in a greenlet whose time is virtual: it waits as it would in real time, and takes none."""
    with VirtualTime() as time:
        yield time


class MachineTooSlow(AssertionError):
    """A test of time that failed while this process had to wait for a processor: it is run again (see pyproject)."""


WAITED_MS = 5.0
"""Less than this is no excuse."""


def _waited_ms() -> float:
    """How long this thread was ready to run and had no processor, by the kernel's account; 0 where it keeps none."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e6
    except OSError:
        return 0.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Tell apart, for tests that run alone because they measure time, what they measured: the code, or this machine."""
    before_ms = _waited_ms()
    try:
        return (yield)
    except Exception as error:
        waited_ms = _waited_ms() - before_ms
        if item.get_closest_marker("alone") is None or waited_ms < WAITED_MS:
            raise
        raise MachineTooSlow(f"no processor for {waited_ms:.0f} ms meanwhile: {error}") from error


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which tests were run again, and why: a race of ours must not hide behind a busy machine."""
    again = terminalreporter.stats.get("rerun", ())
    if again:
        terminalreporter.section("run again")
    for report in again:
        crash = getattr(report.longrepr, "reprcrash", None)
        why = crash.message if crash is not None else report.longreprtext
        terminalreporter.write_line(f"{report.nodeid}: {shorten(why)}")


def shorten(text: str, chars: int = 1500) -> str:
    """A text in one line, without its middle: of a whole run's output, the end says how it went."""
    line = " ".join(text.split())
    return line if len(line) <= chars else f"{line[: chars // 5]} … {line[-4 * chars // 5 :]}"


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Run tests with the fixture `virtual_time` in it."""
    time = pyfuncitem.funcargs.get("virtual_time")
    if not isinstance(time, VirtualTime):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    time.call(lambda: pyfuncitem.obj(**arguments), within_s=TEST_WITHIN_S)
    return True
