from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from pika_locust.platforms.pika import messages
from pika_locust.platforms.pika.dancer import Dancer
from pika_locust.platforms.pika.dj import FIRST_DANCERS_S, Dj
from pika_locust.platforms.pika.world import PLATFORM
from pika_locust.testing.virtual_server import VirtualServer
from pika_locust.wire.websocket import Close
from tests.platforms.pika.harness import RUN_ID, SESSION, Harness, VirtualSocket, refuse


class AnsweredDj:
    """A DJ whose every message is acknowledged, unless `refused` or `ignored` names its type."""

    def __init__(self, harness: Harness, planned_s: float | None = 60.0, **environ: str) -> None:
        self.harness = harness
        self.refused: set[str] = set()
        self.ignored: set[str] = set()
        self.polls = 0
        self.votes = 0
        harness.make_context(planned_s=planned_s, **environ)
        harness.connect = self._connect
        harness.start(Dj)
        harness.time.run(0.001)

    @property
    def socket(self) -> VirtualSocket:
        """The DJ's connection, not that of its second screen."""
        return [socket for socket in self.harness.sockets if isinstance(socket.handler, Dj)][-1]

    def _connect(self, handler: Any) -> VirtualSocket:
        socket = VirtualSocket(self.harness, handler)
        push = self.harness.later
        socket.on_send = lambda payload: push(0.01, self._answer, socket, json.loads(payload)) and None
        socket.on_leave = lambda: push(0.01, socket.drop, Close(1000, by_us=True)) and None
        return socket

    def _answer(self, socket: VirtualSocket, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind in self.ignored:
            return
        if kind in self.refused:
            socket.hear({"type": "NACK", "messageId": message["messageId"], "error": "Session not found"})
            return
        if kind == "REGISTER_SESSION":
            socket.hear({"type": "SESSION_REGISTERED", "sessionId": SESSION, "authenticated": False, "djName": "DJ"})
        if kind == "START_POLL":
            self.polls += 1
        if kind == "END_SESSION":
            self.harness.sockets[-1].hear({"type": "SESSION_ENDED", "sessionId": SESSION})
        socket.ack(message) if "messageId" in message else socket.hear({"type": "PONG"})

    def listeners(self, count: object = 1, session: str = SESSION) -> None:
        self.socket.hear({"type": "LISTENER_COUNT", "sessionId": session, "count": count})
        self.harness.time.run(FIRST_DANCERS_S + 0.1)

    def vote(self, poll_id: object, total: object, session: str = SESSION) -> None:
        votes = {"type": "POLL_UPDATE", "pollId": poll_id, "votes": [1], "totalVotes": total, "sessionId": session}
        self.socket.hear(votes)

    def end(self) -> None:
        self.harness.drain("supporter")
        self.harness.time.run(15.0)


def test_a_session_goes_live_is_played_to_and_ends_in_order(harness: Harness) -> None:
    dj = AnsweredDj(harness)
    assert dj.socket.kinds() == ["REGISTER_SESSION"]
    harness.time.run(3.0)
    assert dj.socket.kinds() == ["REGISTER_SESSION"]
    assert harness.worker.supporters_ready.is_set()
    assert harness.worker.facts == {"session_id": SESSION}
    dj.listeners()
    harness.time.run(32.0)
    assert dj.socket.kinds()[1:] == [
        "BROADCAST_TRACK",
        "BROADCAST_TRACK",
        "SEND_ANNOUNCEMENT",
        "BROADCAST_TRACK",
        "START_POLL",
        "PING",
        "BROADCAST_TRACK",
    ]
    dj.end()
    assert dj.socket.kinds()[-1] == "END_SESSION"
    assert dj.socket.closed == Close(1000, by_us=True)
    assert not harness.worker.actors("supporter")
    assert harness.worker.facts["tracks"] == 4
    assert harness.worker.rate_of("ws_connection_success", actor="dj") == (1, 0)
    assert harness.worker.rate_of("ack_success")[1] == 0
    assert harness.worker.count_of("ws_connection_errors") == 0
    assert harness.worker.errors == {}


def test_nothing_is_played_when_nobody_listens(harness: Harness) -> None:
    dj = AnsweredDj(harness)
    dj.listeners(0)
    dj.listeners(3, session="another-session")
    dj.listeners("many")
    harness.time.run(60.0)
    assert dj.socket.kinds() == ["REGISTER_SESSION"]
    dj.end()
    assert dj.socket.kinds() == ["REGISTER_SESSION", "END_SESSION"]


def test_tracks_are_apart_as_set_and_each_is_stamped_when_it_is_sent(harness: Harness) -> None:
    dj = AnsweredDj(harness, TRACK_EVERY="7s")
    dj.listeners()
    harness.time.run(70.0)
    played = [(at_s, message) for at_s, message in dj.socket.sent if message["type"] == "BROADCAST_TRACK"]
    assert len(played) == 11
    assert {round(later[0] - earlier[0], 3) for earlier, later in itertools.pairwise(played)} == {7.0}
    stamps = [messages.find_stamp(json.dumps(message).encode()) for _, message in played]
    assert [stamp.number for stamp in stamps if stamp] == list(range(1, 12))
    assert {stamp.run_id for stamp in stamps if stamp} == {RUN_ID}
    sent_s = [round((stamp.sent_ns - stamps[0].sent_ns) / 1e9, 3) for stamp in stamps if stamp and stamps[0]]
    assert sent_s == [7.0 * number for number in range(11)]


def test_a_track_that_was_held_up_holds_up_the_rest(harness: Harness) -> None:
    """A generator that stood still must not make up for it: tracks less than 5 s apart are refused."""
    dj = AnsweredDj(harness, TRACK_EVERY="5.2s")
    dj.listeners()
    harness.time.run(4.0)
    harness.time.stand_still(3.0)
    harness.time.run(30.0)
    at_s = dj.socket.times("BROADCAST_TRACK")
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(at_s)]
    assert max(gaps_s) > 6.0
    assert min(gaps_s) >= 5.2 - 1e-6


