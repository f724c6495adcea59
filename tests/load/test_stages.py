from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.load.stages import Stage, cut, parse_stages, peak, scaled, total_s, users_at, with_durations

STRESS = (Stage(300, 500), Stage(600, 500), Stage(120, 0))

READ = {
    "one": ("30s:100", (Stage(30, 100),)),
    "several": ("30s:100,1m:100,10s:0", (Stage(30, 100), Stage(60, 100), Stage(10, 0))),
    "space around": (" 30s:100 , 10s:0 ", (Stage(30, 100), Stage(10, 0))),
    "a plain number is seconds": ("30:5", (Stage(30, 5),)),
    "a jump": ("0s:50,1m:50", (Stage(0, 50), Stage(60, 50))),
}


@pytest.mark.parametrize(("text", "stages"), READ.values(), ids=READ)
def test_stages_are_read(text: str, stages: tuple[Stage, ...]) -> None:
    assert parse_stages(text) == stages


WRONG = {
    "nothing": ("", "''"),
    "a part is empty": ("30s:100,,10s:0", "''"),
    "no users": ("30s", "'30s'"),
    "no duration": (":100", "':100'"),
    "the wrong way round": ("100:30s", "'100:30s'"),
    "a fraction of a user": ("30s:1.5", "'30s:1.5'"),
    "users below 0": ("30s:-1", "'30s:-1'"),
    "no such duration": ("3d:100", "'3d'"),
    "more users than anybody has": ("1s:" + "9" * 5000, "is not a stage"),
}


@pytest.mark.parametrize(("text", "named"), WRONG.values(), ids=WRONG)
def test_a_part_that_is_no_stage_is_named(text: str, named: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_stages(text)
    assert named in str(caught.value)


def test_a_stage_says_itself_as_it_is_written() -> None:
    assert [str(stage) for stage in STRESS] == ["5m:500", "10m:500", "2m:0"]


def test_no_stage_is_negative() -> None:
    with pytest.raises(ValueError, match=r"cannot last -1"):
        Stage(-1, 5)
    with pytest.raises(ValueError, match="cannot lead to -5 users"):
        Stage(1, -5)


# From 1 user to 500 in 300 s are 499 / 300 users a second, rounded to the nearest.
RAMP = {
    "at the very start": (0.0, 1),
    "0.3 s later, 1.499 users": (0.3, 1),
    "0.301 s later, 1.5007 users": (0.301, 2),
    "half way, 250.5 users": (150.0, 251),
    "just before the top": (299.9, 500),
    "at the top": (300.0, 500),
    "on the plateau": (899.0, 500),
    "as the descent begins": (900.0, 500),
    "a quarter down": (930.0, 375),
    "half way down": (960.0, 250),
    "just before the end, 0.42 users": (1019.9, 0),
    "after the end": (5000.0, 0),
}


@pytest.mark.parametrize(("at_s", "users"), RAMP.values(), ids=RAMP)
def test_the_curve_is_a_line_from_target_to_target(at_s: float, users: int) -> None:
    assert users_at(STRESS, at_s, 1) == users


def test_where_it_starts_is_the_profile_s_choice() -> None:
    stages = (Stage(10, 10),)
    assert [users_at(stages, at_s, 0) for at_s in (0, 2.4, 2.5, 5, 10)] == [0, 2, 3, 5, 10]
    assert [users_at(stages, at_s, 20) for at_s in (0, 5, 10)] == [20, 15, 10]


def test_a_stage_of_no_length_is_a_jump() -> None:
    stages = (Stage(10, 10), Stage(0, 100), Stage(10, 100), Stage(0, 0))
    assert [users_at(stages, at_s, 10) for at_s in (0, 9.999, 10, 19.999, 20)] == [10, 10, 100, 100, 0]


def test_no_stages_hold_what_there_is() -> None:
    assert users_at((), 5.0, 3) == 3
    assert peak(()) == 0
    assert total_s(()) == 0


def test_peak_and_length() -> None:
    assert peak(STRESS) == 500
    assert total_s(STRESS) == 1020


def test_scaling_moves_the_peak_and_keeps_the_form() -> None:
    stages = (Stage(10, 100), Stage(20, 300), Stage(30, 0))
    assert scaled(stages, 30) == (Stage(10, 10), Stage(20, 30), Stage(30, 0))
    assert scaled(stages, 1) == (Stage(10, 0), Stage(20, 1), Stage(30, 0))
    assert scaled(stages, 3000) == (Stage(10, 1000), Stage(20, 3000), Stage(30, 0))
    assert scaled((Stage(10, 0),), 30) == (Stage(10, 0),)


CUTS = {
    "in the ramp, at 1 + 499 / 2 = 250.5": (150, (Stage(150, 251),)),
    "at the end of the ramp": (300, (Stage(300, 500),)),
    "on the plateau": (400, (Stage(300, 500), Stage(100, 500))),
    "in the descent": (960, (Stage(300, 500), Stage(600, 500), Stage(60, 250))),
    "at the very end": (1020, STRESS),
    "after the end": (5000, STRESS),
}


@pytest.mark.parametrize(("at_s", "left"), CUTS.values(), ids=CUTS)
def test_a_cut_ends_where_the_curve_is_then(at_s: float, left: tuple[Stage, ...]) -> None:
    assert cut(STRESS, at_s, 1) == left


CURVES = st.lists(st.builds(Stage, st.integers(0, 100), st.integers(0, 1000)), min_size=1, max_size=5)


@given(CURVES, st.integers(0, 50), st.integers(1, 600))
def test_a_cut_changes_nothing_before_it(stages: list[Stage], start: int, at_s: int) -> None:
    left = cut(stages, at_s, start)
    assert total_s(left) == min(at_s, total_s(stages))
    for tenth in range(at_s * 10):
        # The last stage's new target is rounded to a whole user, so the line may be half a user beside the old one.
        assert abs(users_at(left, tenth / 10, start) - users_at(stages, tenth / 10, start)) <= 1
    assert users_at(left, at_s, start) == users_at(stages, min(at_s, total_s(stages)), start) or total_s(left) == at_s


SHAPED = {
    "nothing asked": ((None, None, None), STRESS),
    "the ramp": ((30, None, None), (Stage(30, 500), Stage(600, 500), Stage(120, 0))),
    "all three": ((30, 60, 10), (Stage(30, 500), Stage(60, 500), Stage(10, 0))),
    "no ramp at all": ((0, None, None), (Stage(0, 500), Stage(600, 500), Stage(120, 0))),
}


@pytest.mark.parametrize(("asked", "stages"), SHAPED.values(), ids=SHAPED)
def test_the_lengths_of_ramp_hold_and_descent_can_be_replaced(
    asked: tuple[float | None, float | None, float | None], stages: tuple[Stage, ...]
) -> None:
    assert with_durations(STRESS, *asked) == stages


def test_a_curve_without_a_hold_gets_one_only_when_it_is_asked_for() -> None:
    spike = (Stage(60, 100), Stage(60, 0))
    assert with_durations(spike, None, 30, None) == (Stage(60, 100), Stage(30, 100), Stage(60, 0))
    assert with_durations(spike, 5, None, 6) == (Stage(5, 100), Stage(6, 0))


@pytest.mark.parametrize("count", [1, 4], ids=["one stage", "four stages"])
def test_other_curves_have_no_ramp_hold_and_descent(count: int) -> None:
    stages = (Stage(10, 5),) * count
    assert with_durations(stages, None, None, None) == stages
    with pytest.raises(ValueError, match=f"fit a curve of three stages; this one has {count}: use --stage"):
        with_durations(stages, 30, None, None)
