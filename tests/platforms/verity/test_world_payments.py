from __future__ import annotations

from typing import Any

import pytest

from pika_locust.platforms.verity.world_payments import Purchase, purchase_of
from tests.platforms.verity.world_club import Club, purchase, signed

OK = (200, {"received": True})
BROKEN = (500, {"statusCode": 500, "message": "Internal server error"})
BAD_SIGNATURE = (400, {"message": "Invalid Stripe signature", "error": "Bad Request", "statusCode": 400})
COUNTS = {"received": 0, "credited": 0, "duplicates": 0, "refused": 0, "ignored": 0, "failed": 0}


def counted(club: Club, **counts: int) -> bool:
    return bool(club.state()["webhooks"] == COUNTS | counts)


def test_a_paid_checkout_is_credited_once_however_often_it_is_delivered() -> None:
    club = Club()
    member = club.member()
    event = purchase(member.id, 5, "evt_1")
    assert [club.pay(event) for _ in range(3)] == [OK] * 3
    assert member.balance() == 5
    assert club.state()["credits"] == {member.id: 5}
    assert counted(club, received=3, credited=1, duplicates=2)


def test_another_event_for_a_credited_checkout_breaks_the_server_and_credits_nothing() -> None:
    club = Club()
    member = club.member()
    assert club.pay(purchase(member.id, 5, "evt_1", "cs_1")) == OK
    assert club.pay(purchase(member.id, 5, "evt_2", "cs_1")) == BROKEN
    assert member.balance() == 5
    assert counted(club, received=2, credited=1, duplicates=1)


@pytest.mark.parametrize(
    ("tokens", "credited"), [("5", 5), ("5abc", 5), (3, 3), ("0", 0), ("-2", 0), ("zzz", 0), ("", 0)], ids=str
)
def test_the_number_of_tokens_is_what_the_text_begins_with(tokens: Any, credited: int) -> None:
    club = Club()
    member = club.member()
    event = purchase(member.id, 1, "evt_1")
    event["data"]["object"]["metadata"]["tokens"] = tokens
    assert club.pay(event) == OK
    assert member.balance() == credited
    assert counted(club, received=1, **({"credited": 1} if credited else {"ignored": 1}))


@pytest.mark.parametrize(
    ("user", "tokens"),
    [("nobody", "5"), (None, "3000000000"), (None, "9" * 1000)],
    ids=["an unknown user", "more than a database integer", "a very long number"],
)
def test_what_the_database_cannot_take_breaks_the_server(user: str | None, tokens: str) -> None:
    club = Club()
    member = club.member()
    assert club.pay(purchase(user or member.id, tokens, "evt_1")) == BROKEN
    assert member.balance() == 0
    assert counted(club, received=1, failed=1)


def test_balances_stay_within_a_database_integer() -> None:
    club = Club()
    member = club.member()
    assert club.pay(purchase(member.id, 2**31 - 1, "evt_1")) == OK
    assert club.pay(purchase(member.id, 1, "evt_2")) == BROKEN


@pytest.mark.parametrize(
    "change",
    [
        {"type": "payment_intent.succeeded"},
        {"data": {"object": {"payment_status": "unpaid"}}},
        {"data": None},
        {"data": {"object": []}},
    ],
    ids=["another type", "not paid", "no data", "data of a strange shape"],
)
def test_other_events_are_received_and_ignored(change: dict[str, Any]) -> None:
    club = Club()
    member = club.member()
    assert club.pay(purchase(member.id, 5, "evt_1", **change)) == OK
    assert member.balance() == 0
    assert counted(club, received=1, ignored=1)


def test_a_purchase_is_read_from_an_event() -> None:
    assert purchase_of(purchase("c1", "5", "evt_1", "cs_1")) == Purchase("evt_1", "cs_1", "c1", 5)
    assert purchase_of({}) is None


def test_a_forged_signature_is_refused_and_credits_nothing() -> None:
    club = Club()
    member = club.member()
    event = purchase(member.id, 5, "evt_1")
    assert club.pay(event, signed(b"{}", club.now)) == BAD_SIGNATURE
    assert club.ask("POST", "/webhooks/stripe", event)[1]["message"] == "Missing Stripe signature"
    assert member.balance() == 0
    assert counted(club, received=2, refused=2)


def test_the_raw_bytes_are_what_is_signed() -> None:
    club = Club()
    member = club.member()
    pretty = f'{{\n "id": "e", "type": "checkout.session.completed", "data": {{"object": {{"id": "c", \
"payment_status": "paid", "metadata": {{"userId": "{member.id}", "packId": "x", "tokens": "4"}}}}}}}}'.encode()
    assert club.pay(pretty) == OK
    assert member.balance() == 4


def test_the_secret_is_that_of_the_environment() -> None:
    club = Club(settings={"STRIPE_WEBHOOK_SECRET": "whsec_mine"})
    event = purchase("nobody", 5, "evt_1")
    assert club.pay(event) == BAD_SIGNATURE
    body = b'{"id":"evt"}'
    assert club.pay(body, signed(body, club.now, "whsec_mine")) == OK


def test_a_body_that_is_no_json_has_no_raw_bytes_to_verify() -> None:
    club = Club()
    header = signed(b"x=1", club.now)
    answer = club.ask("POST", "/webhooks/stripe", b"x=1", content_type="text/plain", stripe_signature=header)
    assert answer == BAD_SIGNATURE


def test_forged_500_answers_bad_signatures_as_the_real_server_does() -> None:
    club = Club("forged-500")
    assert club.pay(purchase("nobody", 5, "evt_1"), "t=1,v1=x") == BROKEN
    assert counted(club, received=1, refused=1)


def test_forget_signature_takes_any_signature() -> None:
    club = Club("forget-signature")
    member = club.member()
    assert club.pay(purchase(member.id, 5, "evt_1"), "forged") == OK
    assert member.balance() == 5


def test_forget_event_credits_what_is_delivered_again() -> None:
    club = Club("forget-event")
    member = club.member()
    event = purchase(member.id, 5, "evt_1")
    assert [club.pay(event) for _ in range(2)] == [OK, OK]
    assert member.balance() == 10
    assert counted(club, received=2, credited=2, duplicates=1)


def test_redelivery_500_asks_for_a_credited_event_again() -> None:
    club = Club("redelivery-500")
    member = club.member()
    event = purchase(member.id, 5, "evt_1")
    assert [club.pay(event) for _ in range(2)] == [OK, BROKEN]
    assert member.balance() == 5
    assert counted(club, received=2, credited=1, duplicates=1)


@pytest.mark.parametrize(
    ("fault", "balance", "credited"),
    [("lose-write=0.25", 30, 6), ("double=0.25", 50, 10)],
    ids=["a quarter is acknowledged and lost", "a quarter is credited twice"],
)
def test_a_share_of_the_credits_goes_wrong(fault: str, balance: int, credited: int) -> None:
    club = Club(fault)
    member = club.member()
    assert [club.pay(purchase(member.id, 5, f"evt_{n}")) for n in range(8)] == [OK] * 8
    assert member.balance() == balance
    assert counted(club, received=8, credited=credited)
