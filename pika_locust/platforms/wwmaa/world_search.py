"""WWMAA's search: the suite's, by query string, and the real server's, which answers in words and remembers them."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

from pika_locust.platforms.wwmaa.world_accounts import Accounts
from pika_locust.sandbox.app import Call, route
from pika_locust.sandbox.schema import flag, optional, text
from pika_locust.sandbox.world import Answer

REMEMBERED_S = 300.0
_FORBIDDEN = ("--", "/*", "*/", "xp_", "sp_", "exec")
_WORD = re.compile(r"\w+")


def query(value: Any) -> str:
    """A query as the real server takes it; raises ValueError."""
    accepted: str = text(1, 500)(value)
    if not accepted.strip():
        raise ValueError("cannot be empty or whitespace only")
    found = next((part for part in _FORBIDDEN if part in accepted.lower()), None)
    if found is not None:
        raise ValueError(f"contains invalid pattern: {found}")
    return accepted


class Searches(Accounts):
    """SEARCH_MS: how long a search takes that is not remembered (20)."""

    def start(self) -> None:
        super().start()
        self._takes_ms = self.setting("SEARCH_MS", 20)
        self._answered: dict[str, float] = {}
        self.content: dict[str, dict[str, Any]] = {}

    def _is_remembered(self, words: str) -> bool:
        key = words.strip().lower()
        remembered = self.now < self._answered.get(key, 0.0)
        if not remembered:
            self._answered[key] = self.now + REMEMBERED_S
        return remembered

    @route("GET", "/api/search")
    def search(self, call: Call) -> Answer | None:
        """The suite's. Every result has the word that was looked for in its title."""
        if not self.is_suite:
            return self.not_found(call.request)
        asked = call.query
        words = asked.get("q", "").strip()
        if not words:
            return Answer.json({"error": "q is required"}, 400)
        filters = {name: value for name, value in asked.items() if name not in ("q", "semantic", "limit")}
        is_semantic = asked.get("semantic") == "true"
        results = [_result(words, number, filters, is_semantic) for number in range(10)]
        if not filters and not is_semantic:
            there = (one for one in self.content.values() if words.lower() in one["title"].lower())
            results = [*islice(there, len(results)), *results][: len(results)]
        if filters and self.hit("lose-filter"):
            others = dict.fromkeys(filters, "another")
            results = [_result(words, number, others, is_semantic) for number in range(10)]
        if is_semantic and self.hit("lose-relevance"):
            results = [_result(words, number, filters, False) for number in range(10)]
        answer = {"results": results, "total": len(results)}
        if self._is_remembered(call.request.query):
            return Answer.json(answer)
        self.after(self._takes_ms / 1000, call.answer, answer)
        return None

    @route("POST", "/api/search/query", body={"query": query, "bypass_cache": optional(flag, False)})
    def search_query(self, call: Call) -> Answer | None:
        """The real server's."""
        words, bypasses = call.body["query"], call.body["bypass_cache"]
        remembered = self._is_remembered(words) and not bypasses
        topic = _WORD.findall(words)[:1] or ["Training"]
        sources = [
            {"title": f"{topic[0].title()} {number}", "url": f"/{kind}s/{kind[:3]}_{number}", "source_type": kind}
            for number in range(5)
            for kind in ("event", "article")
        ]
        answer = {
            "answer": f"About {words.strip()}",
            "sources": sources,
            "media": {"videos": [], "images": []},
            "related_queries": [f"{topic[0]} for beginners"],
            "latency_ms": 1 if remembered else self._takes_ms,
            "cached": remembered,
        }
        if remembered:
            return Answer.json(answer)
        self.after(self._takes_ms / 1000, call.answer, answer)
        return None


def _result(words: str, number: int, filters: dict[str, str], is_semantic: bool) -> dict[str, Any]:
    result = {"id": f"art_{number}", "type": "article", "title": f"{words} {number}", **filters}
    return {**result, "relevance_score": round(0.99 - number / 20, 2)} if is_semantic else result
