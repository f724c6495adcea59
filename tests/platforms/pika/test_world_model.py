from __future__ import annotations

import pytest

from pika_locust.platforms.pika.world_model import NONCES_KEPT, Database, LiveState, Poll, TempoVote, like_key

TRACK = {"title": "T", "artist": "A"}


@pytest.fixture
def database() -> Database:
    database = Database()
    database.open_session("s", "DJ", 1.0)
    return database


def like(database: Database, client: str, copies: int = 1) -> bool:
    play = database.likeable("s", client, TRACK)
    if play is not None:
        play.likes[client] = copies
    return play is not None


def test_likes_belong_to_the_latest_playing_of_the_song(database: Database) -> None:
    database.add_play("s", TRACK, 1.0)
    like(database, "a")
    database.add_play("s", TRACK, 9.0)
    like(database, "b")
    assert [play.like_count for play in database.sessions["s"].plays] == [1, 1]


@pytest.mark.parametrize("copies", [0, 1, 2])
def test_a_like_is_kept_as_often_as_faults_make_it_and_then_not_again(database: Database, copies: int) -> None:
    database.add_play("s", TRACK, 1.0)
    assert like(database, "a", copies)
    assert not like(database, "a")
    assert database.sessions["s"].likes == copies
    database.remove_like("s", "a", TRACK)
    assert database.sessions["s"].likes == 0


def test_orphans_are_counted(database: Database) -> None:
    assert not like(database, "a")
    assert database.likeable("never", "a", TRACK) is None
    assert database.orphaned_likes == 2


def test_a_session_that_is_opened_again_keeps_its_row(database: Database) -> None:
    database.add_play("s", TRACK, 1.0)
    database.sessions["s"].ended_at = 5.0
    row = database.open_session("s", "Other", 6.0)
    assert (row.dj_name, row.started_at, row.ended_at, len(row.plays)) == ("Other", 1.0, None, 1)


@pytest.mark.parametrize(("votes", "winner"), [([0, 0], 0), ([1, 2, 2], 1), ([0, 0, 3], 2)])
def test_the_first_of_those_with_most_votes_wins(votes: list[int], winner: int) -> None:
    assert Poll(1, "s", "?", ["x"] * len(votes), 1, votes=votes).winner == winner


def test_serials_count_up(database: Database) -> None:
    assert [database.add_poll("s", "?", ["a", "b"], 1).id for _ in range(3)] == [1, 2, 3]


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
    live, track = LiveState(), {"title": "T", "artist": "A"}
    assert [live.first_like(s, c, track) for s, c in (("s", "c"), ("s", "d"), ("t", "c"), ("s", "c"))] == [
        True,
        True,
        True,
        False,
    ]


def test_a_listener_counts_once_however_many_sockets() -> None:
    live = LiveState()
    assert [live.join("s", "c"), live.join("s", "c"), live.join("s", "d")] == [True, False, True]
    assert live.listener_count("s") == 2
    live.leave("s", "c", 10.0)
    live.forget_listeners(1000.0)
    assert live.listener_count("s") == 2
    live.leave("s", "c", 20.0)
    live.forget_listeners(319.9)
    assert live.listener_count("s") == 2
    live.forget_listeners(320.0)
    assert live.listener_count("s") == 1


def test_leaving_a_session_that_is_forgotten_is_no_error() -> None:
    live = LiveState()
    live.join("s", "c")
    live.end_session("s")
    live.leave("s", "c", 1.0)
    assert live.listener_count("s") == 0


def test_old_nonces_make_room_for_new_ones() -> None:
    live = LiveState()
    for n in range(NONCES_KEPT + 1):
        assert live.fresh_nonce(str(n), 0.0)
    assert not live.fresh_nonce(str(NONCES_KEPT), 1.0)
    assert live.fresh_nonce("0", 1.0)
    assert len(live.nonces) == NONCES_KEPT


def test_quotas_of_the_silent_are_forgotten() -> None:
    live = LiveState()
    live.may_like("old", 0.0)
    live.may_like("new", 50.0)
    live.forget_quotas(60.0)
    assert live.sizes()["clients_with_quota"] == 1


def test_a_vote_weighs_what_was_made_of_it() -> None:
    live = LiveState()
    live.tempo["s"] = {"a": TempoVote("faster", 0.0, 2), "b": TempoVote("faster", 0.0), "c": TempoVote("slower", 0.0)}
    assert live.tempo_totals("s", 299.9) == {"faster": 3, "slower": 1, "perfect": 0}
    assert live.tempo_totals("s", 300.0) == {"faster": 0, "slower": 0, "perfect": 0}
    assert live.tempo_dropped == 4
