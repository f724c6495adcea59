"""Whom users log in as: handed out once across all processes, from a file or by number."""

from __future__ import annotations

from pathlib import Path

import pytest

import tests.quiet_locust  # noqa: F401
from pika_locust.load.rng import SeededRandom
from pika_locust.platforms.wwmaa.member import Members
from pika_locust.platforms.wwmaa.members_file import Credentials, read_members
from pika_locust.platforms.wwmaa.scenarios import PAGES
from pika_locust.testing.worker import make_context


def processes(count: int, **settings: str) -> list[Members]:
    """The members of each process of a run."""
    contexts = [make_context(PAGES, settings, worker_index=index, workers=count) for index in range(count)]
    return [context.shared(Members) for context in contexts]


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "members.csv"
    rows = [f"Member {number},member{number}@example.org,{'' if number % 2 else 'own'}\n" for number in range(7)]
    path.write_text("\ufeffname,email,password\n" + "".join(rows), encoding="utf-8")
    return path


def test_each_of_a_file_is_handed_out_once_across_all_processes(listed: Path) -> None:
    first, second, third = processes(3, MEMBERS_FILE=str(listed), TEST_USER_PASSWORD="shared", MEMBERS="2")
    taken = [first.take(), second.take(), third.take(), first.take(), first.take(), second.take(), third.take()]
    assert sorted(one.email for one in taken) == [f"member{number}@example.org" for number in range(7)]
    assert {one.email: one.password for one in taken}["member3@example.org"] == "shared"
    assert {one.email: one.password for one in taken}["member4@example.org"] == "own"
    # There are no more.
    assert second.take().email in {one.email for one in taken}


def test_without_a_file_they_follow_from_their_numbers() -> None:
    first, second = processes(2, MEMBERS="5", TEST_USER_EMAIL="u{user}@example.org")
    taken = [members.take().email for members in (first, second) for _ in range(3)]
    assert taken == [f"u{number}@example.org" for number in (0, 2, 4, 1, 3, 0)]


def test_anybody_is_one_of_all(listed: Path) -> None:
    (members,) = processes(1, MEMBERS_FILE=str(listed))
    dice = SeededRandom(1)
    assert {members.any(dice).email for _ in range(100)} == {one.email for one in read_members(str(listed))}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "its first line must name the columns"),
        ("name,password\na,b\n", "one of them be `email`"),
        ("email\n", "nobody is in it"),
        ("email,password\n,x\n", "line 2 is without an email"),
        ("email\na@b\nc@d\na@b\n", "a@b is in it twice, in lines 2 and 4"),
    ],
)
def test_a_file_that_nobody_can_be_taken_from_is_refused(content: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "members.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=problem):
        make_context(PAGES, {"MEMBERS_FILE": str(path)})


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"MEMBERS_FILE.*No such file"):
        make_context(PAGES, {"MEMBERS_FILE": str(tmp_path / "none.csv")})


def test_columns_may_be_no_more_than_the_addresses(tmp_path: Path) -> None:
    path = tmp_path / "members.csv"
    path.write_text("email\na@b\n")
    assert read_members(str(path)) == [Credentials("a@b")]
