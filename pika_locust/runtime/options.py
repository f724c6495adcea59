"""The options of a run: command line and environment, read into `RunOptions` or one error that lists every mistake.

Here are the options added to Locust's command line, how they are parsed without stopping at the first mistake, which
hosts count as production, and how load plan, thresholds and target follow from all of them.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NoReturn
from urllib.parse import urlsplit

from pika_locust.errors import ConfigurationError
from pika_locust.judge import Grade, Threshold, check, parse_option, replace_or_add
from pika_locust.judge.slopes import MIN_HOLD_S
from pika_locust.load.iterations import Iterations
from pika_locust.load.plan import CONSTANT, OPEN, LoadPlan, LoadRequest, open_plan, resolve
from pika_locust.metrics import Metric
from pika_locust.metrics.builtin import BASE_METRICS, LOCUSTFILE_METRICS, TARGET_METRICS
from pika_locust.observe.sources import EXAMPLES as SOURCES
from pika_locust.observe.sources import Observation, read_observation
from pika_locust.outputs import redact
from pika_locust.outputs.figures import MODES, SummaryMode
from pika_locust.outputs.targets import EXAMPLES, OUTPUT_SETTINGS, OutputTarget, output_targets
from pika_locust.runtime.foreign_options import without_tags_of_k6
from pika_locust.runtime.shape import StagesShape, foreign_shapes
from pika_locust.runtime.target_settings import OBSERVE_SETTINGS, TARGET_SETTINGS, target_setting_problems
from pika_locust.scenario import Scenario
from pika_locust.settings import (
    Setting,
    Settings,
    bare_hosts,
    duration,
    host_names,
    one_of,
    read_settings,
    split_names,
    text,
    url,
    whole,
)

_KINDS = {int: "a whole number", float: "a number"}


def add_arguments(parser: Any, scenario: Scenario, profile: str | None) -> None:
    """Add this package's options to Locust's parser; `profile` is what the web form's select shows at first."""
    group = parser.add_argument_group("pika-locust")
    # Locust takes only arguments outside groups into its web form, as a select when they have choices.
    parser.add_argument(
        "--load-profile",
        choices=[*scenario.profiles, CONSTANT]
        + ([profile] if profile not in (None, CONSTANT, *scenario.profiles) else []),
        default=profile,
        help=f"{CONSTANT}: users and ramp up as given (-u, -r); others: their own. "
        f"Headless default: {scenario.default_profile if scenario.profiles else OPEN}",
        env_var="PIKA_LOAD_PROFILE",
    )
    group.add_argument(
        "--stage",
        metavar="<30s:100,…>",
        action=_OneAfterTheOther,
        help="Stages by hand: duration:users, comma-separated, or the option once for each, as in k6",
        env_var="PIKA_STAGE",
    )
    group.add_argument(
        "--seed",
        metavar="<int>",
        type=int,
        help="Makes every random choice repeatable; printed, and in the summary",
        env_var="PIKA_SEED",
    )
    add_judging_arguments(group)
    group.add_argument(
        "--sandbox-fault",
        metavar="<name=value>",
        action="append",
        default=[],
        help="Plant a fault in the embedded sandbox, e.g. lose-write=0.05",
    )
    group.add_argument("--fail-on", choices=["warning", "critical"], help="Let grades decide, too")
    group.add_argument(
        "--locust-tables", action="store_true", help="Print Locust's own tables as well, before the verdict"
    )


