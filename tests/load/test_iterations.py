from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.load.iterations import Allowances, PerUserIterations, Pot, SharedIterations, hand_on, split


@given(st.integers(0, 10_000), st.integers(1, 50))
def test_a_split_loses_nothing_and_is_even(total: int, parts: int) -> None:
    got = split(total, parts)
    assert (len(got), sum(got)) == (parts, total)
    assert max(got) - min(got) <= 1


def test_nothing_can_be_divided_among_nobody() -> None:
    with pytest.raises(ValueError, match="7 cannot be divided among 0"):
        split(7, 0)
    with pytest.raises(ValueError, match="4 users cannot be divided among 0 workers"):
        PerUserIterations(3, 4).allowances(0)
    with pytest.raises(ValueError, match="nobody is left"):
        hand_on([{1: 1}], 0)


@pytest.mark.parametrize(
    ("load", "problems"),
    [
        pytest.param(SharedIterations(10, 10), [], id="as many shared iterations as users"),
        pytest.param(PerUserIterations(1, 10), [], id="one for each user"),
        pytest.param(
            SharedIterations(9, 10), ["9 iterations are too few for 10 users to have one each"], id="fewer than users"
        ),
        pytest.param(
            SharedIterations(0, 0, 0.5),
            [
                "iterations must be above 0, got 0",
                "users must be above 0, got 0",
                "the longest duration must be at least 1 s, got 0.5 s",
            ],
            id="all mistakes of shared iterations at once",
        ),
        pytest.param(
            PerUserIterations(-1, -2, 0),
            [
                "iterations must be above 0, got -1",
                "users must be above 0, got -2",
                "the longest duration must be at least 1 s, got 0 s",
            ],
            id="all mistakes of iterations per user at once",
        ),
    ],
)
def test_mistakes(load: SharedIterations | PerUserIterations, problems: list[str]) -> None:
    assert load.problems() == problems


def test_totals() -> None:
    assert SharedIterations(10, 4).total == 10
    assert PerUserIterations(10, 4).total == 40
    assert SharedIterations(1).max_duration_s == 600


def test_a_pot_is_emptied_once() -> None:
    pot = Pot(2)
    assert [pot.take(), pot.take(), pot.take()] == [True, True, False]
    pot.finish()
    pot.give_back()
    assert (pot.granted, pot.taken, pot.finished, pot.unfinished) == (2, 1, 1, 1)
    assert pot.take(), "what was given back can be taken again"
    pot.grant(1)
    assert [pot.take(), pot.take()] == [True, False]
    assert pot.unfinished == 2


def test_users_have_iterations_of_their_own() -> None:
    first, second = PerUserIterations(2, 3).allowances(2)
    assert (first.users, second.users) == ((0, 2), (1,))
    assert [first.take(0), first.take(0), first.take(0)] == [True, True, False]
    assert not first.take(1), "another worker's user has none here"
    assert first.users == (2,)
    first.finish(0)
    first.give_back(0)
    assert first.take(0)
    assert first.unfinished == {0: 1, 2: 2}
    second.grant(first.unfinished)
    assert second.users == (1, 0, 2)
    assert [second.take(0), second.take(0)] == [True, False]
    assert (first.finished, second.finished) == (1, 0)


def test_users_are_handed_on_whole() -> None:
    got = hand_on([{4: 1, 0: 2}, {3: 5}], 2)
    assert got == ({0: 2, 3: 5}, {4: 1})
    assert hand_on([{}], 3) == ({}, {}, {})


@given(st.data(), st.integers(1, 200), st.integers(2, 6))
def test_however_many_die_exactly_all_shared_iterations_are_finished(
    data: st.DataObject, total: int, workers: int
) -> None:
    pots = list(SharedIterations(total).pots(workers))
    finished = 0
    while len(pots) > 1 and data.draw(st.booleans(), "another death"):
        dead = pots.pop(data.draw(st.integers(0, len(pots) - 1), "who"))
        for done in data.draw(st.lists(st.sampled_from(["finish", "give back", "die with it"]), max_size=20)):
            if dead.take():
                dead.finish() if done == "finish" else dead.give_back() if done == "give back" else None
        finished += dead.finished
        for pot, more in zip(pots, split(dead.unfinished, len(pots)), strict=True):
            pot.grant(more)
    for pot in pots:
        while pot.take():
            pot.finish()
        finished += pot.finished
    assert finished == total


@given(st.data(), st.integers(1, 5), st.integers(1, 20), st.integers(2, 6))
def test_however_many_die_each_user_finishes_exactly_its_own(
    data: st.DataObject, iterations: int, users: int, workers: int
) -> None:
    held: list[Allowances] = list(PerUserIterations(iterations, users).allowances(workers))
    finished = dict.fromkeys(range(users), 0)
    while len(held) > 1 and data.draw(st.booleans(), "another death"):
        dead = held.pop(data.draw(st.integers(0, len(held) - 1), "who"))
        for user in data.draw(st.lists(st.integers(0, users - 1), max_size=10)):
            if dead.take(user) and data.draw(st.booleans(), "finished before it died"):
                dead.finish(user)
                finished[user] += 1
        for allowances, more in zip(held, hand_on([dead.unfinished], len(held)), strict=True):
            allowances.grant(more)
    for allowances in held:
        for user in allowances.users:
            while allowances.take(user):
                allowances.finish(user)
                finished[user] += 1
        assert allowances.unfinished == {}
    assert finished == dict.fromkeys(range(users), iterations)
