"""Ghost Greeter's suites as data: load, metrics, thresholds, settings, audits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pika_locust.judge import Band, Threshold
from pika_locust.judge.thresholds import ThresholdSpec
from pika_locust.kit.scenarios import arrival_settings, memory_below, scenario, suite_load
from pika_locust.kit.targets import socketio_url
from pika_locust.load.arrivals import ArrivalRate, ConstantArrivalRate
from pika_locust.load.plan import CONSTANT
from pika_locust.metrics import counter, gauge, rate, trend
from pika_locust.scenario import Deferred, QuickLoad, Sizing
from pika_locust.settings import Setting, Settings, duration, number, on_unless_0, share, text, url, whole

SEATS = 25
"""Visitors that the server assigns to one agent."""

REDIS_LATENCY = gauge("redis_latency", "of the server's Redis, as its health page tells", "ms", merge="max")

METRICS = (
    REDIS_LATENCY,
    trend("ws_connection_time", "from the dial to the end of the WebSocket's upgrade: TCP and TLS included"),
    trend("engine_open_time", "from the WebSocket's upgrade to Engine.IO's open packet"),
    trend("socketio_connect_time", "from Engine.IO's open packet to the server's consent to the namespace"),
    rate("ws_connection_kept", "connections that lasted until we ended them"),
)
CONNECTION_METRICS = (
    *METRICS,
    counter("ws_connection_failures", "attempts to connect that failed, each counted once"),
    counter("ws_connection_successes", "attempts that came as far as the server's consent"),
    rate("ws_connection_success_rate", "share of attempts to connect that succeeded"),
    counter("ws_messages_sent", "messages that went out, pongs included"),
    counter("ws_messages_received", "messages that came in, of every kind"),
)
JOIN_METRICS = (
    *METRICS,
    counter("connection_failures", "attempts to connect that failed, each counted once"),
    rate("connection_success_rate", "attempts that came as far as the server's consent"),
    trend("widget_join_time", "from joining to being told which agent one has, or that there is none"),
    rate("join_success_rate", "visitors who were told in time which agent they have, or that there is none"),
    counter("agent_changes", "later news of a visitor's agent: assigned, reassigned, not available any more"),
)
WIDGET_METRICS = (
    *JOIN_METRICS,
    counter("agent_assigned_count", "visitors who were given an agent when they joined"),
    rate("agent_found", "visitors who were given an agent when they joined; not of users added in the web page"),
    counter("agent_unavailable_count", "visitors who were told that no agent is available"),
    counter("org_paused_count", "visitors who were told that the organisation takes none"),
    counter("interactions_sent", "clicks that were sent within a visit"),
)
CALL_METRICS = (
    *JOIN_METRICS,
    rate("call_agent_found", "callers who were given an agent when they joined"),
    counter("calls_requested", "calls that were asked for; each is counted once more by its end"),
    counter("calls_accepted", "calls that an agent took"),
    counter("calls_rejected", "calls that an agent rejected, with no other agent free"),
    counter("calls_rang_out", "calls that no agent answered, with no other agent free"),
    counter("calls_failed", "calls that the server answered with an error, by code"),
    counter("calls_timed_out", "calls without an answer in time, or whose connection was lost before it"),
    counter("calls_abandoned", "calls whose visitor left while it rang (CALL_ABANDON)"),
    counter("calls_cancelled", "the suite's own; always 0, as the server never tells a visitor of it"),
    rate("call_success_rate", "calls that an agent took"),
    rate("call_rejected_rate", "calls that were rejected"),
    rate("call_rang_out_rate", "calls that rang out"),
    trend("call_request_time", "from asking for a call to its answer, whichever"),
    trend("call_accept_time", "from asking for a call to an agent's taking it"),
    trend("signal_time", "from a WebRTC offer to the agent's answer to it"),
    rate("signal_success", "WebRTC offers that an agent answered"),
    rate("call_kept", "calls that lasted until the visitor hung up"),
    trend("call_end_time", "from hanging up to the server's consent"),
    rate("call_end_success", "calls that the server ended when the visitor hung up"),
)
AGENT_METRICS = (
    counter("agent_calls_rung", "calls that rang at an agent of ours; one that is passed on rings again"),
    counter("agent_calls_accepted", "calls that an agent of ours took"),
    counter("agent_calls_rejected", "calls that an agent of ours rejected, unwilling or busy"),
    counter("agent_calls_ignored", "calls that an agent of ours let ring"),
    rate("agent_reject_rate", "share of rings that agents of ours rejected"),
    rate("agent_ignore_rate", "share of calls that agents of ours let ring"),
    counter("agent_ghost_calls", "calls that agents of ours took, without a visitor in them"),
    rate("cobrowse_relayed", "calls in which an agent of ours was shown its visitor's page"),
    rate("agents_kept", "connections of agents that lasted until we ended them"),
)

# The grades of the suite's own table; what it says of Redis, the health page shows where there is one.
_CONNECTION_TIME = Band("ws_connection_time", "p(95)", healthy="<1000", warning="<3000")
_CONNECTED = Band("connection_success_rate", "rate", healthy=">0.99", warning=">0.95")
_OF_SERVER = (
    # 70 % and 85 % of the server's limit.
    Band("target_memory_mb", "value", healthy="<358", warning="<435"),
    Band("redis_latency", "max", healthy="<10", warning="<50"),
)
_TEN_A_MINUTE = "<0.1667"
"""As a counter's rate, which is one of a second."""