class _OneAfterTheOther(argparse.Action):
    """Whatever an option is given, as one list with commas: the last alone would be another load, without a word."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        before = getattr(namespace, self.dest, None)
        setattr(namespace, self.dest, f"{before},{values}" if before else values)


def add_judging_arguments(group: Any) -> None:
    """Add what has to do with the verdict, whoever the users are."""
    group.add_argument(
        "--summary-json",
        metavar="<file>",
        help="Write the results as one JSON object, whichever way the run ends",
        env_var="PIKA_SUMMARY_JSON",
    )
    group.add_argument(
        "--report",
        metavar="<file>",
        action="append",
        default=[],
        help="Write a report that needs nothing else, to an .html or .md file, as often as wanted",
    )
    group.add_argument(
        "--baseline",
        metavar="<file|folder>",
        help="Compare with the runs there in the report: summaries, or what k6 has exported",
    )
    group.add_argument(
        "--summary-mode",
        choices=MODES,
        default=MODES[0],
        help="How much of the table of all metrics to print, as in k6",
        env_var="PIKA_SUMMARY_MODE",
    )
    group.add_argument(
        "--out",
        metavar="<kind=where>",
        action="append",
        default=[],
        help=f"Give the results to somebody else as well, as often as wanted: {', '.join(EXAMPLES.values())}",
    )
    group.add_argument(
        "--observe",
        metavar="<name=source>",
        action="append",
        default=[],
        help=f"Read a figure of the target meanwhile, as a metric of that name: {', '.join(SOURCES.values())}",
    )
    group.add_argument(
        "--threshold",
        metavar="<metric:expr>",
        action="append",
        default=[],
        help="Add a threshold, or replace one that is there: 'http_req_duration:p(95)<300'",
    )
    for name, help_text in (
        ("--strict", "Fail also what is inconclusive, and what the target cannot show"),
        ("--allow-production", "Allow a target that is on the list of production hosts (PIKA_PRODUCTION_HOSTS)"),
    ):
        group.add_argument(name, action="store_true", help=help_text)


def parse_all(
    parser: Any, argv: Sequence[str], environ: Mapping[str, str]
) -> tuple[argparse.Namespace, list[str], list[str]]:
    """Every known option, the words that the parser does not know, and a sentence for each value that cannot be read.

    argparse ends the process at the first value that it cannot read; here such a value is left out, so that the others
    are read and their mistakes are told as well. `environ` stands in for the process's environment.

    Raises ConfigurationError where the words themselves cannot be taken apart, such as an option without its value.
    """
    words, problems = without_tags_of_k6(argv)
    with _lenient(parser, problems):
        known, unknown = parser.parse_known_args(words, env_vars=dict(environ))
    return known, unknown, problems


def summary_path(argv: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """Where the results are to be written, read from a command line that may be wrong in everything else."""
    path: str | None = _read_alone("--summary-json", argv, default=environ.get("PIKA_SUMMARY_JSON"))
    return path


def outputs_named(argv: Sequence[str]) -> list[str]:
    """What is given to `--out`, on a command line that may be wrong in everything else."""
    return _read_alone("--out", argv, default=[], action="append") or []


def reports_named(argv: Sequence[str]) -> list[str]:
    """What is given to `--report`, on a command line that may be wrong in everything else."""
    return _read_alone("--report", argv, default=[], action="append") or []


def _read_alone(option: str, argv: Sequence[str], **how: Any) -> Any:
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument(option, dest="given", **how)
    try:
        return parser.parse_known_args(list(argv))[0].given
    except argparse.ArgumentError:
        return None


@contextmanager
def _lenient(parser: Any, problems: list[str]) -> Iterator[None]:
    def refuse(message: str) -> NoReturn:
        raise ConfigurationError([*problems, message])

    before = [(action, action.type, action.choices) for action in parser._actions]
    for action, read, choices in before:
        action.type, action.choices = _reader(action, read, choices, problems), None
    parser.error = refuse
    try:
        yield
    finally:
        del parser.error
        for action, read, choices in before:
            action.type, action.choices = read, choices


def _reader(action: Any, read: Any, choices: Sequence[str] | None, problems: list[str]) -> Callable[[str], Any]:
    name = "/".join(action.option_strings) or action.dest

    def lenient(text: str) -> Any:
        try:
            value = text if read is None else read(text)
        except argparse.ArgumentTypeError as error:
            why = str(error)
        except (TypeError, ValueError):
            why = f"it is not {_KINDS[read]}" if read in _KINDS else "it cannot be read"
        else:
            if choices is None or value in choices:
                return value
            why = f"it must be one of {', '.join(map(str, choices))}"
        problems.append(f"{name}: {why}" if getattr(action, "is_secret", False) else f"{name} {text}: {why}")
        return None

    return lenient


def production_hosts(scenario: Scenario, settings: Settings) -> frozenset[str]:
    """Hosts that must not be loaded by mistake: those of the setting, else the scenario's."""
    # An IPv6 address has no brackets where it is compared.
    listed = [name.strip("[]") for name in split_names(settings[PRODUCTION_HOSTS.name])]
    return frozenset(listed or map(_host, scenario.production_hosts))


def refusal(target: str, source: str, refused: frozenset[str]) -> str | None:
    """Why a target must not be loaded, as a sentence; None when it may."""
    host = _host(urlsplit(target).hostname or "")
    if host not in refused:
        return None
    return f"{source} names {host}, a production host; --allow-production says that it is meant"


def _host(name: str) -> str:
    """A host's name in one form: DNS knows no case, and a final dot changes nothing."""
    return name.lower().rstrip(".")


def _iterations(value: str) -> str:
    """A fixed number of iterations, as its text: settings travel to the workers."""
    return str(Iterations.parse(value))


WEB_ALLOWED_HOSTS = Setting(
    "WEB_ALLOWED_HOSTS",
    host_names,
    None,
    "names under which the web page is opened, such as a proxy's, by commas",
    for_master=True,
)

