"""W3C trace context on a share of the requests: which they were, so that the target's own tracing can be asked.

Each sampled request gets a `traceparent` with a trace of its own and the flag that asks for its recording. The
handshake of a WebSocket is such a request, also that of Socket.IO; frames and events have no headers, and carry none.
Of all sampled ones a handful is remembered: the slowest that were answered, and such that failed, of different kinds
before the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from pika_locust.wire.http_models import ErrorKind, Response

MOST_SLOW = 5
MOST_FAILED = 10


@dataclass(frozen=True, slots=True)
class Trace:
    """A sampled request: its trace id, under which name it went, how long it took, and what was wrong, if anything."""

    trace_id: str
    name: str
    duration_us: int
    error: str = ""


def worth_keeping(traces: Iterable[Trace]) -> list[Trace]:
    """The slowest that were answered, then failed ones: of each kind one, then more of the same."""
    answered: list[Trace] = []
    failed: list[Trace] = []
    for trace in traces:
        (failed if trace.error else answered).append(trace)
    answered.sort(key=lambda trace: -trace.duration_us)
    seen: dict[tuple[str, str], int] = {}
    ranked = []
    for at, trace in enumerate(failed):
        kind = trace.name, trace.error
        seen[kind] = seen.get(kind, 0) + 1
        ranked.append((seen[kind], at, trace))
    return [*answered[:MOST_SLOW], *(trace for _, _, trace in sorted(ranked, key=lambda one: one[:2])[:MOST_FAILED])]


class TraceSampler:
    """Says which requests are sampled, every n-th in the order in which they are sent, and remembers some of them."""

    def __init__(self, share: float) -> None:
        """`share` of the requests, above 0 and at most 1."""
        self._step = share
        self._due = 1.0 - share
        self._kept: list[Trace] = []

    def begin(self) -> str | None:
        """The trace id of a request that is about to be sent, if it is one of the sample."""
        self._due += self._step
        if self._due < 1.0:
            return None
        self._due -= 1.0
        return os.urandom(16).hex()

    def end(self, trace_id: str, name: str, response: Response) -> None:
        """A sampled request has come to its end."""
        if response.error is not None and response.error.kind in (ErrorKind.LOCAL, ErrorKind.CUT):
            # The target never saw it, or nobody waited for it.
            return
        self.note(trace_id, name, response.duration_us, response.outcome if response.failed else "")

    def note(self, trace_id: str, name: str, duration_us: int, error: str = "") -> None:
        """What became of a sampled request, whatever its protocol."""
        self._kept.append(Trace(trace_id, name, duration_us, error))
        if len(self._kept) > 4 * (MOST_SLOW + MOST_FAILED):
            self._kept = worth_keeping(self._kept)

    @property
    def kept(self) -> list[Trace]:
        """Those that are remembered."""
        self._kept = worth_keeping(self._kept)
        return self._kept


_current: TraceSampler | None = None


def set_sampler(sampler: TraceSampler | None) -> None:
    """What samples the requests of this process from now on, of those whose users belong to no scenario."""
    global _current
    _current = sampler


def sampler() -> TraceSampler | None:
    """What samples the requests of this process; None: nothing does."""
    return _current


def traceparent(trace_id: str) -> str:
    """The header's value: version, trace, a span of its own, and the flag that it is recorded."""
    return f"00-{trace_id}-{os.urandom(8).hex()}-01"
