"""Verity's world: its state, accounts, and who is let into which namespace of its sockets."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pika_locust.errors import ConfigurationError
from pika_locust.platforms.verity.world import PLATFORM, VerityWorld
from pika_locust.sandbox.faults import FaultSwitches
from pika_locust.testing.world_driver import Closed
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
    "fanout_delivery",
    "fanout_duplicates",
    "fanout_correct",
    "error_rate",
    "http_req_failed",
    "http_req_duration",
}
AUDITS = {"tokens", "sessions", "webhooks"}


def test_every_fault_names_the_measurement_that_must_see_it() -> None:
    for cover in PLATFORM.covers:
        assert cover.scenario in SCENARIOS
        # memory is measured for every scenario alike
        assert cover.subject.partition("{")[0] in METRICS | AUDITS | {"target_memory_mb"}
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


def test_a_reset_forgets_everything() -> None:
    driver = VerityDriver()
    first, _ = pair(driver)
    driver.world.reset(driver.now)
    assert driver.state() == VerityDriver().state()
    assert first.ask("GET", "/tokens/balance")[0] == 404
    driver.wait(60.0)
    assert driver.state() == VerityDriver().state()


def test_every_socket_belongs_to_a_member() -> None:
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
    ),
    st.sampled_from([(), ("ghost",)]),
)
def test_no_token_is_ever_lost_or_made_but_by_ghosts(steps: list[tuple[int, str, int]], faults: tuple[str]) -> None:
    driver = VerityDriver(*faults, settings={"SESSION_HOLD_SECONDS": "1"})
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
        lost = 0
        for one in members:
            queued = one.id in queue.entries
            lost += state["credits"][one.id] - state["balances"][one.id] - queued - state["matches"][one.id]
        unrefunded = [answer for answer in driver.answers.values() if b'"left","refunded":false' in answer.body]
        assert lost == len(unrefunded), n
        assert faults or not lost, n
        ghosts = [ghost for line in queue.lines.values() for ghost in line.ghosts.values()]
        in_hand = [visit for visit in [*queue.entries.values(), *ghosts] if visit.in_hand]
        waiting = [user_id for line in queue.lines.values() for _, user_id in line.waiting]
        there = [*queue.entries, *(ghost.user.id for ghost in ghosts)]
        assert sorted(waiting + [visit.user.id for visit in in_hand]) == sorted(there), n
        assert set(queue.crowded) == {key for key, line in queue.lines.items() if len(line.waiting) > 1}, n
    driver.wait(5.0)
    assert sum(driver.state()["matches"].values()) == 2 * driver.state()["sessions"]["created"]
    assert driver.state()["sessions"]["live"] == 0


UNAUTHORIZED = (401, {"message": "Unauthorized", "statusCode": 401})
BLANK = {"displayName": None, "photos": None, "bio": None, "age": None, "gender": None, "interests": []}
BIRTH = {"dateOfBirth": None, "ageVerifiedAt": None, "consents": None, "privacyNoticeVersion": None, "tosVersion": None}
CONTACT = {"phone": None, "email": None, "tokenBalance": 0}
NOW = "2026-11-21T03:00:00.000Z"


def signed_up(body: Any) -> dict[str, Any]:
    status, answer = VerityDriver().ask("POST", "/auth/signup-anonymous", body)
    assert status == 201
    return dict(answer["user"])


@pytest.mark.parametrize("body", [None, {}, [], {"dateOfBirth": None}], ids=str)
def test_an_account_needs_nothing(body: Any) -> None:
    user = signed_up(body)
    wanted = {"id": user["id"], "createdAt": NOW, "updatedAt": NOW, "role": "USER", **BLANK, **BIRTH, **CONTACT}
    assert user == wanted
    assert list(user) == list(wanted)


def test_an_account_may_bring_age_and_consents() -> None:
    consents = {"marketing": False, "terms": True}
    given = {"dateOfBirth": "1990-05-17", "privacyNoticeVersion": "1.0", "tosVersion": "2.0"}
    user = signed_up({**given, "consents": consents})
    assert user["dateOfBirth"] == "1990-05-17T00:00:00.000Z"
    assert user["ageVerifiedAt"] == NOW
    assert list(user["consents"].items()) == [("terms", True), ("marketing", False), ("acceptedAt", NOW)]
    assert (user["privacyNoticeVersion"], user["tosVersion"]) == ("1.0", "2.0")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"dateOfBirth": "2008-11-22"}, "Must be 18 or older"),
        ({"dateOfBirth": "yesterday"}, ["dateOfBirth must be a valid ISO 8601 date string"]),
        ({"dateOfBirth": 1990}, ["dateOfBirth must be a valid ISO 8601 date string"]),
        ({"consents": "all"}, ["consents must be an object"]),
        ({"foo": 1}, ["property foo should not exist"]),
    ],
    ids=str,
)
def test_other_sign_ups_are_refused(body: Any, message: Any) -> None:
    driver = VerityDriver()
    refused = {"message": message, "error": "Bad Request", "statusCode": 400}
    assert driver.ask("POST", "/auth/signup-anonymous", body) == (400, refused)
    assert driver.state()["users"] == 0


def test_whoever_turns_18_today_may_sign_up() -> None:
    assert signed_up({"dateOfBirth": "2008-11-21"})["ageVerifiedAt"] == NOW


def test_a_balance_can_be_looked_up_with_the_token() -> None:
    member = VerityDriver().member(3)
    assert member.ask("GET", "/tokens/balance") == (200, {"tokenBalance": 3})


def test_access_ends_after_fifteen_minutes_and_the_cookie_renews_it() -> None:
    driver = VerityDriver()
    answer = driver.http("POST", "/auth/signup-anonymous", {})
    cookie = dict(answer.headers)["set-cookie"]
    terms = "Max-Age=2592000; Path=/auth/refresh; Expires=Mon, 21 Dec 2026 03:00:00 GMT; HttpOnly; SameSite=Strict"
    assert cookie.partition("; ")[2] == terms
    driver.wait(900)
    member = driver.member()
    driver.wait(899)
    assert member.ask("GET", "/tokens/balance")[0] == 200
    driver.wait(1)
    assert member.ask("GET", "/tokens/balance") == UNAUTHORIZED
    status, renewed = driver.ask("POST", "/auth/refresh", cookie=cookie.partition(";")[0])
    assert status == 200
    assert driver.ask("GET", "/tokens/balance", authorization=f"Bearer {renewed['accessToken']}")[0] == 200


@pytest.mark.parametrize(
    ("headers", "message"),
    [({}, "Missing refresh token"), ({"cookie": "refresh_token=garbage"}, "Invalid or expired refresh token")],
    ids=["none", "garbage"],
)
def test_without_a_good_cookie_nothing_is_renewed(headers: dict[str, str], message: str) -> None:
    refused = {"message": message, "error": "Unauthorized", "statusCode": 401}
    assert VerityDriver().ask("POST", "/auth/refresh", **headers) == (401, refused)


SID = re.compile(r'\{"sid":"[\w-]{20}"\}')
KICKED = Closed(1005, "")


@pytest.fixture
def driver() -> VerityDriver:
    return VerityDriver()


def entering(driver: VerityDriver, packet: str, **headers: str) -> list[Any]:
    """What a fresh connection is sent after one packet, ids aside."""
    packets = driver.send(driver.open(**headers), packet)
    return [SID.sub("<sid>", one) if isinstance(one, str) else one for one in packets]


@pytest.mark.parametrize("namespace", ["/queue", "/video", "/chat"])
def test_a_good_token_is_accepted_in_each_namespace(driver: VerityDriver, namespace: str) -> None:
    token = driver.member().token
    assert entering(driver, f'40{namespace},{{"token":"{token}"}}') == [f"40{namespace},<sid>"]
    assert entering(driver, f"40{namespace},", authorization=f"Bearer {token}") == [f"40{namespace},<sid>"]


@pytest.mark.parametrize("auth", ['{"token":"bad"}', "", "{}", "[]", "{", '{"token":5}'])
def test_a_bad_token_is_accepted_first_and_then_kicked(driver: VerityDriver, auth: str) -> None:
    assert entering(driver, f"40/queue,{auth}") == ["40/queue,<sid>", "41/queue,", KICKED]


def test_a_kick_takes_all_namespaces_of_the_connection(driver: VerityDriver) -> None:
    member = driver.member(1)
    socket = member.listen("/video")
    driver.send(socket, "40")
    driver.send(socket, '40/queue,{"token":"bad"}')
    told = [SID.sub("<sid>", packet) for packet in member.packets[:-1]]
    assert told == ["40<sid>", "40/queue,<sid>", "41/video,", "41", "41/queue,"]
    assert member.packets[-1:] == [KICKED]


def test_the_main_namespace_asks_for_nothing_and_others_do_not_exist(driver: VerityDriver) -> None:
    assert entering(driver, "40") == ["40<sid>"]
    assert entering(driver, '40{"token":"bad"}') == ["40<sid>"]
    assert entering(driver, "40/nope,") == ['44/nope,{"message":"Invalid namespace"}']


def test_no_event_of_a_client_means_anything(driver: VerityDriver) -> None:
    member = driver.member()
    socket = member.listen("/queue")
    assert driver.emit(socket, "/queue", "made:up", {"x": 1}, ack=3) == []
    assert driver.sockets == [socket]


def test_throttle_does_not_count_sockets(driver: VerityDriver) -> None:
    driver.switch("throttle=1/60s")
    assert [driver.refusal("/socket.io/?EIO=4&transport=websocket") for _ in range(3)] == [None] * 3


def test_who_does_not_answer_a_ping_for_20_seconds_has_left_the_queue() -> None:
    driver = VerityDriver(answers_pings=False)
    member = driver.member(1)
    socket = member.listen("/queue")
    member.join()
    driver.wait(44.9)
    assert driver.sockets == [socket]
    driver.wait(0.2)
    assert driver.sockets == []
    assert member.balance() == 1


def test_an_event_reaches_every_socket_of_its_user_in_its_namespace_only(driver: VerityDriver) -> None:
    member, other = driver.member(1), driver.member(1)
    member.listen("/queue"), other.listen("/queue")
    second = driver.open()
    for namespace in ("/queue", "/chat"):
        driver.join(second, namespace, {"token": member.token})
    driver.take(second)
    member.join()
    driver.wait(0.01)
    assert driver.take(second) == member.packets == ['42/queue,["queue:status",{"usersSearching":1}]']
    assert other.packets == []
