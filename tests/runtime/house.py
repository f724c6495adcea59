"""A small scenario for tests of the runtime, and the command line that reads its options."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments
from locust.event import EventHook

from pika_locust.judge import Threshold
from pika_locust.load.plan import LoadProfile
from pika_locust.load.stages import parse_stages
from pika_locust.metrics import counter, rate, trend
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.messages import RunStart
from pika_locust.runtime.options import RunOptions, add_arguments, parse_all, read_options
from pika_locust.scenario import Scenario
from pika_locust.settings import Setting, Settings, text, url, whole


def normalise(target: str) -> str:
    """The way this house has targets: with a slash at the end."""
    if not target.startswith("http://"):
        raise ValueError("not a URL that begins with http://")
    return target.rstrip("/") + "/"


def _check(settings: Settings, planned_s: float | None) -> list[str]:
    rooms = settings["ROOMS"]
    return [f"ROOMS={rooms}: nobody visits that many in {planned_s} s"] if rooms > 5 else []


HOUSE = Scenario(
    name="house",
    platform="pika",
    about="guests come and go",
    primary="tests.runtime.house:Guest",
    normalise_target=normalise,
    target_settings=("API_URL", "OLD_URL"),
    supporters=lambda settings: ("tests.runtime.house:Host",) if settings["ROOMS"] else (),
    profiles={
        "standard": LoadProfile("standard", parse_stages("2m:100,8m:100,1m:0")),
        "stress": LoadProfile("stress", parse_stages("5m:500,10m:500,2m:0")),
    },
    metrics=(trend("latency"), counter("errors"), rate("delivery")),
    thresholds=(Threshold.of("latency", "p(95)<500"), Threshold.of("errors", "count<10")),
    profile_thresholds={"stress": (Threshold.of("delivery", "rate>0.9"),)},
    settings=(
        Setting("API_URL", url("http"), None, "the target"),
        Setting("OLD_URL", url("http"), None, "the target, as it was called once"),
        Setting("ROOMS", whole(0), 1, "rooms"),
        Setting("PIKA_CODE", text, None, "the door's code", secret=True),
    ),
    check_settings=_check,
    ledgers=("visits",),
    production_hosts=("house.example", "api.house.example"),
)


def read(line: str = "", environ: Mapping[str, str] | None = None, scenario: Scenario = HOUSE) -> RunOptions:
    """The options of a run that is started with these words, as the plugin reads them."""
    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    add_arguments(parser, scenario, None)
    arguments, _, problems = parse_all(parser, line.split(), environ or {})
    return read_options(scenario, arguments, environ or {}, problems)


def settings(**values: Any) -> Settings:
    """The house's settings."""
    return Settings({"ROOMS": 1, "PIKA_CODE": "sesame", **values}, {}, frozenset({"PIKA_CODE"}))


def make_context(scenario: Scenario = HOUSE, **changed: Any) -> Told:
    """One process's share of a test; what it tells the others is in `told`, what it fires in `fired`."""
    begin = RunStart(
        **{
            "run_id": "r1",
            "seed": 7,
            "target": "http://house/",
            "settings": {},
            "planned_s": 60.0,
            "spread": True,
            "supporters": 0,
            "stop_timeout_s": 30.0,
            **changed,
        }
    )
    return Told(begin, scenario, settings(), 1)


class Told(WorkerContext):
    """A context that keeps what it would send to others."""

    def __init__(self, begin: RunStart, scenario: Scenario, values: Settings, worker_index: int) -> None:
        self.told: list[tuple[str, Any]] = []
        self.fired: list[dict[str, Any]] = []
        event = EventHook()
        event.add_listener(lambda **fields: self.fired.append(fields))
        super().__init__(begin, scenario, values, worker_index, lambda *news: self.told.append(news), event)


def until(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Let the event loop run until something is so; fail when it is not in time."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not so within {timeout_s} s"
        gevent.sleep(0.005)
