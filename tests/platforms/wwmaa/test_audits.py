"""Audits of a real target, which shows who comes to an event to its staff alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pika_locust.platforms.wwmaa import audits as of_wwmaa
from pika_locust.platforms.wwmaa.scenarios import RSVP
from pika_locust.platforms.wwmaa.world_accounts import ADMIN, PASSWORD
from pika_locust.testing.worker import settings_of
from tests.platforms.wwmaa.served import CONTRACTS, serving

BOTH = pytest.mark.parametrize("contract", CONTRACTS)
QUICK = {"REGISTRATIONS": "20", "RSVP_PAUSE": "0", "DOUBLES": "0.5", "PAID": "0.5"}
STAFF = {**QUICK, "TEST_ADMIN_EMAIL": ADMIN, "TEST_ADMIN_PASSWORD": PASSWORD}
PAID = {"suite": "pass", "server": "not_observed"}
"""Nobody pays at the real server."""


@BOTH
def test_the_staff_sees_what_everybody_was_told(contract: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page."""
    monkeypatch.setattr(of_wwmaa, "PAGE", 5)
    with serving(RSVP, contract, **STAFF) as run:
        run.act(20)
        audits = run.audit(sees_state=False)
        found = {name: audit.status for name, audit in audits.items()}
        paid = PAID[contract]
        assert found == {"registrations": "pass", "capacity": "pass", "payments": paid, "mails": "not_observed"}
        assert audits["registrations"].actual == audits["capacity"].actual == 16


@BOTH
def test_a_list_whose_pages_are_shorter_than_asked_for_is_read_to_its_end(
    contract: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_wwmaa, "read_json", lists(lambda rows: rows[:3]))
    with serving(RSVP, contract, **STAFF) as run:
        run.act(20)
        audits = run.audit(sees_state=False)
        assert audits["registrations"].status == audits["capacity"].status == "pass"
        assert audits["registrations"].actual == 16


@BOTH
def test_a_target_that_knows_no_pages_shows_everybody_at_once(contract: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = of_wwmaa.read_json
    monkeypatch.setattr(of_wwmaa, "read_json", lambda url, *rest: read(url.partition("&offset")[0], *rest))
    with serving(RSVP, contract, **STAFF) as run:
        run.act(20)
        assert run.audit(sees_state=False)["registrations"].status == "pass"


def test_a_list_without_an_end_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_wwmaa, "read_json", lists(lambda rows: rows[:1]))
    monkeypatch.setattr(of_wwmaa, "MOST_PAGES", 2)
    with serving(RSVP, "suite", **STAFF) as run:
        run.act(3)
        audit = run.audit(sees_state=False)["registrations"]
        assert audit.status == "fail"
        assert "is longer than 2 pages: 2 registrations, and no end" in audit.detail