def test_what_is_acknowledged_is_told_to_everybody_and_nothing_else(harness: Harness) -> None:
    dj = AnsweredDj(harness)
    dj.refused = {"SEND_ANNOUNCEMENT"}
    dj.listeners()
    harness.time.run(32.0)
    told = [(data["kind"], data["number"]) for topic, data in harness.worker.published if topic == "broadcast"]
    assert told == [("track", 1), ("track", 2), ("track", 3), ("poll", 1), ("track", 4)]
    assert harness.worker.rate_of("ack_success", kind="announcement") == (0, 1)


def test_a_poll_is_ended_as_soon_as_its_number_is_known_and_its_time_is_over(harness: Harness) -> None:
    dj = AnsweredDj(harness, TRACK_EVERY="6s")
    dj.listeners()
    harness.time.run(14.0)
    assert dj.polls == 1
    dj.vote(41, 3)
    dj.vote(41, 5)
    dj.vote(8, 99, session="another-session")
    assert harness.worker.facts["poll_votes_seen"] == 5
    harness.time.run(10.0)
    assert [message["pollId"] for message in dj.socket.of("END_POLL")] == [41]


def test_a_poll_is_ended_before_the_session(harness: Harness) -> None:
    dj = AnsweredDj(harness, TRACK_EVERY="6s")
    dj.listeners()
    harness.time.run(14.0)
    dj.vote(41, 3)
    dj.end()
    assert dj.socket.kinds()[-2:] == ["END_POLL", "END_SESSION"]


def test_a_last_vote_told_after_the_end_of_its_poll_counts_and_ends_nothing_twice(harness: Harness) -> None:
    dj = AnsweredDj(harness, TRACK_EVERY="6s")
    dj.listeners()
    harness.time.run(14.0)
    dj.vote(41, 3)
    harness.time.run(8.0)
    dj.vote(41, 4)
    dj.end()
    assert [message["pollId"] for message in dj.socket.of("END_POLL")] == [41]
    assert harness.worker.facts["poll_votes_seen"] == 4
    assert harness.worker.rate_of("ack_success", kind="end_poll") == (1, 0)


def test_the_dj_stays_until_the_end_of_the_session_is_acknowledged(harness: Harness) -> None:
    """Not only until that of the poll is, which is sent just before."""
    dj = AnsweredDj(harness, TRACK_EVERY="6s")
    dj.listeners()
    harness.time.run(14.0)
    dj.vote(41, 3)
    dj.ignored = {"END_SESSION"}
    harness.drain("supporter")
    harness.time.run(2.0)
    assert dj.socket.is_open
    harness.sockets[-1].hear({"type": "SESSION_ENDED", "sessionId": SESSION})
    dj.socket.ack(dj.socket.of("END_SESSION")[0])
    harness.time.run(1.0)
    assert dj.socket.closed == Close(1000, by_us=True)
    assert harness.worker.rate_of("ack_success", kind="end_session") == (1, 0)


def test_a_dj_whose_end_session_nobody_answers_leaves_within_the_time_it_has(harness: Harness) -> None:
    dj = AnsweredDj(harness)
    dj.listeners()
    dj.ignored = {"END_SESSION"}
    dj.end()
    assert not harness.worker.actors("supporter")
    assert harness.worker.rate_of("ack_success", kind="end_session") == (0, 1)


