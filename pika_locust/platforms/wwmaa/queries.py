"""What people search for on WWMAA's site: the suite's queries, and how often each kind comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Query:
    """One query; `filters` narrow it down."""

    kind: str
    q: str
    filters: Mapping[str, str]

    @property
    def parameters(self) -> dict[str, str]:
        """As the suite sends it."""
        semantic = {"semantic": "true"} if self.kind == "semantic" else {}
        return {"q": self.q, **self.filters, **semantic}

    @property
    def words(self) -> str:
        """As one types it where there are no filters."""
        return " ".join((self.q, *self.filters.values()))


def _of(kind: str, *queries: tuple[str, Mapping[str, str]]) -> tuple[Query, ...]:
    return tuple(Query(kind, q, filters) for q, filters in queries)


_TOPICS = (
    *("kata", "kumite", "karate", "judo", "aikido", "kendo", "taekwondo", "brazilian jiu jitsu", "muay thai"),
    *("wing chun", "shotokan", "kyokushin", "goju ryu", "wado ryu", "sensei", "dojo", "belt test", "tournament"),
    *("sparring", "forms"),
)
_SENTENCES = (
    "how to improve a front kick",
    "shotokan or kyokushin, what is different",
    "exercises for more flexibility",
    "getting ready for the black belt test",
    "what equipment do I need for sparring",
    "tips before a tournament",
    "how do I find a good instructor",
    "best style for self defense",
    "how long does a black belt take",
    "exercises for balance and coordination",
)
SIMPLE = _of("simple", *((topic, {}) for topic in _TOPICS))
FILTERED = _of(
    "filtered",
    ("kata", {"style": "karate"}),
    ("kumite", {"location": "New York"}),
    ("training", {"instructor": "Smith"}),
    ("beginner", {"level": "beginner"}),
    ("advanced", {"level": "advanced"}),
    ("competition", {"type": "event"}),
    ("seminar", {"type": "training"}),
    ("black belt", {"rank": "black"}),
    ("kids", {"age_group": "children"}),
    ("women", {"category": "womens"}),
)
SEMANTIC = _of("semantic", *((sentence, {}) for sentence in _SENTENCES))
COMPLEX = _of(
    "complex",
    ("kata", {"style": "karate", "location": "California", "level": "intermediate"}),
    ("competition", {"type": "event", "date_from": "2025-01-01", "date_to": "2025-12-31"}),
    ("training", {"instructor": "certified", "style": "judo", "location": "Texas"}),
    ("kids class", {"age_group": "children", "level": "beginner", "location": "nearby"}),
    ("black belt", {"rank": "black", "style": "taekwondo", "verified": "true"}),
)
KINDS = ((SIMPLE, 0.4), (FILTERED, 0.3), (SEMANTIC, 0.2), (COMPLEX, 0.1))
"""The queries of each kind, and its share."""
