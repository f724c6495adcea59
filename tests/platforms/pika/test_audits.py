from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pika_locust.judge import AuditResult, Ledger
from pika_locust.kit import settling
from pika_locust.platforms.pika import audits
from pika_locust.platforms.pika.audits import audit
from pika_locust.platforms.pika.scenarios import DANCERS, LEDGERS
from pika_locust.scenario import AuditContext
from pika_locust.settings import read_settings

RUN_ID = "0123456789ab"
SESSION = "load-test-session"


class Recaps:
    """An HTTP server with one recap; `answers` are given one after the other, the last one for ever.

    An answer is a status and a body: an object, or text as it is.
    """

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, str | None]] = []
        recaps = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                recaps.asked.append((self.path, self.headers.get("Authorization")))
                answers = recaps.answers
                status, body = answers.pop(0) if len(answers) > 1 else answers[0]
                payload = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *arguments: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.target = f"ws://127.0.0.1:{self._server.server_port}/ws"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def recaps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recaps]:
    monkeypatch.setattr(audits, "SETTLE_S", 0.1)
    monkeypatch.setattr(settling, "LOOK_EVERY_S", 0.01)
    server = Recaps()
    yield server
    server.close()


def track(number: int, likes: int, tempo: tuple[int, int, int] | None = None, run_id: str = RUN_ID) -> dict[str, Any]:
    votes = dict(zip(("slower", "perfect", "faster"), tempo, strict=True)) if tempo is not None else None
    return {
        "position": number,
        "artist": "pika-locust",
        "title": f"LT {number:06d} {run_id} 89abcdef 1",
        "likes": likes,
        "tempo": votes,
    }


