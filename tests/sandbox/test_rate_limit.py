"""Fixed windows: what they let through, how long the rest waits, and windows that block."""

from __future__ import annotations

from pika_locust.sandbox.rate_limit import FixedWindow


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


def test_who_is_let_through_does_not_wait_and_who_is_not_waits_for_whole_seconds() -> None:
    window = FixedWindow(limit=1, window_s=10)
    assert [window.take_or_wait("a", at) for at in (0.0, 0.5, 9.9, 10.0)] == [None, 10, 1, None]


def test_a_window_that_blocks_starts_again_with_the_first_attempt_beyond_its_limit() -> None:
    window = FixedWindow(limit=1, window_s=60, blocks=True)
    attempts = (0.0, 59.0, 60.0, 118.5, 119.0)
    assert [window.take_or_wait("a", at) for at in attempts] == [None, 60, 59, 1, None]
    assert (window.remaining("a", 119.0), window.resets_in("a", 119.0)) == (0, 60.0)
