from __future__ import annotations

import math

import pytest

from pika_locust.judge.audit import allowing_for_lost_workers, at_least, balance, exactly_once, not_observed, unreadable
from pika_locust.judge.ledger import ExpectedState, Ledger, checksum
from pika_locust.judge.report import AuditResult


@pytest.mark.parametrize(
    ("acknowledged", "held", "unanswered", "status", "detail"),
    [
        pytest.param(10, 10, 0, "pass", "", id="all there"),
        pytest.param(10, 9, 0, "fail", "1 of 10 acknowledged are not stored", id="one lost"),
        pytest.param(10, 11, 0, "fail", "11 stored, 1 more than 10 acknowledged account for", id="one doubled"),
        pytest.param(10, 10, 3, "pass", "", id="no unanswered one arrived"),
        pytest.param(10, 13, 3, "pass", "", id="every unanswered one arrived"),
        pytest.param(
            10, 14, 3, "fail", "14 stored, 1 more than 10 acknowledged and 3 unanswered account for", id="one too many"
        ),
        pytest.param(10, 9, 3, "fail", "1 of 10 acknowledged are not stored", id="unanswered ones excuse no loss"),
        pytest.param(0, 0, 0, "pass", "", id="nothing acknowledged, nothing stored"),
        pytest.param(
            1_234_567, 1_234_000, 0, "fail", "567 of 1,234,567 acknowledged are not stored", id="large numbers"
        ),
        pytest.param(2.5, 2.25, 0, "fail", "0.25 of 2.5 acknowledged are not stored", id="amounts of money"),
        pytest.param(10, math.nan, 0, "fail", None, id="a number that is none balances nothing"),
    ],
)
def test_balance(acknowledged: float, held: float, unanswered: int, status: str, detail: str | None) -> None:
    result = balance("bookings", acknowledged, held, unanswered)

    assert (result.name, result.status) == ("bookings", status)
    assert (result.expected, result.unanswered) == (acknowledged, unanswered)
    if detail is not None:
        assert (result.actual, result.detail) == (held, detail)


def test_the_callers_detail_stays() -> None:
    assert balance("b", 10, 10, 0, "from /health").detail == "from /health"
    assert balance("b", 10, 9, 0, "from /health").detail == "1 of 10 acknowledged are not stored; from /health"


def test_what_the_target_cannot_show_is_not_observed() -> None:
    assert balance("b", 10, None, 2) == AuditResult("b", "not_observed", 10, None, 2, "the target does not show it")
    assert balance("b", 10, None, 0, "no query given").detail == "no query given"
    assert not_observed("b", "no query given") == AuditResult("b", "not_observed", None, None, 0, "no query given")


NEGATIVE = {
    "spent, never got": (-3, 0, (0, 0), "pass"),
    "spent, may have got": (-3, 5, (0, 2), "pass"),
    "spent, may have got less": (-3, 2, (0, 0), "pass"),
    "an open number below zero": (0, -1, (0, 0), "pass"),
    "nothing below zero": (1, 0, (1, 0), "fail"),
}


@pytest.mark.parametrize(("acknowledged", "unanswered", "bounds", "status"), NEGATIVE.values(), ids=NEGATIVE)
def test_an_expectation_below_zero_is_one_of_zero(
    acknowledged: int, unanswered: int, bounds: tuple[int, int], status: str
) -> None:
    result = balance("b", acknowledged, 0, unanswered)
    assert (result.expected, result.unanswered, result.status) == (*bounds, status)
    if bounds[1] == 0:
        assert balance("b", acknowledged, bounds[0] + 1, unanswered).status == "fail"


def expected(acknowledged: str, unanswered: str = "", *, keep_ids: bool = False) -> ExpectedState:
    """What a ledger expects in which each letter is an item."""
    ledger = Ledger(keep_ids=keep_ids)
    for item in acknowledged + unanswered:
        ledger.sent(item)
    for item in acknowledged:
        ledger.acked(item)
    return ledger.expect()


