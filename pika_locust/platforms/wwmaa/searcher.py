"""Somebody who searches WWMAA's site, in the mix of the suite: simple, filtered, semantic, complex."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from pika_locust.kit.meters import named
from pika_locust.platforms.wwmaa.member import WwmaaUser
from pika_locust.platforms.wwmaa.queries import KINDS, Query
from pika_locust.platforms.wwmaa.scenarios import SEARCH_METRICS
from pika_locust.runtime.arrivals import OpenActor
from pika_locust.wire.http import Response

JUDGED = ("style", "level", "age_group")
"""The filters that a result can be held against: of another, such as `nearby`, `certified` or a black belt's rank, a
result shows something else than what was asked for."""


def _shows(value: Any, wanted: str) -> bool:
    """Whether this field of a result is what was asked for, or one of several; one that is not shown says nothing."""
    return value is None or wanted.casefold() in str(value).casefold()


class Searcher(WwmaaUser, OpenActor):
    """One iteration is one query."""

    meters: Any = named(SEARCH_METRICS)

    def act(self) -> None:
        self._search(self.dice.choice(self.dice.weighted(KINDS)))
        if self.worker.arrivals is None:
            self.pause(self.worker.settings["SEARCH_PAUSE"])

    def _search(self, query: Query) -> None:
        response = self._ask(query)
        if response is None:
            self.meters.search_errors.add(True)
            return
        good = response.error is None and response.status == 200
        if good:
            self._time(query, response.duration_us)
            good = self._look(query, response)
        self.meters.search_errors.add(not good)

    def _ask(self, query: Query) -> Response | None:
        if self.is_suite:
            return self.call("GET", f"/api/search?{urlencode(query.parameters)}", name="search", ok=(200,))
        if not self.prepare_posts():
            return None
        bypasses = self.dice.chance(self.worker.settings["BYPASS_CACHE"])
        body = {"query": query.words, "bypass_cache": bypasses}
        return self.call("POST", "/api/search/query", body, name="search", ok=(200,))

    def _time(self, query: Query, duration_us: int) -> None:
        self.meters.search_latency.add(duration_us)
        if query.kind == "semantic":
            self.meters.semantic_search_latency.add(duration_us)
        elif query.kind == "filtered":
            self.meters.filtered_search_latency.add(duration_us)

    def _look(self, query: Query, response: Response) -> bool:
        answer = response.json_object()
        good = self.checked("content-type is json", "json" in (response.headers.get("content-type") or ""))
        if not self.is_suite:
            good &= self.checked("has an answer", isinstance(answer.get("answer"), str) and bool(answer["answer"]))
            return good & self.checked("has sources", isinstance(answer.get("sources"), list))
        results = answer.get("results")
        if not self.checked("has results", isinstance(results, list)):
            return False
        found = [one for one in results or () if isinstance(one, dict)]
        wanted = {name: value for name, value in query.filters.items() if name in JUDGED}
        if wanted:
            obeyed = all(_shows(one.get(name), value) for one in found for name, value in wanted.items())
            good &= self.checked("results obey the filters", obeyed)
        if query.kind == "semantic" and found:
            self.meters.search_relevance.add(any("relevance_score" in one for one in found))
        return good
