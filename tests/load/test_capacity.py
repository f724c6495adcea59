"""The search for a capacity, on servers that are simulated: steady, noisy, hopeless, without a limit."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.load import capacity
from pika_locust.load.capacity import Bounds, Goal, Outcome, Search, Trial

Server = Callable[[int], Outcome]
GOAL = Goal()


def searched(server: Server, goal: Goal = GOAL) -> Search:
    search = Search(goal)
    while (load := search.next_load()) is not None:
        search.add(Trial(load, server(load)))
    return search


def up_to(capacity: int) -> Server:
    return lambda load: "pass" if load <= capacity else "fail"


def loads(search: Search) -> list[int]:
    return [trial.load for trial in search.trials]


@given(
    capacity=st.integers(1, 99_999),
    first=st.integers(1, 100_000),
    width=st.floats(0.001, 1.0),
)
def test_the_bounds_of_a_steady_server_hold_its_capacity_and_are_as_close_as_wanted(
    capacity: int, first: int, width: float
) -> None:
    search = searched(up_to(capacity), Goal(first=first, width=width, max_trials=1000))
    bounds = search.bounds()
    assert search.ending == "goal"
    assert bounds.lower is not None
    assert bounds.upper is not None
    assert bounds.lower <= capacity < bounds.upper
    assert bounds.upper - bounds.lower == 1 or bounds.upper / bounds.lower <= 1 + width
    assert bounds.inverted == ()


def test_loads_double_then_halve_the_distance_and_both_bounds_are_tried_twice() -> None:
    assert loads(searched(up_to(137))) == [10, 20, 40, 80, 160, 113, 134, 146, 146, 134]


def test_a_first_load_that_fails_is_halved_until_one_passes() -> None:
    search = searched(up_to(20), Goal(first=200))
    assert loads(search)[:5] == [200, 100, 50, 25, 12]
    assert search.bounds() == Bounds(20, 22)


def test_a_server_without_a_limit_is_tried_up_to_the_most_and_has_no_upper_bound() -> None:
    search = searched(lambda load: "pass", Goal(first=10, most=70))
    assert loads(search) == [10, 20, 40, 70, 70]
    assert (search.ending, search.bounds()) == ("most", Bounds(70, None))
    assert search.bounds().ratio is None


def test_a_server_that_never_passes_is_tried_down_to_one_and_has_no_lower_bound() -> None:
    search = searched(lambda load: "fail", Goal(first=5))
    assert loads(search) == [5, 2, 1, 1]
    assert (search.ending, search.bounds()) == ("least", Bounds(None, 1))


def test_a_void_trial_counts_neither_way_and_ends_the_search() -> None:
    search = searched(lambda load: "void" if load > 100 else "pass")
    assert loads(search) == [10, 20, 40, 80, 160]
    assert (search.ending, search.bounds()) == ("void", Bounds(80, None))
    assert search.next_load() is None


def test_a_first_trial_that_is_void_leaves_nothing_known() -> None:
    search = searched(lambda load: "void")
    assert (loads(search), search.ending, search.bounds()) == ([10], "void", Bounds(None, None))


def test_there_are_no_more_trials_than_wanted_and_what_is_known_then_is_said() -> None:
    search = searched(up_to(137), Goal(max_trials=6))
    assert len(search.trials) == 6
    assert (search.ending, search.bounds()) == ("trials", Bounds(113, 160))


def scripted(*results: tuple[int, Outcome]) -> Search:
    """A search that has had these trials."""
    search = Search(Goal())
    for load, outcome in results:
        search.add(Trial(load, outcome))
    return search


def test_a_failure_that_is_not_repeated_is_decided_by_a_third_trial_and_the_search_goes_on_above_it() -> None:
    search = scripted((10, "pass"), (20, "pass"), (40, "fail"), (28, "pass"), (33, "pass"), (37, "pass"))
    assert search.next_load() == 40
    search.add(Trial(40, "pass"))
    assert search.next_load() == 40
    assert search.bounds() == Bounds(37, None)
    search.add(Trial(40, "pass"))
    assert (search.bounds(), search.next_load()) == (Bounds(40, None), 80)


def test_a_pass_that_is_not_repeated_twice_makes_its_load_the_upper_bound() -> None:
    search = scripted((20, "pass"), (40, "fail"), (28, "pass"), (30, "pass"), (32, "fail"), (32, "fail"), (30, "fail"))
    assert search.next_load() == 30
    search.add(Trial(30, "fail"))
    assert search.bounds() == Bounds(28, 30)


def test_loads_that_pass_above_one_that_fails_do_not_count_and_are_named() -> None:
    search = scripted((20, "pass"), (40, "pass"), (80, "fail"), (30, "fail"), (30, "fail"))
    assert search.bounds() == Bounds(20, 30, inverted=(40,))
    assert search.next_load() == 24


def right_of_chance_failures() -> int:
    """Of a hundred searches on a server that holds 1000, and fails one trial in ten by chance, how many find it."""
    right = 0
    for seed in range(100):
        dice = random.Random(seed)
        search = searched(lambda load: "fail" if load > 1000 or dice.random() < 0.1 else "pass", Goal(max_trials=200))  # noqa: B023
        bounds = search.bounds()
        right += bounds.upper is not None and 1000 < bounds.upper <= 1100
    return right


def test_trials_that_fail_by_chance_hardly_ever_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    assert right_of_chance_failures() >= 75
    monkeypatch.setattr(capacity, "CONFIRMING", 1)
    assert right_of_chance_failures() <= 50


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        (Goal(first=0), "the first load must be at least 1, got 0"),
        (Goal(first=10, most=5), "the largest load, 5, is below the first, 10"),
        (Goal(width=0), "the width of the goal must be above 0, got 0"),
        (Goal(width=float("nan")), "the width of the goal must be above 0, got nan"),
        (Goal(max_trials=0), "there must be at least one trial, got 0"),
    ],
)
def test_a_goal_that_makes_no_sense_is_refused(goal: Goal, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Search(goal)
