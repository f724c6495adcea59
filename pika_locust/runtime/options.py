"""Command line and environment -> what this run is to be, or one error that lists every mistake."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from pika_locust.errors import ConfigurationError
from pika_locust.judge import Grade, Threshold, check, parse_option, replace_or_add
from pika_locust.load.plan import CONSTANT, LoadPlan, LoadRequest, resolve
from pika_locust.measure import Metric
from pika_locust.runtime.metrics import BASE_METRICS, BASE_THRESHOLDS, TARGET_METRICS
from pika_locust.runtime.shape import StagesShape
from pika_locust.scenario import Scenario
from pika_locust.settings import Setting, Settings, duration, one_of, read_settings, text, whole

LOAD_SETTINGS = (
    Setting("SCENARIO", text, None, "load profile, as the suites name it"),
    Setting("USERS", whole(1), None, "scale the profile to this peak"),
    Setting("RAMP_UP", duration, None, "length of the first stage"),
    Setting("HOLD", duration, None, "length of the stage at the peak"),
    Setting("RAMP_DOWN", duration, None, "length of the last stage"),
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
    sandbox_faults: tuple[str, ...]
    summary_json: str | None
    strict: bool
    fail_on: Grade | None


def add_arguments(parser: Any, scenario: Scenario, profile: str | None) -> None:
    """Add this package's options to Locust's parser; `profile` is what the web form's select shows at first."""
    group = parser.add_argument_group("pika-locust")
    # Locust takes only arguments outside groups into its web form, as a select when they have choices.
    parser.add_argument(
        "--load-profile",
        choices=[*scenario.profiles, CONSTANT]
        + ([profile] if profile not in (None, CONSTANT, *scenario.profiles) else []),
        default=profile,
        help=f"Load profile; {CONSTANT} takes the number of users and the rate from -u and -r. "
        f"Default: {scenario.default_profile}",
        env_var="PIKA_LOAD_PROFILE",
    )
    for name, metavar, help_text in (
        ("--stage", "<30s:100,…>", "Stages by hand: duration:users, comma-separated"),
        ("--seed", "<int>", "Makes every random choice repeatable; printed, and in the summary"),
        ("--summary-json", "<file>", "Write the results as one JSON object, whichever way the run ends"),
    ):
        group.add_argument(
            name,
            metavar=metavar,
            help=help_text,
            env_var=f"PIKA_{name[2:].upper().replace('-', '_')}",
            type=int if name == "--seed" else str,
        )
    for name, metavar, help_text in (
        ("--threshold", "<metric:expr>", "Add a threshold, or replace the scenario's: 'ws_message_latency:p(95)<300'"),
        ("--sandbox-fault", "<name=value>", "Plant a fault in the embedded sandbox, e.g. lose-write=0.05"),
    ):
        group.add_argument(name, metavar=metavar, action="append", default=[], help=help_text)
    for name, help_text in (
        ("--strict", "Fail also what is not conclusive, and what the target cannot show"),
        ("--allow-production", "Allow a target whose host looks like production"),
    ):
        group.add_argument(name, action="store_true", help=help_text)
    group.add_argument("--fail-on", choices=["warning", "critical"], help="Let grades decide, too")


def all_metrics(scenario: Scenario) -> tuple[Metric, ...]:
    """Every metric that a run of the scenario declares."""
    return (*BASE_METRICS, *TARGET_METRICS, *scenario.metrics)


