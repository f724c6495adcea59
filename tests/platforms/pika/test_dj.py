from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from pika_locust.platforms.pika import messages
from pika_locust.platforms.pika.dancer import Dancer
from pika_locust.platforms.pika.dj import FIRST_DANCERS_S, Dj
from pika_locust.wire.websocket import Close
from tests.platforms.pika.evening import RUN_ID, SESSION, Evening, Wire, refused_dial
from tests.platforms.pika.virtual_server import VirtualServer


class Booth:
    """A DJ whose every message is acknowledged, unless `refused` or `ignored` names its type."""

    def __init__(self, evening: Evening, planned_s: float | None = 60.0, **environ: str) -> None:
        self.evening = evening
        self.refused: set[str] = set()
        self.ignored: set[str] = set()
        self.polls = 0
        self.votes = 0
        evening.make_context(planned_s=planned_s, **environ)
        evening.connect = self._connect
        self.dj = evening.start(Dj)
        evening.clock.run(0.001)

    @property
    def wire(self) -> Wire:
        return self.evening.wires[-1]

    @property
    def room(self) -> Any:
        return self.evening.room

    def _connect(self, handler: Any) -> Wire:
        wire = Wire(self.evening, handler)
        wire.on_send = lambda payload: self.evening.clock.push(0.01, self._answer, wire, json.loads(payload)) and None
        wire.on_leave = lambda: self.evening.clock.push(0.01, wire.drop, Close(1000, by_us=True)) and None
        return wire

    def _answer(self, wire: Wire, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind in self.ignored:
            return
        if kind in self.refused:
            wire.hear({"type": "NACK", "messageId": message["messageId"], "error": "Session not found"})
            return
        if kind == "REGISTER_SESSION":
            wire.hear({"type": "SESSION_REGISTERED", "sessionId": SESSION, "authenticated": False, "djName": "DJ"})
        if kind == "START_POLL":
            self.polls += 1
        wire.ack(message) if "messageId" in message else wire.hear({"type": "PONG"})

    def listeners(self, count: object = 1, session: str = SESSION) -> None:
        self.wire.hear({"type": "LISTENER_COUNT", "sessionId": session, "count": count})
        self.evening.clock.run(FIRST_DANCERS_S + 0.1)

    def vote(self, poll_id: object, total: object, session: str = SESSION) -> None:
        votes = {"type": "POLL_UPDATE", "pollId": poll_id, "votes": [1], "totalVotes": total, "sessionId": session}
        self.wire.hear(votes)

    def end(self) -> None:
        self.evening.drain("supporter")
        self.evening.clock.run(15.0)


def test_a_session_goes_live_plays_and_ends_in_order(evening: Evening) -> None:
    booth = Booth(evening)
    assert booth.wire.kinds() == ["REGISTER_SESSION"]
    evening.clock.run(3.0)
    assert booth.wire.kinds() == ["REGISTER_SESSION"]
    assert evening.worker.supporters_ready.is_set()
    assert evening.worker.facts == {"session_id": SESSION}
    booth.listeners()
    evening.clock.run(32.0)
    assert booth.wire.kinds()[1:] == [
        "BROADCAST_TRACK",
        "BROADCAST_TRACK",
        "SEND_ANNOUNCEMENT",
        "BROADCAST_TRACK",
        "START_POLL",
        "PING",
        "BROADCAST_TRACK",
    ]
    booth.end()
    assert booth.wire.kinds()[-1] == "END_SESSION"
    assert booth.wire.closed == Close(1000, by_us=True)
    assert not evening.worker.actors("supporter")
    assert evening.worker.facts["tracks"] == 4
    assert evening.rate("ws_connection_success", actor="dj") == (1, 0)
    assert evening.rate("ack_success")[1] == 0
    assert evening.count("ws_connection_errors") == 0
    assert evening.worker.errors == {}


def test_nothing_is_played_to_an_empty_room(evening: Evening) -> None:
    booth = Booth(evening)
    booth.listeners(0)
    booth.listeners(3, session="another-room")
    booth.listeners("many")
    evening.clock.run(60.0)
    assert booth.wire.kinds() == ["REGISTER_SESSION"]
    booth.end()
    assert booth.wire.kinds() == ["REGISTER_SESSION", "END_SESSION"]


def test_tracks_are_apart_as_set_and_each_is_stamped_when_it_is_sent(evening: Evening) -> None:
    booth = Booth(evening, TRACK_EVERY="7s")
    booth.listeners()
    evening.clock.run(70.0)
    played = [(at_s, message) for at_s, message in booth.wire.sent if message["type"] == "BROADCAST_TRACK"]
    assert len(played) == 11
    assert {round(later[0] - earlier[0], 3) for earlier, later in itertools.pairwise(played)} == {7.0}
    stamps = [messages.find_stamp(json.dumps(message).encode()) for _, message in played]
    assert [stamp.number for stamp in stamps if stamp] == list(range(1, 12))
    assert {stamp.run_id for stamp in stamps if stamp} == {RUN_ID}
    sent_s = [round((stamp.sent_ns - stamps[0].sent_ns) / 1e9, 3) for stamp in stamps if stamp and stamps[0]]
    assert sent_s == [7.0 * number for number in range(11)]


def test_a_track_that_was_held_up_holds_up_the_rest(evening: Evening) -> None:
    """A generator that stood still must not make up for it: tracks less than 5 s apart are refused."""
    booth = Booth(evening, TRACK_EVERY="5.2s")
    booth.listeners()
    evening.clock.run(4.0)
    evening.clock.stand_still(3.0)
    evening.clock.run(30.0)
    at_s = booth.wire.times("BROADCAST_TRACK")
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(at_s)]
    assert max(gaps_s) > 6.0
    assert min(gaps_s) >= 5.2 - 1e-6