def _of_errors(metric: str) -> Band:
    """None at all is healthy, and up to ten a minute are a warning."""
    return Band(metric, "rate", healthy="<=0", warning=_TEN_A_MINUTE)


_KEPT: dict[str, ThresholdSpec] = {
    "ws_connection_kept": {"threshold": "rate>0.99", "about": "connections last until we end them"},
    "target_memory_mb": memory_below(512, "the server's own limit"),
    "redis_latency": {
        "threshold": "max<50",
        "optional": True,
        "about": "the suite's own limit, where there is a Redis",
    },
}
_JOIN: dict[str, ThresholdSpec] = {
    "connection_success_rate": {"threshold": "rate>0.99", "about": "as a share: the suite's count says little"},
    "widget_join_time": "p(95)<1000",
    "join_success_rate": "rate>0.90",
    **_KEPT,
}

SERVER = Setting("SERVER_URL", url("ws", "wss", "http", "https"), None, "the server, such as ws://127.0.0.1:3001")
SETTINGS = (
    Setting("METRICS_API_KEY", text, None, "opens the server's metrics page, for the audits", secret=True),
    Setting("METRICS_PAGE", on_unless_0, True, "0: do not look at the server's metrics page"),
)
_VISITOR_SETTINGS = (
    *SETTINGS,
    Setting("ORG_ID", text, "test-org-load-test", "the organisation whose website is visited"),
    Setting("AGENTS", whole(0), None, "agents of our own; default as many as the load needs, 0 where there are others"),
    Setting("AGENT_TOKEN", text, "demo-token", "what agents log in with", secret=True),
    Setting("AGENT_ACCEPT", share, 0.8, "share of calls that an agent takes"),
    Setting("AGENT_REJECT", share, 0.1, "share of calls that an agent rejects; the rest ring, each visitor once"),
    Setting("AGENT_DELAY", number(0), 1.0, "seconds until an agent decides, on average"),
)
_AGENT = "pika_locust.platforms.greeter.agent:Agent"
_HOSTS = ("ghost-greeterserver-production.up.railway.app",)


_SIZING = Sizing(
    replicas={1_000: 2, 5_000: 5, 10_000: 10, 50_000: 25, 100_000: 50},
    sizes={"Starter": 500, "Pro, 2 GB": 2_000, "Pro, 4 GB": 5_000},
    caveat="Calls between visitors and agents of different replicas are lost, so that more replicas serve more "
    "connections, and no calls.",
)


def _check_agents(settings: Settings, planned_s: float | None) -> Iterable[str]:
    if settings["AGENT_ACCEPT"] + settings["AGENT_REJECT"] > 1:
        yield "AGENT_ACCEPT and AGENT_REJECT are shares of the same calls: together they are at most 1"