PRODUCTION_HOSTS = Setting(
    "PIKA_PRODUCTION_HOSTS",
    bare_hosts,
    None,
    "hosts that are refused as targets without --allow-production, by commas, in place of the platform's own list",
    for_master=True,
)

SLOPE_MIN_HOLD = Setting(
    "SLOPE_MIN_HOLD", duration, MIN_HOLD_S, "how long the load must be held for slopes to be judged; half of it settles"
)

EVERY_RUN_SETTINGS = (
    SLOPE_MIN_HOLD,
    WEB_ALLOWED_HOSTS,
    PRODUCTION_HOSTS,
    *TARGET_SETTINGS,
    *OBSERVE_SETTINGS,
    *OUTPUT_SETTINGS,
)
"""Those of a locustfile's own users, too."""
SANDBOX_URL = "SANDBOX_URL"
LOAD_SETTINGS = (
    Setting("SCENARIO", text, None, "load profile, as the suites name it"),
    Setting("USERS", whole(1), None, "scale the profile to this peak"),
    Setting("RAMP_UP", duration, None, "length of the first stage"),
    Setting("HOLD", duration, None, "length of the stage at the peak"),
    Setting("RAMP_DOWN", duration, None, "length of the last stage"),
    Setting("ITERATIONS", _iterations, None, "a fixed number: 200 shared by all users, or 3/user for each"),
    Setting("USE_SIMPLE", one_of("0", "1"), "0", "1, with -u: that many users instead of the arrival rate"),
    Setting(
        SANDBOX_URL,
        url("http"),
        None,
        "where a `pika-locust sandbox` of all platforms runs: tested in place of an embedded one",
        for_master=True,
    ),
    *EVERY_RUN_SETTINGS,
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
    summary_mode: SummaryMode = "compact"
    reports: tuple[str, ...] = ()
    """Files that get a report for people."""
    outputs: tuple[OutputTarget, ...] = ()
    observed: tuple[Observation, ...] = ()


def all_metrics(scenario: Scenario, observed: Sequence[Observation] = ()) -> tuple[Metric, ...]:
    """Every metric that a run of the scenario declares, those of `--observe` included."""
    own = (*scenario.metrics, *(one.metric for one in observed))
    if scenario.is_locustfile:
        return (*LOCUSTFILE_METRICS, *own)
    return (*BASE_METRICS, *TARGET_METRICS, *own)


def read_options(
    scenario: Scenario,
    arguments: Any,
    environ: Mapping[str, str],
    mistakes: Sequence[str] = (),
    path: Sequence[str] = (),
) -> RunOptions:
    """Settle everything, or raise ConfigurationError with every mistake at once, those found before included.

    `path` are the folders where the module of the scenario's world may be.
    """
    problems = list(mistakes)
    settings, unreadable = read_settings(
        (*LOAD_SETTINGS, *scenario.settings), environ, scenario.platform, scenario.name
    )
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
            settings = settings.with_public({"USE_SIMPLE": "0"})
    overrides = threshold_overrides(arguments, problems)
    observed = observed_by(scenario, arguments, problems)
    profile = plan.name if plan else scenario.default_profile
    thresholds = thresholds_for(scenario, profile, settings, overrides, arguments, plan)
    problems += check(thresholds, all_metrics(scenario, observed))
    refused = frozenset() if arguments.allow_production else production_hosts(scenario, settings)
    target = _target(scenario, arguments, settings, refused, problems)
    is_sandbox = target in (None, shared_sandbox(scenario, settings))
    others = [name for name in scenario.other_targets if settings[name]]
    problems += filter(None, (refusal(settings[name], settings.sources[name], refused) for name in others))
    if is_sandbox:
        # Users of the sandbox would send its tokens there.
        named = " or ".join((*scenario.target_settings, "-H"))
        problems += [
            f"{name} names a server beside the target: name that, too ({named}), or unset it" for name in others
        ]
    problems += target_setting_problems(settings, target or arguments.host)
    if target is not None and arguments.sandbox_fault:
        problems.append(f"--sandbox-fault plants faults in the embedded sandbox only, but the target is {target}")
    problems += _fault_problems(scenario, arguments.sandbox_fault, path)
    # Sandboxes have public secrets.
    if not is_sandbox:
        problems += [
            f"{name} is needed to test {target}: the run signs what the target verifies with it"
            for name in scenario.secrets_needed(settings)
            if not settings[name]
        ]
    problems += scenario.check_settings(settings, plan.duration_s if plan else None)
    outputs = outputs_of(arguments, settings, problems)
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
        summary_mode=arguments.summary_mode,
        reports=tuple(arguments.report),
        outputs=outputs,
        observed=observed,
    )


