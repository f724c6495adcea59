"""The two modes of a test in Locust: a scenario of this package, or the users of any locustfile.

`ScenarioMode` takes the load over (users follow the load plan), and starts the embedded sandbox where no target is
named. `LocustfileMode` only watches: users and load stay Locust's own (`-u`, `-r`, `-t`, its shapes, the web form), and
what they do is seen through Locust's `request` event, so it holds for HttpUser, FastHttpUser and every other client
that fires it. `locustfile_scenario` is the scenario of such a test: k6's HTTP metrics, thresholds and ledgers.
"""

from __future__ import annotations

import logging
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from locust.runners import MasterRunner

from pika_locust.errors import ConfigurationError, SetupError
from pika_locust.judge import Threshold, ThresholdSpecs, check, read_thresholds, replace_or_add
from pika_locust.load.plan import CONSTANT, LoadPlan, LoadRequest, resolve
from pika_locust.load.rng import SeededRandom
from pika_locust.metrics import Metric
from pika_locust.metrics.builtin import BASE_METRICS, REQUEST_EVENT_METRICS, TARGET_METRICS
from pika_locust.process import too_few_files
from pika_locust.runtime import redaction
from pika_locust.runtime.coordinator import Coordinator
from pika_locust.runtime.foreign_options import of_plugins, of_tasks
from pika_locust.runtime.options import (
    EVERY_RUN_SETTINGS,
    STOP_TIMEOUT_S,
    RunOptions,
    add_arguments,
    add_judging_arguments,
    all_metrics,
    cut_threshold,
    from_web_form,
    observed_by,
    outputs_of,
    production_hosts,
    read_options,
    refusal,
    threshold_overrides,
)
from pika_locust.runtime.pacing import PlanShape, SteadyDispatcher
from pika_locust.runtime.target_settings import unaffected_users
from pika_locust.sandbox.process import SandboxProcess, start_sandbox
from pika_locust.scenario import Audit, Scenario, load_reference
from pika_locust.settings import environ_of_world, read_settings

logger = logging.getLogger(__name__)

NAME = "locustfile"

LOCUSTS_RULE = (
    Threshold.of(
        "http_req_failed",
        {"threshold": "rate==0", "about": "no request failed; Locust's own rule, until there is one without tags"},
    ),
    Threshold.of("task_exceptions", {"threshold": "count==0", "about": "no task raised; Locust's own rule"}),
)
"""When Locust itself ends with an exit code other than 0."""


def locustfile_scenario(
    thresholds: ThresholdSpecs,
    metrics: Sequence[Metric] = (),
    ledgers: Sequence[str] = (),
    audit: Audit | None = None,
) -> Scenario:
    """The scenario of a locustfile with users of its own, which are only watched.

    Arguments:
        thresholds: k6's `thresholds` option: metric, with tags where wanted -> an expression or a list of them,
            each a text or a mapping (`{"threshold": "p(95)<300", "abort_on_fail": True}`).
        metrics: what the locustfile measures by itself.
        ledgers: what its users send.
        audit: looks for that at the target, after the load has drained.

    Raises ConfigurationError with every threshold that cannot be read, and every name that is given twice.
    """
    problems = [*_metric_problems(metrics), *_ledger_problems(ledgers)]
    own = read_thresholds(thresholds, problems)
    if problems:
        raise ConfigurationError(problems)
    # A word about one request, `http_req_failed{name:/login}`, says nothing of the others: the rule stays for all.
    replaced = {threshold.metric for threshold in own}
    defaults = [threshold for threshold in LOCUSTS_RULE if threshold.metric not in replaced]
    return Scenario(
        name=NAME,
        platform="",
        about="the locustfile's own users",
        primary="",
        normalise_target=str,
        target_settings=(),
        http_base=lambda target: "",
        metrics=(*REQUEST_EVENT_METRICS, *metrics),
        thresholds=(*defaults, *own),
        ledgers=tuple(ledgers),
        audit=audit,
        thinks=False,
    )


def title_of(files: str) -> str:
    """What reports call the locustfiles that `-f` names: `shop` for `tests/shop.py`; of several, all."""
    return ", ".join(Path(file.strip()).stem for file in files.split(",") if file.strip())


