from __future__ import annotations

import pytest

from pika_locust.platforms.pika.world_model import Database, Poll

TRACK = {"title": "T", "artist": "A"}


@pytest.fixture
def archive() -> Database:
    archive = Database()
    archive.open_session("s", "DJ", 1.0)
    return archive


def like(archive: Database, client: str, copies: int = 1) -> bool:
    play = archive.likeable("s", client, TRACK)
    if play is not None:
        archive.add_likes(client, play, copies)
    return play is not None


def test_likes_belong_to_the_latest_playing_of_the_song(archive: Database) -> None:
    archive.add_play("s", TRACK, 1.0)
    like(archive, "a")
    archive.add_play("s", TRACK, 9.0)
    like(archive, "b")
    assert [play.like_count for play in archive.sessions["s"].plays] == [1, 1]


@pytest.mark.parametrize("copies", [0, 1, 2])
def test_a_like_is_kept_as_often_as_faults_make_it_and_then_not_again(archive: Database, copies: int) -> None:
    archive.add_play("s", TRACK, 1.0)
    assert like(archive, "a", copies)
    assert not like(archive, "a")
    assert archive.sessions["s"].likes == copies
    archive.remove_like("s", "a", TRACK)
    assert archive.sessions["s"].likes == 0


def test_orphans_are_counted(archive: Database) -> None:
    assert not like(archive, "a")
    assert archive.likeable("never", "a", TRACK) is None
    assert archive.orphaned_likes == 2


def test_a_session_that_is_opened_again_keeps_its_row(archive: Database) -> None:
    archive.add_play("s", TRACK, 1.0)
    archive.sessions["s"].ended_at = 5.0
    row = archive.open_session("s", "Other", 6.0)
    assert (row.dj_name, row.started_at, row.ended_at, len(row.plays)) == ("Other", 1.0, None, 1)


@pytest.mark.parametrize(("votes", "winner"), [([0, 0], 0), ([1, 2, 2], 1), ([0, 0, 3], 2)])
def test_the_first_of_those_with_most_votes_wins(votes: list[int], winner: int) -> None:
    assert Poll(1, "s", "?", ["x"] * len(votes), 0.0, 1, votes=votes).winner == winner


def test_serials_count_up(archive: Database) -> None:
    assert [archive.add_poll("s", "?", ["a", "b"], 1, 0.0).id for _ in range(3)] == [1, 2, 3]