def observed_by(scenario: Scenario, arguments: Any, problems: list[str]) -> tuple[Observation, ...]:
    """What is to be observed, which the master does; what cannot be read is added to the problems."""
    is_master = not getattr(arguments, "worker", False)
    taken = {metric.name for metric in all_metrics(scenario)}
    found = []
    for option in arguments.observe:
        try:
            observation = read_observation(option, is_here=is_master)
            if observation.name in taken:
                raise ValueError(f"there is a metric {observation.name} already; give it another name")
        except ValueError as error:
            problems.append(f"--observe {redact.text(option)}: {error}")
        else:
            redact.conceal(redact.secrets_in_urls(option))
            taken.add(observation.name)
            found.append(observation)
    return tuple(found)


def outputs_of(arguments: Any, settings: Settings, problems: list[str]) -> tuple[OutputTarget, ...]:
    """The outputs of the command line, which a worker has none of; what cannot be read is added to the problems."""
    return () if getattr(arguments, "worker", False) else output_targets(arguments.out, settings, problems)


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
    scenario: Scenario,
    profile: str,
    settings: Settings,
    overrides: tuple[Threshold, ...],
    arguments: Any,
    plan: LoadPlan | None = None,
) -> tuple[Threshold, ...]:
    """The thresholds of a run under a profile, those of the command line in place."""
    base = [*BASE_THRESHOLDS, *cut_threshold(arguments)]
    declared = {metric.name for metric in scenario.metrics}
    own = scenario.thresholds_for(profile, settings, plan)
    slopes = {threshold.metric for threshold in own if threshold.expression.is_slope}
    base = [threshold for threshold in base if not (threshold.expression.is_slope and threshold.metric in slopes)]
    base += [threshold for threshold in METRIC_THRESHOLDS if threshold.name in declared]
    return replace_or_add((*own, *base), overrides)


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
    thresholds = thresholds_for(scenario, plan.name, options.settings, options.overrides, form, plan)
    return replace(options, plan=plan, thresholds=thresholds)


def form_profile(options: RunOptions) -> str:
    """The load profile that the web form shows at first: whatever was asked for, else the form's own numbers count."""
    load = options.load
    asked = load.profile or load.stages or load.iterations or load.shaping() or options.plan.arrivals
    return options.plan.name if asked else CONSTANT


def _plan(scenario: Scenario, settings: Settings, load: LoadRequest) -> LoadPlan:
    """Raises ValueError with every mistake, one a line."""
    simple = settings["USE_SIMPLE"] == "1" and load.users is not None
    rate = scenario.arrivals(settings) if scenario.arrivals is not None and not simple else None
    if rate is not None:
        return open_plan(rate, load)
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
    for name in (scenario.profile_setting, "SCENARIO"):
        if settings[name]:
            profile, source, fallback = settings[name], settings.sources[name], None
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
        return shared_sandbox(scenario, settings)
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


def shared_sandbox(scenario: Scenario, settings: Settings) -> str | None:
    """The scenario's target in the sandbox that several processes or machines share, where there is one."""
    base = settings[SANDBOX_URL]
    return None if base is None else scenario.normalise_target(f"{base.rstrip('/')}/{scenario.platform}")


def _fault_problems(scenario: Scenario, faults: Sequence[str], path: Sequence[str]) -> list[str]:
    if not faults:
        return []
    # A world is worth loading only for those who plant faults in it.
    from pika_locust.catalogue import find_platform
    from pika_locust.sandbox.faults import parse_faults
    from pika_locust.sandbox.server import legal_faults

    try:
        parse_faults(faults, legal_faults([find_platform(scenario.world or scenario.platform, path)]))
    except ConfigurationError as error:
        return [f"--sandbox-fault: {problem}" for problem in error.problems]
    return []


def cut_threshold(arguments: Any) -> tuple[Threshold, ...]:
    """That no user had to be killed at the end; none where users have no time then (-s 0, Locust's own default)."""
    return () if getattr(arguments, "stop_timeout", None) == 0 else (NOBODY_CUT,)


NOBODY_CUT = Threshold.of(
    "iterations_cut", {"threshold": "count==0", "about": "every user finished in the stop time-out (-s)"}
)
BASE_THRESHOLDS = (
    Threshold.of("dropped_iterations", {"threshold": "count==0", "about": "every iteration that was due was started"}),
    Threshold.of(
        "target_memory_mb",
        {"threshold": "slope<20", "optional": True, "about": "under the same load the target's memory does not grow"},
    ),
)
METRIC_THRESHOLDS = (
    Threshold.of(
        "protocol_errors",
        {"threshold": "rate<0.001", "allow_empty": True, "about": "what the target sends is what its protocol has"},
    ),
)
"""What must hold wherever a scenario declares the metric."""
