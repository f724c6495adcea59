"""Command line and environment -> what this run is to be, or one error that lists every mistake."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pika_locust.errors import ConfigurationError
from pika_locust.judge import Grade, Threshold, check, parse_option, replace_or_add
from pika_locust.load.closed_plan import resolve
from pika_locust.load.iterations import Iterations
from pika_locust.load.open_plan import open_plan
from pika_locust.load.plan import CONSTANT, LoadPlan, LoadRequest
from pika_locust.measure import Metric
from pika_locust.runtime.metrics import BASE_METRICS, BASE_THRESHOLDS, LOCUSTFILE_METRICS, TARGET_METRICS
from pika_locust.runtime.production import production_hosts, refusal
from pika_locust.runtime.shape import StagesShape, foreign_shapes
from pika_locust.scenario import Scenario
from pika_locust.settings import Setting, Settings, duration, one_of, read_settings, text, whole


def _iterations(value: str) -> str:
    """A fixed number of iterations, as its text: settings travel to the workers."""
    return str(Iterations.parse(value))


LOAD_SETTINGS = (
    Setting("SCENARIO", text, None, "load profile, as the suites name it"),
    Setting("USERS", whole(1), None, "scale the profile to this peak"),
    Setting("RAMP_UP", duration, None, "length of the first stage"),
    Setting("HOLD", duration, None, "length of the stage at the peak"),
    Setting("RAMP_DOWN", duration, None, "length of the last stage"),
    Setting("ITERATIONS", _iterations, None, "a fixed number: 200 shared by all users, or 3/user for each"),
    Setting("USE_SIMPLE", one_of("0", "1"), "0", "accepted with -u, as in the suites"),
)
STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Everything that is settled before the first request."""

    settings: Settings
    load: LoadRequest
    plan: LoadPlan
    thresholds: tuple[Threshold, ...]
    overrides: tuple[Threshold, ...]
    seed: int
    target: str | None
    """None: nobody named one, so the embedded sandbox is it."""
    refused_hosts: frozenset[str]
    """Production hosts, unless the user allowed them: no target may be one of these."""
    sandbox_faults: tuple[str, ...]
    summary_json: str | None
    strict: bool
    fail_on: Grade | None


def all_metrics(scenario: Scenario) -> tuple[Metric, ...]:
    """Every metric that a run of the scenario declares."""
    if scenario.is_locustfile:
        return (*LOCUSTFILE_METRICS, *scenario.metrics)
    return (*BASE_METRICS, *TARGET_METRICS, *scenario.metrics)


def read_options(
    scenario: Scenario, arguments: Any, environ: Mapping[str, str], mistakes: Sequence[str] = ()
) -> RunOptions:
    """Settle everything, or raise ConfigurationError with every mistake at once, those found before included."""
    problems = list(mistakes)
    settings, unreadable = read_settings((*LOAD_SETTINGS, *scenario.settings), environ, scenario.platform)
    problems += unreadable
    load = _load_request(scenario, arguments, settings, problems)
    if load.iterations is not None and scenario.endless:
        problems.append(f"ITERATIONS={load.iterations}: in {scenario.name}, {scenario.endless}")
    plan = None
    try:
        plan = _plan(scenario, settings, load)
    except ValueError as error:
        problems += str(error).split("\n")
    else:
        if settings["USE_SIMPLE"] == "1" and load.users is None:
            plan = replace(plan, overrides=(*plan.overrides, "USE_SIMPLE=1 changes nothing without -u"))
    overrides = threshold_overrides(arguments, problems)
    thresholds = thresholds_for(scenario, plan.name if plan else scenario.default_profile, settings, overrides)
    problems += check(thresholds, all_metrics(scenario))
    refused = frozenset() if arguments.allow_production else production_hosts(scenario, environ)
    target = _target(scenario, arguments, settings, refused, problems)
    if target is not None and arguments.sandbox_fault:
        problems.append(f"--sandbox-fault plants faults in the embedded sandbox only, but the target is {target}")
    problems += _fault_problems(scenario, arguments.sandbox_fault)
    if target is not None:
        problems += [
            f"{name} is needed to test {target}: the run signs what the target verifies with it"
            for name in scenario.secrets_needed(settings)
            if not settings[name]
        ]
    problems += scenario.check_settings(settings, plan.duration_s if plan else None)
    if problems or plan is None:
        raise ConfigurationError(dict.fromkeys(problems))
    return RunOptions(
        settings=settings,
        load=load,
        plan=plan,
        thresholds=thresholds,
        overrides=overrides,
        seed=arguments.seed if arguments.seed is not None else secrets.randbelow(1 << 31),
        target=target,
        refused_hosts=refused,
        sandbox_faults=tuple(arguments.sandbox_fault),
        summary_json=arguments.summary_json,
        strict=arguments.strict,
        fail_on=arguments.fail_on,
    )


def threshold_overrides(arguments: Any, problems: list[str]) -> tuple[Threshold, ...]:
    """The thresholds of the command line; what cannot be read is added to the problems."""
    found = []
    for option in arguments.threshold:
        try:
            found.append(parse_option(option))
        except ValueError as error:
            problems.append(f"--threshold: {error}")
    return tuple(found)