def recap(*tracks: dict[str, Any], polls: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    held = {"sessionId": SESSION, "trackCount": len(tracks), "totalLikes": 0, "tracks": list(tracks)}
    return held if polls is None else {**held, "polls": polls}


def poll(number: int, votes: list[int], run_id: str = RUN_ID) -> dict[str, Any]:
    question = f"What next? LT {number:06d} {run_id} 89abcdef 1"
    return {"id": number, "question": question, "votes": votes, "totalVotes": sum(votes)}


def books(likes: int = 5, tempo: int = 4, polls: int = 3, unanswered: int = 0) -> dict[str, Ledger]:
    """Ledgers with so many acknowledged items each, and as many unanswered likes as said."""
    kept = {name: Ledger(name) for name in LEDGERS}
    for name, acked in zip(LEDGERS, (likes, tempo, polls), strict=True):
        for item in range(acked):
            kept[name].sent(f"{item}")
            kept[name].acked(f"{item}")
    for item in range(unanswered):
        kept["likes"].sent(f"late {item}")
        kept["likes"].timed_out(f"late {item}")
    return kept


FACTS = {"run_id": RUN_ID, "session_id": SESSION, "tracks": 2, "poll_votes_seen": 3}
BALANCED = recap(track(1, 3, (1, 0, 1)), track(2, 2, (0, 2, 0)))


def run(
    target: str,
    ledgers: dict[str, Ledger] | None = None,
    facts: dict[str, Any] | None = None,
    state: dict[str, Any] | None = None,
    given: dict[str, Any] | None = None,
    **environ: str,
) -> dict[str, AuditResult]:
    settings, problems = read_settings(DANCERS.settings, environ, "pika")
    assert problems == []
    context = AuditContext(target, settings, ledgers or books(), FACTS if facts is None else facts, state, given or {})
    return {result.name: result for result in audit(context)}


def statuses(results: dict[str, AuditResult]) -> list[str]:
    return [results[name].status for name in LEDGERS]


def test_what_was_acknowledged_is_held(recaps: Recaps) -> None:
    recaps.answers = [(200, BALANCED)]
    results = run(recaps.target)
    assert statuses(results) == ["pass", "pass", "not_observed"]
    assert [(results[name].expected, results[name].actual) for name in LEDGERS] == [(5, 5), (4, 4), (3, None)]
    assert results["poll votes"].detail == (
        "the DJ was told of 3, but only the session's owner is shown what is stored: set PIKA_DJ_TOKEN"
    )
    assert recaps.asked == [(f"/api/session/{SESSION}/recap", None)]


def test_a_like_that_was_acknowledged_and_is_not_there(recaps: Recaps) -> None:
    recaps.answers = [(200, recap(track(1, 2, (1, 0, 1)), track(2, 2, (0, 2, 0))))]
    results = run(recaps.target)
    assert statuses(results) == ["fail", "pass", "not_observed"]
    assert (results["likes"].expected, results["likes"].actual) == (5, 4)
    assert "1 of 5 acknowledged are not stored" in results["likes"].detail
    assert len(recaps.asked) > 2, "it might only have been slow"


def test_a_like_that_is_there_twice(recaps: Recaps) -> None:
    recaps.answers = [(200, recap(track(1, 4, (1, 0, 1)), track(2, 2, (0, 2, 0))))]
    results = run(recaps.target)
    assert statuses(results) == ["fail", "pass", "not_observed"]
    assert "1 more than" in results["likes"].detail


def test_tempo_votes_that_were_lost_with_their_track(recaps: Recaps) -> None:
    recaps.answers = [(200, recap(track(1, 3, None), track(2, 2, (0, 2, 0))))]
    assert statuses(run(recaps.target)) == ["pass", "fail", "not_observed"]


def test_a_poll_vote_that_the_dj_was_never_told_of(recaps: Recaps) -> None:
    recaps.answers = [(200, BALANCED)]
    assert statuses(run(recaps.target, facts={**FACTS, "poll_votes_seen": 2})) == ["pass", "pass", "fail"]


def test_no_votes_at_all_is_none(recaps: Recaps) -> None:
    recaps.answers = [(200, recap(track(1, 5, None)))]
    facts = {"run_id": RUN_ID, "session_id": SESSION}
    assert statuses(run(recaps.target, books(5, 0, 0), facts)) == ["pass", "pass", "pass"]


UNANSWERED = {
    "none of the unanswered is held": (5, "pass"),
    "some are": (6, "pass"),
    "all are": (7, "pass"),
    "more are held than were ever sent": (8, "fail"),
    "acknowledged ones are missing": (4, "fail"),
}


@pytest.mark.parametrize(("held", "status"), UNANSWERED.values(), ids=UNANSWERED.keys())
def test_what_stayed_unanswered_may_be_held_or_not(held: int, status: str, recaps: Recaps) -> None:
    recaps.answers = [(200, recap(track(1, held, (0, 4, 0))))]
    result = run(recaps.target, books(unanswered=2))["likes"]
    assert (result.status, result.unanswered) == (status, 2)


def test_a_database_that_is_behind_gets_time_to_catch_up(recaps: Recaps) -> None:
    behind = recap(track(1, 1, None), track(2, 0, None))
    recaps.answers = [(200, behind), (200, behind), (503, {"error": "Database unavailable"}), (200, BALANCED)]
    assert statuses(run(recaps.target)) == ["pass", "pass", "not_observed"]
    assert len(recaps.asked) == 4


NO_RECAP = "was answered with JSON that is no recap"
WITHOUT: dict[str, tuple[tuple[int, Any], str]] = {
    "a server that failed": ((503, "no database"), "was answered 503 Service Unavailable (no database)"),
    "a token that is refused": ((401, {"error": "who?"}), "was answered 401 Unauthorized (who?)"),
    "a page that is no JSON": ((200, "<html>welcome</html>"), "was answered 200 OK (welcome): no JSON"),
    "JSON that is no recap": ((200, [1, 2, 3]), NO_RECAP),
    "a recap without tracks": ((200, {"sessionId": SESSION}), NO_RECAP),
    "tracks without likes": ((200, {"tracks": [{"title": f"LT {RUN_ID}"}]}), NO_RECAP),
    "tracks that are none": ((200, {"tracks": [1, None]}), NO_RECAP),
    "tempo that is a number": ((200, {"tracks": [{"title": f"LT {RUN_ID}", "likes": 5, "tempo": 7}]}), NO_RECAP),
    "likes that are a word": ((200, {"tracks": [{"title": f"LT {RUN_ID}", "likes": "x", "tempo": None}]}), NO_RECAP),
}


@pytest.mark.parametrize(("answer", "why"), WITHOUT.values(), ids=WITHOUT.keys())
def test_a_recap_that_cannot_be_read_is_no_pass(answer: tuple[int, Any], why: str, recaps: Recaps) -> None:
    recaps.answers = [answer]
    results = run(recaps.target, books(unanswered=2))
    assert statuses(results) == ["fail"] * 3
    assert results["likes"].detail.startswith("what the target stores could not be read: GET http://127.0.0.1:")
    assert results["likes"].detail.endswith(why)
    assert (results["likes"].expected, results["likes"].actual, results["likes"].unanswered) == (5, None, 2)
    assert len(recaps.asked) > 1, "it might have been out of breath"


def test_a_session_that_the_target_has_forgotten_is_lost_with_all_that_was_acknowledged(recaps: Recaps) -> None:
    recaps.answers = [(404, {"error": "Session not found"})]
    results = run(recaps.target)
    assert statuses(results) == ["fail"] * 3
    assert (results["likes"].expected, results["likes"].actual) == (5, 0)


def test_a_target_that_is_gone(recaps: Recaps) -> None:
    recaps.answers = [(200, BALANCED)]
    results = run("ws://al:pa55@127.0.0.1:1/ws", books(unanswered=2))
    assert statuses(results) == ["fail"] * 3
    assert results["likes"].detail.endswith(f"/api/session/{SESSION}/recap: 127.0.0.1:1 refused the connection")
    assert "pa55" not in repr(results)


def test_tracks_of_other_runs_in_the_same_session_are_not_ours(recaps: Recaps) -> None:
    foreign = (track(1, 70, (9, 9, 9), run_id="ba9876543210"), {**track(2, 8), "title": "Take Five"})
    recaps.answers = [(200, recap(*foreign, track(1, 3, (1, 0, 1)), track(2, 2, (0, 2, 0))))]
    assert statuses(run(recaps.target)) == ["pass", "pass", "not_observed"]


def test_the_owner_is_shown_the_polls_which_outweigh_what_the_dj_heard(recaps: Recaps) -> None:
    polls = [poll(1, [1, 0]), poll(2, [0, 1]), poll(1, [50, 50], run_id="ba9876543210")]
    recaps.answers = [(200, recap(track(1, 5, (0, 4, 0)), polls=polls))]
    results = run(recaps.target, PIKA_DJ_TOKEN="pk_dj_0123456789")
    assert statuses(results) == ["pass", "pass", "fail"]
    assert (results["poll votes"].expected, results["poll votes"].actual) == (3, 2)
    assert recaps.asked[0][1] == "Bearer pk_dj_0123456789"
    assert "pk_dj" not in repr(results)


def test_a_sandbox_shows_its_books_on_polls(recaps: Recaps) -> None:
    recaps.answers = [(200, BALANCED)]
    state = {"polls": [poll(1, [1, 1]), poll(2, [1, 0]), poll(1, [9, 9], run_id="ba9876543210")]}
    facts = {**FACTS, "poll_votes_seen": 99}
    assert statuses(run(recaps.target, facts=facts, state=state)) == ["pass", "pass", "pass"]
    state["polls"].pop(0)
    assert statuses(run(recaps.target, facts=facts, state=state)) == ["pass", "pass", "fail"]


NEW_SESSION = {"before": {"likes": 0, "poll votes": 0}}

OF_ANOTHER_DJ = {
    "as many as acknowledged": (5, "pass"),
    "others have liked as well": (70, "pass"),
    "one is lost": (4, "fail"),
}


@pytest.mark.parametrize(("held", "status"), OF_ANOTHER_DJ.values(), ids=OF_ANOTHER_DJ)
def test_in_another_djs_session_what_was_acknowledged_is_held_at_least(held: int, status: str, recaps: Recaps) -> None:
    recaps.answers = [(200, recap({**track(1, held), "title": "Take Five"}))]
    results = run(recaps.target, given=NEW_SESSION, PIKA_DJ="external", SESSION_ID="friday-session")
    assert statuses(results) == [status, "not_observed", "not_observed"]
    assert recaps.asked[0][0] == "/api/session/friday-session/recap"
    assert "someone else is the DJ" in results["tempo votes"].detail


def test_the_owner_of_another_djs_session_is_shown_its_polls(recaps: Recaps) -> None:
    recaps.answers = [(200, recap(track(1, 5), polls=[{**poll(1, [1, 1]), "question": "Slower?"}]))]
    results = run(recaps.target, given=NEW_SESSION, PIKA_DJ="external", PIKA_DJ_TOKEN="pk_dj_0123456789")
    assert statuses(results) == ["pass", "not_observed", "fail"]
    assert (results["poll votes"].expected, results["poll votes"].actual) == (3, 2)


HELD_BEFORE = {"all is stored": (505, 203, "pass"), "none is stored": (500, 200, "fail")}


@pytest.mark.parametrize(("likes", "votes", "status"), HELD_BEFORE.values(), ids=HELD_BEFORE)
def test_what_another_djs_session_held_before_is_none_of_ours(
    likes: int, votes: int, status: str, recaps: Recaps
) -> None:
    recaps.answers = [(200, recap(track(1, likes), polls=[poll(1, [votes, 0])]))]
    before = {"before": {"likes": 500, "poll votes": 200}}
    results = run(recaps.target, given=before, PIKA_DJ="external", PIKA_DJ_TOKEN="pk_dj_0123456789")
    assert statuses(results) == [status, "not_observed", status]
    assert results["likes"].actual == likes - 500
    assert "500 more were there before the load" in results["likes"].detail


def test_a_recap_that_could_not_be_read_before_is_no_pass(recaps: Recaps) -> None:
    recaps.answers = [(200, BALANCED)]
    result = run(recaps.target, PIKA_DJ="external")["likes"]
    assert result.status == "fail"
    assert "could not be read before the load" in result.detail


@pytest.mark.parametrize("dj", ["own", "external"])
def test_a_token_that_is_not_the_owners_is_an_error(dj: str, recaps: Recaps) -> None:
    recaps.answers = [(200, BALANCED)]
    result = run(recaps.target, given=NEW_SESSION, PIKA_DJ=dj, PIKA_DJ_TOKEN="pk_dj_0123456789")["poll votes"]
    assert result.status == "fail"
    assert "PIKA_DJ_TOKEN is not the token of the session's owner" in result.detail


def test_where_our_dj_never_went_live_nothing_is_claimed(recaps: Recaps) -> None:
    results = run(recaps.target, books(0, 0, 0), facts={"run_id": RUN_ID})
    assert statuses(results) == ["not_observed"] * 3
    assert {result.detail for result in results.values()} == {"no session was ever live"}


EXPIRY = {
    "tracks of four minutes": ("4m", "fail"),
    "the last one may be too long": ("5m", "not_observed"),
    "tracks of ten minutes": ("10m", "not_observed"),
}


@pytest.mark.parametrize(("every", "status"), EXPIRY.values(), ids=EXPIRY.keys())
def test_tempo_votes_expire_before_long_tracks_end(every: str, status: str, recaps: Recaps) -> None:
    recaps.answers = [(200, recap(track(1, 5, None)))]
    results = run(recaps.target, TRACK_EVERY=every)
    assert results["tempo votes"].status == status
    assert results["likes"].status == "pass"
    if status == "not_observed":
        assert results["tempo votes"].detail.startswith("votes expire after 300 s, and the last of ")


def test_a_session_of_any_name_is_asked_for_by_its_name(recaps: Recaps) -> None:
    recaps.answers = [(200, BALANCED)]
    run(recaps.target, facts={**FACTS, "session_id": "friday session/#1?"})
    assert recaps.asked[0][0] == "/api/session/friday%20session%2F%231%3F/recap"


def test_a_server_below_a_path_is_asked_there(recaps: Recaps) -> None:
    recaps.answers = [(200, BALANCED)]
    run(recaps.target.replace("/ws", "/pika/ws"))
    assert recaps.asked[0][0] == f"/pika/api/session/{SESSION}/recap"
