from __future__ import annotations

from pika_locust.platforms.verity.world_model import TokenStore


def test_tokens_are_bought_taken_given_back_and_spent() -> None:
    purse = TokenStore()
    purse.open("u")
    assert not purse.take("u")
    purse.buy("u", 2)
    assert purse.take("u")
    purse.give_back("u")
    assert purse.take("u")
    purse.matched("u")
    assert (purse.balances, purse.credits, purse.matches) == ({"u": 1}, {"u": 2}, {"u": 1})
