"""Verity's webhooks: what is credited, and what becomes of everything else."""

from __future__ import annotations

from typing import Any

import pytest

from pika_locust.platforms.verity.world_payments import Purchase, purchase_of
from tests.platforms.verity.world_driver import VerityDriver, purchase, signed

OK = (200, {"received": True})
BROKEN = (500, {"statusCode": 500, "message": "Internal server error"})
BAD_SIGNATURE = (400, {"message": "Invalid Stripe signature", "error": "Bad Request", "statusCode": 400})
COUNTS = {"received": 0, "credited": 0, "duplicates": 0, "refused": 0, "ignored": 0, "failed": 0}


def counted(driver: VerityDriver, **counts: int) -> bool:
    return bool(driver.state()["webhooks"] == COUNTS | counts)


def test_a_paid_checkout_is_credited_once_however_often_it_is_delivered() -> None:
    driver = VerityDriver()
    member = driver.member()
    event = purchase(member.id, 5, "evt_1")
    assert [driver.pay(event) for _ in range(3)] == [OK] * 3
    assert member.balance() == 5
    assert driver.state()["credits"] == {member.id: 5}
    assert counted(driver, received=3, credited=1, duplicates=2)


def test_another_event_for_a_credited_checkout_breaks_the_server_and_credits_nothing() -> None:
    driver = VerityDriver()
    member = driver.member()
    assert driver.pay(purchase(member.id, 5, "evt_1", "cs_1")) == OK
    assert driver.pay(purchase(member.id, 5, "evt_2", "cs_1")) == BROKEN
    assert member.balance() == 5
    assert counted(driver, received=2, credited=1, duplicates=1)


@pytest.mark.parametrize(
    ("tokens", "credited"), [("5", 5), ("5abc", 5), (3, 3), ("0", 0), ("-2", 0), ("zzz", 0), ("", 0)], ids=str
)
def test_the_number_of_tokens_is_what_the_text_begins_with(tokens: Any, credited: int) -> None:
    driver = VerityDriver()
    member = driver.member()
    event = purchase(member.id, 1, "evt_1")
    event["data"]["object"]["metadata"]["tokens"] = tokens
    assert driver.pay(event) == OK
    assert member.balance() == credited
    assert counted(driver, received=1, **({"credited": 1} if credited else {"ignored": 1}))


@pytest.mark.parametrize(
    ("user", "tokens"),
    [("nobody", "5"), (None, "3000000000"), (None, "9" * 1000)],
    ids=["an unknown user", "more than a database integer", "a very long number"],
)
def test_what_the_database_cannot_take_breaks_the_server(user: str | None, tokens: str) -> None:
    driver = VerityDriver()
    member = driver.member()
    assert driver.pay(purchase(user or member.id, tokens, "evt_1")) == BROKEN
    assert member.balance() == 0
    assert counted(driver, received=1, failed=1)


def test_balances_stay_within_a_database_integer() -> None:
    driver = VerityDriver()
    member = driver.member()
    assert driver.pay(purchase(member.id, 2**31 - 1, "evt_1")) == OK
    assert driver.pay(purchase(member.id, 1, "evt_2")) == BROKEN


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
    driver = VerityDriver()
    member = driver.member()
    assert driver.pay(purchase(member.id, 5, "evt_1", **change)) == OK
    assert member.balance() == 0
    assert counted(driver, received=1, ignored=1)


def test_a_purchase_is_read_from_an_event() -> None:
    assert purchase_of(purchase("c1", "5", "evt_1", "cs_1")) == Purchase("evt_1", "cs_1", "c1", 5)
    assert purchase_of({}) is None


def test_a_forged_signature_is_refused_and_credits_nothing() -> None:
    driver = VerityDriver()
    member = driver.member()
    event = purchase(member.id, 5, "evt_1")
    assert driver.pay(event, signed(b"{}", driver.now)) == BAD_SIGNATURE
    assert driver.ask("POST", "/webhooks/stripe", event)[1]["message"] == "Missing Stripe signature"
    assert member.balance() == 0
    assert counted(driver, received=2, refused=2)


def test_the_raw_bytes_are_what_is_signed() -> None:
    driver = VerityDriver()
    member = driver.member()
    pretty = f'{{\n "id": "e", "type": "checkout.session.completed", "data": {{"object": {{"id": "c", \
"payment_status": "paid", "metadata": {{"userId": "{member.id}", "packId": "x", "tokens": "4"}}}}}}}}'.encode()
    assert driver.pay(pretty) == OK
    assert member.balance() == 4


def test_the_secret_is_that_of_the_environment() -> None:
    driver = VerityDriver(settings={"STRIPE_WEBHOOK_SECRET": "whsec_mine"})
    event = purchase("nobody", 5, "evt_1")
    assert driver.pay(event) == BAD_SIGNATURE
    body = b'{"id":"evt"}'
    assert driver.pay(body, signed(body, driver.now, "whsec_mine")) == OK


def test_a_body_that_is_no_json_has_no_raw_bytes_to_verify() -> None:
    driver = VerityDriver()
    header = signed(b"x=1", driver.now)
    answer = driver.ask("POST", "/webhooks/stripe", b"x=1", content_type="text/plain", stripe_signature=header)
    assert answer == BAD_SIGNATURE


def test_forged_500_answers_bad_signatures_as_the_real_server_does() -> None:
    driver = VerityDriver("forged-500")
    assert driver.pay(purchase("nobody", 5, "evt_1"), "t=1,v1=x") == BROKEN
    assert counted(driver, received=1, refused=1)


def test_forget_signature_takes_any_signature() -> None:
    driver = VerityDriver("forget-signature")
    member = driver.member()
    assert driver.pay(purchase(member.id, 5, "evt_1"), "forged") == OK
    assert member.balance() == 5


def test_forget_event_credits_what_is_delivered_again() -> None:
    driver = VerityDriver("forget-event")
    member = driver.member()
    event = purchase(member.id, 5, "evt_1")
    assert [driver.pay(event) for _ in range(2)] == [OK, OK]
    assert member.balance() == 10
    assert counted(driver, received=2, credited=2, duplicates=1)


def test_redelivery_500_asks_for_a_credited_event_again() -> None:
    driver = VerityDriver("redelivery-500")
    member = driver.member()
    event = purchase(member.id, 5, "evt_1")
    assert [driver.pay(event) for _ in range(2)] == [OK, BROKEN]
    assert member.balance() == 5
    assert counted(driver, received=2, credited=1, duplicates=1)


@pytest.mark.parametrize(
    ("fault", "balance", "credited"),
    [("lose-write=0.25", 30, 6), ("double=0.25", 50, 10)],
    ids=["a quarter is acknowledged and lost", "a quarter is credited twice"],
)
def test_a_share_of_the_credits_goes_wrong(fault: str, balance: int, credited: int) -> None:
    driver = VerityDriver(fault)
    member = driver.member()
    assert [driver.pay(purchase(member.id, 5, f"evt_{n}")) for n in range(8)] == [OK] * 8
    assert member.balance() == balance
    assert counted(driver, received=8, credited=credited)
