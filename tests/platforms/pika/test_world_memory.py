from __future__ import annotations

import pytest

from pika_locust.platforms.pika.world_model import NONCES_KEPT, LiveState, TempoVote, like_key


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("Sway", "Dean Martin"), ("  SWAY ", "dean  martin"), True),
        (("Sway", "Dean Martin"), ("Sway", "DeanMartin"), False),
        (("Sway", "Dean Martin"), ("Swa y", "Dean Martin"), False),
    ],
)
def test_case_and_spacing_do_not_make_another_like(one: tuple[str, str], other: tuple[str, str], same: bool) -> None:
    keys = [like_key("s", "c", {"title": title, "artist": artist}) for title, artist in (one, other)]
    assert (keys[0] == keys[1]) is same


def test_the_same_like_in_another_session_or_by_another_client_is_another() -> None:
    memory, track = LiveState(), {"title": "T", "artist": "A"}
    assert [memory.first_like(s, c, track) for s, c in (("s", "c"), ("s", "d"), ("t", "c"), ("s", "c"))] == [
        True,
        True,
        True,
        False,
    ]


def test_a_listener_counts_once_however_many_sockets() -> None:
    memory = LiveState()
    assert [memory.join("s", "c"), memory.join("s", "c"), memory.join("s", "d")] == [True, False, True]
    assert memory.listener_count("s") == 2
    memory.leave("s", "c", 10.0)
    memory.forget_listeners(1000.0)
    assert memory.listener_count("s") == 2
    memory.leave("s", "c", 20.0)
    memory.forget_listeners(319.9)
    assert memory.listener_count("s") == 2
    memory.forget_listeners(320.0)
    assert memory.listener_count("s") == 1


def test_leaving_a_session_that_is_forgotten_is_no_error() -> None:
    memory = LiveState()
    memory.join("s", "c")
    memory.end_session("s")
    memory.leave("s", "c", 1.0)
    assert memory.listener_count("s") == 0


def test_old_nonces_make_room_for_new_ones() -> None:
    memory = LiveState()
    for n in range(NONCES_KEPT + 1):
        assert memory.fresh_nonce(str(n), 0.0)
    assert not memory.fresh_nonce(str(NONCES_KEPT), 1.0)
    assert memory.fresh_nonce("0", 1.0)
    assert len(memory.nonces) == NONCES_KEPT


def test_quotas_of_the_silent_are_forgotten() -> None:
    memory = LiveState()
    memory.may_like("old", 0.0)
    memory.may_like("new", 50.0)
    memory.forget_quotas(60.0)
    assert memory.to_json()["clients_with_quota"] == 1


def test_a_vote_weighs_what_was_made_of_it() -> None:
    memory = LiveState()
    memory.tempo["s"] = {"a": TempoVote("faster", 0.0, 2), "b": TempoVote("faster", 0.0), "c": TempoVote("slower", 0.0)}
    assert memory.tempo_totals("s", 299.9) == {"faster": 3, "slower": 1, "perfect": 0}
    assert memory.tempo_totals("s", 300.0) == {"faster": 0, "slower": 0, "perfect": 0}
    assert memory.tempo_dropped == 4
