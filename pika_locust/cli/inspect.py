"""`pika-locust inspect` and `pika-locust locustfile`: what a scenario would run, without running it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pika_locust.judge import Threshold
from pika_locust.load.durations import format_duration
from pika_locust.load.plan import CONSTANT, LoadPlan
from pika_locust.outputs import redact
from pika_locust.runtime.options import LOAD_SETTINGS, RunOptions, all_metrics
from pika_locust.scenario import Scenario
from pika_locust.settings import Setting, Settings, duration, read_settings

_ABOUT_AT = 58
"""The column where settings are explained; a longer value has a line of its own."""
_NAMES_TO = 24
"""How wide the column of names is at least."""


_EPILOG = """\
thresholds, as k6 writes them: NAME or NAME{tag:value}, a colon, an expression, and options after semicolons
  --threshold 'ws_message_latency:p(95)<300'        in ms; also avg, min, max, med
  --threshold 'ack_success:rate>0.995'              of rates; counters have count and rate, gauges value
  --threshold 'ack_latency{kind:like}:p(99)<200; abort_on_fail; delay_abort_eval=30s; window=30s'
                                                    end the run early; judge the worst 30 s, not the whole
  --threshold 'ping_latency:p(95)<100; allow_empty' hold without a sample, too
  --threshold 'target_memory_mb:slope<5'            growth a minute of gauges, and of the median of trends, while the
                                                    load is held; SLOPE_MIN_HOLD says for how long at least (1m)

load, the strongest first
  -u 60 -r 30 -t 40s                                constant users; -t cuts any load short
  --stage 30s:100,1m:100,10s:0                      reach 100 in 30 s, stay for 1 m, go down to 0 in 10 s
  --load-profile stress                             or SCENARIO=stress; `pika-locust inspect NAME` lists them
  USERS=50 RAMP_UP=30s HOLD=2m RAMP_DOWN=10s        the profile with other numbers