def test_a_refused_registration_is_a_failed_connection_and_is_tried_again_with_growing_pauses(harness: Harness) -> None:
    harness.time.run(1.0)
    dj = AnsweredDj(harness)
    dj.refused = {"REGISTER_SESSION"}
    harness.time.run(40.0)
    pauses_s = [round(later - earlier, 1) for earlier, later in itertools.pairwise(harness.dials_s)]
    assert pauses_s[:4] == [1.0, 2.0, 4.0, 8.0]
    passes, fails = harness.worker.rate_of("ws_connection_success", actor="dj")
    assert passes == 0
    assert fails == len(harness.dials_s)
    assert harness.worker.supporters_ready.is_set()
    assert "session_id" not in harness.worker.facts
    assert sum(socket.is_open for socket in harness.sockets) <= 1
    assert harness.worker.errors_of("dj connection") == ["REGISTER_SESSION: Session not found"]


def test_a_silent_server_costs_one_connection_at_a_time(harness: Harness) -> None:
    """Not the rest of one that nobody closes, too."""

    def connect(handler: Any) -> VirtualSocket:
        socket = VirtualSocket(harness, handler)
        lost = Close(1006, by_us=True, error="our close frame was not answered")
        socket.on_leave = lambda: harness.later(5.0, socket.drop, lost) and None
        return socket

    harness.make_context()
    harness.connect = connect
    harness.start(Dj)
    most_open = 0
    for _ in range(900):
        harness.time.run(0.1)
        most_open = max(most_open, sum(socket.is_open for socket in harness.sockets))
    assert most_open == 1
    assert len(harness.dials_s) >= 4
    assert harness.worker.rate_of("ws_connection_success", actor="dj")[0] == 0
    assert harness.worker.errors_of("dj connection") == ["REGISTER_SESSION: no answer within 5 s"]


def test_a_server_that_is_off_is_dialled_with_growing_pauses_and_dancers_wait_no_longer(harness: Harness) -> None:
    harness.make_context()
    harness.connect = refuse
    harness.start(Dj)
    harness.time.run(100.0)
    pauses_s = [round(later - earlier, 3) for earlier, later in itertools.pairwise(harness.dials_s)]
    assert pauses_s == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert harness.worker.rate_of("ws_connection_success", actor="dj") == (0, 8)
    assert harness.worker.count_of("ws_connection_errors") == 8
    assert harness.worker.supporters_ready.is_set()
    assert harness.worker.errors_of("connect") == ["connection refused"]


def test_a_lost_connection_is_an_error_and_the_dj_goes_live_again(harness: Harness) -> None:
    dj = AnsweredDj(harness, TRACK_EVERY="6s")
    dj.listeners()
    harness.time.run(7.0)
    dj.socket.drop(Close(1006, error="the server ended the connection without a close frame"))
    harness.time.run(2.0)
    dj.listeners()
    harness.time.run(6.0)
    assert dj.socket.kinds() == ["REGISTER_SESSION", "BROADCAST_TRACK", "BROADCAST_TRACK"]
    numbers = [messages.find_stamp(json.dumps(message).encode()) for message in dj.socket.of("BROADCAST_TRACK")]
    assert [stamp.number for stamp in numbers if stamp] == [3, 4]
    assert harness.worker.count_of("ws_connection_errors") == 1
    assert harness.worker.rate_of("ws_connection_success", actor="dj") == (2, 0)


def test_who_has_been_played_to_is_not_waited_for_again(harness: Harness) -> None:
    """Dancers subscribe again on the connections that they have: the server counts none of them as new."""
    dj = AnsweredDj(harness, TRACK_EVERY="6s")
    dj.listeners()
    dj.socket.drop(Close(1006, error="the server ended the connection without a close frame"))
    harness.time.run(10.0)
    assert dj.socket.kinds() == ["REGISTER_SESSION", "BROADCAST_TRACK", "BROADCAST_TRACK"]


def test_a_token_is_sent_and_never_told(harness: Harness) -> None:
    dj = AnsweredDj(harness, PIKA_DJ_TOKEN="pk_dj_0123456789")
    assert dj.socket.of("REGISTER_SESSION")[0]["token"] == "pk_dj_0123456789"
    assert "pk_dj" not in repr((harness.worker.published, harness.worker.facts, harness.worker.begin))


