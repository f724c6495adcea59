"""Audits that look again: until nothing fails, or until their time is over."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pika_locust.judge import AuditResult, balance
from pika_locust.kit import settling
from pika_locust.kit.settling import until_settled


class Target:
    """Holds one more each time it is looked at, up to a number."""

    def __init__(self, most: int) -> None:
        self.looks = 0
        self._most = most

    def look(self) -> Sequence[AuditResult]:
        self.looks += 1
        return [balance("orders", 3, min(self.looks, self._most), 0)]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "LOOK_EVERY_S", 0.01)


def test_what_comes_late_is_there() -> None:
    target = Target(3)
    (result,) = until_settled(target.look, 5.0)
    assert (result.status, target.looks) == ("pass", 3)


def test_what_never_comes_is_missing() -> None:
    target = Target(2)
    (result,) = until_settled(target.look, 0.05)
    assert (result.status, result.actual) == ("fail", 2)
    assert target.looks > 2
