"""`scenario(...)`: a load test of one's own in a few lines, completed from what its actors declare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from pika_locust.errors import ConfigurationError
from pika_locust.judge import ThresholdSpecs, read_thresholds
from pika_locust.judge.thresholds import ThresholdSpec
from pika_locust.kit.meters import declared
from pika_locust.kit.targets import http_side, http_url, websocket_url
from pika_locust.load.plan import LoadProfile
from pika_locust.load.stages import parse_stages
from pika_locust.metrics import Metric
from pika_locust.scenario import Audit, Deferred, Scenario
from pika_locust.settings import Setting, Settings, SourceAddresses, number, one_of, url, whole

STANDARD = {"standard": "30s:50,1m:50,10s:0"}

ARRIVALS = Setting("ARRIVALS", one_of("uniform", "poisson"), "uniform", "uniform: evenly spaced; poisson: at random")


def source_addresses(value: str) -> str:
    """Parse the setting SOURCE_ADDRESSES: the text itself, once it names a pool. Raises ValueError."""
    SourceAddresses(value)
    return value


SOURCE_ADDRESSES = Setting(
    "SOURCE_ADDRESSES", source_addresses, None, "send from these addresses, one a user: some servers throttle by them"
)


def arrival_settings(prepared: str, most: str) -> tuple[Setting, ...]:
    """What an open model lets one set, besides its rate: the users for its arrivals, and how those are spaced.

    Arguments:
        prepared: how many users there are at first where nothing is set, in words.
        most: how many there may be.
    """
    return (
        Setting("PREALLOCATED_VUS", whole(1), None, f"users prepared; default {prepared}"),
        Setting("MAX_VUS", whole(1), None, f"users at most; default {most}"),
        ARRIVALS,
    )


def suite_load(
    stages: str, name: str = "suite", about: str = "the suite's own load", **others: str
) -> dict[str, str | LoadProfile]:
    """Load profiles of which the first, and so the default, is the one of the suite that is ported.

    Arguments:
        stages: `duration:users` and more of them, by commas; likewise those of `others`, by their names.

    Raises ValueError for stages that cannot be read.
    """
    return {name: LoadProfile(name, parse_stages(stages), about=about), **others}


def memory_below(most_mb: int, why: str = "") -> Mapping[str, Any]:
    """The threshold of `target_memory_mb`: the target's process may hold so many megabytes; `why` says whose limit
    that is."""
    seen = "seen where the target's process runs on this machine"
    return {"threshold": f"value<{most_mb}", "optional": True, "about": f"{why}; {seen}" if why else seen}


def fanout_thresholds(kinds: Iterable[str], told: Iterable[str] = ()) -> dict[str, ThresholdSpec]:
    """What must hold of broadcasts (`metrics.builtin.FANOUT_METRICS`): each kind by itself, for the many of one kind
    would hide that all of another are missing. A kind that was never broadcast is no failure.

    Arguments:
        kinds: all kinds of broadcasts.
        told: those that tell a number which the users' own actions explain.
    """
    lost = {"threshold": "rate>0.999", "allow_empty": True}
    wrong = {**lost, "about": "what is told to everybody is what the users did"}
    return {
        **{f"fanout_delivery{{kind:{kind}}}": lost for kind in kinds},
        "fanout_duplicates": {"threshold": "count==0", "about": "nothing is broadcast twice"},
        **{f"fanout_correct{{kind:{kind}}}": wrong for kind in told},
    }


def scenario(
    name: str,
    actor: type | str,
    *,
    target: Literal["http", "ws"] | Setting = "http",
    think: bool = True,
    path: str = "/ws",
    world: str = "",
    profiles: Mapping[str, str | LoadProfile] = STANDARD,
    thresholds: ThresholdSpecs | None = None,
    metrics: Iterable[Metric] = (),
    ledgers: Iterable[str] = (),
    audit: Audit | str | None = None,
    settings: Iterable[Setting] = (),
    about: str = "",
    supporters: Sequence[type | str] | Callable[[Settings, int], Sequence[str]] = (),
    **fields: Any,
) -> Scenario:
    """A load test that `install` and `pika-locust` can run.

    Arguments:
        name: what the test is called, also in the report.
        actor: the user's class, whose number the profiles set; or its reference, `module:Class`, which keeps Locust
            unloaded until the test starts, but then says nothing of its metrics: give them as `metrics`.
        target: what `-H` and BASE_URL (http) or WS_URL (ws) name: a base URL, or a WebSocket's URL. A setting of
            another name stands for itself, and comes with `normalise_target` among the fields.
        think: whether users think, for as long as THINK_TIME_MIN and THINK_TIME_MAX say.
        path: where the WebSocket is, when only the server is named.
        world: reference of the stand-in for the server, `module:PLATFORM`; tested where no target is named.
        profiles: loads by name, the first one is the default; each is `duration:users` and more of them, by commas, or
            made already.
        thresholds: k6's `thresholds` option: metric, with tags where wanted -> an expression or several, each a text
            or a mapping such as `{"threshold": "p(95)<300", "abort_on_fail": True}`.
        metrics, ledgers: those that no class of an actor declares as `meters` and `ledgers`.
        audit: what compares the ledgers with the target at the end, or its reference.
        settings: what else the environment may set.
        about: one line for the list of scenarios.
        supporters: actors that come on top in the whole test, each as often as it stands there; or what says so, by
            references, for the settings and the number of users at the peak.
        fields: any other field of `Scenario`.

    Raises ConfigurationError with every threshold, profile and metric that cannot be read.
    """
    problems: list[str] = []
    classes = [one for one in (actor, *(() if callable(supporters) else supporters)) if isinstance(one, type)]
    all_ledgers = dict.fromkeys((*(name for one in classes for name in getattr(one, "ledgers", ())), *ledgers))
    made: dict[str, Any] = {
        "name": name,
        "platform": name,
        "about": about,
        "primary": _reference(actor),
        "supporters": supporters if callable(supporters) else _always(supporters),
        "profiles": _profiles(profiles, problems),
        "default_profile": next(iter(profiles), ""),
        "metrics": _metrics(classes, metrics, problems),
        "thresholds": read_thresholds(thresholds or {}, problems),
        "ledgers": tuple(all_ledgers),
        "audit": Deferred(audit) if isinstance(audit, str) else audit,
        "settings": _settings(target, actor, think, "arrivals" in fields, settings),
        "world": world,
        **_target(target, path),
        **fields,
    }
    if not profiles and "arrivals" not in fields:
        problems.append("there is no load profile")
    if problems:
        raise ConfigurationError([f"scenario {name}: {problem}" for problem in problems])
    return Scenario(**made)


def _always(supporters: Sequence[type | str]) -> Callable[[Settings, int], Sequence[str]]:
    names = tuple(map(_reference, supporters))
    return lambda settings, users: names


def _reference(actor: type | str) -> str:
    return actor if isinstance(actor, str) else f"{actor.__module__}:{actor.__qualname__}"


def _target(target: Literal["http", "ws"] | Setting, path: str) -> dict[str, Any]:
    if isinstance(target, Setting):
        return {"target_settings": (target.name,)}
    if target == "http":
        return {"normalise_target": http_url, "target_settings": ("BASE_URL",)}
    normalise: Callable[[str], str] = partial(websocket_url, path=path)
    return {"normalise_target": normalise, "target_settings": ("WS_URL",), "http_base": partial(http_side, path=path)}


_TARGETS = {
    "http": Setting("BASE_URL", url("http", "https"), None, "the target, such as http://127.0.0.1:3000"),
    "ws": Setting("WS_URL", url("ws", "wss"), None, "the target's WebSocket, such as ws://127.0.0.1:3001/ws"),
}


def _settings(
    target: Literal["http", "ws"] | Setting, actor: type | str, think: bool, is_open: bool, own: Iterable[Setting]
) -> tuple[Setting, ...]:
    """The settings that every scenario has; one of its own takes the place of one of the same name."""
    low_s, high_s = getattr(actor, "think_s", (0.5, 2.0))
    pauses = (
        Setting("THINK_TIME_MIN", number(0), low_s, "shortest pause, in seconds"),
        Setting("THINK_TIME_MAX", number(0), high_s, "longest pause, in seconds"),
    )
    where = target if isinstance(target, Setting) else _TARGETS[target]
    common = (where, SOURCE_ADDRESSES, *(pauses if think else ()))
    found = {setting.name: setting for setting in (*common, *own)}
    if is_open:
        found.setdefault(ARRIVALS.name, ARRIVALS)
    return tuple(found.values())


def _profiles(given: Mapping[str, str | LoadProfile], problems: list[str]) -> dict[str, LoadProfile]:
    found = {}
    for name, load in given.items():
        try:
            found[name] = LoadProfile(name, parse_stages(load)) if isinstance(load, str) else load
        except ValueError as error:
            problems.append(f"the profile {name}: {error}")
    return found


def _metrics(actors: Sequence[type], own: Iterable[Metric], problems: list[str]) -> tuple[Metric, ...]:
    found: dict[str, Metric] = {}
    for owner, metrics in (*((actor.__name__, declared(actor).values()) for actor in actors), ("metrics", own)):
        for metric in metrics:
            if found.setdefault(metric.name, metric) != metric:
                problems.append(f"{owner} declares {metric.name} otherwise than it was before")
    return tuple(found.values())
