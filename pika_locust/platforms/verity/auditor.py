"""Keeps the books of users who have ended, and has a sample of them looked up when all have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pika_locust.platforms.verity.lookups import look_up
from pika_locust.platforms.verity.sample import BottomKSample, part_of
from pika_locust.runtime.context import WorkerContext
from pika_locust.wire.http import HttpClient

if TYPE_CHECKING:
    from pika_locust.platforms.verity.account import ExpectedBalance


AUDITED_USERS = 1000
"""How many are looked up in the whole test, when there are more: a thousand say enough about ten thousand."""
TOPIC = "users_ended"


class SampledAudit:
    """Get it with `worker.shared(SampledAudit)`, when the first user begins.

    Users hand their books in when they end, whether a ramp-down or the end of the test has released them. A sample of
    all is looked up when the last has ended, in every process: what is asked then costs no latency that is measured,
    stays out of the HTTP metrics, and needs none of the time that users have to finish.
    """

    def __init__(self, worker: WorkerContext, wanted: int = AUDITED_USERS) -> None:
        self._worker = worker
        self._wanted = wanted
        from pika_locust.platforms.verity.account import VerityContext

        self._lobby = worker.shared(VerityContext)
        # No user has this number, so nobody else draws these lots.
        self._sample: BottomKSample[ExpectedBalance] = BottomKSample(wanted, worker.dice(-1))
        self._others: dict[int, int] = {}
        worker.facts["users_owed"] = 0
        worker.listen(TOPIC, self._on_news)
        worker.on_end(self._look_up)

    def take(self, books: ExpectedBalance) -> None:
        """A user has ended, and left these."""
        self._sample.add(books)
        self._worker.facts["users_owed"] = users = self._sample.seen
        if users & (users - 1) == 0:
            # At each power of two: so few messages, and what the others know is never less than half.
            self._worker.tell_all(TOPIC, {"worker": self._worker.worker_index, "users": users})

    def _on_news(self, news: Mapping[str, Any]) -> None:
        if news["worker"] != self._worker.worker_index:
            self._others[news["worker"]] = news["users"]

    def _look_up(self) -> None:
        part = part_of(self._wanted, self._sample.seen, self._others.values())
        keep = self._lobby.addresses is None
        self._worker.facts.update(look_up(self._sample.pick(part), self._client, keep=keep))

    def _client(self, number: int) -> HttpClient:
        return self._lobby.client(number, metered=False)