@BOTH
@pytest.mark.parametrize("status", ["waitlist", "Cancelled", "canceled"])
def test_who_waits_for_a_place_or_gave_it_back_has_none(
    contract: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [dict.fromkeys(("email", "user_email"), "other@wwmaa.com") | {"status": status}]
    monkeypatch.setattr(of_wwmaa, "read_json", lists(lambda rows: rows and rows + others))
    with serving(RSVP, contract, **STAFF) as run:
        run.act(20)
        capacity = run.audit(sees_state=False)["capacity"]
        assert (capacity.status, capacity.actual) == ("pass", 16)


def lists(change: Callable[[list[Any]], list[Any]]) -> Callable[..., Any]:
    """What a target would answer whose lists of people are what `change` makes of the sandbox's."""
    read = of_wwmaa.read_json

    def altered(*asked: Any) -> Any:
        page = read(*asked)
        return {**page, **{name: change(page[name]) for name in ("registrations", "attendees") if name in page}}

    return altered


@BOTH
@pytest.mark.parametrize("sees_state", [True, False])
def test_nobody_may_be_refused_while_there_are_places(contract: str, sees_state: bool) -> None:
    with serving(RSVP, contract, **{**STAFF, "DOUBLES": "0"}) as run:
        run.act(5)
        assert run.audit(sees_state)["capacity"].status == "pass"
        registrations = run.worker.ledgers["registrations"]
        registrations.sent("somebody")
        registrations.refused("somebody", "full")
        capacity = run.audit(sees_state)["capacity"]
        assert (capacity.status, capacity.expected, capacity.actual) == ("fail", 16, 5)
        assert capacity.detail == "1 were refused because it is full, and 11 places are free"


@BOTH
def test_without_a_member_of_the_staff_only_places_can_be_counted(contract: str) -> None:
    with serving(RSVP, contract, **QUICK) as run:
        run.act(20)
        audits = run.audit(sees_state=False)
        assert audits.pop("capacity").status == "pass"
        assert {audit.status for audit in audits.values()} == {"not_observed"}
        assert "TEST_ADMIN_EMAIL" in audits["registrations"].detail


@BOTH
@pytest.mark.parametrize(
    ("fault", "audits"),
    [
        ("lose-write", {"registrations"}),
        ("duplicate-booking", {"registrations"}),
        ("oversell", {"capacity"}),
    ],
)
def test_the_staff_sees_what_is_wrong(contract: str, fault: str, audits: set[str]) -> None:
    with serving(RSVP, contract, **{**STAFF, "PAID": "0"}) as run:
        run.plant(**{fault: "0.2"})
        run.act(22)
        assert {name for name, audit in run.audit(sees_state=False).items() if audit.status == "fail"} == audits


def test_the_staff_sees_who_has_not_paid() -> None:
    with serving(RSVP, "suite", **{**STAFF, "PAID": "1"}) as run:
        run.plant(unpaid="0.1")
        run.act(10)
        audit = run.audit(sees_state=False)["payments"]
        assert (audit.status, audit.expected, audit.actual) == ("fail", 10, 9)


def test_whoever_is_not_let_in_sees_nothing_and_that_is_a_failure() -> None:
    with serving(RSVP, "suite", **STAFF) as run:
        run.act(3)
        run.worker.settings = settings_of(RSVP, {**STAFF, "TEST_ADMIN_EMAIL": "nobody@wwmaa.com"})
        audit = run.audit(sees_state=False)["registrations"]
        assert audit.status == "fail"
        assert "TEST_ADMIN_EMAIL cannot log in: 400" in audit.detail


def test_the_list_of_the_server_as_it_is_shipped_cannot_be_read() -> None:
    with serving(RSVP, "server", **STAFF) as run:
        run.act(3)
        run.plant(as_shipped=True)
        audit = run.audit(sees_state=False)["registrations"]
        assert audit.status == "fail"
        assert "422" in audit.detail


def test_an_event_that_the_target_does_not_have_is_a_failure_that_says_so() -> None:
    with serving(RSVP, "suite", **QUICK) as run:
        run.worker.settings = settings_of(RSVP, {**QUICK, "TEST_EVENT_ID": "evt_other"})
        run.act(3)
        audits = run.audit()
        for name in ("registrations", "payments"):
            assert audits[name].status == "fail"
            assert "the target has no event evt_other" in audits[name].detail
        assert audits["capacity"].status == "fail"


def test_an_address_without_its_password_is_a_mistake() -> None:
    settings = settings_of(RSVP, {"TEST_ADMIN_EMAIL": ADMIN})
    assert list(RSVP.check_settings(settings, 600.0)) == [
        "TEST_ADMIN_EMAIL and TEST_ADMIN_PASSWORD go together: audits log in with both"
    ]


def test_more_people_than_members_is_a_mistake_where_each_can_register_once(tmp_path: Path) -> None:
    listed = tmp_path / "members.csv"
    listed.write_text("email\n" + "".join(f"u{number}@example.org\n" for number in range(100)))

    def problems(**settings: str) -> list[str]:
        return list(RSVP.check_settings(settings_of(RSVP, settings), 600.0))

    assert problems(CONTRACT="suite", REGISTRATIONS="1500") == problems(CONTRACT="server", REGISTRATIONS="1000") == []
    assert problems(CONTRACT="server", REGISTRATIONS="100", MEMBERS_FILE=str(listed)) == []
    assert problems(CONTRACT="server", REGISTRATIONS="1500") == [
        "REGISTRATIONS=1500 is more than the 1,000 members of MEMBERS: with CONTRACT=server, each can register once"
    ]
    assert problems(CONTRACT="server", MEMBERS_FILE=str(listed)) == [
        "REGISTRATIONS=500 is more than the 100 members of MEMBERS_FILE: with CONTRACT=server, each can register once"
    ]


def test_members_of_another_name_are_in_the_sandbox_too() -> None:
    others = {"TEST_USER_EMAIL": "tester-{user}@example.org", "TEST_USER_PASSWORD": "their own"}
    with serving(RSVP, "server", **QUICK, **others) as run:
        run.act(3)
        assert run.worker.rate_of("rsvp_success") == (3, 0)
