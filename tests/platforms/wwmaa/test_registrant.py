"""Registrations against the sandbox on real sockets, in both contracts: what is booked, and what the audits find."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pika_locust.load.plan import CONSTANT
from pika_locust.platforms.wwmaa.scenarios import RSVP
from pika_locust.testing.worker import outcomes, settings_of
from pika_locust.wire.http import ErrorKind, Response, TransportError
from tests.platforms.wwmaa.served import CONTRACTS, sent_twice, serving

BOTH = pytest.mark.parametrize("contract", CONTRACTS)
QUICK = {"REGISTRATIONS": "20", "RSVP_PAUSE": "0", "DOUBLES": "0.5"}
"""The sandbox has sixteen places."""


@BOTH
def test_sixteen_of_twenty_find_a_place_and_everything_balances(contract: str) -> None:
    with serving(RSVP, contract, **QUICK) as run:
        run.act(20)
        assert run.worker.rate_of("rsvp_success") == (20, 0)
        assert outcomes(run.worker.ledgers["registrations"]) == {"sent": 20, "acked": 16, "refused": 4}
        assert run.worker.ledgers["registrations"].refused_by == {"full": 4}
        assert run.worker.rate_of("registration_held") == (16, 0)
        assert run.worker.rate_of("double_refused")[1] == run.worker.count_of("duplicate_bookings") == 0
        assert run.worker.rate_of("double_refused")[0] > 4
        assert run.worker.rate_of("capacity_enforced")[0] >= 4
        assert run.worker.rate_of("capacity_enforced")[1] == 0
        payments = "pass" if contract == "suite" else "not_observed"
        found = {name: result.status for name, result in run.audit().items()}
        assert found == {"registrations": "pass", "capacity": "pass", "payments": payments, "mails": "pass"}


@BOTH
def test_one_place_too_many_is_noticed(contract: str) -> None:
    with serving(RSVP, contract, **QUICK) as run:
        # Of the requests that come when all is full, the second.
        run.plant(oversell="0.3")
        run.act(17)
        while run.state()["registrations"]["evt_load_test_001"]["rows"][16:] == []:
            run.act(1)
        audit = run.audit()["capacity"]
        assert (audit.status, audit.expected, audit.actual) == ("fail", 16, 17)
        assert audit.detail == "1 more than there are places"
        # Whoever got it was told so.
        assert run.audit()["registrations"].status == "pass"


@BOTH
@pytest.mark.parametrize(
    ("fault", "audits"),
    [
        ("lose-write", {"registrations", "mails"}),
        ("double", {"registrations", "mails", "capacity"}),
        ("duplicate-booking", {"registrations", "mails"}),
    ],
)
def test_rows_and_mails_that_are_not_what_was_confirmed_are_noticed(
    contract: str, fault: str, audits: set[str]
) -> None:
    with serving(RSVP, contract, **{**QUICK, "PAID": "0"}) as run:
        run.plant(**{fault: "0.1"})
        run.act(20)
        assert {name for name, result in run.audit().items() if result.status == "fail"} == audits
        assert (run.worker.count_of("duplicate_bookings") > 0) == (fault == "duplicate-booking")
        # Members of the real server see whether they have a place, and not how often.
        sees = fault == "lose-write" or (fault == "double" and contract == "suite")
        assert (run.worker.rate_of("registration_held")[1] > 0) == sees


def test_a_payment_that_was_never_taken_is_noticed() -> None:
    with serving(RSVP, "suite", **{**QUICK, "PAID": "1"}) as run:
        run.plant(unpaid="0.1")
        run.act(10)
        assert run.worker.rate_of("payment_processing_success") == (10, 0)
        audit = run.audit()["payments"]
        assert (audit.status, audit.expected, audit.actual) == ("fail", 10, 9)


def test_the_server_as_it_is_shipped_takes_all_members_for_one() -> None:
    with serving(RSVP, "server", **QUICK) as run:
        run.plant(as_shipped=True)
        run.act(3)
        # The login's token is good for nothing.
        assert run.worker.rate_of("rsvp_success") == (0, 3)


def test_who_was_sent_twice_may_have_been_refused_for_being_there() -> None:
    with serving(RSVP, "suite", **QUICK) as run:
        user = run.user()
        user._send_one = lambda path, body: sent_twice(409)
        user._register("somebody", {}, True, True)
        for ledger in ("registrations", "payments"):
            assert outcomes(run.worker.ledgers[ledger]) == {"sent": 1, "uncertain": 1}


def test_a_second_registration_that_nobody_answers_was_not_taken_wrongly() -> None:
    silent = Response(0, b"", b"", (0,) * 7, 0, 0, TransportError(ErrorKind.READ_TIMEOUT, "no answer"))
    with serving(RSVP, "suite", **{**QUICK, "DOUBLES": "1"}) as run:
        user = run.user()
        user._apart = SimpleNamespace(request=lambda *sent, **more: silent, close=user.apart.close)
        user._register_again({})
        assert run.worker.rate_of("double_refused") == (0, 0)
        user._send_one = lambda path, body: silent
        user._register("somebody", {}, False, True)
        assert run.worker.rate_of("double_refused") == (0, 0)
        assert run.worker.rate_of("rsvp_success") == (0, 1)


@BOTH
def test_members_of_the_real_server_see_its_places_only_when_it_is_full(contract: str) -> None:
    with serving(RSVP, contract, **{**QUICK, "REGISTRATIONS": "100"}) as run:
        run.act(3)
        seen = sum(run.worker.rate_of("capacity_enforced"))
        assert seen == (3 if contract == "suite" else 0)
        held = [one for one in RSVP.thresholds_for(CONSTANT, run.worker.settings) if one.metric == "capacity_enforced"]
        assert [(one.expression.text, one.allow_empty) for one in held] == [("rate>0.99", contract == "server")]


def test_half_of_all_come_in_the_first_fifth_of_the_time() -> None:
    assert RSVP.arrivals is not None
    rate = RSVP.arrivals(settings_of(RSVP))
    assert rate is not None
    assert rate.problems() == []
    schedule = rate.schedule()
    assert (schedule.total, schedule.count(120.0)) == (500, 250)