def _platform(**own: Any) -> Any:
    """What the three scenarios have in common."""
    return {
        "platform": "greeter",
        "normalise_target": socketio_url,
        "target": SERVER,
        "profile_setting": "PHASE",
        "observes": {REDIS_LATENCY: "/health#checks.redis.latency"},
        "set_up": Deferred("pika_locust.platforms.greeter.audits:look_before"),
        "production_hosts": _HOSTS,
        **own,
    }


_PHASE = Setting("PHASE", text, None, "load profile, as the suite's own instructions name it")
_BASELINE, _SOAK = "1s:50,2m:50", "1m:200,30m:200,1m:0"
_SOAK_THRESHOLDS = tuple(
    Threshold.of(metric, {"threshold": limit, "optional": True, "about": about})
    for metric, limit, about in (
        ("target_memory_mb", "slope<5", "the same load for half an hour takes no more memory"),
        ("ws_connection_time", "slope<20", "and no more time: so much would be a warning's worth in half an hour"),
        ("health_latency", "slope<20", "the same of the server's health page, where it has one"),
    )
)

CONNECTIONS = scenario(
    "connections",
    "pika_locust.platforms.greeter.connection:Connection",
    about="Up to a thousand Socket.IO connections that are held for a while",
    profiles=suite_load("1m:100,2m:500,2m:1000,3m:1000,1m:0", "capacity", baseline=_BASELINE, soak=_SOAK),
    metrics=CONNECTION_METRICS,
    thresholds={
        "ws_connection_time": "p(95)<2000",
        "ws_connection_failures": ["count<50", f"rate{_TEN_A_MINUTE}"],
        "ws_connection_success_rate": "rate>0.95",
        "ws_messages_received": "count>0",
        **_KEPT,
    },
    profile_thresholds={
        "capacity": (),
        "baseline": (
            Threshold.of("ws_connection_success_rate", {"threshold": "rate==1", "about": "all connect"}),
            Threshold.of("ws_connection_time", {"threshold": "max<1000", "about": "each within a second"}),
        ),
        "soak": _SOAK_THRESHOLDS,
    },
    bands=(
        _CONNECTION_TIME,
        Band("ws_connection_success_rate", "rate", healthy=">0.99", warning=">0.95"),
        _of_errors("ws_connection_failures"),
        *_OF_SERVER,
    ),
    settings=(
        *SETTINGS,
        _PHASE,
        Setting("HOLD_TIME_MIN", number(0), 30.0, "shortest time that a connection is held, in seconds"),
        Setting("HOLD_TIME_MAX", number(0), 60.0, "longest time that a connection is held, in seconds"),
        Setting("THINK_TIME_MIN", number(0), 0.0, "shortest pause between two connections, in seconds"),
        Setting("THINK_TIME_MAX", number(0), 2.0, "longest pause, in seconds"),
    ),
    audit="pika_locust.platforms.greeter.audits:audit_end",
    audits=("sockets",),
    quick=QuickLoad("5s:100,25s:100,5s:0", {"HOLD_TIME_MIN": "5", "HOLD_TIME_MAX": "10"}),
    loss="ws_connection_success_rate",
    sizing=_SIZING,
    iteration="one for each connection: as many as the times that they are held allow",
    speeds={"msg": "ws_messages_received"},
    **_platform(),
)


def _agents_for_visitors(settings: Settings, users: int) -> Sequence[str]:
    count: int | None = settings["AGENTS"]
    # One more than there are seats for: whoever leaves keeps its seat until the server has noticed.
    return (_AGENT,) * (math.ceil(users / SEATS) + 1 if count is None else count)


def _assigned(settings: Settings) -> tuple[Threshold, ...]:
    """To be told that there is no agent counts as joining, too; where we bring some, that must not be all, and where we
    bring as many as the load needs, hardly any."""
    if settings["AGENTS"] == 0:
        return ()
    shown = {"threshold": "count>0", "about": "visitors are shown our agents"}
    # Before the first visit, somebody may have added users in the web page.
    found = {"threshold": "rate>0.9", "about": "whoever leaves makes room for the next", "allow_empty": True}
    enough = (Threshold.of("agent_found", found),) if settings["AGENTS"] is None else ()
    return (Threshold.of("agent_assigned_count", shown), *enough)


