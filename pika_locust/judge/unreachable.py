"""Whether a target answered at all: a run that reached nobody has one reason, which all others follow from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from pika_locust.judge.report import Reason
from pika_locust.metrics import RateValue, Snapshot

_WHY: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), why)
    for pattern, why in (
        (r"connect_refused: |connection ?refused", "connection refused"),
        (
            r"\bdns: |cannot be looked up|no address for|name or service not known|getaddrinfo|nameresolution|gaierror",
            "its name has no address",
        ),
        (r"connect_timeout: |^no connection within|connecttimeout|connect timeout", "no connection in time"),
        (r"no route to host|network is unreachable|host is unreachable", "no route to it"),
        (r"^connect_failed: ", "no connection came to be"),
    )
)
"""What errors of the suite's clients, and of those that Locust has, say when no connection came to be."""


def nothing_answered(target: str, errors: Iterable[tuple[str, str, int]], snapshot: Snapshot) -> Reason | None:
    """The reason for everything else when not one connection to the target came to be; None when one did, or when
    nobody tried.

    Arguments:
        target: as the report names it.
        errors: name, text and count of each.
        snapshot: what was measured: a single success says that the target was there.
    """
    reasons: Counter[str] = Counter()
    for _, text, count in errors:
        why = next((words for pattern, words in _WHY if pattern.search(text)), None)
        if why is None:
            return None
        reasons[why] += count
    if not reasons or _something_came(snapshot):
        return None
    why = reasons.most_common(1)[0][0]
    return Reason("no_answer", target, f"nothing answered at {target or 'the target'}: {why}")


def _something_came(snapshot: Snapshot) -> bool:
    failed = snapshot.select("http_req_failed")
    if isinstance(failed, RateValue) and failed.fails:
        return True
    held = [snapshot.select(name) for name in ("ws_connection_success", "checks")]
    return bool(snapshot.counted("data_received")) or any(isinstance(v, RateValue) and v.passes for v in held)
