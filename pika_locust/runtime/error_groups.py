"""Groups error texts: what differs from one occurrence to the next is taken out, and with it what may be secret."""

from __future__ import annotations

import re
from functools import lru_cache

from pika_locust.outputs import redact

MAX_LENGTH = 200
"""Characters of an error that are kept."""

_READ = 2000
"""Characters that are looked at: an error may hold a whole page."""

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A query is where ids, texts and tokens of single requests stand; the path says what was asked for.
    (re.compile(r"(\w+://[^\s?#'\"<>)]*)[?#][^\s'\"<>)]*?(?=[:,;]?(?:[\s'\"<>)]|$))"), r"\1?..."),
    (re.compile(r"(?<=://)[^\s/@]*@"), ""),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "<address>"),
    # Letters and digits mixed, as tokens and hashes are; words and short numbers stay.
    (re.compile(r"\b(?=[0-9a-fA-F]*[0-9])(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{12,}\b"), "<id>"),
    # Statuses, close codes and limits are short, or their text is the program's own; a port follows a colon.
    (re.compile(r"(?<![\w:.,-])\d{5,}(?![\w.,-]*\w)"), "<number>"),
)


@lru_cache(maxsize=4096)
def group_of(error: str) -> str:
    """One text for all occurrences of an error, as Locust's statistics have one line for them.

    Queries and credentials of URLs, UUIDs, memory addresses, long hexadecimal ids and numbers of five and more digits
    are replaced; statuses, close codes, hosts, ports and paths stay.
    """
    text = error[:_READ]
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return redact.text(text)[:MAX_LENGTH]
