from __future__ import annotations

import json
from itertools import permutations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.judge.ledger import (
    MAX_HASHES,
    MAX_REASON_LENGTH,
    MAX_REASONS,
    OUTCOMES,
    ExpectedState,
    Ledger,
    checksum,
    fold,
    hash_id,
)
from tests.metrics.damage import WRONG, places_that_take


def booked(*bookings: tuple[str, str], keep_ids: bool = False, max_ids: int = 100) -> Ledger:
    ledger = Ledger("bookings", keep_ids=keep_ids, max_ids=max_ids)
    for outcome, item in bookings:
        if outcome == "refused":
            ledger.refused(item, "sold out")
        else:
            getattr(ledger, outcome)(item)
    return ledger


@pytest.mark.parametrize(
    ("bookings", "acknowledged", "unanswered", "still_open"),
    [
        pytest.param([], 0, 0, 0, id="nothing"),
        pytest.param([("sent", "a")], 0, 1, 1, id="sent, and open"),
        pytest.param([("sent", "a"), ("acked", "a")], 1, 0, 0, id="acknowledged"),
        pytest.param([("sent", "a"), ("refused", "a")], 0, 0, 0, id="refused"),
        pytest.param([("sent", "a"), ("timed_out", "a")], 0, 1, 0, id="given up on: unanswered, not open"),
        pytest.param([("sent", "a"), ("uncertain", "a")], 0, 1, 0, id="cut off: unanswered, not open"),
        pytest.param([("sent", "a"), ("timed_out", "a"), ("acked", "a")], 1, 0, 0, id="answered late"),
        pytest.param([("sent", "a"), ("uncertain", "a"), ("refused", "a")], 0, 0, 0, id="refused late"),
        pytest.param([("sent", "a"), ("acked", "a"), ("repeated", "a")], 1, 0, 0, id="delivered again on purpose"),
        pytest.param([("sent", "a"), ("timed_out", "a"), ("repeated", "a"), ("acked", "a")], 1, 0, 0, id="retried"),
        pytest.param(
            [("sent", "a"), ("refused", "a"), ("sent", "a"), ("acked", "a")], 1, 0, 0, id="sent anew after a no"
        ),
        pytest.param([("sent", "a"), ("refused", "a"), ("sent", "a")], 0, 1, 1, id="sent anew after a no, and open"),
        pytest.param([("sent", "a"), ("sent", "b"), ("acked", "a"), ("seen", "a")], 1, 1, 1, id="one of two"),
    ],
)
@pytest.mark.parametrize("keep_ids", [False, True])
def test_what_the_target_must_hold(
    bookings: list[tuple[str, str]], acknowledged: int, unanswered: int, still_open: int, keep_ids: bool
) -> None:
    ledger = booked(*bookings, keep_ids=keep_ids)
    expectation = ledger.expect()

    assert (expectation.acknowledged, expectation.unanswered, ledger.open) == (acknowledged, unanswered, still_open)
    assert expectation.consistent
    assert expectation.acknowledged_sum == checksum(item for outcome, item in bookings if outcome == "acked")
    if keep_ids:
        assert expectation.acknowledged_ids is not None
        assert expectation.unanswered_ids is not None
        assert len(expectation.acknowledged_ids) == acknowledged
        assert len(expectation.unanswered_ids) == unanswered


@pytest.mark.parametrize(
    ("bookings", "keep_ids"),
    [
        pytest.param([("sent", "a"), ("acked", "a"), ("acked", "a")], False, id="acknowledged more than was sent"),
        pytest.param([("sent", "a"), ("acked", "b")], False, id="acknowledged what was never sent"),
        pytest.param(
            [("sent", "a"), ("sent", "b"), ("acked", "a"), ("acked", "a")],
            False,
            id="one doubled makes up for one lost",
        ),
        pytest.param([("sent", "a"), ("acked", "a"), ("refused", "a")], False, id="acknowledged and refused"),
        pytest.param(
            [("sent", "a"), ("sent", "b"), ("sent", "c"), ("acked", "a"), ("acked", "a")],
            True,
            id="acknowledged twice, which only ids show while another is open",
        ),
    ],
)
def test_a_ledger_that_contradicts_itself(bookings: list[tuple[str, str]], keep_ids: bool) -> None:
    assert not booked(*bookings, keep_ids=keep_ids).expect().consistent