@pytest.mark.parametrize(
    ("expectation", "held", "status", "detail"),
    [
        pytest.param(expected("abc"), "cab", "pass", "", id="the same ones, by checksum"),
        pytest.param(
            expected("abc"), "abx", "fail", "not the same ones", id="one lost, one foreign: the count is right"
        ),
        pytest.param(expected("abc"), "ab", "fail", "1 of 3 acknowledged are not stored", id="one lost"),
        pytest.param(expected("abc"), "abcd", "fail", "1 more than 3 acknowledged", id="one too many"),
        pytest.param(expected("abc"), "abcc", "fail", "1 stored more than once (c)", id="one doubled"),
        pytest.param(
            expected("abc"), "abb", "fail", "stored more than once (b)", id="a doubled makes up for a lost one"
        ),
        pytest.param(expected("abc", "xy"), "abcx", "pass", "", id="an unanswered one arrived"),
        pytest.param(expected("abc", "xy"), "ab", "fail", "1 of 3", id="unanswered ones excuse no loss"),
        pytest.param(
            expected("abc", "xy"), "abcxyz", "fail", "3 acknowledged and 2 unanswered", id="beyond the unanswered"
        ),
        pytest.param(expected("abc", "xy", keep_ids=True), "abcx", "pass", "", id="by ids: an unanswered one arrived"),
        pytest.param(
            expected("abc", "xy", keep_ids=True),
            "abx",
            "fail",
            "1 acknowledged but not stored (c)",
            id="by ids: the lost one",
        ),
        pytest.param(
            expected("abc", "xy", keep_ids=True),
            "abcz",
            "fail",
            "1 stored but never acknowledged (z)",
            id="by ids: the foreign one",
        ),
        pytest.param(
            expected("abcdefg", keep_ids=True),
            "",
            "fail",
            "7 acknowledged but not stored (a, b, c, d, e, …)",
            id="a few named",
        ),
        pytest.param(expected(""), "", "pass", "", id="nothing expected, nothing stored"),
    ],
)
def test_exactly_once(expectation: ExpectedState, held: str, status: str, detail: str) -> None:
    result = exactly_once("bookings", expectation, held)

    assert (result.name, result.status) == ("bookings", status)
    assert detail in result.detail
    assert (result.detail == "") is (status == "pass")
    assert (result.expected, result.actual) == (expectation.acknowledged, len(held))
    assert result.unanswered == expectation.unanswered


def test_a_ledger_that_contradicts_itself_proves_nothing() -> None:
    result = exactly_once("bookings", ExpectedState(1, 0, checksum("a"), consistent=False), ["a"], "on the master")

    assert result.status == "fail"
    assert result.detail == "the ledger contradicts itself: ids acknowledged twice, or never sent; on the master"


def test_ids_that_the_target_cannot_show_are_not_observed() -> None:
    result = exactly_once("bookings", expected("ab", "c"), None)

    assert result == AuditResult("bookings", "not_observed", 2, None, 1, "the target does not show it")


@pytest.mark.parametrize(
    ("expected", "held", "status"),
    [
        pytest.param(10, 10, "pass", id="what balances balances"),
        pytest.param(10, 9, "fail", id="what is missing is missing, whatever the lost part of the ledger says"),
        pytest.param(10, 12, "not_observed", id="what is too much may be in the lost part of the ledger"),
    ],
)
def test_an_audit_when_a_worker_s_ledger_is_lost(expected: int, held: int, status: str) -> None:
    result = allowing_for_lost_workers(balance("visits", expected, held, 0, "visits looked up"))
    assert (result.status, result.expected, result.actual) == (status, expected, held)
    assert result.detail.endswith("visits looked up")
    assert result.detail.startswith("cannot be judged") is (status == "not_observed")


def test_an_audit_that_saw_nothing_stays_one_that_saw_nothing() -> None:
    unseen = not_observed("visits", "nobody looked")
    assert allowing_for_lost_workers(unseen) is unseen


AT_LEAST = {
    "all of it": (5, 5, "pass"),
    "others sent some, too": (5, 70, "pass"),
    "one is lost": (5, 4, "fail"),
    "not a number": (5, math.nan, "fail"),
    "nothing was acknowledged": (0, 70, "not_observed"),
}


@pytest.mark.parametrize(("acknowledged", "held", "status"), AT_LEAST.values(), ids=AT_LEAST)
def test_where_others_send_too_what_was_acknowledged_is_held_at_least(
    acknowledged: int, held: float, status: str
) -> None:
    result = at_least("likes", acknowledged, held, 2, "others may like")
    assert result.status == status
    assert "others may like" in result.detail
    assert ("1 of 5 acknowledged are not stored" in result.detail) is (held == 4)


def test_a_look_that_failed_is_a_failed_audit() -> None:
    result = unreadable("likes", "GET http://h/ was answered 503", 5, 2)
    assert (result.status, result.expected, result.actual, result.unanswered) == ("fail", 5, None, 2)
    assert result.detail == "what the target stores could not be read: GET http://h/ was answered 503"
