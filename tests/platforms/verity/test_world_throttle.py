from __future__ import annotations

import pytest

from pika_locust.platforms.verity.world import PLATFORM
from pika_locust.platforms.verity.world_throttle import Refused, Throttle
from pika_locust.sandbox.faults import FaultSwitches, parse_faults
from pika_locust.sandbox.server import legal_faults
from tests.platforms.verity.world_club import START_S, Club


def throttle(text: str) -> tuple[Throttle, FaultSwitches]:
    board = FaultSwitches(faults=parse_faults([text] if text else [], legal_faults([PLATFORM])))
    return Throttle(board), board


def headers(limit: int, remaining: int, reset: int) -> tuple[tuple[str, str], ...]:
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    return tuple(zip(names, map(str, (limit, remaining, reset)), strict=True))


def test_without_the_fault_everything_passes_and_no_header_is_added() -> None:
    limits, _ = throttle("")
    assert {limits.pass_through("r", 10, "a", 0.0) for _ in range(1000)} == {()}


def test_a_pair_of_route_and_address_has_its_own_window() -> None:
    limits, board = throttle("throttle=2/60s")
    assert limits.pass_through("r", None, "a", START_S) == headers(2, 1, 60)
    assert limits.pass_through("r", None, "a", START_S + 1.2) == headers(2, 0, 59)
    assert limits.pass_through("r", None, "a", START_S + 2.0) == Refused(60)
    assert limits.pass_through("r", None, "a", START_S + 3.5) == Refused(59)
    assert limits.pass_through("r", None, "b", START_S + 3.5) == headers(2, 1, 60)
    assert limits.pass_through("s", None, "a", START_S + 3.5) == headers(2, 1, 60)
    assert board.counts()["throttle"]["hit"] == 2


def test_the_first_one_over_the_limit_shuts_the_pair_out_for_a_whole_window() -> None:
    limits, _ = throttle("throttle=1/60s")
    limits.pass_through("r", None, "a", START_S)
    assert limits.pass_through("r", None, "a", START_S + 59) == Refused(60)
    assert limits.pass_through("r", None, "a", START_S + 118.5) == Refused(1)
    assert limits.pass_through("r", None, "a", START_S + 119) == headers(1, 0, 60)


@pytest.mark.parametrize(("own", "limit"), [(None, 120), (10, 10), (200, 120)])
def test_the_lower_limit_counts(own: int | None, limit: int) -> None:
    limits, _ = throttle("throttle=120/60s")
    assert limits.pass_through("r", own, "a", START_S) == headers(limit, limit - 1, 60)


def test_switching_the_fault_starts_all_windows_afresh() -> None:
    limits, board = throttle("throttle=1/60s")
    limits.pass_through("r", None, "a", START_S)
    board.replace(parse_faults(["throttle=1/60s", "latency=1"]))
    assert limits.pass_through("r", None, "a", START_S) == Refused(60)
    board.replace(parse_faults(["throttle=2/60s"]))
    assert limits.pass_through("r", None, "a", START_S) == headers(2, 1, 60)


def test_signing_up_and_renewing_have_limits_of_their_own() -> None:
    club = Club("throttle=120/60s")
    assert [club.ask("POST", "/auth/signup-anonymous", {})[0] for _ in range(12)] == [201] * 10 + [429] * 2
    assert [club.ask("POST", "/auth/refresh")[0] for _ in range(21)] == [401] * 20 + [429]
    assert [club.ask("GET", "/health")[0] for _ in range(121)] == [200] * 120 + [429]
    assert club.ask("POST", "/auth/signup-anonymous", {}, peer="127.0.0.2")[0] == 201


def test_a_refusal_has_the_shape_of_the_real_one() -> None:
    club = Club("throttle=1/60s")
    club.ask("GET", "/health")
    answer = club.answer("GET", "/health")
    assert answer.status == 429
    assert answer.body == b'{"statusCode":429,"message":"ThrottlerException: Too Many Requests"}'
    assert dict(answer.headers) == {"content-type": "application/json; charset=utf-8", "retry-after": "60"}
