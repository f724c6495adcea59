"""Verity's ids and times, users' tokens, and the settings of its world."""

from __future__ import annotations

import re

import pytest

from pika_locust.errors import ConfigurationError
from pika_locust.platforms.verity.world_model import Ids, Rules, TokenStore, anonymous, rules_from

# the second user of the recordings was made at this time: 2026-11-21T03:10:25.675Z
NOW = 1_795_230_625.675


def test_a_row_has_a_key_of_25_characters_that_begins_with_the_time() -> None:
    ids = Ids()
    first, second = ids.row(NOW), ids.row(NOW)
    assert re.fullmatch(r"c[a-z0-9]{24}", first)
    # as the recorded cmwptyo3v0030ik7dciltd17l
    assert first.startswith("cmwptyo3v0001")
    assert second.startswith("cmwptyo3v0002")
    assert first[13:17] == second[13:17]


def test_ids_do_not_repeat() -> None:
    one, other = Ids(), Ids()
    made = [make() for ids in (one, other) for make in (ids.secret, lambda ids=ids: ids.row(NOW)) * 500]
    assert len(set(made)) == len(made)


def test_other_ids_have_the_shape_of_the_recorded_ones() -> None:
    ids = Ids()
    assert re.fullmatch(r"[0-9a-f]{64}", ids.secret())
    assert re.fullmatch(r"007IAA[\w+/]{168}", ids.media_token())
    assert 0 < ids.media_uid() < 2**32


def test_a_partner_has_another_name_in_each_session() -> None:
    assert re.fullmatch(r"anon_[0-9a-f]{12}", anonymous("s1", "u1"))
    assert len({anonymous(session, user) for session in ("s1", "s2") for user in ("u1", "u2")}) == 4


def test_tokens_are_bought_taken_given_back_and_spent() -> None:
    tokens = TokenStore()
    tokens.open("u")
    assert not tokens.take("u")
    tokens.buy("u", 2)
    assert tokens.take("u")
    tokens.give_back("u")
    assert tokens.take("u")
    tokens.matched("u")
    assert (tokens.balances, tokens.credits, tokens.matches) == ({"u": 1}, {"u": 2}, {"u": 1})


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, Rules(45.0, 60.0, True, b"whsec_test_secret", b"verity-sandbox-access")),
        ({"SESSION_HOLD_SECONDS": "10"}, Rules(session_s=10.0)),
        ({"SESSION_HOLD_SECONDS": "10", "VERITY_SESSION_HOLD_SECONDS": "2.5"}, Rules(session_s=2.5)),
        ({"SESSION_HOLD_SECONDS": "10", "PIKA_SANDBOX_SESSION_SECONDS": "3"}, Rules(session_s=3.0)),
        ({"PIKA_SANDBOX_CHOICE_SECONDS": "5"}, Rules(choice_s=5.0)),
        ({"PIKA_SANDBOX_STATUS_FANOUT": "0"}, Rules(status_fanout=False)),
        (
            {"STRIPE_WEBHOOK_SECRET": "whsec_a", "JWT_ACCESS_SECRET": "b"},
            Rules(webhook_secret=b"whsec_a", jwt_secret=b"b"),
        ),
        ({"STRIPE_WEBHOOK_SECRET": "", "SESSION_HOLD_SECONDS": " "}, Rules()),
    ],
    ids=str,
)
def test_the_environment_sets_the_rules(environment: dict[str, str], wanted: Rules) -> None:
    assert rules_from(environment) == wanted


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        rules_from({"SESSION_HOLD_SECONDS": "1e3", "PIKA_SANDBOX_STATUS_FANOUT": "perhaps"})
    assert str(refused.value).splitlines()[-2:] == [
        "SESSION_HOLD_SECONDS is '1e3', but must be seconds, such as 45",
        "PIKA_SANDBOX_STATUS_FANOUT is 'perhaps', but must be 1 or 0",
    ]