"""


def inspect(scenario: Scenario, options: RunOptions) -> str:
    """Load, thresholds, settings and metrics of a scenario under the given options, for people."""
    return "\n".join(_lines(scenario, options))


def locustfile(scenario: Scenario) -> str:
    """A locustfile of a scenario, which runs wherever the package is installed."""
    actors = [actor.partition(":")[::2] for actor in actors_of(scenario)]
    imports = sorted([("pika_locust.catalogue", "find_scenario"), *actors])
    names = ", ".join(f'"{name}"' for _, name in actors)
    return "\n".join(
        [
            f'"""{scenario.about}. `pika-locust inspect {scenario.name}` shows everything else."""',
            "",
            "import pika_locust",
            *(f"from {module} import {name}" for module, name in imports),
            "",
            f"__all__ = [{names}]",
            "",
            f'pika_locust.install(find_scenario("{scenario.name}"))',
            "",
        ]
    )


def actors_of(scenario: Scenario) -> tuple[str, ...]:
    """References of the actors that a locustfile of the scenario brings."""
    defaults, _ = read_settings((*LOAD_SETTINGS, *scenario.settings), {}, scenario.platform)
    return scenario.known_actors(defaults)


def options_parser(scenario: Scenario, command: str = "inspect") -> Any:
    """A parser of the load and threshold options of a run, and of its configuration files, behind a scenario's name.

    Locust is loaded for it: a run and whoever looks at it must read the same options.
    """
    from locust.argument_parser import (
        DEFAULT_CONFIG_FILES,
        LocustArgumentParser,
        LocustConfigParser,
        gt_zero,
        timespan,
    )

    from pika_locust.runtime.options import add_arguments

    parser = LocustArgumentParser(
        prog=f"pika-locust {command}",
        description="What would run: stages, thresholds, audits, settings, metrics. Takes the load and threshold\n"
        "options of a run, and reads the same environment and configuration files; sends nothing.",
        default_config_files=DEFAULT_CONFIG_FILES,
        config_file_parser_class=LocustConfigParser,
        add_env_var_help=False,
        add_config_file_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EPILOG,
    )
    parser.add_argument("scenario", help="as `pika-locust list` names it")
    parser.add_argument("--config", is_config_file_arg=True, metavar="<filename>", help="another configuration file")
    for short, name, about, read, variable in (
        ("-u", "--users", "constant users", int, "LOCUST_USERS"),
        ("-r", "--spawn-rate", "users a second, with -u", gt_zero(float), "LOCUST_SPAWN_RATE"),
        ("-t", "--run-time", "30s, 10m, 1h30m", timespan, "LOCUST_RUN_TIME"),
        ("-H", "--host", "the target", str, "LOCUST_HOST"),
    ):
        dest = "num_users" if short == "-u" else None
        parser.add_argument(short, name, dest=dest, metavar="<value>", type=read, env_var=variable, help=about)
    parser.set_defaults(locustfile=None)
    add_arguments(parser, scenario, None)
    return parser


def _lines(scenario: Scenario, options: RunOptions) -> Iterator[str]:
    plan = options.plan
    supporters = scenario.supporters(options.settings, plan.users_peak)
    yield f"{scenario.name}: {scenario.about}"
    yield f"  target      {redact.text(options.target or 'none named: the embedded sandbox')}"
    yield f"  seed        {options.seed}"
    actors = dict.fromkeys((scenario.primary, *supporters))
    yield f"  actors      {', '.join(actor.rpartition(':')[2] for actor in actors)}"
    yield ""
    yield f"Load  {plan.describe()}"
    for override in plan.overrides:
        yield f"  {override}"
    yield from _stages(plan) if plan.arrivals is None else _arrivals(plan)
    on_top = f", and {len(supporters)} on top" if supporters else ""
    yield f"  {_users(plan)}{on_top}"
    meaning = scenario.iteration if plan.iterations is None else "and then it ends"
    yield f"  {plan.expected_iterations} expected iterations, {meaning}"
    if scenario.profiles:
        others = [name for name in (*scenario.profiles, CONSTANT) if name != plan.name]
        yield f"  other profiles: {', '.join(others)}"
    for note in scenario.notes(options.settings, plan):
        yield f"  {note}"
    yield ""
    yield "Thresholds"
    names = _width(threshold.metric for threshold in options.thresholds)
    for threshold in options.thresholds:
        note = "; ".join(_notes(threshold, plan, options.settings["SLOPE_MIN_HOLD"]))
        yield f"  {threshold.metric:<{names}} {threshold.expression.text:<14} {note}".rstrip()
    if scenario.bands:
        yield ""
        yield "Grades  shown beside the thresholds; --fail-on lets them decide, too"
        names = _width(band.metric for band in scenario.bands)
        for band in scenario.bands:
            limits = f"healthy {band.healthy}, warning {band.warning}, else critical"
            yield f"  {band.metric:<{names}} {band.aggregation:<14} {limits}"
    if audits := scenario.audits or scenario.ledgers:
        yield ""
        yield f"Data-integrity checks  {', '.join(audits)}: acknowledged <= stored <= acknowledged + unanswered"
    yield ""
    yield "Settings"
    yield from _settings(scenario, options.settings)
    yield ""
    yield "Metrics"
    metrics = all_metrics(scenario)
    names = _width(metric.name for metric in metrics)
    for metric in metrics:
        unit = f" ({metric.unit})" if metric.unit else ""
        yield f"  {metric.name:<{names}} {metric.kind:<8} {metric.about}{unit}"


def _width(names: Iterable[str]) -> int:
    """Of a column that holds all these names."""
    return max((_NAMES_TO, *map(len, names)))


def _notes(threshold: Threshold, plan: LoadPlan, min_hold_s: float) -> Iterator[str]:
    """What is special about a threshold, in words."""
    if threshold.abort_on_fail:
        delay_s = threshold.delay_abort_eval_s
        yield f"aborts, not before {format_duration(delay_s)}" if delay_s else "aborts"
    if threshold.allow_empty:
        yield "may be empty"
    if threshold.optional:
        yield "if it can be seen"
    if threshold.expression.is_slope:
        held = any(hold.to_s - hold.from_s >= min_hold_s for hold in plan.holds or ())
        least = format_duration(min_hold_s)
        yield f"a minute, while the load is held for {least} or more" + ("" if held else ", as it never is here")
    if threshold.window_s:
        yield f"worst {threshold.window_s:g} s"
    if threshold.about:
        yield threshold.about


def _stages(plan: LoadPlan) -> Iterator[str]:
    yield f"  {'length':>8}  {'users':>13}"
    before = plan.start_users
    for stage in plan.stages:
        length = format_duration(stage.duration_s) if stage.duration_s or plan.duration_s is not None else "open end"
        yield f"  {length:>8}  {f'{before} → {stage.target}':>13}"
        before = stage.target


def _arrivals(plan: LoadPlan) -> Iterator[str]:
    assert plan.arrivals is not None
    schedule = plan.arrivals.schedule()
    if plan.arrivals_s is not None:
        schedule = schedule.cut(plan.arrivals_s)
    yield f"  {'length':>8}  {'arrivals/s':>13}  {'arrivals':>9}"
    for stretch in schedule.stretches():
        rates = f"{stretch.first_rate:.4g} → {stretch.last_rate:.4g}"
        yield f"  {format_duration(stretch.duration_s):>8}  {rates:>13}  {stretch.arrivals:>9}"


def _users(plan: LoadPlan) -> str:
    if plan.arrivals is None:
        return f"{plan.users_peak} users at the peak"
    least, most = plan.arrivals.pre_allocated_vus, plan.arrivals.max_vus
    return f"{least} users are prepared" + (f", {most} at most" if most is not None and most != least else "")


def _settings(scenario: Scenario, settings: Settings) -> Iterator[str]:
    shown: Mapping[str, object] = settings.public()
    for setting in (*scenario.settings, *LOAD_SETTINGS):
        value = shown.get(setting.name, "set" if settings[setting.name] else None)
        text = "-" if value is None else redact.text(_as_given(setting, value))
        source = settings.sources[setting.name]
        place = "the environment" if source == setting.name else source.removeprefix(f"{setting.name} in ")
        origin = "" if source == "default" else f" (from {place})"
        line = f"  {setting.name:<24} {text + origin:<30} "
        if len(line) > _ABOUT_AT:
            yield line.rstrip()
            line = " " * _ABOUT_AT
        yield line + setting.about


def _as_given(setting: Setting, value: object) -> str:
    """A value in the spelling that the setting reads."""
    if setting.parse is duration and isinstance(value, float):
        return format_duration(value)
    if isinstance(value, bool):
        return "1" if value else "0"
    return f"{value:.12g}" if isinstance(value, float) else str(value)
