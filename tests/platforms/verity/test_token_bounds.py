from __future__ import annotations

from pika_locust.platforms.verity.token_bounds import Bounds


def test_what_may_have_happened_widens_the_bounds_until_it_is_known() -> None:
    held = Bounds()
    held.add(5)
    held.maybe(2)
    assert (held.least, held.most) == (5, 7)
    held.maybe(-1)
    assert (held.least, held.most) == (4, 7)
    held.known(2, True)
    assert (held.least, held.most) == (6, 7)
    held.known(-1, False)
    assert (held.least, held.most) == (7, 7)
