"""The reference of docs/: metrics, settings, options and faults, made from the code (`make conf`)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import tests.quiet_locust  # noqa: F401
from pika_locust.catalogue import find_platform, find_scenario, known_platforms, scenarios
from pika_locust.metrics import Metric
from pika_locust.metrics.builtin import BASE_METRICS, LOCUSTFILE_METRICS, REQUEST_EVENT_METRICS, TARGET_METRICS
from pika_locust.runtime.options import EVERY_RUN_SETTINGS, LOAD_SETTINGS, add_arguments, add_judging_arguments
from pika_locust.sandbox.server import legal_faults
from pika_locust.settings import Setting

PATH = Path(__file__).resolve().parents[2] / "docs" / "reference.md"
EVERY = "every run"
EVERY_SCENARIO = "every scenario"
"""What a locustfile with users of its own does not have."""
ANY = "queue"
"""A scenario to ask for the options, which are the same in all."""

HEAD = """\
# Metrics, settings, options, faults

Made from the code; a test holds the two together. `pika-locust inspect queue` tells the same of one scenario, with the
values that a run would have. What is in *every run* is there for a locustfile's own users, too; what is in *every
scenario* is not.
"""


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A table of Markdown; bars in cells are escaped."""
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def _metrics() -> list[tuple[str, ...]]:
    """Name, kind, unit, meaning and scenarios of each metric; a name with several meanings has a row for each."""
    found: dict[tuple[str, str, str, str], list[str]] = {}

    def add(metrics: Iterable[Metric], whose: str) -> None:
        for metric in metrics:
            row = (metric.name, metric.kind.value, metric.unit, metric.about)
            if whose not in found.setdefault(row, []):
                found[row].append(whose)

    base = (*BASE_METRICS, *TARGET_METRICS)
    add(LOCUSTFILE_METRICS, EVERY)
    add((one for one in base if one not in LOCUSTFILE_METRICS), EVERY_SCENARIO)
    add(REQUEST_EVENT_METRICS, "any locustfile")
    for name, scenario in scenarios().items():
        add((one for one in scenario.metrics if one not in base), name)
    return [
        (code(name), kind, unit, about, ", ".join(whose)) for (name, kind, unit, about), whose in sorted(found.items())
    ]


def _settings() -> list[tuple[str, ...]]:
    """Name, default, meaning and scenarios of each setting."""
    found: dict[tuple[str, str, str], list[str]] = {}

    def add(settings: Iterable[Setting], whose: str) -> None:
        for setting in settings:
            about = setting.about + ("; secret" if setting.secret else "")
            row = (setting.name, _default(setting), about)
            if whose not in found.setdefault(row, []):
                found[row].append(whose)

    add(EVERY_RUN_SETTINGS, EVERY)
    add((one for one in LOAD_SETTINGS if one not in EVERY_RUN_SETTINGS), EVERY_SCENARIO)
    for name, scenario in scenarios().items():
        add(scenario.settings, name)
    return [(code(name), default, about, ", ".join(whose)) for (name, default, about), whose in sorted(found.items())]


def _default(setting: Setting) -> str:
    match setting.default:
        case None | "":
            return ""
        case tuple() | list() as several:
            return code("; ".join(map(str, several)))
        case bool() as switch:
            return code(str(int(switch)))
        case float() as number:
            return code(f"{number:g}")
        case other:
            return code(str(other))


def _options() -> list[tuple[str, ...]]:
    """Names with their value, meaning, and who has them."""
    from locust.argument_parser import get_empty_argument_parser

    parser, of_every_run = get_empty_argument_parser(), get_empty_argument_parser()
    before = {id(action) for action in parser._actions}
    add_arguments(parser, find_scenario(ANY), None)
    add_judging_arguments(of_every_run)
    common = {name for action in of_every_run._actions for name in action.option_strings}
    rows = []
    for action in parser._actions:
        if id(action) not in before and action.help and action.option_strings:
            names = ", ".join(action.option_strings)
            whose = EVERY if common.issuperset(action.option_strings) else EVERY_SCENARIO
            rows.append((code(f"{names} {_value_of(action)}".strip()), action.help.replace("%%", "%"), whose))
    return rows


def _value_of(action: Any) -> str:
    if action.nargs == 0:
        return ""
    # Load profiles are each scenario's own.
    choices = action.choices if "--load-profile" not in action.option_strings else ()
    return f"<{'|'.join(choices)}>" if choices else str(action.metavar or "<value>")


def _faults() -> list[tuple[str, ...]]:
    platforms = [find_platform(name) for name in known_platforms()]
    return [
        (code(kind.usage), kind.about, ", ".join(one.name for one in platforms if kind.name in one.supports))
        for kind in legal_faults(platforms)
    ]


def text() -> str:
    """The page, as it is to stand in docs/."""
    lines = [
        HEAD,
        "## Metrics",
        "",
        "Times are in ms. Tags make sub-metrics: `http_req_duration{name:/login}`.",
        "",
        *table(("metric", "kind", "unit", "what it is", "in"), _metrics()),
        "",
        "## Settings",
        "",
        "From the environment, or behind it from `.env.load-tests`. With a platform's name before it, as in",
        "`PIKA_WS_URL`, a setting is that platform's alone. `PIKA_PRODUCTION_HOSTS` is the name for all platforms.",
        "",
        *table(("setting", "default", "what it is", "in"), _settings()),
        "",
        "## Options",
        "",
        "Beside Locust's own, as `locust --help` lists them.",
        "",
        *table(("option", "what it does", "in"), _options()),
        "",
        "## Faults of the sandbox",
        "",
        "For `--sandbox-fault` of a run, and `--fault` of `pika-locust sandbox`.",
        "",
        *table(("fault", "what it does", "of"), _faults()),
        "",
        "[Reading a verdict](reading-a-verdict.md) has the exit codes.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    PATH.write_text(text())
    sys.stdout.write(f"{PATH} written\n")
