"""Verity's ids and times, and users' tokens."""

from __future__ import annotations

import re

from pika_locust.platforms.verity.world_model import Ids, TokenStore, anonymous

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
