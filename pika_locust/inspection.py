"""What would run, without running it: the text of `pika-locust inspect`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pika_locust.load.durations import format_duration
from pika_locust.load.plan import CONSTANT, LoadPlan
from pika_locust.outputs import redact
from pika_locust.runtime.options import LOAD_SETTINGS, RunOptions, all_metrics
from pika_locust.scenario import Scenario
from pika_locust.settings import Settings


def inspect(scenario: Scenario, options: RunOptions) -> str:
    """Load, thresholds, settings and metrics of a scenario under the given options, for people."""
    return "\n".join(_lines(scenario, options))


def _lines(scenario: Scenario, options: RunOptions) -> Iterator[str]:
    plan = options.plan
    supporters = scenario.supporters(options.settings)
    yield f"{scenario.name}: {scenario.about}"
    yield f"  target      {redact.text(options.target or 'none named: the embedded sandbox')}"
    yield f"  seed        {options.seed}"
    actors = [scenario.primary, *supporters]
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
        marks = [
            mark
            for mark, on in (
                ("aborts", threshold.abort_on_fail),
                ("may be empty", threshold.allow_empty),
                ("if it can be seen", threshold.optional),
                (f"worst {threshold.window_s:g} s", threshold.window_s is not None)
                if threshold.window_s
                else ("", False),
            )
            if on
        ]
        note = "; ".join([*marks, *([threshold.about] if threshold.about else [])])
        yield f"  {threshold.metric:<24} {threshold.expression.text:<14} {note}".rstrip()
    if scenario.ledgers:
        yield ""
        yield f"Audits  {', '.join(scenario.ledgers)}: acknowledged <= held <= acknowledged + unanswered"
    yield ""
    yield "Settings"
    yield from _settings(scenario, options.settings)
    yield ""
    yield "Metrics"
    for metric in all_metrics(scenario):
        unit = f" ({metric.unit})" if metric.unit else ""
        yield f"  {metric.name:<24} {metric.kind:<8} {metric.about}{unit}"


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
        text = "-" if value is None else redact.text(str(value))
        source = settings.sources[setting.name]
        origin = "" if source == "default" else f" (from {source})"
        yield f"  {setting.name:<24} {text + origin:<30} {setting.about}"
