from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.load.iterations import IterationPool, Iterations, part


@pytest.mark.parametrize(
    ("text", "iterations"),
    [
        pytest.param("200", Iterations(200), id="shared by all"),
        pytest.param("3/user", Iterations(3, per_user=True), id="for each user"),
        pytest.param(" 1 ", Iterations(1), id="blanks around it"),
    ],
)
def test_what_can_be_written(text: str, iterations: Iterations) -> None:
    assert Iterations.parse(text) == iterations
    assert str(iterations) == text.strip()
    assert Iterations.from_wire(iterations.to_wire()) == iterations


@pytest.mark.parametrize("text", ["0", "-1", "2.5", "many", "", "0/user", "3/vu", "1e3", "/user"])
def test_what_cannot(text: str) -> None:
    with pytest.raises(ValueError, match="a whole number above 0, shared by all users, or so many for each: 3/user"):
        Iterations.parse(text)


def test_totals() -> None:
    assert Iterations(10).total(4) == 10
    assert Iterations(10, per_user=True).total(4) == 40


def test_fewer_iterations_than_users_are_refused_as_k6_does_it() -> None:
    assert Iterations(4).problems(4) == []
    assert Iterations(1, per_user=True).problems(4) == []
    assert Iterations(3).problems(4) == ["ITERATIONS=3 is too few for 4 users to have one each"]


def test_a_pot_gives_what_it_was_granted_and_no_more() -> None:
    pot = IterationPool(2)
    assert [pot.take() for _ in range(3)] == [True, True, False]
    pot.grant(1)
    assert [pot.take() for _ in range(2)] == [True, False]


@given(st.integers(1, 100_000), st.integers(1, 50))
def test_parts_become_smaller_and_use_up_everything(total: int, takers: int) -> None:
    left, parts = total, []
    while left:
        parts.append(part(left, takers))
        left -= parts[-1]
    assert sum(parts) == total
    assert min(parts) >= 1
    assert parts == sorted(parts, reverse=True)
    # Nobody gets more than an even share at once: whoever asks last still finds something.
    assert parts[0] <= -(-total // takers)


def test_nothing_left_is_nothing_granted() -> None:
    assert part(0, 3) == 0
