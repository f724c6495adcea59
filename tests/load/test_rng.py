from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from scipy.stats import chisquare

from pika_locust.load.rng import SeededRandom, part_at

# The first numbers of SplitMix64 from the state 0, as its authors' own program prints them.
FROM_ZERO = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC, 0x1B39896A51A8749B]


WORD = 2**64


def _golden() -> int:
    """The odd number next to 2**64 divided by the golden ratio, by exact arithmetic."""
    root_of_five = Fraction(9, 4)
    for _ in range(6):
        root_of_five = (root_of_five + 5 / root_of_five) / 2
    whole = int(WORD * (root_of_five - 1) / 2)
    return whole + 1 - whole % 2


GOLDEN = _golden()


def split_mix(state: int) -> tuple[int, int]:
    """One step of SplitMix64 by school arithmetic: (new state, number). Shifts are divisions, masks are remainders."""
    state = (state + GOLDEN) % WORD
    z = _exclusive_or(state, state // 2**30) * 13787848793156543929 % WORD
    z = _exclusive_or(z, z // 2**27) * 10723151780598845931 % WORD
    return state, _exclusive_or(z, z // 2**31)


def _exclusive_or(a: int, b: int) -> int:
    return a + b - 2 * sum(2**bit for bit in range(64) if a // 2**bit % 2 and b // 2**bit % 2)


def test_the_reference_numbers_are_those_of_the_authors() -> None:
    dice = SeededRandom()
    assert [dice.bits() for _ in FROM_ZERO] == FROM_ZERO


@pytest.mark.parametrize("state", [0, 1, 7, 1234567, 2**63, 2**64 - 1])
def test_every_number_is_that_of_school_arithmetic(state: int) -> None:
    dice = SeededRandom()
    dice._state = state
    for _ in range(20):
        state, number = split_mix(state)
        assert dice.bits() == number


def test_the_same_seed_words_give_the_same_numbers_for_ever() -> None:
    dice, again = SeededRandom(7, 1, 42), SeededRandom(7, 1, 42)
    assert [dice.bits() for _ in range(100)] == [again.bits() for _ in range(100)]


def test_seed_words_are_mixed_in_one_after_the_other() -> None:
    state = 0
    for word in (7, 1, 42):
        _, state = split_mix(state + word)
    assert SeededRandom(7, 1, 42).bits() == split_mix(state)[1]


def test_every_seed_word_counts_and_so_does_their_order() -> None:
    seeds = [(), (0,), (0, 0), (7,), (7, 0), (0, 7), (7, 1), (1, 7), (7, 1, 0), (7, 0, 1), (-7,)]
    assert len({SeededRandom(*seed).bits() for seed in seeds}) == len(seeds)


def test_neighbouring_users_have_nothing_in_common() -> None:
    firsts = [SeededRandom(7, 0, number).random() for number in range(10_000)]
    assert chisquare(list(Counter(int(value * 100) for value in firsts).values())).pvalue > 1e-4
    pairs = Counter(
        (int(before * 10), int(after * 10)) for before, after in zip(firsts[::2], firsts[1::2], strict=True)
    )
    assert len(pairs) == 100
    assert chisquare(list(pairs.values())).pvalue > 1e-4


def test_random_fills_its_interval_evenly() -> None:
    dice = SeededRandom(7)
    values = [dice.random() for _ in range(100_000)]
    assert 0.0 <= min(values) < 0.001
    assert 0.999 < max(values) < 1.0
    assert chisquare(list(Counter(int(value * 1000) for value in values).values())).pvalue > 1e-4


class Loaded(SeededRandom):
    """Dice that always throw the same bits."""

    def __init__(self, thrown: int) -> None:
        super().__init__()
        self.thrown = thrown

    def bits(self) -> int:
        return self.thrown


def test_the_ends_of_random_are_0_and_just_below_1() -> None:
    assert Loaded(0).random() == 0.0
    assert Loaded(WORD - 1).random() == 1.0 - 2.0**-53
    for limit in (1, 2, 3, 1000, 2**31, 2**53 - 1):
        assert (Loaded(0).below(limit), Loaded(WORD - 1).below(limit)) == (0, limit - 1)


def test_weighted_gives_every_option_as_often_as_its_weight_says() -> None:
    dice, options = SeededRandom(7), (("often", 6.0), ("never", 0.0), ("seldom", 2.0))
    seen = Counter(dice.weighted(options) for _ in range(80_000))
    assert seen.keys() == {"often", "seldom"}
    assert chisquare([seen["often"], seen["seldom"]], [60_000, 20_000]).pvalue > 1e-4
    assert (Loaded(0).weighted(options), Loaded(WORD - 1).weighted(options)) == ("often", "seldom")
    # 0.1 three times is a little more than 0.3: whatever the rounding, the last one that is any has the rest.
    assert part_at(1.0, [0.1, 0.1, 0.1, 0.0]) == 2


def test_below_gives_every_whole_number_under_its_limit_equally_often() -> None:
    dice = SeededRandom(7)
    counts = Counter(dice.below(6) for _ in range(60_000))
    assert sorted(counts) == [0, 1, 2, 3, 4, 5]
    assert chisquare(list(counts.values())).pvalue > 1e-4
    assert {SeededRandom(7, n).below(1) for n in range(100)} == {0}


def test_chance_is_met() -> None:
    dice = SeededRandom(7)
    hits = sum(dice.chance(0.3) for _ in range(100_000))
    # Four standard deviations of a binomial: 4 * (100000 * 0.3 * 0.7) ** 0.5 = 580.
    assert abs(hits - 30_000) < 580
    assert not any(dice.chance(0.0) for _ in range(1000))
    assert all(dice.chance(1.0) for _ in range(1000))


def test_uniform_and_choice_stay_where_they_belong() -> None:
    dice = SeededRandom(7)
    values = [dice.uniform(-3.0, 5.0) for _ in range(10_000)]
    assert all(-3.0 <= value < 5.0 for value in values)
    assert sum(values) / len(values) == pytest.approx(1.0, abs=0.1)
    assert {dice.choice("abc") for _ in range(100)} == {"a", "b", "c"}
