"""Audits that are repeated until they hold: what a target has acknowledged is not always to be seen at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gevent

from pika_locust.clock import monotonic
from pika_locust.judge import AuditResult

LOOK_EVERY_S = 0.5


def until_settled(look: Callable[[], Sequence[AuditResult]], within_s: float) -> Sequence[AuditResult]:
    """Look again and again until nothing fails any more, for so many seconds at most; gives what was seen last.

    Arguments:
        look: compares with what the target holds now; an audit whose look could not be made has failed.
        within_s: seconds after which no further look is begun.
    """
    deadline_s = monotonic() + within_s
    while True:
        results = look()
        if all(result.status != "fail" for result in results) or monotonic() > deadline_s:
            return results
        gevent.sleep(LOOK_EVERY_S)
