"""A small scenario for tests of the runtime, and the command line that reads its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from pika_locust.judge import Threshold
from pika_locust.load.plan import LoadProfile
from pika_locust.load.stages import parse_stages
from pika_locust.metrics import counter, rate, trend
from pika_locust.runtime.options import RunOptions, add_arguments, parse_all, read_options
from pika_locust.scenario import Scenario
from pika_locust.settings import Setting, Settings, text, url, whole
from pika_locust.testing import worker
from pika_locust.testing.worker import RecordingContext


def normalise(target: str) -> str:
    """The way this scenario has targets: with a slash at the end."""
    if not target.startswith("http://"):
        raise ValueError("not a URL that begins with http://")
    return target.rstrip("/") + "/"


def _check(settings: Settings, planned_s: float | None) -> list[str]:
    pages = settings["PAGES"]
    return [f"PAGES={pages}: nobody visits that many in {planned_s} s"] if pages > 5 else []


SAMPLE_SCENARIO = Scenario(
    name="sample",
    platform="pika",
    about="users come and go",
    primary="tests.runtime.sample_scenario:SampleUser",
    normalise_target=normalise,
    target_settings=("API_URL", "OLD_URL"),
    supporters=lambda settings, users: ("tests.runtime.sample_scenario:SampleSupporter",) if settings["PAGES"] else (),
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
        Setting("PAGES", whole(0), 1, "pages"),
        Setting("PIKA_CODE", text, None, "the server's code", secret=True),
    ),
    check_settings=_check,
    ledgers=("visits",),
    production_hosts=("sample.example", "api.sample.example"),
)


def read(line: str = "", environ: Mapping[str, str] | None = None, scenario: Scenario = SAMPLE_SCENARIO) -> RunOptions:
    """The options of a run that is started with these words, as the plugin reads them."""
    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    add_arguments(parser, scenario, None)
    arguments, _, problems = parse_all(parser, line.split(), environ or {})
    return read_options(scenario, arguments, environ or {}, problems)


def sample_settings(**values: Any) -> Settings:
    """The scenario's settings."""
    return Settings({"PAGES": 1, "PIKA_CODE": "sesame", **values}, {}, frozenset({"PIKA_CODE"}))


def make_context(scenario: Scenario = SAMPLE_SCENARIO, **start: Any) -> RecordingContext:
    """The context of a process in a run of the sample scenario, or another; `start` are fields of `RunStart`."""
    start = {"run_id": "r1", "target": "http://sample/", "spread": True, **start}
    return worker.make_context(scenario, settings=sample_settings(), worker_index=1, **start)
