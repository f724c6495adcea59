"""What the recorded traffic does not show of the world: its switches, its dialects, and what it refuses to be."""

from __future__ import annotations

from typing import Any

import pytest

from pika_locust.errors import ConfigurationError
from pika_locust.platforms.pixelated.world import PLATFORM
from pika_locust.testing.world_driver import WorldDriver

INFER = "/api/ai/pixel/infer"


def world(*faults: str, **settings: str) -> WorldDriver:
    return WorldDriver(PLATFORM, *faults, settings=settings)


def ask(driver: WorldDriver, words: str = "I am tired.", token: str = "user:u1", **fields: Any) -> tuple[int, Any]:
    return driver.ask("POST", INFER, {"user_query": words, **fields}, authorization=f"Bearer {token}")


@pytest.mark.parametrize(
    ("settings", "faults", "least_ms", "most_ms"),
    [
        ({}, [], 40, 40),
        ({"GENERATION_MS": "250", "GENERATION_JITTER_MS": "100"}, [], 250, 350),
        ({"PIXELATED_GENERATION_MS": "90", "GENERATION_MS": "250"}, [], 90, 90),
        ({"GENERATION_MS": "250"}, ["think-time=900"], 900, 900),
    ],
    ids=["as it is", "with jitter", "by the platform's own name", "with think-time"],
)
def test_the_model_takes_as_long_as_it_is_told_and_says_so(
    settings: dict[str, str], faults: list[str], least_ms: int, most_ms: int
) -> None:
    driver = world(*faults, **settings)
    told = set()
    for _ in range(20):
        before = driver.now
        _, answer = ask(driver)
        assert round((driver.now - before) * 1000) == answer["inference_time_ms"]
        assert (answer["warning"] is not None) == (answer["inference_time_ms"] > 200)
        told.add(answer["inference_time_ms"])
    assert least_ms <= min(told) <= max(told) <= most_ms
    assert (len(told) > 1) == (least_ms < most_ms)


@pytest.mark.parametrize("name", ["GENERATION_MS", "GENERATION_JITTER_MS"])
@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf"])
def test_a_time_that_is_none_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}={value}: (not a number; )?it must be at least 0"):
        world(**{name: value})


def test_without_auth_everybody_may_ask() -> None:
    assert ask(world(), token="nocolon")[0] == 401
    assert ask(world(AUTH="0"), token="nocolon")[0] == 200
    status, _ = world(CONTRACT="suite").ask("POST", INFER, {"text": "I am tired."})
    assert status == 200


@pytest.mark.parametrize(("role", "most"), [("user", 40), ("admin", 60), ("visitor", 30)])
def test_limits_are_each_user_s_own_and_end_after_a_minute(role: str, most: int) -> None:
    driver = world(RATE_LIMITS="1", GENERATION_MS="1")
    statuses = [ask(driver, token=f"{role}:u1")[0] for _ in range(most + 1)]
    assert statuses == [200] * most + [429]
    assert ask(driver, token=f"{role}:u2")[0] == 200
    driver.wait(60)
    assert ask(driver, token=f"{role}:u1")[0] == 200


def test_a_crisis_is_what_the_real_model_takes_for_one_and_in_the_suite_s_dialect_more() -> None:
    real, suite = world(), world(CONTRACT="suite")
    for words, by_real, by_suite in [
        ("thinking about hurting myself", True, True),
        ("giving up on everything", False, True),
        ("Hurt with a capital", False, False),
        ("fine", False, False),
    ]:
        _, answer = ask(real, words)
        assert bool(answer["conversation_metadata"]["crisis_signals"]) == by_real
        _, answer = suite.ask("POST", INFER, {"text": words})
        assert answer["crisis"] == by_suite
    _, answer = suite.ask("POST", INFER, {"text": "Are women more emotional than men?"})
    assert answer["biasScore"] > 0.5


@pytest.mark.parametrize("body", [{}, {"text": 5}, [], "text"])
def test_the_suite_s_dialect_wants_a_text(body: Any) -> None:
    assert world(CONTRACT="suite").ask("POST", INFER, body)[0] == 400


def test_an_answer_with_cross_talk_holds_what_another_session_said() -> None:
    driver = world("cross-talk=1")
    assert ask(driver, "mine", session_id="a")[1]["response"] == "That's an interesting question."
    assert ask(driver, "yours", session_id="b")[1]["response"] == "You said: mine"
    # Nobody is told what it has said itself.
    assert ask(driver, "again", session_id="a")[1]["response"] == "You said: yours"


def test_a_socket_in_the_suite_s_dialect_is_answered_in_pieces() -> None:
    driver = world(CONTRACT="suite")
    socket = driver.open("/ws/pixel-multimodal")
    assert driver.send(socket, {"type": "text", "text": "hello", "contextType": "therapeutic"}) == [
        {"status": "buffering"}
    ]
    driver.wait(0.05)
    assert [message["status"] for message in driver.take(socket)] == [
        "buffering",
        "chunk",
        "chunk",
        "chunk",
        "complete",
    ]