WIDGET = scenario(
    "widget",
    "pika_locust.platforms.greeter.visitor:Visitor",
    about="Visitors of a website join, are shown an agent, look at pages and click",
    supporters=_agents_for_visitors,
    profiles=suite_load("2m:200,5m:200,1m:0", "realistic", baseline=_BASELINE, soak=_SOAK),
    metrics=(*WIDGET_METRICS, *AGENT_METRICS),
    thresholds={
        "ws_connection_time": "p(95)<3000",
        "connection_failures": ["count<20", f"rate{_TEN_A_MINUTE}"],
        **_JOIN,
    },
    profile_thresholds={"realistic": (), "soak": _SOAK_THRESHOLDS},
    setting_thresholds=_assigned,
    bands=(_CONNECTION_TIME, _CONNECTED, _of_errors("connection_failures"), *_OF_SERVER),
    settings=(
        *_VISITOR_SETTINGS,
        _PHASE,
        Setting("SESSION_MIN", number(0), 60.0, "shortest visit, in seconds"),
        Setting("SESSION_MAX", number(0), 180.0, "longest visit, in seconds"),
    ),
    check_settings=_check_agents,
    audit="pika_locust.platforms.greeter.audits:audit_visitors",
    audits=("sockets", "visitors"),
    quick=QuickLoad("5s:60,25s:60,5s:0", {"SESSION_MIN": "5", "SESSION_MAX": "10"}),
    loss="connection_success_rate",
    sizing=_SIZING,
    iteration="one for each visit: as many as their lengths allow",
    **_platform(think=False),
)


def _ignored(settings: Mapping[str, Any]) -> float:
    """The share of calls that our agents let ring."""
    return max(0.0, 1.0 - float(settings["AGENT_ACCEPT"]) - float(settings["AGENT_REJECT"]))


def call_s(settings: Mapping[str, Any]) -> float:
    """Seconds that an agent is busy with one call, on average."""
    talk = (settings["TALK_TIME_MIN"] + settings["TALK_TIME_MAX"]) / 2
    return float(settings["AGENT_DELAY"] + talk + _ignored(settings) * settings["RNA_TIMEOUT_SECONDS"])


def _agents_for_calls(settings: Settings, users: int) -> Sequence[str]:
    """An agent takes one call at a time; a third more than are busy on average, so that one is nearly always free."""
    count: int | None = settings["AGENTS"]
    enough = max(2, math.ceil(1.3 * settings["CALL_RATE"] * call_s(settings)))
    return (_AGENT,) * (enough if count is None else count)


def _call_rate(settings: Settings) -> ArrivalRate:
    prepared: int = settings["PREALLOCATED_VUS"] or max(50, math.ceil(settings["CALL_RATE"] * (4 + call_s(settings))))
    most = max(200, math.ceil(settings["CALL_RATE"] * (4 + settings["CALL_ANSWER_WITHIN"])))
    return ConstantArrivalRate(
        rate=settings["CALL_RATE"],
        duration_s=settings["TEST_DURATION"],
        pre_allocated_vus=prepared,
        max_vus=max(prepared, settings["MAX_VUS"] or most),
    )


def _answer_time(settings: Settings) -> tuple[Threshold, ...]:
    """The suite's p(95) is of calls that are answered at once; those that our own agents let ring take their time."""
    ignored = _ignored(settings) if settings["AGENTS"] != 0 else 0.0
    # Twice the share: among a few hundred calls, more than one in ten may be those that are let ring.
    percentile = max(50, math.floor(95 - 200 * ignored))
    about = "calls are answered within 5 s" + (f", but the {ignored:.0%} that our agents let ring" if ignored else "")
    return (Threshold.of("call_request_time", {"threshold": f"p({percentile})<5000", "about": about}),)


