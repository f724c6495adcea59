from __future__ import annotations

from pika_locust.platforms.verity.account import TokenBounds


def test_tokens_that_may_have_moved_widen_what_is_owed_until_it_is_known() -> None:
    tokens = TokenBounds()
    tokens.credited(5)
    tokens.maybe(2)
    assert (tokens.least, tokens.most) == (5, 7)
    tokens.maybe(-1)
    assert (tokens.least, tokens.most) == (4, 7)
    tokens.known(2, True)
    assert (tokens.least, tokens.most) == (6, 7)
    tokens.known(-1, False)
    assert (tokens.least, tokens.most) == (7, 7)