def _metric_problems(metrics: Sequence[Metric]) -> Iterator[str]:
    taken = {metric.name: "is measured already" for metric in (*BASE_METRICS, *TARGET_METRICS, *REQUEST_EVENT_METRICS)}
    for metric in metrics:
        if not isinstance(metric, Metric):
            yield f"the metric {metric!r}: declare it, as in pika_locust.trend('checkout_time')"
        elif metric.name in taken:
            yield f"the metric {metric.name}: one of that name {taken[metric.name]}; give it another"
        else:
            taken[metric.name] = "is declared twice"


def _ledger_problems(ledgers: Sequence[str]) -> Iterator[str]:
    if isinstance(ledgers, str):
        yield f"ledgers={ledgers!r}: give a list of names, as in [{ledgers!r}]"
    elif doubled := sorted(name for name, times in Counter(ledgers).items() if times > 1):
        yield f"the ledger {', '.join(doubled)} is declared twice"


class LocustfileMode:
    """Watches a locustfile's own users: Locust controls them, from the ramp-up to the end."""

    sandbox = None

    def __init__(self, scenario: Scenario, environ: Mapping[str, str]) -> None:
        self._scenario = scenario
        self._environ = environ
        self._runner: Any = None

    # Before the run

    def add_arguments(self, parser: Any, profile: str | None) -> None:
        """Add the options that have to do with the verdict; the load stays Locust's."""
        add_judging_arguments(parser.add_argument_group("pika-locust"))

    def read(self, parser: Any, arguments: Any, problems: Sequence[str]) -> RunOptions:
        """What is to be judged. Raises ConfigurationError with every mistake."""
        settings, unreadable = read_settings(EVERY_RUN_SETTINGS, self._environ, NAME)
        found = [*problems, *unreadable]
        overrides = threshold_overrides(arguments, found)
        thresholds = replace_or_add((*self._scenario.thresholds, *cut_threshold(arguments)), overrides)
        observed = observed_by(self._scenario, arguments, found)
        found += check(thresholds, all_metrics(self._scenario, observed))
        outputs = outputs_of(arguments, settings, found)
        if found:
            raise ConfigurationError(dict.fromkeys(found))
        refused = frozenset() if arguments.allow_production else production_hosts(self._scenario, settings)
        return RunOptions(
            settings=settings,
            load=LoadRequest(),
            plan=locusts_plan(arguments),
            thresholds=thresholds,
            overrides=overrides,
            seed=0,
            target=None,
            refused_hosts=refused,
            sandbox_faults=(),
            summary_json=arguments.summary_json,
            strict=arguments.strict,
            fail_on=None,
            summary_mode=arguments.summary_mode,
            reports=tuple(arguments.report),
            outputs=outputs,
            observed=observed,
        )

    def attach(
        self,
        environment: Any,
        runner: Any,
        coordinator: Coordinator,
        options: RunOptions,
        chosen: Callable[[], RunOptions],
    ) -> None:
        """Listen only. Raises ConfigurationError for a target that must not be loaded."""
        self._runner = runner
        if problems := self._refusals(environment, options):
            raise ConfigurationError(problems)
        coordinator.attach(runner, chosen)
        # Not when the test is stopping: in the master and here, users act until Locust has stopped them.
        environment.events.test_stop.add_listener(lambda **_: coordinator.finish())

    def attach_single(self, environment: Any, options: RunOptions) -> None:
        """Check the target of one user that runs without a test. Raises ConfigurationError for one that must not be
        loaded."""
        if problems := self._refusals(environment, options):
            raise ConfigurationError(problems)

    # Test after test

    def choose(self, environment: Any, options: RunOptions, tests_before: int) -> RunOptions:
        """The options with the load that Locust is about to make. Raises ValueError with every mistake, one a line."""
        if problems := self._refusals(environment, options):
            raise ValueError("\n".join(problems))
        plan = locusts_plan(environment.parsed_options, environment.shape_class)
        unaffected = unaffected_users(options.settings, environment.user_classes)
        plan = replace(plan, overrides=(*plan.overrides, *unaffected))
        return replace(options, plan=plan, target=", ".join(self._hosts(environment)))

    def _refusals(self, environment: Any, options: RunOptions) -> list[str]:
        source = "the locustfile (or -H, or the form)"
        hosts = self._hosts(environment)
        redaction.conceal(options.settings, "\n".join(hosts))
        named = [refusal(host, source, options.refused_hosts) for host in hosts]
        return [problem for problem in named if problem is not None]

    def _hosts(self, environment: Any) -> list[str]:
        if environment.host:
            return [environment.host]
        return list(dict.fromkeys(user.host for user in environment.user_classes if user.host))

    def end(self, coordinator: Coordinator) -> None:
        """This process was told to end: stop the users first, as Locust does it, which ends the test."""
        if hasattr(self._runner, "clients"):
            # The drain stops those of the workers, and waits for no worker that is lost.
            self._runner.stop(send_stop_to_client=False)
        else:
            self._runner.stop()
        # Without a signal it was Locust: its run time was over while listeners still prepared the test.
        coordinator.finish(cause="signal" if coordinator.signalled else "user")

    def close(self) -> None:
        """There is nothing of ours that runs."""


