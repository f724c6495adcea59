"""Asks the target for balances, and tells how they compare with what was owed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pika_locust.platforms.verity.messages import Credentials, balance_in
from pika_locust.runtime.timers import run_concurrently
from pika_locust.wire.http import HttpClient, Response, Timeouts

if TYPE_CHECKING:
    from pika_locust.platforms.verity.account import ExpectedBalance


AT_ONCE = 32
WITHIN_S = 8.0
"""For all of them together: whoever is in a hurry (Ctrl-C, twice) waits ten seconds for a worker's last report."""
TIMEOUTS = Timeouts(connect_s=3.0, read_s=3.0, total_s=3.5)
TRIES = 2


def look_up(
    owed: Sequence[ExpectedBalance],
    client: Callable[[int], HttpClient],
    *,
    keep: bool = True,
    within_s: float = WITHIN_S,
) -> dict[str, Any]:
    """Look all these balances up, some at a time, and compare.

    Arguments:
        owed: the users' books; every user once.
        client: makes a connection for a user's number.
        keep: whether a connection serves one user after another; not so where each user has an address of its own.
        within_s: seconds for all; whoever is left then counts as untold.

    Gives facts that add up over processes (`users_audited`, `tokens_expected`, `tokens_unanswered`, `tokens_held`,
    `balances_wrong`, `balances_untold`) and one example each of what is wrong and untold.
    """
    desk = _Desk(client, keep)
    run_concurrently(owed, desk.serve, at_once=AT_ONCE, within_s=within_s)
    return desk.close(owed, f"not within {within_s:g} s")


class _Desk:
    """One round of asking."""

    def __init__(self, client: Callable[[int], HttpClient], keep: bool) -> None:
        self._client = client
        self._keep = keep
        self._idle: list[HttpClient] = []
        self._told: dict[str, Response] = {}

    def serve(self, books: ExpectedBalance) -> None:
        http = self._idle.pop() if self._idle else self._client(books.number)
        self._told[books.user_id] = _ask(http, books.entry)
        if self._keep:
            self._idle.append(http)
        else:
            http.close()

    def close(self, owed: Sequence[ExpectedBalance], too_late: str) -> dict[str, Any]:
        for http in self._idle:
            http.close()
        facts: dict[str, Any] = dict.fromkeys(
            ("users_audited", "tokens_expected", "tokens_unanswered", "tokens_held"), 0
        )
        for books in owed:
            response = self._told.get(books.user_id)
            held = None if response is None else balance_in(response)
            if held is not None:
                _compare(facts, books, held)
                continue
            facts["balances_untold"] = facts.get("balances_untold", 0) + 1
            facts.setdefault("balances_untold_first", f"user {books.user_id}: {_why(response) or too_late}")
        return facts


def _compare(facts: dict[str, Any], books: ExpectedBalance, held: int) -> None:
    least, most = books.least, books.most
    facts["users_audited"] += 1
    facts["tokens_expected"] += least
    facts["tokens_unanswered"] += most - least
    facts["tokens_held"] += held
    if not least <= held <= most:
        facts["balances_wrong"] = facts.get("balances_wrong", 0) + 1
        owed = str(least) if least == most else f"{least} to {most}"
        facts.setdefault("balances_wrong_first", f"user {books.user_id} holds {held}, owed {owed}")


def _why(response: Response | None) -> str:
    if response is None:
        return ""
    return str(response.error or f"{response.status} {response.reason}".strip())


def _ask(http: HttpClient, entry: Credentials) -> Response:
    if entry.is_old:
        entry = entry.renewed(http, TIMEOUTS) or entry
    for _ in range(TRIES):
        response = http.get("/tokens/balance", headers=entry.headers, timeouts=TIMEOUTS)
        if response.error is None and response.status < 500:
            break
    return response
