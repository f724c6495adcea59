"""A scenario as a frozen value: actors, load profiles, metrics, thresholds, audits, settings."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pika_locust.judge import Band, Ledger, Threshold
from pika_locust.judge.report import AuditResult
from pika_locust.load.arrivals import ArrivalRate, Schedule
from pika_locust.load.plan import LoadPlan, LoadProfile
from pika_locust.metrics import Metric
from pika_locust.settings import Setting, Settings


@dataclass(frozen=True, slots=True)
class AuditContext:
    """What an audit may look at, once the load has drained.

    `sandbox_state` is the sandbox's own view of what it holds, None when the target is not a sandbox.
    """

    target: str
    settings: Settings
    ledgers: Mapping[str, Ledger]
    facts: Mapping[str, Any]
    sandbox_state: Mapping[str, Any] | None
    given: Mapping[str, Any] = field(default_factory=dict)
    """What the scenario's set-up made, private part included."""

    @property
    def run_id(self) -> str:
        """What every `new_id` of this run begins with: by it, audits tell what the run has sent from all else."""
        return str(self.facts["run_id"])


@dataclass(frozen=True, slots=True)
class SetupContext:
    """What a set-up may use, before the first user is started."""

    target: str
    settings: Settings
    seed: int


@dataclass(frozen=True, slots=True)
class SetupResult:
    """What a set-up made, as plain values. Workers are told the public part; the private one stays with the master."""

    public: Mapping[str, Any] = field(default_factory=dict)
    private: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What the report should say of it: that a dead target gave less than was asked for, say."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """What a suite advises: how many servers so many users need, and how many one of a size takes.

    `replicas` is by users, `sizes` by the name of a size; `caveat` is what must be known beside it, a sentence.
    """

    replicas: Mapping[int, int]
    sizes: Mapping[str, int] = field(default_factory=dict)
    caveat: str = ""


@dataclass(frozen=True, slots=True)
class QuickLoad:
    """A load that takes a minute at most and still has samples in every metric with a threshold.

    `stages` as `--stage` takes them, which the open model has no use for: empty when a scenario is always open.
    `settings` by name.
    """

    stages: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


class PartlyAuditedError(RuntimeError):
    """Some of a scenario's audits raised what they should not: an error of the locustfile, or of this package's own.
    `results` is what became of all of them."""

    def __init__(self, problem: str, results: Sequence[AuditResult]) -> None:
        super().__init__(problem)
        self.results = tuple(results)


Audit = Callable[[AuditContext], Sequence[AuditResult]]
Setup = Callable[[SetupContext], SetupResult]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load test that users can start by name.

    Actors are named by reference (`package.module:Class`), so that looking at a scenario loads no socket and no
    Locust. A failing audit or threshold decides the exit code; bands only grade.
    """

    name: str
    platform: str
    about: str
    primary: str
    """Reference of the actor whose number the load plan sets. Empty: users and load are the locustfile's own."""
    normalise_target: Callable[[str], str]
    """Any way to name the target (`-H`, a setting) -> the one form that the actors read. Raises ValueError."""
    target_settings: tuple[str, ...]
    """Settings that may name the target, the strongest first."""
    other_targets: tuple[str, ...] = ()
    """Settings that name further servers which users go to, by their URLs: production is refused there, too."""
    http_base: Callable[[str], str] = str
    """The base URL of the target's HTTP side, below which its health page is (and a sandbox's state)."""
    secrets_needed: Callable[[Settings], Sequence[str]] = field(default=lambda settings: ())
    """Secret settings that a named target needs; the sandbox has a public one."""
    users_setting: str = "USERS"
    """The suite's own name for the number of users at the peak."""
    profile_setting: str = "SCENARIO"
    """The suite's own name for the setting that chooses the load profile."""
    supporters: Callable[[Settings, int], Sequence[str]] = field(default=lambda settings, users: ())
    """References of the actors that come on top of so many users at the peak, in the whole test: each as often as it
    stands there."""
    optional_supporters: tuple[str, ...] = ()
    """References of those that only come under some settings: a locustfile brings them in any case."""
    profiles: Mapping[str, LoadProfile] = field(default_factory=dict)
    default_profile: str = "standard"
    arrivals: Callable[[Settings], ArrivalRate | None] | None = None
    """The open model: at which rate iterations begin under these settings; None: under them, the load is a profile.
    Needs a setting ARRIVALS."""
    rate_settings: tuple[str, ...] = ()
    """The open model: the settings that all are the rate, when that is to be one from beginning to end."""
    rate_unit: str = "arrivals/s"
    """The open model: what those settings are a number of."""
    length_setting: str = ""
    """The open model: the setting that says for how long arrivals come at that rate."""
    loss: str = ""
    """The rate whose failed share is the loss that a search for the capacity allows."""
    sizing: Sizing | None = None
    """What the suite advises on servers, to be seen beside a measured capacity."""
    quick: QuickLoad | None = None
    """The load of a shortened run in a suite; None: its load is cut after a minute."""
    baseline_users: int = 1
    """How few users can do what there is to do: the load of a baseline."""
    metrics: tuple[Metric, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    """What must hold whatever the load profile."""
    profile_thresholds: Mapping[str, tuple[Threshold, ...]] = field(default_factory=dict)
    """What must hold under one profile; under a profile without an entry, the default profile's."""
    setting_thresholds: Callable[[Settings], tuple[Threshold, ...]] = field(default=lambda settings: ())
    """What must hold whatever the load profile, with limits that follow from the settings."""
    plan_thresholds: Callable[[Settings, LoadPlan], tuple[Threshold, ...]] = field(default=lambda settings, plan: ())
    """What must hold of a load, with limits that follow from its users at the peak or from how long it lasts."""
    unobservable: Callable[[Settings], frozenset[str]] = field(default=lambda settings: frozenset())
    """Metrics, or single series (`name{tag:value}`), that nobody can see under these settings; their thresholds are
    then listed, and decide nothing."""
    observes: Mapping[Metric, str] = field(default_factory=dict)
    """Metrics of `metrics` that are read on pages of the target during the load, where it has them: the page's path, a
    `#`, and what to read there (`/health#checks.redis.latency`)."""
    bands: tuple[Band, ...] = ()
    settings: tuple[Setting, ...] = ()
    check_settings: Callable[[Settings, float | None], Iterable[str]] = field(default=lambda settings, planned_s: ())
    """Mistakes between settings, or between a setting and the planned seconds, a sentence each."""
    set_up: Setup | None = None
    """What must exist before the load; raises SetupError. Its public part reaches all users as `worker.begin.given`."""
    audit: Audit | None = None
    audits: tuple[str, ...] = ()
    """What the audit's results are called, where there is no ledger of the same name."""
    ledgers: tuple[str, ...] = ()
    endless: str = ""
    """Why a fixed number of iterations makes no sense here, when it does not: a clause."""
    iteration: str = "one for each user that is started"
    """What an iteration of the primary actor is, and how many a load plan makes."""
    speeds: Mapping[str, str] = field(default_factory=dict)
    """What the progress line shows a second: a short word -> the counter that is meant."""
    notes: Callable[[Settings, LoadPlan], Iterable[str]] = field(default=lambda settings, plan: ())
    """What somebody who is about to run this plan should know of it, a sentence each."""
    finish_s: Callable[[Settings], float] = field(default=lambda settings: 0.0)
    """Seconds that an iteration may need to finish once it is told to: the default stop time-out is at least this."""
    thinks: bool = True
    """Whether users pause between actions; then a CPU that is full makes the run's latencies the generator's own."""
    production_hosts: tuple[str, ...] = ()
    world: str = ""
    """Reference of the stand-in for the server, `package.module:PLATFORM`. Empty: the platform's own world."""
    title: str = ""
    """What reports call it; empty: its name. Locustfiles with users of their own share a name, and not a title."""

    def thresholds_for(self, profile: str, settings: Settings, plan: LoadPlan | None = None) -> tuple[Threshold, ...]:
        """All thresholds of a run under a profile; without a plan, none of those that follow from it."""
        own = self.profile_thresholds.get(profile, self.profile_thresholds.get(self.default_profile, ()))
        planned = self.plan_thresholds(settings, plan) if plan is not None else ()
        hidden = self.unobservable(settings)
        return tuple(
            threshold
            if hidden.isdisjoint((threshold.name, threshold.metric))
            else replace(threshold, optional=True, allow_empty=False)
            for threshold in (*own, *self.thresholds, *self.setting_thresholds(settings), *planned)
        )

    @property
    def is_locustfile(self) -> bool:
        """Whether this only watches a locustfile with users of its own, and judges what they measured."""
        return not self.primary

    def actor_names(self, settings: Settings, users: int) -> tuple[str, ...]:
        """References of every actor that takes part when there are so many users at the peak."""
        return (self.primary, *self.supporters(settings, users))

    def known_actors(self, settings: Settings) -> tuple[str, ...]:
        """References of all actors that a locustfile of this scenario brings."""
        return tuple(dict.fromkeys((*self.actor_names(settings, 1), *self.optional_supporters)))


def load_reference(reference: str) -> Any:
    """The object that `package.module:name` names."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


@dataclass(frozen=True, slots=True)
class Deferred:
    """A function of one argument by its reference, `package.module:name`: loaded when it is called.

    For a scenario's audit and set-up. They talk to the target, and a look at the scenario must not load what they talk
    with.
    """

    reference: str

    def __call__(self, context: Any) -> Any:
        return pkgutil.resolve_name(self.reference)(context)


def schedule_of(scenario: Scenario, settings: Settings, seed: int, duration_s: float) -> Schedule:
    """A scenario's arrivals for `duration_s` seconds: the same in all processes. Raises ValueError when it has none."""
    rate = scenario.arrivals(settings) if scenario.arrivals is not None else None
    if rate is None:
        raise ValueError(f"the scenario {scenario.name} has no arrival rate")
    return rate.schedule(seed if settings["ARRIVALS"] == "poisson" else None).cut(duration_s)
