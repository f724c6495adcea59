"""Visitors, callers and agents against the world, in virtual time: what is sent, what is counted, what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from pika_locust.platforms.greeter.agent import Agent
from pika_locust.platforms.greeter.caller import Caller
from pika_locust.platforms.greeter.connection import Connection
from pika_locust.platforms.greeter.scenarios import CALLS, CONNECTIONS, WIDGET
from pika_locust.platforms.greeter.visitor import Visitor
from pika_locust.platforms.greeter.world import PLATFORM
from pika_locust.testing.virtual_run import VirtualRun
from pika_locust.testing.virtual_time import VirtualTime
from pika_locust.testing.worker import make_user

SETTINGS = {"AGENT_ACCEPT": "1", "AGENT_REJECT": "0", "AGENT_DELAY": "0.3", "RNA_TIMEOUT_SECONDS": "3"}


class Run(VirtualRun):
    """With what these tests ask for."""

    def counts(self, *names: str) -> tuple[int, ...]:
        return tuple(self.worker.count_of(name) for name in names)

    def rate(self, name: str) -> tuple[int, int]:
        """Passes and fails."""
        return self.worker.rate_of(name)

    def sent(self, event: str) -> list[Any]:
        """What users sent with this event, in whatever connection."""
        events = [text for socket in self.server.ever for text in socket.sent if text.startswith("42")]
        frames = [json.loads(text[text.index("[") :]) for text in events]
        return [rest[0] if rest else None for name, *rest in frames if name == event]


Begin = Callable[..., Run]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Begins a run of a scenario, which goes on until the end of the test."""
    with VirtualTime() as time, ExitStack() as runs:
        yield lambda scenario, *faults, **settings: runs.enter_context(
            Run(time, scenario, PLATFORM, *faults, settings={**SETTINGS, **settings})
        )


# Connections


def test_a_connection_is_held_answers_pings_and_ends_in_order(begin: Begin) -> None:
    run = begin(CONNECTIONS)
    run.start(Connection)
    run.time.run(70)
    assert run.counts("ws_connection_successes", "ws_connection_failures") == (2, 0)
    assert run.rate("ws_connection_success_rate") == (2, 0)
    assert run.rate("ws_connection_kept") == (1, 0)
    assert run.server.ever[0].sent[:2] == ["40", "3"]
    assert run.server.ever[0].sent[-1] == "41"


def test_each_failed_attempt_is_counted_once_and_paused_after(begin: Begin) -> None:
    run = begin(CONNECTIONS)
    run.server.is_down = True
    run.start(Connection)
    run.time.run(60)
    (failed,) = run.counts("ws_connection_failures")
    assert run.server.dials == failed
    assert 4 <= failed <= 15
    assert run.rate("ws_connection_success_rate") == (0, failed)
    assert run.worker.errors[("connect", "connection refused")] == failed


