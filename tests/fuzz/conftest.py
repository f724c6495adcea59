"""`--fuzz-seconds`: how long to search in all; without it every test tries its few examples, always the same."""

from __future__ import annotations

import time
from collections.abc import Generator

import pytest
from hypothesis import settings

_OPTION = "--fuzz-seconds"
_EXAMPLES_AT_ONCE = 500

settings.register_profile(
    "search", settings.get_profile("repeatable"), derandomize=False, max_examples=_EXAMPLES_AT_ONCE, print_blob=True
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        _OPTION, type=float, default=0.0, metavar="S", help="search for so many seconds, all tests together"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption(_OPTION, default=0.0):
        settings.load_profile("search")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A search may take its share of the time, and some more where the machine is busy."""
    for item in items:
        if share_s := _share_s(item):
            item.add_marker(pytest.mark.timeout(120 + 3 * share_s))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run the test again, with other examples, until its share of the time is over."""
    until = time.monotonic() + _share_s(pyfuncitem)
    result = yield
    while time.monotonic() < until:
        arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
        pyfuncitem.obj(**arguments)
    return result


def _share_s(item: pytest.Item) -> float:
    """What one test may search for, in seconds: the time is divided by the tests, and multiplied by the workers."""
    seconds: float = item.config.getoption(_OPTION, default=0.0)
    workers = getattr(item.config, "workerinput", {}).get("workercount", 1)
    return seconds * workers / len(item.session.items) if seconds else 0.0