GARBAGE = [
    b"",
    b"{",
    b"null",
    b"[" * 50_000,
    b'{"type":"ACK"}',
    b'{"type":"NACK","messageId":{}}',
    b'{"type":"LISTENER_COUNT"}',
    b'{"type":"LISTENER_COUNT","sessionId":"load-test-session","count":"3"}',
    b'{"type":"LISTENER_COUNT","sessionId":"load-test-session","count":null}',
    b'{"type":"POLL_UPDATE","sessionId":"load-test-session"}',
    b'{"type":"POLL_UPDATE","sessionId":"load-test-session","pollId":[],"totalVotes":{}}',
    b'{"type":"POLL_UPDATE","sessionId":"load-test-session","pollId":3,"totalVotes":"4"}',
    b'{"type":"POLL_UPDATE","pollId":3',
]


def test_garbage_does_a_dj_no_harm(harness: Harness) -> None:
    dj = AnsweredDj(harness)
    for payload in GARBAGE:
        dj.socket.hear(payload)
    dj.listeners()
    assert dj.socket.kinds() == ["REGISTER_SESSION", "BROADCAST_TRACK"]
    assert (
        harness.worker.count_of("dj_messages_received") == len(GARBAGE) + 4
    )  # registered, its ACK, a listener, a track's ACK
    assert "poll_votes_seen" not in harness.worker.facts


PLANNED = {"the shortest run": 12.0, "a minute": 60.0, "eleven minutes": 660.0}


@pytest.mark.parametrize("planned_s", PLANNED.values(), ids=PLANNED.keys())
def test_a_whole_run_is_accepted_and_adds_up(planned_s: float, harness: Harness) -> None:
    harness.make_context(planned_s=planned_s)
    with VirtualServer(harness.time, PLATFORM, way_s=0.004) as server:
        harness.start(Dj)
        for _ in range(20):
            harness.start(Dancer)
        harness.time.run(planned_s)
        harness.drain("primary")
        harness.time.run(8.0)
        assert not harness.worker.actors("primary")
        harness.drain("supporter")
        harness.time.run(8.0)
        assert not harness.worker.actors("supporter")
        harness.worker.end()
        state = server.state()
    for ledger, held in (("likes", "likes_held"), ("tempo votes", "tempo_held"), ("poll votes", "poll_votes_held")):
        expected = harness.worker.ledgers[ledger].expect()
        assert expected.acknowledged <= state[held] <= expected.acknowledged + expected.unanswered
        assert expected.consistent
    assert harness.worker.ledger_of("likes")["acked"] > 0
    assert harness.worker.facts["tracks"] == state["tracks_held"]
    assert harness.worker.facts.get("poll_votes_seen", 0) == state["poll_votes_held"]
    assert harness.worker.rate_of("ack_success")[1] == harness.worker.rate_of("fanout_delivery")[1] == 0
    assert harness.worker.rate_of("ws_session_live") == (20, 0)
    assert harness.worker.rate_of("ws_connection_success") == (21, 0)
    assert [poll["status"] for poll in state["polls"] if sum(poll["votes"])] == [
        "ended" for poll in state["polls"] if sum(poll["votes"])
    ]
    assert harness.worker.errors == {}


def test_the_second_screen_is_closed_however_the_dj_ends(harness: Harness) -> None:
    dj = AnsweredDj(harness)
    dj.listeners()
    dj.ignored = {"END_SESSION"}
    harness.drain("supporter")
    harness.time.run(1.0)
    screen = harness.sockets[-1]
    assert (screen.is_open, screen is not dj.socket) == (True, True)
    harness.time.run(10.0)
    assert (screen.is_open, dj.socket.is_open) == (False, False)
    assert harness.worker.rate_of("fanout_delivery", kind="session_end") == (0, 0)


def test_without_a_second_screen_the_end_of_the_session_is_not_judged(harness: Harness) -> None:
    dj = AnsweredDj(harness)
    dj.listeners()
    harness.connect = refuse
    dj.end()
    assert dj.socket.kinds()[-1] == "END_SESSION"
    assert harness.worker.rate_of("fanout_delivery", kind="session_end") == (0, 0)
    assert harness.worker.errors_of("listener") == ["connection refused"]


def test_a_session_that_another_dj_takes_over_is_an_error(harness: Harness) -> None:
    dj = AnsweredDj(harness)
    dj.socket.hear({"type": "SESSION_STARTED", "sessionId": "another-session", "djName": "DJ"})
    assert harness.worker.errors_of("session") == []
    dj.socket.hear({"type": "SESSION_STARTED", "sessionId": SESSION, "djName": "DJ"})
    assert harness.worker.errors_of("session") == ["another DJ has taken our session over"]