def test_every_call_is_counted_with_its_checksum() -> None:
    ledger = Ledger()
    for place, outcome in enumerate(OUTCOMES):
        for number in range(place + 1):
            if outcome == "refused":
                ledger.refused(f"{outcome}-{number}", "why")
            else:
                getattr(ledger, outcome)(f"{outcome}-{number}")

    for place, outcome in enumerate(OUTCOMES):
        assert ledger.count(outcome) == place + 1
        assert ledger.sum_of(outcome) == checksum(f"{outcome}-{number}" for number in range(place + 1))


def test_sums_stay_within_64_bits() -> None:
    ledger = Ledger()
    for number in range(1_000):
        ledger.sent(str(number))

    assert ledger.sum_of("sent") == sum(hash_id(str(number)) for number in range(1_000)) % 2**64


@pytest.mark.parametrize("items", [3, MAX_HASHES, MAX_HASHES + 3])
def test_sums_are_right_however_many_items_are_on_their_way(items: int) -> None:
    ledger = Ledger()
    names = [f"v{number}" for number in range(items)]
    for name in names:
        ledger.sent(name)
    assert len(ledger._hashes) == min(items, MAX_HASHES)
    ledger.timed_out(names[0])
    ledger.uncertain(names[1])
    ledger.refused(names[-1], "429")
    for name in names[:-1]:
        # The first two late.
        ledger.acked(name)
    assert ledger._hashes == {}
    assert ledger.sum_of("acked") == checksum(names[:-1])
    assert (ledger.sum_of("sent"), ledger.sum_of("timed_out")) == (checksum(names), checksum(names[:1]))
    assert (ledger.sum_of("uncertain"), ledger.sum_of("refused")) == (checksum(names[1:2]), checksum(names[-1:]))


def test_reasons_and_observers_are_told_apart_and_bounded() -> None:
    ledger = Ledger()
    for number in range(MAX_REASONS + 10):
        ledger.refused(str(number), f"reason {number}")
        ledger.seen(str(number), by=f"observer {number}")
    ledger.refused("again", "reason 0")
    ledger.refused("long", "reason 1")
    ledger.seen("anonymous")

    assert ledger.refused_by["reason 0"] == 2
    assert ledger.refused_by["other"] == 10
    assert len(ledger.refused_by) == MAX_REASONS + 1
    assert sum(ledger.refused_by.values()) == ledger.count("refused") == MAX_REASONS + 12
    assert ledger.seen_by["other"] == 10
    assert ledger.count("seen") == MAX_REASONS + 11


def test_a_long_reason_is_cut() -> None:
    ledger = Ledger()
    ledger.refused("a", "x" * 1_000)

    assert ledger.refused_by == {"x" * MAX_REASON_LENGTH: 1}


def test_ids_are_kept_only_when_asked_for_and_only_so_many() -> None:
    assert booked(("sent", "a"), ("acked", "a")).expect().acknowledged_ids is None

    ledger = Ledger("bookings", keep_ids=True, max_ids=3)
    for number in range(5):
        ledger.sent(str(number))
    assert ledger.ids_dropped == 2
    assert ledger.expect().acknowledged_ids is None
    assert ledger.expect().unanswered_ids is None
    assert ledger.expect().unanswered == 5


BOOKINGS = st.lists(
    st.tuples(st.sampled_from(OUTCOMES), st.text("abc", min_size=1, max_size=2)),
    max_size=12,
)


@given(st.lists(BOOKINGS, min_size=2, max_size=4), st.booleans())
def test_merging_is_exact_in_any_order_and_grouping(parts: list[list[tuple[str, str]]], keep_ids: bool) -> None:
    def wire(ledger: Ledger) -> dict[str, object]:
        return ledger.to_wire(ids=True)

    # what one process could have booked alone; ids apart, which a single process drops from its refused ones
    whole = booked(*(booking for part in parts for booking in part)).to_wire()
    for order in permutations(parts):
        merged = Ledger("bookings")
        for part in order:
            merged.merge(booked(*part))
        assert merged.to_wire() == whole

    one, other, *_ = parts
    left, right = booked(*one, keep_ids=keep_ids), booked(*other, keep_ids=keep_ids)
    left.merge(booked(*other, keep_ids=keep_ids))
    right.merge(booked(*one, keep_ids=keep_ids))
    assert wire(left) == wire(right)


