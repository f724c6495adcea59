from __future__ import annotations

import pytest

from tests.platforms.pika.evening import Evening


@pytest.mark.usefixtures("idle")
def test_a_missing_pong_leads_to_a_new_connection(evening: Evening) -> None:
    _, wire = evening.live_dancer()
    evening.clock.run(39.0)
    assert wire.kinds() == ["SUBSCRIBE", "PING", "PING", "PING"]
    assert wire.is_open
    evening.clock.run(14.0)
    assert wire.closed is not None
    assert wire.closed.error == "no PONG for 30 s"
    assert len(evening.wires) == 2
    assert evening.rate("ws_connection_kept") == (0, 1)


@pytest.mark.usefixtures("idle")
def test_pongs_keep_a_connection_and_are_timed(evening: Evening) -> None:
    _, wire = evening.live_dancer()
    for _ in range(12):
        evening.clock.run(10.0)
        evening.clock.run(0.05)
        wire.hear({"type": "PONG"})
    assert wire.is_open
    assert len(evening.wires) == 1
    latency = evening.worker.metrics.trend("ping_latency").read()
    assert latency.count == 12  # type: ignore[union-attr]
    assert latency.minimum >= 50_000  # type: ignore[union-attr]
