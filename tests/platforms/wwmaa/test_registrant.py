"""Registrations against the sandbox on real sockets, in both contracts: what is booked, and what the audits find."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from pika_locust.load.plan import CONSTANT
from pika_locust.platforms.wwmaa import registrant
from pika_locust.platforms.wwmaa.scenarios import RSVP
from pika_locust.testing.worker import make_context, make_user, outcomes, settings_of
from pika_locust.wire.http import ErrorKind, Response, TransportError
from tests.platforms.wwmaa.served import CONTRACTS, altered, sent_twice, serving

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


SILENT = Response(0, b"", b"", (0,) * 7, 0, 0, TransportError(ErrorKind.READ_TIMEOUT, "no answer"))


def says(status: int, **body: str) -> Response:
    return Response(status, b"HTTP/1.1 %d Words\r\n\r\n" % status, orjson.dumps(body), (0,) * 7, 0, 0)


def unserved() -> Any:
    """Somebody who registers some twice, at a server that is not there."""
    user = make_user(registrant.Registrant, make_context(RSVP, {"RSVP_PAUSE": "0", "DOUBLES": "1"}))
    user.on_start()
    return user


TAKEN = says(201, booking_id="one")
FULL = says(400, error="event is full: capacity reached")
THERE = says(409, error="already registered")
DOUBLES: dict[str, tuple[Response, Response, tuple[int, int], int]] = {
    "one of them, as there already": (TAKEN, THERE, (1, 0), 0),
    "one of them, as there is no place": (TAKEN, FULL, (1, 0), 0),
    "both of them, as there is no place": (FULL, FULL, (1, 0), 0),
    "none": (TAKEN, TAKEN, (0, 1), 0),
    "both of them, as there already": (THERE, THERE, (0, 1), 0),
    "neither of them for what it is": (says(401), says(401), (0, 0), 0),
    "nobody knows without an answer": (TAKEN, SILENT, (0, 0), 1),
    "nobody knows after a 503": (TAKEN, says(503), (0, 0), 1),
    "nobody knows after a 429": (says(429), says(429), (0, 0), 1),
    "nobody knows after a 500, whatever the other": (says(500), FULL, (0, 0), 0),
    "nobody knows after a 500, even if it was taken": (says(500), TAKEN, (0, 0), 0),
}


@pytest.mark.parametrize(("one", "double", "refused", "errors"), DOUBLES.values(), ids=DOUBLES)
def test_of_two_at_once_what_was_refused(
    one: Response, double: Response, refused: tuple[int, int], errors: int
) -> None:
    user = unserved()
    user._send = lambda body, twice: [one, double]
    user._register("somebody", {}, False, True)
    assert user.worker.rate_of("double_refused") == refused
    assert user.worker.count_of("duplicate_bookings") == (one is double is TAKEN)
    assert len(user.worker.errors_of("rsvp-double")) == errors
    user.on_stop()


@pytest.mark.parametrize(
    ("again", "refused"),
    [(THERE, (1, 0)), (FULL, (1, 0)), (TAKEN, (0, 1)), (says(503), (0, 0)), (says(429), (0, 0)), (SILENT, (0, 0))],
)
def test_whoever_is_registered_is_refused_in_whatever_words(again: Response, refused: tuple[int, int]) -> None:
    user = unserved()
    user._view = lambda: True
    user._send = lambda body, twice: [TAKEN]
    user._look_up = lambda email: None
    user._apart = SimpleNamespace(request=lambda *sent, **more: again, close=lambda: None)
    user.act()
    assert user.worker.rate_of("double_refused") == refused
    assert len(user.worker.errors_of("rsvp-double")) == (refused == (0, 0))
    user.on_stop()


@BOTH
def test_a_confirmation_that_names_no_registration_is_none(contract: str) -> None:
    with serving(RSVP, contract, **{**QUICK, "PAID": "0", "DOUBLES": "0"}) as run:
        user = run.user()
        altered(user, "rsvp", lambda answer: {"status": "confirmed"})
        user.act()
        assert run.worker.rate_of("rsvp_success") == (0, 1)
        # It was taken, all the same.
        assert run.worker.ledger_of("registrations") == {"sent": 1, "acked": 1}


def test_an_event_that_does_not_show_its_places_is_noticed() -> None:
    with serving(RSVP, "suite", **{**QUICK, "DOUBLES": "0"}) as run:
        user = run.user()
        altered(user, "event", lambda event: {"title": "An event"})
        user.act()
        assert run.worker.rate_of("capacity_enforced") == (0, 1)
        run.plant(error="1")
        # What has failed is told already.
        user._view()
        assert run.worker.rate_of("capacity_enforced") == (0, 1)


def test_an_event_that_nobody_has_registered_for_need_not_say_so() -> None:
    with serving(RSVP, "suite", **QUICK) as run:
        user = run.user()
        altered(user, "event", lambda event: {"id": event["id"], "title": event["title"], "capacity": 16})
        assert user._view()
        assert run.worker.rate_of("capacity_enforced") == (1, 0)


@BOTH
def test_a_registration_that_shows_a_little_later_was_not_lost(contract: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registrant, "LOOK_AGAIN_S", 0.01)
    looks: list[int] = []

    def late(answer: dict[str, object]) -> dict[str, object]:
        looks.append(1)
        return {} if len(looks) == 1 else answer

    with serving(RSVP, contract, **{**QUICK, "DOUBLES": "0"}) as run:
        user = run.user()
        altered(user, "verify", late)
        user.act()
        assert run.worker.rate_of("registration_held") == (1, 0)
        assert len(looks) == 2
        user.act()
        # What is there is looked up once.
        assert run.worker.rate_of("registration_held") == (2, 0)
        assert len(looks) == 3
        assert run.worker.rate_of("http_req_failed")[0] == 0


@BOTH
def test_whoever_is_to_finish_does_not_wait_for_a_registration_to_show(contract: str) -> None:
    with serving(RSVP, contract, **{**QUICK, "DOUBLES": "0"}) as run:
        user = run.user()
        altered(user, "verify", lambda answer: {})
        user.released.set()
        user.act()
        assert run.worker.rate_of("registration_held") == (0, 0)


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
