"""`pika-locust inspect` and `pika-locust locustfile`: what a scenario would run, without running it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pika_locust.judge import Threshold
from pika_locust.load.durations import format_duration
from pika_locust.load.plan import CONSTANT, LoadPlan
from pika_locust.outputs import redact
from pika_locust.runtime.options import LOAD_SETTINGS, RunOptions, all_metrics
from pika_locust.scenario import Scenario
from pika_locust.settings import Setting, Settings, duration, read_settings

_ABOUT_AT = 58
"""The column where settings are explained; a longer value has a line of its own."""


def inspect(scenario: Scenario, options: RunOptions) -> str:
    """Load, thresholds, settings and metrics of a scenario under the given options, for people."""
    return "\n".join(_lines(scenario, options))


def locustfile(scenario: Scenario) -> str:
    """A locustfile of a scenario, which runs wherever the package is installed."""
    defaults, _ = read_settings((*LOAD_SETTINGS, *scenario.settings), {}, scenario.platform)
    actors = [actor.partition(":")[::2] for actor in dict.fromkeys(scenario.actor_names(defaults, 1))]
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
    for threshold in options.thresholds:
        note = "; ".join(_notes(threshold))
        yield f"  {threshold.metric:<24} {threshold.expression.text:<14} {note}".rstrip()
    if scenario.bands:
        yield ""
        yield "Grades  shown beside the thresholds; --fail-on lets them decide, too"
        for band in scenario.bands:
            limits = f"healthy {band.healthy}, warning {band.warning}, else critical"
            yield f"  {band.metric:<24} {band.aggregation:<14} {limits}"
    if audits := scenario.audits or scenario.ledgers:
        yield ""
        yield f"Data-integrity checks  {', '.join(audits)}: acknowledged <= stored <= acknowledged + unanswered"
    yield ""
    yield "Settings"
    yield from _settings(scenario, options.settings)
    yield ""
    yield "Metrics"
    for metric in all_metrics(scenario):
        unit = f" ({metric.unit})" if metric.unit else ""
        yield f"  {metric.name:<24} {metric.kind:<8} {metric.about}{unit}"


def _notes(threshold: Threshold) -> Iterator[str]:
    """What is special about a threshold, in words."""
    if threshold.abort_on_fail:
        delay_s = threshold.delay_abort_eval_s
        yield f"aborts, not before {format_duration(delay_s)}" if delay_s else "aborts"
    if threshold.allow_empty:
        yield "may be empty"
    if threshold.optional:
        yield "if it can be seen"
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