def test_what_is_acknowledged_is_told_to_everybody_and_nothing_else(evening: Evening) -> None:
    booth = Booth(evening)
    booth.refused = {"SEND_ANNOUNCEMENT"}
    booth.listeners()
    evening.clock.run(32.0)
    told = [(data["kind"], data["number"]) for topic, data in evening.told if topic == "broadcast"]
    assert told == [("track", 1), ("track", 2), ("track", 3), ("poll", 1), ("track", 4)]
    assert evening.rate("ack_success", kind="announcement") == (0, 1)


def test_a_poll_is_ended_as_soon_as_its_number_is_known_and_its_time_is_over(evening: Evening) -> None:
    booth = Booth(evening, TRACK_EVERY="6s")
    booth.listeners()
    evening.clock.run(14.0)
    assert booth.polls == 1
    booth.vote(41, 3)
    booth.vote(41, 5)
    booth.vote(8, 99, session="another-room")
    assert evening.worker.facts["poll_votes_seen"] == 5
    evening.clock.run(10.0)
    assert [message["pollId"] for message in booth.wire.of("END_POLL")] == [41]


def test_a_poll_is_ended_before_the_session(evening: Evening) -> None:
    booth = Booth(evening, TRACK_EVERY="6s")
    booth.listeners()
    evening.clock.run(14.0)
    booth.vote(41, 3)
    booth.end()
    assert booth.wire.kinds()[-2:] == ["END_POLL", "END_SESSION"]


def test_a_last_vote_told_after_the_end_of_its_poll_counts_and_ends_nothing_twice(evening: Evening) -> None:
    booth = Booth(evening, TRACK_EVERY="6s")
    booth.listeners()
    evening.clock.run(14.0)
    booth.vote(41, 3)
    evening.clock.run(8.0)
    booth.vote(41, 4)
    booth.end()
    assert [message["pollId"] for message in booth.wire.of("END_POLL")] == [41]
    assert evening.worker.facts["poll_votes_seen"] == 4
    assert evening.rate("ack_success", kind="end_poll") == (1, 0)


def test_the_dj_stays_until_the_end_of_the_session_is_acknowledged(evening: Evening) -> None:
    """Not only until that of the poll is, which is sent just before."""
    booth = Booth(evening, TRACK_EVERY="6s")
    booth.listeners()
    evening.clock.run(14.0)
    booth.vote(41, 3)
    booth.ignored = {"END_SESSION"}
    evening.drain("supporter")
    evening.clock.run(2.0)
    assert booth.wire.is_open
    booth.wire.ack(booth.wire.of("END_SESSION")[0])
    evening.clock.run(1.0)
    assert booth.wire.closed == Close(1000, by_us=True)
    assert evening.rate("ack_success", kind="end_session") == (1, 0)


def test_a_dj_whose_goodbye_nobody_answers_leaves_within_the_time_it_has(evening: Evening) -> None:
    booth = Booth(evening)
    booth.listeners()
    booth.ignored = {"END_SESSION"}
    booth.end()
    assert not evening.worker.actors("supporter")
    assert evening.rate("ack_success", kind="end_session") == (0, 1)


def test_a_refused_registration_is_a_failed_connection_and_is_tried_again_with_growing_pauses(evening: Evening) -> None:
    evening.clock.run(1.0)
    booth = Booth(evening)
    booth.refused = {"REGISTER_SESSION"}
    evening.clock.run(40.0)
    pauses_s = [round(later - earlier, 1) for earlier, later in itertools.pairwise(evening.dials_s)]
    assert pauses_s[:4] == [1.0, 2.0, 4.0, 8.0]
    passes, fails = evening.rate("ws_connection_success", actor="dj")
    assert passes == 0
    assert fails == len(evening.dials_s)
    assert evening.worker.supporters_ready.is_set()
    assert "session_id" not in evening.worker.facts
    assert sum(wire.is_open for wire in evening.wires) <= 1
    assert evening.errors("dj connection") == ["REGISTER_SESSION: Session not found"]