def test_a_server_that_never_consents_is_a_failure_in_time(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(CONNECTIONS)
    monkeypatch.setattr(run.server.world, "_enter", lambda *packet: None)
    run.start(Connection)
    run.time.run(10.5)
    assert run.counts("ws_connection_successes", "ws_connection_failures") == (0, 1)


def test_a_server_that_refuses_the_namespace_says_why(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(CONNECTIONS)
    monkeypatch.setattr(run.server.world, "admit", lambda client, auth: "not you")
    run.start(Connection)
    run.time.run(0.5)
    assert run.counts("ws_connection_failures") == (1,)
    assert any("not you" in words for _, words in run.worker.errors)


def test_a_server_that_dies_is_noticed_and_come_back_to(begin: Begin) -> None:
    run = begin(CONNECTIONS)
    run.start(Connection, 3)
    run.time.run(5)
    run.server.crash()
    run.time.run(10)
    assert run.rate("ws_connection_kept") == (0, 3)
    run.server.is_down = False
    run.time.run(30)
    assert run.counts("ws_connection_successes")[0] >= 6


# Visitors


def test_a_visitor_joins_sees_its_agent_and_clicks_within_the_visit(begin: Begin) -> None:
    run = begin(WIDGET, SESSION_MIN="20", SESSION_MAX="20")
    run.start(Agent)
    run.time.run(1)
    run.start(Visitor, 20)
    run.time.run(19)
    assert run.counts("agent_assigned_count", "agent_unavailable_count") == (20, 0)
    assert run.rate("join_success_rate") == (20, 0)
    views = run.sent("widget:pageview")
    assert views == [{"agentId": run.users[0].agent_id}] * 20
    (clicks,) = run.counts("interactions_sent")
    assert 1 <= clicks <= 12
    assert all(click["interactionType"] == "click" for click in run.sent("visitor:interaction"))
    assert {visit["orgId"] for visit in run.sent("visitor:join")} == {"test-org-load-test"}
    run.drain()
    assert run.server.state()["connections"] == {"agents": 0, "onlineAgents": 0, "visitors": 0, "sockets": 0}


SHORT = {"SESSION_MIN": "1", "SESSION_MAX": "2"}


def test_whoever_leaves_makes_room_for_the_next(begin: Begin) -> None:
    run = begin(WIDGET, **SHORT)
    run.start(Agent)
    run.time.run(1)
    # As many as one agent has seats for.
    run.start(Visitor, 25)
    run.time.run(20)
    found, missed = run.rate("agent_found")
    assert found > 250
    assert missed == 0


def test_a_server_that_frees_no_seats_finds_agents_for_a_few_only(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(WIDGET, **SHORT)
    monkeypatch.setattr(run.server.world, "_unassign", lambda visitor: None)
    run.start(Agent)
    run.time.run(1)
    run.start(Visitor, 5)
    run.time.run(30)
    found, missed = run.rate("agent_found")
    assert found == 25
    assert missed > 25


def test_users_who_are_added_in_the_web_page_need_not_find_an_agent(begin: Begin) -> None:
    run = begin(WIDGET, **SHORT)
    run.start(Visitor)
    run.time.run(0.5)
    assert run.rate("agent_found") == (0, 1)
    run.worker.hear("users_peak", {"users": 100})
    run.time.run(10)
    assert run.counts("agent_unavailable_count")[0] > 3
    assert run.rate("agent_found") == (0, 1)


def test_without_an_agent_a_visitor_says_what_it_misses_and_joins_once(begin: Begin) -> None:
    run = begin(WIDGET, SESSION_MIN="20", SESSION_MAX="20")
    run.start(Visitor)
    run.time.run(5)
    assert run.sent("widget:missed_opportunity") == [{"triggerDelaySeconds": 3, "poolId": None}]
    run.start(Agent)
    run.time.run(5)
    # The agent that came later is news of the same visit.
    assert run.counts("agent_assigned_count", "agent_unavailable_count", "agent_changes") == (0, 1, 1)
    assert run.rate("join_success_rate") == (1, 0)


def test_a_visitor_that_is_not_answered_has_not_joined(begin: Begin) -> None:
    run = begin(WIDGET, "drop=1")
    run.start(Visitor)
    run.time.run(10.5)
    assert run.rate("join_success_rate") == (0, 1)
    assert run.worker.errors[("visitor:join", "no answer within 10 s")] == 1


def test_a_visitor_that_is_kicked_was_not_kept(begin: Begin) -> None:
    run = begin(WIDGET, "kick")
    run.start(Visitor)
    run.time.run(1)
    assert run.rate("ws_connection_kept") == (0, 1)


def test_a_paused_organisation_is_no_successful_join(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(WIDGET)
    paused = {"message": "We're temporarily unavailable. Please check back soon!"}
    monkeypatch.setattr(run.server.world, "_tell_of_agent", lambda visitor: visitor.tell("org:paused", paused))
    run.start(Visitor)
    run.time.run(0.5)
    assert run.counts("org_paused_count") == (1,)
    assert run.rate("join_success_rate") == (0, 1)


# Agents


def test_an_agent_that_may_not_log_in_tries_again_after_a_pause(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(CALLS)
    refused = {"code": "AUTH_INVALID_TOKEN", "message": "Invalid token"}
    monkeypatch.setattr(run.server.world, "log_in", lambda client, said: client.emit("error", refused))
    # They set the pace of callers.
    run.worker.arrivals = object()
    run.start(Agent)
    run.time.run(60)
    assert 20 <= len(run.sent("agent:login")) <= 120


def test_visitors_do_not_wait_for_an_agent_that_pauses(begin: Begin) -> None:
    run = begin(CALLS)
    run.server.is_down = True
    run.start(Agent)
    run.time.run(0.1)
    assert [news for news, _ in run.worker.published] == ["supporters_ready"]


# Calls


def of_calls(run: Run) -> dict[str, int]:
    names = ("accepted", "rejected", "rang_out", "failed", "timed_out", "abandoned")
    return {name: count for name in names if (count := run.counts(f"calls_{name}")[0])}


def call(run: Run, callers: int = 1, agents: int = 1, seconds: float = 30.0) -> dict[str, int]:
    """Callers who call once each."""
    run.start(Agent, agents)
    run.time.run(1)
    for _ in range(callers):
        user = make_user(Caller, run.worker)
        user.on_start()
        run.users.append(user)
        run.time.spawn(user.act)
    run.time.run(seconds)
    assert run.counts("calls_requested") == (sum(of_calls(run).values()),)
    return of_calls(run)


def test_an_offer_whose_answer_never_comes_is_no_success(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    emit = Agent.emit

    def emit_no_answers(agent: Agent, event: str, *values: Any, **options: Any) -> bool:
        return event == "webrtc:signal" or emit(agent, event, *values, **options)

    monkeypatch.setattr(Agent, "emit", emit_no_answers)
    run = begin(CALLS)
    assert call(run) == {"accepted": 1}
    assert run.rate("signal_success") == (0, 1)
    assert run.rate("call_success_rate") == (1, 0)


def test_a_call_that_the_server_ends_by_itself_was_not_kept(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(CALLS)
    world = run.server.world
    accept = world.accept_call

    def accept_and_end(client: Any, said: Any) -> None:
        accept(client, said)
        (running,) = world.running.values()
        world.after(0.5, world._end_call, running, "max_duration")

    monkeypatch.setattr(world, "accept_call", accept_and_end)
    assert call(run) == {"accepted": 1}
    assert run.rate("call_kept") == (0, 1)
    assert run.sent("call:end") == []


def test_the_end_of_another_call_is_not_the_end_of_this_one(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(CALLS)
    world = run.server.world
    stray = {"callId": "active_1_stray", "reason": "agent_ended"}
    accept = world.accept_call

    def accept_and_end_another(client: Any, said: Any) -> None:
        accept(client, said)
        (running,) = world.running.values()
        running.visitor.tell("call:ended", stray)

    monkeypatch.setattr(world, "accept_call", accept_and_end_another)
    # Nor is it the answer to hanging up.
    monkeypatch.setattr(world, "end_call", lambda client, said: client.emit("call:ended", stray))
    assert call(run) == {"accepted": 1}
    assert run.rate("call_kept") == (1, 0)
    assert run.rate("call_end_success") == (0, 1)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"targetId": "another", "signal": {"type": "answer"}}, {"signal": None}],
    ids=["its own offer", "the answer of another", "nothing"],
)
def test_only_its_own_agent_s_answer_answers_an_offer(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    run = begin(CALLS)
    monkeypatch.setattr(
        run.server.world, "relay_signal", lambda client, said: client.emit("webrtc:signal", {**said, **wrong})
    )
    assert call(run) == {"accepted": 1}
    assert run.rate("signal_success") == (0, 1)


def test_whoever_hangs_up_at_once_has_shown_its_page(begin: Begin) -> None:
    run = begin(CALLS, TALK_TIME_MIN="0", TALK_TIME_MAX="0")
    assert call(run) == {"accepted": 1}
    assert run.rate("cobrowse_relayed") == run.rate("call_kept") == run.rate("call_end_success") == (1, 0)


@pytest.mark.parametrize("shown_by", [None, "another"], ids=["nothing", "the page of another"])
def test_an_agent_is_shown_the_page_of_its_visitor(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, shown_by: str | None
) -> None:
    run = begin(CALLS)

    def relay_wrongly(client: Any, name: str, said: Any) -> None:
        if shown_by is not None:
            client.data.call.agent.tell(name, {**said, "visitorId": shown_by})

    monkeypatch.setattr(run.server.world, "_relay_view", relay_wrongly)
    assert call(run) == {"accepted": 1}
    assert run.rate("cobrowse_relayed") == (0, 1)


def test_a_call_is_accepted_talked_in_and_ended_by_the_server_s_id(begin: Begin) -> None:
    run = begin(CALLS)
    assert call(run) == {"accepted": 1}
    assert run.rate("call_success_rate") == (1, 0)
    assert run.rate("call_kept") == (1, 0)
    assert run.rate("call_end_success") == (1, 0)
    assert run.rate("signal_success") == (1, 0)
    assert [signal["signal"].get("type") for signal in run.sent("webrtc:signal")] == ["answer", "offer", None]
    assert len(run.sent("cobrowse:snapshot")) >= 3
    assert run.rate("cobrowse_relayed") == (1, 0)
    (end,) = run.sent("call:end")
    assert end["callId"].startswith("active_")
    assert run.counts("agent_calls_accepted", "agent_ghost_calls") == (1, 0)
    assert run.worker.ledgers["calls"].count("acked") == 1
    assert run.server.state()["calls"] == {"active": 0, "simulations": 0, "pending": 0}


@pytest.mark.parametrize(
    ("weights", "outcome", "rate"),
    [
        ({"AGENT_ACCEPT": "0", "AGENT_REJECT": "1"}, "rejected", "call_rejected_rate"),
        ({"AGENT_ACCEPT": "0", "AGENT_REJECT": "0"}, "rang_out", "call_rang_out_rate"),
    ],
)
def test_agents_who_reject_or_ignore_everything_are_outcomes_of_their_own(
    begin: Begin, weights: dict[str, str], outcome: str, rate: str
) -> None:
    run = begin(CALLS, **weights)
    assert call(run) == {outcome: 1}
    assert run.rate(rate) == (1, 0)
    assert run.rate("call_success_rate") == (0, 1)


def test_a_visitor_is_let_ring_once(begin: Begin) -> None:
    """Else it would wait in vain now and then, at a server without a fault."""
    run = begin(CALLS, AGENT_ACCEPT="0.001", AGENT_REJECT="0")
    assert call(run, callers=3, agents=12, seconds=60) == {"accepted": 3}
    assert run.counts("agent_calls_ignored") == (3,)


def test_without_agents_nobody_calls_and_that_is_told(begin: Begin) -> None:
    run = begin(CALLS)
    assert call(run, agents=0) == {}
    assert run.rate("call_agent_found") == (0, 1)


def test_an_agent_that_is_not_known_is_an_error_by_its_code(begin: Begin) -> None:
    run = begin(CALLS, AGENT_ID="nobody")
    assert call(run, agents=0) == {"failed": 1}
    assert run.worker.count_of("calls_failed", code="AGENT_NOT_FOUND") == 1


def test_a_call_that_nobody_hears_of_is_given_up_and_has_no_answer(begin: Begin) -> None:
    run = begin(CALLS, "ignore-call=1")
    assert call(run, seconds=45) == {"timed_out": 1}
    assert run.worker.ledgers["calls"].count("timed_out") == 1


def test_an_agent_takes_one_call_at_a_time_and_the_others_ring_elsewhere(begin: Begin) -> None:
    run = begin(CALLS)
    assert call(run, callers=3, agents=3, seconds=40) == {"accepted": 3}


def test_an_agent_that_was_marked_away_comes_back(begin: Begin) -> None:
    run = begin(CALLS, AGENT_ACCEPT="0", AGENT_REJECT="0")
    call(run, seconds=8)
    assert run.sent("agent:back") == [None, None]


def test_news_of_the_agent_is_no_answer_to_a_call(begin: Begin) -> None:
    run = begin(CALLS, AGENT_DELAY="4", RNA_TIMEOUT_SECONDS="20")
    # The other one hears at once that its agent is not available any more, and 4 s later that it does not want to talk.
    assert call(run, callers=2, agents=1, seconds=60) == {"accepted": 1, "rejected": 1}
    assert run.counts("agent_changes")[0] >= 1
    assert run.worker.trend_of("call_request_time").minimum >= 2_000_000


def test_an_agent_notices_that_nobody_is_in_its_call(begin: Begin) -> None:
    run = begin(CALLS, "ghost-call", CALL_ABANDON="1", AGENT_DELAY="1")
    assert call(run) == {"abandoned": 1}
    assert run.counts("agent_ghost_calls") == (1,)
    assert run.rate("cobrowse_relayed") == (0, 0)
    assert run.server.state()["calls"]["active"] == 0


def test_who_leaves_while_it_rings_leaves_nothing_behind(begin: Begin) -> None:
    run = begin(CALLS, CALL_ABANDON="1")
    assert call(run) == {"abandoned": 1}
    assert run.counts("agent_calls_accepted") == (0,)
    assert run.server.state()["calls"]["pending"] == 0
