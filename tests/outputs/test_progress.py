from __future__ import annotations

from typing import Any

import pytest

from pika_locust.format import width_of
from pika_locust.outputs.progress import line

RAMP: dict[str, Any] = {
    "stage": "ramp-up 1/3",
    "elapsed_s": 23.4,
    "planned_s": 60.0,
    "users": 100,
    "target_users": 100,
    "rates": {"msg": 34.2},
    "failing": [],
}
BROKEN = ["queue_join_latency p(95)<3000", "checks rate>0.99"]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        pytest.param(
            {}, "[ 0:23 / 1:00 ] ramp-up 1/3 · 100/100 users · 34.2 msg/s · 0:36 left · 0 failing", id="all is well"
        ),
        pytest.param(
            {"failing": BROKEN, "width": 140},
            "[ 0:23 / 1:00 ] ramp-up 1/3 · 100/100 users · 34.2 msg/s · 0:36 left · 2 failing: queue_join_latency "
            "p(95)<3000, checks rate>0.99",
            id="failing thresholds are named",
        ),
        pytest.param(
            {"failing": BROKEN, "trouble": "nothing answered at ws://a: connection refused", "width": 140},
            "[ 0:23 / 1:00 ] ramp-up 1/3 · 100/100 users · 34.2 msg/s · 0:36 left · nothing answered at ws://a: "
            "connection refused",
            id="what all follows from stands in its place",
        ),
        pytest.param(
            {"failing": BROKEN, "width": 120},
            "[ 0:23 / 1:00 ] ramp-up 1/3 · 100/100 users · 34.2 msg/s · 0:36 left · 2 failing: queue_join_latency "
            "p(95)<3000 +1",
            id="names that do not fit are counted",
        ),
        pytest.param(
            {"failing": BROKEN, "width": 80},
            "[ 0:23 / 1:00 ] ramp-up 1/3 · 100/100 users · 34.2 msg/s · 0:36 left · 2 failing",
            id="names go before numbers",
        ),
        pytest.param(
            {"rates": {"msg": 34, "err": 0}, "width": 80},
            "[ 0:23 / 1:00 ] ramp-up 1/3 · 100/100 users · 34 msg/s · 0:36 left · 0 failing",
            id="the last rate goes next",
        ),
        pytest.param(
            {"planned_s": None, "rates": {}},
            "[ 0:23 ] ramp-up 1/3 · 100/100 users · 0 failing",
            id="an open end has no time left",
        ),
        pytest.param(
            {"elapsed_s": 75.0, "stage": "draining", "users": 7, "rates": {}},
            "[ 1:15 / 1:00 ] draining ·   7/100 users · 0 failing",
            id="past the plan nothing is left",
        ),
        pytest.param(
            {"elapsed_s": 5, "planned_s": 3700, "users": 5, "target_users": 10_000, "rates": {"req": 1234.5}},
            "[    0:05 / 1:01:40 ] ramp-up 1/3 ·      5/10,000 users · 1,234 req/s · 1:01:35 left · 0 failing",
            id="numbers keep their place as they grow",
        ),
        pytest.param(
            {"encoding": "cp1252", "stage": "Aufwärmen"},
            "[ 0:23 / 1:00 ] Aufw?rmen | 100/100 users | 34.2 msg/s | 0:36 left | 0 failing",
            id="another encoding gets ASCII",
        ),
        pytest.param(
            {"encoding": None},
            "[ 0:23 / 1:00 ] ramp-up 1/3 | 100/100 users | 34.2 msg/s | 0:36 left | 0 failing",
            id="an unknown encoding too",
        ),
        pytest.param(
            {"encoding": "klingon"},
            "[ 0:23 / 1:00 ] ramp-up 1/3 | 100/100 users | 34.2 msg/s | 0:36 left | 0 failing",
            id="and one that does not exist",
        ),
        pytest.param({"encoding": "UTF8", "width": 30}, "[ 0:23 / 1:00 ] ramp-up 1/3 ·…", id="hardly any space"),
        pytest.param(
            {"rates": {"msg": float("nan")}},
            "[ 0:23 / 1:00 ] ramp-up 1/3 · 100/100 users · - msg/s · 0:36 left · 0 failing",
            id="a rate that is not a number",
        ),
    ],
)
def test_the_line(changes: dict[str, Any], shown: str) -> None:
    got = line(**{**RAMP, **changes})
    assert got.rstrip() == shown
    assert width_of(got) == changes.get("width", 100)