def locusts_plan(chosen: Any, shape: Any = None) -> LoadPlan:
    """What Locust does by itself, for the report: its options, or those of the web form, or the locustfile's shape."""
    if shape is not None:
        return LoadPlan(f"the shape {type(shape).__name__}", (), 0, None)
    users, rate = max(1, chosen.num_users or 1), float(chosen.spawn_rate or 1)
    load = LoadRequest(users=users, spawn_rate=rate if rate > 0 else 1.0, run_time_s=chosen.run_time or None)
    return resolve(load, {}, CONSTANT)


class ScenarioMode:
    """Runs a scenario of this package: its load plan, target and sandbox take the place of Locust's own load."""

    def __init__(self, scenario: Scenario, environ: Mapping[str, str]) -> None:
        self._scenario = scenario
        self._environ = environ
        # While Locust loads a locustfile, its folder is on the path; the module of the world may be there.
        self._path = tuple(folder or str(Path.cwd()) for folder in sys.path) if scenario.world else ()
        self._stop_timeout_s = STOP_TIMEOUT_S
        self._runner: Any = None
        self.sandbox: SandboxProcess | None = None
        """The embedded sandbox, when there is one."""

    # Before the run

    def add_arguments(self, parser: Any, profile: str | None) -> None:
        """Add our options, and our defaults for Locust's; `profile` is what the web form shows at first."""
        add_arguments(parser, self._scenario, profile)
        parser.set_defaults(stop_timeout=f"{self._stop_timeout_s:g}")

    def read(self, parser: Any, arguments: Any, problems: Sequence[str]) -> RunOptions:
        """What this process is to run. Raises ConfigurationError with every mistake."""
        # Locust's table of requests every two seconds drowns the progress line; --print-stats brings it back.
        parser.set_defaults(only_summary=not arguments.print_stats)
        found = [*problems, *of_plugins(arguments), *of_tasks(arguments)]
        options = read_options(self._scenario, arguments, self._environ, found, self._path)
        # Locust parses once more after this, with these defaults.
        self._stop_timeout_s = max(STOP_TIMEOUT_S, self._scenario.finish_s(options.settings))
        parser.set_defaults(stop_timeout=f"{self._stop_timeout_s:g}")
        return options

    def attach(
        self,
        environment: Any,
        runner: Any,
        coordinator: Coordinator,
        options: RunOptions,
        chosen: Callable[[], RunOptions],
    ) -> None:
        """Let the coordinator control the load, and name or start the target. Raises SetupError when that fails, and
        ConfigurationError for options of a plugin that was imported too late to be seen by `read`, and for users that
        cannot all have their sockets."""
        self._runner = runner
        found = of_plugins(environment.parsed_options)
        # In the web page, the form may ask for fewer.
        if environment.web_ui is None and (problem := self._socket_problem(options.plan, options.target is None)):
            found = [*found, problem]
        if found:
            raise ConfigurationError(found)
        actors = self._actors(options)
        environment.user_classes = [user for user in environment.user_classes if user in actors]
        coordinator.attach(runner, chosen if environment.web_ui is not None else None)
        shape = PlanShape(coordinator)
        shape.runner = runner
        environment.shape_class = shape
        environment.dispatcher_class = SteadyDispatcher
        if environment.web_ui is not None and environment.web_ui.userclass_picker_is_active:
            # Picked, supporters would count as users; and Locust would drop our shape, and with it the profile.
            logger.info("--class-picker: %s has users of its own; its form offers load profiles", self._scenario.name)
            environment.web_ui.userclass_picker_is_active = False
        environment.events.test_stopping.add_listener(lambda **_: coordinator.finish())
        environment.host = options.target or self._start_sandbox(options)

    def _socket_problem(self, plan: LoadPlan, sandbox: bool) -> str | None:
        """Why the users at the peak of the plan cannot all have their sockets, as far as this machine has to do with
        it: the users of its processes, and the embedded sandbox, to which all connect."""
        each = getattr(load_reference(self._scenario.primary), "sockets", 0)
        shared_by = 1
        if isinstance(self._runner, MasterRunner):
            # Without processes of its own: workers on other machines, whose limits nobody knows here.
            shared_by = self._runner.environment.parsed_options.processes or plan.users_peak
        most = math.ceil(plan.users_peak / max(1, shared_by)) * each
        if sandbox:
            most = max(most, plan.users_peak * each)
        why = too_few_files(most)
        if why is None:
            return None
        users = f"{plan.users_peak:,} users at the peak"
        return f"{users}: {why}; raise it, lower -u, or share them with --processes (not beside the embedded sandbox)"

    def _actors(self, options: RunOptions) -> Counter[Any]:
        """The classes of users that take part. Locust starts so many of those that come on top as they say."""
        primary, *supporters = map(
            load_reference, self._scenario.actor_names(options.settings, options.plan.users_peak)
        )
        counts = Counter(supporters)
        for supporter, count in counts.items():
            supporter.fixed_count = count
        counts[primary] += 1
        return counts

    def _start_sandbox(self, options: RunOptions) -> str:
        try:
            scenario = self._scenario
            world = scenario.world or scenario.platform
            env = environ_of_world(scenario.settings, self._environ, scenario.platform, scenario.name)
            self.sandbox = start_sandbox([world], options.sandbox_faults, env=env, path=self._path)
        except SetupError as error:
            raise SetupError(f"the embedded sandbox did not start: {error}") from None
        target = self._scenario.normalise_target(self.sandbox.url)
        names = ", ".join(self._scenario.target_settings)
        logger.info("No target named (%s or -H): testing the embedded sandbox at %s", names, target)
        return target

    def attach_single(self, environment: Any, options: RunOptions) -> None:
        """Name or start the target of one user that runs without a test."""
        if self.sandbox is None:
            environment.host = options.target or self._start_sandbox(options)

    # Test after test

    def choose(self, environment: Any, options: RunOptions, tests_before: int) -> RunOptions:
        """The options with what the web form chose. Raises ValueError with every mistake, one a line."""
        problems = []
        redaction.conceal(options.settings, environment.host)
        try:
            target = self._scenario.normalise_target(environment.host)
        except ValueError as error:
            problems.append(f"the host {environment.host!r}: {error}")
        else:
            if problem := refusal(target, "the form", options.refused_hosts):
                problems.append(problem)
        chosen = options
        try:
            chosen = from_web_form(self._scenario, options, environment.parsed_options)
        except ValueError as error:
            problems.append(str(error))
        else:
            if self._runner is not None and (problem := self._socket_problem(chosen.plan, self.sandbox is not None)):
                problems.append(problem)
        if problems:
            raise ValueError("\n".join(problems))
        if tests_before > 0:
            # Another test of the same process: other choices, and as repeatable as the first.
            chosen = replace(chosen, seed=SeededRandom(chosen.seed, tests_before).below(1 << 31))
        return chosen

    def end(self, coordinator: Coordinator) -> None:
        """This process was told to end."""
        coordinator.finish(cause="signal")

    def close(self) -> None:
        """Leave nothing running."""
        if self.sandbox is not None:
            self.sandbox.stop()