def test_a_silent_server_costs_one_connection_at_a_time(evening: Evening) -> None:
    """Not the rest of one that nobody closes, too."""

    def connect(handler: Any) -> Wire:
        wire = Wire(evening, handler)
        lost = Close(1006, by_us=True, error="our close frame was not answered")
        wire.on_leave = lambda: evening.clock.push(5.0, wire.drop, lost) and None
        return wire

    evening.make_context()
    evening.connect = connect
    evening.start(Dj)
    most_open = 0
    for _ in range(900):
        evening.clock.run(0.1)
        most_open = max(most_open, sum(wire.is_open for wire in evening.wires))
    assert most_open == 1
    assert len(evening.dials_s) >= 4
    assert evening.rate("ws_connection_success", actor="dj")[0] == 0
    assert evening.errors("dj connection") == ["REGISTER_SESSION: no answer within 5 s"]


def test_a_server_that_is_off_is_dialled_with_growing_pauses_and_dancers_wait_no_longer(evening: Evening) -> None:
    evening.make_context()
    evening.connect = refused_dial
    evening.start(Dj)
    evening.clock.run(100.0)
    pauses_s = [round(later - earlier, 3) for earlier, later in itertools.pairwise(evening.dials_s)]
    assert pauses_s == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert evening.rate("ws_connection_success", actor="dj") == (0, 8)
    assert evening.count("ws_connection_errors") == 8
    assert evening.worker.supporters_ready.is_set()
    assert evening.errors("connect") == ["connection refused"]


def test_a_lost_connection_is_an_error_and_the_dj_goes_live_again(evening: Evening) -> None:
    booth = Booth(evening, TRACK_EVERY="6s")
    booth.listeners()
    evening.clock.run(7.0)
    booth.wire.drop(Close(1006, error="the server ended the connection without a close frame"))
    evening.clock.run(2.0)
    booth.listeners()
    evening.clock.run(6.0)
    assert booth.wire.kinds() == ["REGISTER_SESSION", "BROADCAST_TRACK", "BROADCAST_TRACK"]
    numbers = [messages.find_stamp(json.dumps(message).encode()) for message in booth.wire.of("BROADCAST_TRACK")]
    assert [stamp.number for stamp in numbers if stamp] == [3, 4]
    assert evening.count("ws_connection_errors") == 1
    assert evening.rate("ws_connection_success", actor="dj") == (2, 0)


def test_a_token_is_sent_and_never_told(evening: Evening) -> None:
    booth = Booth(evening, PIKA_DJ_TOKEN="pk_dj_0123456789")
    assert booth.wire.of("REGISTER_SESSION")[0]["token"] == "pk_dj_0123456789"
    assert "pk_dj" not in repr((evening.told, evening.worker.facts, evening.worker.begin))


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


def test_garbage_does_a_dj_no_harm(evening: Evening) -> None:
    booth = Booth(evening)
    for payload in GARBAGE:
        booth.wire.hear(payload)
    booth.listeners()
    assert booth.wire.kinds() == ["REGISTER_SESSION", "BROADCAST_TRACK"]
    assert evening.count("dj_messages_received") == len(GARBAGE) + 4  # registered, its ACK, a listener, a track's ACK
    assert "poll_votes_seen" not in evening.worker.facts


PLANNED = {"the shortest": 12.0, "a minute": 60.0, "eleven minutes": 660.0}


@pytest.mark.parametrize("planned_s", PLANNED.values(), ids=PLANNED.keys())
def test_a_whole_session_is_accepted_by_the_server_and_adds_up(planned_s: float, evening: Evening) -> None:
    evening.make_context(planned_s=planned_s)
    server = VirtualServer(evening, way_s=0.004)
    evening.start(Dj)
    for _ in range(20):
        evening.start(Dancer)
    evening.clock.run(planned_s)
    evening.drain("primary")
    evening.clock.run(8.0)
    assert not evening.worker.actors("primary")
    evening.drain("supporter")
    evening.clock.run(8.0)
    assert not evening.worker.actors("supporter")
    evening.worker.end()
    state = server.state()
    for ledger, held in (("likes", "likes_held"), ("tempo votes", "tempo_held"), ("poll votes", "poll_votes_held")):
        expected = evening.worker.ledgers[ledger].expect()
        assert expected.acknowledged <= state[held] <= expected.acknowledged + expected.unanswered
        assert expected.consistent
    assert evening.booked("likes")["acked"] > 0
    assert evening.worker.facts["tracks"] == state["tracks_held"]
    assert evening.worker.facts.get("poll_votes_seen", 0) == state["poll_votes_held"]
    assert evening.rate("ack_success")[1] == evening.rate("fanout_delivery")[1] == 0
    assert evening.rate("ws_session_live") == (20, 0)
    assert evening.rate("ws_connection_success") == (21, 0)
    assert [poll["status"] for poll in state["polls"] if sum(poll["votes"])] == [
        "ended" for poll in state["polls"] if sum(poll["votes"])
    ]
    assert evening.worker.errors == {}
