from __future__ import annotations

from typing import Any

import pytest

from pika_locust.wire.http_models import Timeouts


def test_a_request_has_a_minute_in_all_by_default() -> None:
    assert Timeouts().total_s == 60.0
    assert Timeouts(total_s=1.5).total_ns == 1_500_000_000


@pytest.mark.parametrize("seconds", [0, -1.0, float("inf"), float("nan"), None, "10"])
@pytest.mark.parametrize("phase", ["dns_s", "connect_s", "tls_s", "send_s", "read_s", "total_s"])
def test_a_phase_without_an_end_is_refused(phase: str, seconds: Any) -> None:
    with pytest.raises(ValueError, match=phase):
        Timeouts(**{phase: seconds})