_OF_AGENTS = frozenset(
    {
        *("agents_kept", "agent_ghost_calls", "agent_reject_rate", "agent_ignore_rate", "cobrowse_relayed"),
        # Agents who are not ours need not answer as ours do, and may hang up.
        *("signal_success", "call_kept"),
    }
)


def _of_our_agents(settings: Settings) -> frozenset[str]:
    return _OF_AGENTS if settings["AGENTS"] == 0 else frozenset()


CALLS = scenario(
    "calls",
    "pika_locust.platforms.greeter.caller:Caller",
    about="Visitors call agents, who take, reject or ignore them",
    supporters=_agents_for_calls,
    arrivals=_call_rate,
    loss="connection_success_rate",
    rate_settings=("CALL_RATE",),
    length_setting="TEST_DURATION",
    quick=QuickLoad(settings={"CALL_RATE": "5", "TEST_DURATION": "20s", "TALK_TIME_MIN": "2", "TALK_TIME_MAX": "4"}),
    profiles={},
    default_profile=CONSTANT,
    metrics=(*CALL_METRICS, *AGENT_METRICS),
    thresholds={
        "calls_requested": "count>0",
        "connection_failures": ["count<10", f"rate{_TEN_A_MINUTE}"],
        "call_agent_found": {"threshold": "rate>0.9", "about": "there are agents for those who want to call"},
        "call_success_rate": {"threshold": "rate>0.8", "about": "calls come about"},
        "call_rejected_rate": {"threshold": "rate<0.2", "about": "agents do not send callers away"},
        "call_rang_out_rate": {"threshold": "rate<0.2", "about": "agents answer"},
        "signal_success": {
            "threshold": "rate>0.99",
            "about": "offers reach the agents, and their answers the visitors",
        },
        "cobrowse_relayed": {"threshold": "rate>0.99", "about": "agents see their visitors' pages"},
        "call_kept": {"threshold": "rate>0.99", "about": "a call lasts until the visitor hangs up"},
        "call_end_success": {"threshold": "rate>0.99", "about": "a call is over when the visitor hangs up"},
        "agent_reject_rate": {"threshold": "rate<0.5", "about": "our own agents take calls"},
        "agent_ignore_rate": {"threshold": "rate<0.5", "about": "and answer at all"},
        "agent_ghost_calls": {"threshold": "count==0", "about": "in every call there is a visitor"},
        "agents_kept": {"threshold": "rate>0.99", "about": "agents stay connected"},
        **_JOIN,
    },
    ledgers=("calls",),
    bands=(_CONNECTED, _of_errors("connection_failures"), *_OF_SERVER),
    setting_thresholds=_answer_time,
    unobservable=_of_our_agents,
    settings=(
        *_VISITOR_SETTINGS,
        Setting("AGENT_ID", text, None, "whom to call; default the agent that the visitor was given"),
        Setting("CALL_RATE", whole(1), 10, "calls a second"),
        Setting("TEST_DURATION", duration, 120.0, "for how long"),
        Setting("TALK_TIME_MIN", number(0), 5.0, "shortest call, in seconds"),
        Setting("TALK_TIME_MAX", number(0), 10.0, "longest call, in seconds"),
        Setting("CALL_ANSWER_WITHIN", number(1), 35.0, "how long a visitor waits for an answer, in seconds"),
        Setting("CALL_ABANDON", share, 0.0, "share of visitors who leave while it rings"),
        Setting("RNA_TIMEOUT_SECONDS", number(0), 15.0, "seconds that a call rings on the server, and in the sandbox"),
        *arrival_settings("50, or what the rate needs", "200, or what the rate needs when nobody answers"),
    ),
    check_settings=_check_agents,
    audit="pika_locust.platforms.greeter.audits:audit_calls",
    audits=("sockets", "visitors", "pending calls", "active calls"),
    iteration="one for each call that is due",
    finish_s=lambda settings: settings["CALL_ANSWER_WITHIN"] + settings["TALK_TIME_MAX"] + 10.0,
    **_platform(profile_setting="SCENARIO", think=False),
)

SCENARIOS = (CONNECTIONS, WIDGET, CALLS)