def thresholds_for(
    scenario: Scenario, profile: str, settings: Settings, overrides: tuple[Threshold, ...]
) -> tuple[Threshold, ...]:
    """The thresholds of a run under a profile, those of the command line in place."""
    return replace_or_add((*scenario.thresholds_for(profile, settings), *BASE_THRESHOLDS), overrides)


def from_web_form(scenario: Scenario, options: RunOptions, form: Any) -> RunOptions:
    """The options with what the web form chose: its profile and run time, and for `constant` its numbers.

    Raises ValueError when these do not make a plan.
    """
    # Who starts without a form, by --autostart say, has chosen nothing.
    profile = form.load_profile or (options.plan.name if form.num_users is None else form_profile(options))
    load = replace(options.load, run_time_s=form.run_time or None)
    if profile == options.plan.name and profile != CONSTANT:
        if load == options.load:
            return options
        plan = _plan(scenario, options.settings, load)
    else:
        load = replace(load, profile=profile, profile_from="the web form", users=None, spawn_rate=None, iterations=None)
        if profile in scenario.profiles:
            load = replace(load, stages=None)
        if profile == CONSTANT:
            users = form.num_users if form.num_users is not None else 1
            load = replace(load, users=users, spawn_rate=form.spawn_rate)
        plan = resolve(load, scenario.profiles, scenario.default_profile)
    return replace(
        options, plan=plan, thresholds=thresholds_for(scenario, plan.name, options.settings, options.overrides)
    )


def form_profile(options: RunOptions) -> str:
    """The load profile that the web form shows at first: whatever was asked for, else the form's own numbers count."""
    load = options.load
    asked = load.profile or load.stages or load.iterations or load.shaping() or options.plan.arrivals
    return options.plan.name if asked else CONSTANT


def _plan(scenario: Scenario, settings: Settings, load: LoadRequest) -> LoadPlan:
    """Raises ValueError with every mistake, one a line."""
    simple = settings["USE_SIMPLE"] == "1" and load.users is not None
    if scenario.arrivals is not None and not simple:
        return open_plan(scenario.arrivals(settings), load)
    return resolve(load, scenario.profiles, scenario.default_profile)


def _load_request(scenario: Scenario, arguments: Any, settings: Settings, problems: list[str]) -> LoadRequest:
    profile, source, fallback = None, "", None
    shapes = StagesShape.loaded()
    if len(shapes) > 1:
        problems.append(f"-f names {' and '.join(shape.source() for shape in shapes)}; a run follows one shape")
    for shape in foreign_shapes((arguments.locustfile or "").split(",")):
        problems.append(
            f"-f names the shape {shape.__name__}, which is none of this package's and would not be followed; "
            "derive it from pika_locust.runtime.shape.StagesShape, or use --stage"
        )
    if shapes:
        try:
            fallback = shapes[0].as_profile()
        except ValueError as error:
            problems.append(f"{shapes[0].source()}: {error}")
        else:
            profile, source = fallback.name, shapes[0].source()
    if settings["SCENARIO"]:
        profile, source, fallback = settings["SCENARIO"], settings.sources["SCENARIO"], None
    if arguments.load_profile:
        profile, source, fallback = arguments.load_profile, "--load-profile", None
    return LoadRequest(
        profile=profile,
        profile_from=source,
        profile_fallback=fallback,
        stages=arguments.stage,
        users=arguments.num_users,
        users_scale=settings["USERS"] or settings[scenario.users_setting],
        users_scale_from="USERS" if settings["USERS"] else scenario.users_setting,
        spawn_rate=arguments.spawn_rate,
        run_time_s=arguments.run_time or None,
        ramp_up_s=settings["RAMP_UP"],
        hold_s=settings["HOLD"],
        ramp_down_s=settings["RAMP_DOWN"],
        iterations=Iterations.parse(settings["ITERATIONS"]) if settings["ITERATIONS"] else None,
    )


def _target(
    scenario: Scenario, arguments: Any, settings: Settings, refused: frozenset[str], problems: list[str]
) -> str | None:
    named = [(arguments.host, "-H")] if arguments.host else []
    named += [(settings[name], settings.sources[name]) for name in scenario.target_settings if settings[name]]
    if not named:
        return None
    given, source = named[0]
    try:
        target = scenario.normalise_target(given)
    except ValueError as error:
        problems.append(f"{source} {given}: {error}")
        return None
    problem = refusal(target, source, refused)
    if problem is not None:
        problems.append(problem)
    return target


def _fault_problems(scenario: Scenario, faults: Sequence[str]) -> list[str]:
    if not faults:
        return []
    # A world is worth loading only for those who plant faults in it.
    from pika_locust.sandbox.control import legal_faults
    from pika_locust.sandbox.faults import parse_faults
    from pika_locust.sandbox.lookup import find_platform

    try:
        parse_faults(faults, legal_faults([find_platform(scenario.platform)]))
    except ConfigurationError as error:
        return [f"--sandbox-fault: {problem}" for problem in error.problems]
    return []