def test_merging_keeps_the_ids_of_all_processes() -> None:
    one = booked(("sent", "a"), ("acked", "a"), ("sent", "b"), keep_ids=True, max_ids=2)
    one.merge(booked(("sent", "c"), ("acked", "c"), keep_ids=True, max_ids=2))

    assert one.expect() == ExpectedState(2, 1, checksum(["a", "c"]), True, frozenset("ac"), frozenset("b"))


def test_merging_with_one_that_kept_no_ids_has_none() -> None:
    one = booked(("sent", "a"), ("acked", "a"), keep_ids=True)
    one.merge(booked(("sent", "c"), ("acked", "c")))

    assert one.expect().acknowledged_ids is None
    assert one.expect().acknowledged == 2


def test_merging_with_one_whose_ids_found_no_room_has_none_that_can_be_trusted() -> None:
    one = booked(("sent", "a"), ("acked", "a"), keep_ids=True)
    one.merge(booked(("sent", "b"), ("sent", "c"), ("acked", "c"), keep_ids=True, max_ids=1))

    assert one.ids_dropped == 1
    assert one.expect().acknowledged_ids is None


def test_ledgers_about_different_things_do_not_merge() -> None:
    with pytest.raises(ValueError, match="different things"):
        Ledger("bookings").merge(Ledger("messages"))


def test_folding_leaves_the_given_ones_as_they_are_and_can_be_repeated() -> None:
    ledgers = [
        booked(("sent", "a"), ("acked", "a"), keep_ids=True),
        booked(("sent", "b"), keep_ids=True),
        Ledger("other"),
    ]

    for _ in range(2):
        folded = fold(ledgers)
        assert folded.keys() == {"bookings", "other"}
        assert folded["bookings"].expect() == ExpectedState(1, 1, hash_id("a"), True, frozenset("a"), frozenset("b"))
    assert ledgers[0].count("sent") == 1


@given(BOOKINGS, st.booleans())
def test_the_wire_form_survives_msgpack_and_json(bookings: list[tuple[str, str]], ids: bool) -> None:
    ledger = booked(*bookings, keep_ids=True)
    wire = ledger.to_wire(ids=ids)

    for travelled in (msgpack.unpackb(msgpack.packb(wire)), json.loads(json.dumps(wire))):
        arrived = Ledger.from_wire(travelled)
        assert arrived.to_wire(ids=ids) == wire
        assert arrived.expect().acknowledged == ledger.expect().acknowledged
        assert (arrived.expect().acknowledged_ids is None) is not ids


def test_without_ids_the_wire_form_does_not_grow() -> None:
    small, large = Ledger("m", keep_ids=True), Ledger("m", keep_ids=True)
    for ledger, items in ((small, 10), (large, 10_000)):
        for number in range(items):
            ledger.sent(str(number))
            ledger.acked(str(number))

    assert len(msgpack.packb(large.to_wire())) <= len(msgpack.packb(small.to_wire())) + 8
    assert len(msgpack.packb(large.to_wire(ids=True))) > 10_000


@pytest.mark.parametrize("wire", [{}, {"name": "x"}, {"name": "x", "booked": {"sent": 3}}])
def test_what_is_no_wire_form_is_refused(wire: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a ledger's wire form"):
        Ledger.from_wire(wire)


def test_nothing_of_the_wrong_type_is_read_wherever_it_stands() -> None:
    ledger = Ledger("m", keep_ids=True)
    ledger.sent("a")
    ledger.refused("a", "sold out")
    ledger.seen("a", by="listener")
    wire = ledger.to_wire(ids=True)
    assert places_that_take((*WRONG, -1, 1.5), wire, Ledger.from_wire) == []
