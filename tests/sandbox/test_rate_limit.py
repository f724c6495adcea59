from __future__ import annotations

import pytest

from pika_locust.sandbox.faults import FaultSwitches, parse_faults
from pika_locust.sandbox.rate_limit import FixedWindow, Refused, Throttle

START_S = 1_795_230_000.0


def test_a_window_starts_with_the_first_attempt_and_lets_so_many_through() -> None:
    window = FixedWindow(limit=2, window_s=60)
    assert [window.take("a", at) for at in (100.0, 130.0, 159.9, 160.0, 160.1, 160.2)] == [
        True,
        True,
        False,
        True,
        True,
        False,
    ]


def test_keys_do_not_share_their_windows() -> None:
    window = FixedWindow(limit=1, window_s=60)
    assert [window.take(key, 0.0) for key in ("a", "b", "a")] == [True, True, False]


def test_what_is_left_and_for_how_long() -> None:
    window = FixedWindow(limit=3, window_s=60)
    window.take("a", 10.0)
    assert (window.remaining("a", 20.0), window.resets_in("a", 20.0)) == (2, 50.0)
    assert (window.remaining("a", 70.0), window.resets_in("a", 80.0)) == (3, 0.0)
    assert window.remaining("b", 20.0) == 3


def test_a_forgotten_key_starts_afresh() -> None:
    window = FixedWindow(limit=1, window_s=60)
    window.take("a", 0.0)
    window.forget("a")
    assert window.take("a", 1.0)


def throttle(text: str) -> tuple[Throttle, FaultSwitches]:
    board = FaultSwitches(faults=parse_faults([text] if text else []))
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