def read_options(scenario: Scenario, arguments: Any, environ: Mapping[str, str]) -> RunOptions:
    """Settle everything, or raise ConfigurationError with every mistake at once."""
    problems: list[str] = []
    settings, mistakes = read_settings((*LOAD_SETTINGS, *scenario.settings), environ, scenario.platform)
    problems += mistakes
    shapes = StagesShape.loaded()
    if len(shapes) > 1:
        names = " and ".join(f"shapes/{shape.profile}.py" for shape in shapes)
        problems.append(f"-f names {names}; a run follows one shape")
    load = _load_request(scenario, arguments, settings, shapes)
    plan = None
    try:
        plan = resolve(load, scenario.profiles, scenario.default_profile)
    except ValueError as error:
        problems += str(error).split("\n")
    overrides = []
    for option in arguments.threshold:
        try:
            overrides.append(parse_option(option))
        except ValueError as error:
            problems.append(f"--threshold: {error}")
    thresholds = thresholds_for(scenario, plan.name if plan else scenario.default_profile, settings, tuple(overrides))
    problems += check(thresholds, all_metrics(scenario))
    target = _target(scenario, arguments, settings, environ, problems)
    if target is not None and arguments.sandbox_fault:
        problems.append(f"--sandbox-fault plants faults in the embedded sandbox only, but the target is {target}")
    problems += scenario.check_settings(settings, plan.duration_s if plan else None)
    if problems or plan is None:
        raise ConfigurationError(dict.fromkeys(problems))
    return RunOptions(
        settings=settings,
        load=load,
        plan=plan,
        thresholds=thresholds,
        overrides=tuple(overrides),
        seed=arguments.seed if arguments.seed is not None else secrets.randbelow(1 << 31),
        target=target,
        sandbox_faults=tuple(arguments.sandbox_fault),
        summary_json=arguments.summary_json,
        strict=arguments.strict,
        fail_on=arguments.fail_on,
    )


def thresholds_for(
    scenario: Scenario, profile: str, settings: Settings, overrides: tuple[Threshold, ...]
) -> tuple[Threshold, ...]:
    """The thresholds of a run under a profile, those of the command line in place."""
    return replace_or_add((*scenario.thresholds_for(profile, settings), *BASE_THRESHOLDS), overrides)


def from_web_form(scenario: Scenario, options: RunOptions, form: Any) -> RunOptions:
    """The options with what the web form chose: its profile, and for `constant` its numbers.

    Raises ValueError when these do not make a plan.
    """
    profile = form.load_profile or options.plan.name
    if profile == options.plan.name and profile != CONSTANT:
        return options
    load = replace(options.load, profile=profile, profile_from="the web form", users=None, spawn_rate=None)
    if profile in scenario.profiles:
        load = replace(load, stages=None)
    if profile == CONSTANT:
        load = replace(load, users=form.num_users or 1, spawn_rate=form.spawn_rate, run_time_s=form.run_time or None)
    plan = resolve(load, scenario.profiles, scenario.default_profile)
    return replace(
        options, plan=plan, thresholds=thresholds_for(scenario, plan.name, options.settings, options.overrides)
    )


def _load_request(
    scenario: Scenario, arguments: Any, settings: Settings, shapes: list[type[StagesShape]]
) -> LoadRequest:
    profile, source, fallback = None, "", None
    if shapes:
        profile, source, fallback = shapes[0].profile, f"shapes/{shapes[0].profile}.py", shapes[0].as_profile()
    if settings["SCENARIO"]:
        profile, source, fallback = settings["SCENARIO"], "SCENARIO", None
    if arguments.load_profile:
        profile, source, fallback = arguments.load_profile, "--load-profile", None
    return LoadRequest(
        profile=profile,
        profile_from=source,
        profile_fallback=fallback,
        stages=arguments.stage,
        users=arguments.num_users,
        users_scale=settings["USERS"],
        spawn_rate=arguments.spawn_rate,
        run_time_s=arguments.run_time or None,
        ramp_up_s=settings["RAMP_UP"],
        hold_s=settings["HOLD"],
        ramp_down_s=settings["RAMP_DOWN"],
    )


def _target(
    scenario: Scenario, arguments: Any, settings: Settings, environ: Mapping[str, str], problems: list[str]
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
    host = urlsplit(target).hostname or ""
    listed = environ.get("PIKA_PRODUCTION_HOSTS")
    hosts = [name.strip() for name in listed.split(",")] if listed is not None else scenario.production_hosts
    if host in hosts and not arguments.allow_production:
        problems.append(f"{source} names {host}, a production host; --allow-production says that it is meant")
    return target
