from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pika_locust.errors import ConfigurationError
from pika_locust.platforms.verity.world import PLATFORM, VerityWorld
from pika_locust.sandbox.faults import FaultSwitches
from tests.platforms.verity.world_driver import VerityDriver, pair

SCENARIOS = {"queue", "sessions", "tokens"}
METRICS = {
    "match_rate",
    "match_time",
    "session_start_lag",
    "session_length",
    "stripe_webhook_latency",
    "queue_join_latency",
    "forged_refused",
    "redelivery_ignored",
    "error_rate",
    "http_req_failed",
    "http_req_duration",
}
AUDITS = {"tokens", "sessions", "webhooks"}


def test_every_fault_names_the_measurement_that_must_see_it() -> None:
    for cover in PLATFORM.covers:
        assert cover.scenario in SCENARIOS
        # memory is measured for every scenario alike
        assert cover.subject in METRICS | AUDITS | {"target_memory_mb"}
    assert {kind.name for kind in PLATFORM.named} <= PLATFORM.supports


def test_settings_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        PLATFORM.create(FaultSwitches(), {"SESSION_HOLD_SECONDS": "soon"}, 0.0)


def test_the_state_of_a_fresh_world() -> None:
    assert VerityDriver().state() == {
        "users": 0,
        "queued": 0,
        "lines": 0,
        "tokens": {"credited": 0, "held": 0, "spent": 0},
        "sessions": {
            **dict.fromkeys(("created", "started", "ended", "mutual", "non_mutual", "live", "users_in_two_live"), 0),
            "in_two_live": [],
        },
        "sessions_live": 0,
        "webhooks": dict.fromkeys(("received", "credited", "duplicates", "refused", "ignored", "failed"), 0),
        "balances": {},
        "credits": {},
        "matches": {},
    }


def test_a_reset_forgets_everything_and_everybody() -> None:
    driver = VerityDriver()
    first, _ = pair(driver)
    driver.world.reset(driver.now)
    assert driver.state() == VerityDriver().state()
    assert first.ask("GET", "/tokens/balance")[0] == 404
    driver.wait(60.0)
    assert driver.state() == VerityDriver().state()


def test_every_socket_is_a_members() -> None:
    assert PLATFORM.groups == (VerityDriver().world.group(1),)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4),
            st.sampled_from(["join", "leave", "listen", "hang up", "buy", "wait", "tick"]),
            st.integers(1, 900),
        ),
        max_size=60,
    )
)
def test_no_token_is_ever_lost_or_made(steps: list[tuple[int, str, int]]) -> None:
    driver = VerityDriver(settings={"SESSION_HOLD_SECONDS": "1"})
    members = [driver.member(3) for _ in range(5)]
    sockets: list[list[int]] = [[] for _ in members]
    for n, (who, what, amount) in enumerate(steps):
        member = members[who]
        match what:
            case "join":
                member.begin_join()
            case "leave":
                driver.request("DELETE", "/queue/leave", authorization=f"Bearer {member.token}")
            case "listen":
                sockets[who].append(member.listen("/queue"))
            case "hang up" if sockets[who]:
                driver.close(sockets[who].pop())
            case "buy":
                driver.world.tokens.buy(member.id, 1)
            case "wait":
                driver.wait(amount / 1000)
            case "tick":
                driver.wait_until_tick(before_s=(amount % 8) / 1000)
        world: VerityWorld = driver.world
        queue, state = world.queue, driver.state()
        for one in members:
            queued = one.id in queue.entries
            assert state["balances"][one.id] + queued + state["matches"][one.id] == state["credits"][one.id], n
        in_hand = [visit for visit in queue.entries.values() if visit.in_hand]
        waiting = [user_id for line in queue.lines.values() for _, user_id in line.waiting]
        assert sorted(waiting + [visit.user.id for visit in in_hand]) == sorted(queue.entries), n
        assert set(queue.crowded) == {key for key, line in queue.lines.items() if len(line.waiting) > 1}, n
    driver.wait(5.0)
    assert sum(driver.state()["matches"].values()) == 2 * driver.state()["sessions"]["created"]
    assert driver.state()["sessions"]["live"] == 0
