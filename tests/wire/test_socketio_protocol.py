from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.wire import socketio_protocol as codec
from pika_locust.wire.socketio_protocol import PendingAcks
from tests.wire.socketio_doubles import RecordingHandler, Scripted

OPENING = b'0{"sid":"e","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
PLACEHOLDER = b'451-["x",{"_placeholder":true,"num":0}]'


@pytest.fixture
def handler() -> RecordingHandler:
    return RecordingHandler()


@pytest.fixture
def session(handler: RecordingHandler) -> Scripted:
    """A session that is ready for namespaces."""
    session = Scripted(handler)
    session.on_text(OPENING, 1)
    return session


def connected(session: Scripted, *namespaces: str) -> None:
    for namespace in namespaces:
        assert session.open(namespace)
        session.on_text(codec.packet_head(codec.CONNECT, namespace) + b'{"sid":"s"}', 2)
    session.out.clear()
    session._handler.calls.clear()  # type: ignore[attr-defined]


def counted(session: Scripted) -> dict[str, int]:
    """What was counted and is not 0, messages aside."""
    return {name: n for name, n in asdict(session.counts).items() if n and name not in ("received", "sent", "opens")}


def test_namespaces_wait_for_the_open_packet(handler: RecordingHandler) -> None:
    session = Scripted(handler)
    assert session.open("/queue", {"token": "jwt"})
    assert session.open()
    assert (session.out, session.opening) == ([], None)
    session.on_text(OPENING, 5)
    assert session.out == [b'40/queue,{"token":"jwt"}', b"40"]
    assert session.opening is not None
    assert (session.opening.sid, session.opening.silence_s) == ("e", 45.0)
    assert session.heard == [5]
    session.on_text(b'40{"sid":"a"}', 6)
    session.on_text(b'40/queue,{"sid":"b"}', 7)
    assert handler.calls == [("connect", "/"), ("connect", "/queue")]
    assert session.is_connected()
    assert session.is_connected("/queue")
    assert not session.is_connected("/video")
    assert (session.counts.opens, session.counts.connects, session.counts.sent) == (1, 2, 2)


def test_a_namespace_is_asked_for_once(session: Scripted) -> None:
    assert session.open("/queue")
    assert not session.open("/queue"), "not answered yet"
    session.on_text(b"40/queue", 2)
    assert not session.open("/queue?again=1"), "open"
    assert session.out == [b"40/queue,"]
    assert counted(session) == {"connects": 1, "unsent": 2}


def test_a_query_goes_out_and_does_not_come_back(session: Scripted, handler: RecordingHandler) -> None:
    assert session.open("queue?uid=7")
    session.on_text(b'40/queue,{"sid":"b"}', 2)
    session.on_text(b'42/queue,["match"]', 3)
    assert session.out == [b"40/queue?uid=7,"]
    assert handler.calls == [("connect", "/queue"), ("event", "/queue", b"match", b'["match"]', 3)]


def test_a_refused_namespace_leaves_the_connection_usable(session: Scripted, handler: RecordingHandler) -> None:
    session.open("/admin")
    session.on_text(b'44/admin,{"message":"Invalid namespace"}', 2)
    assert handler.calls == [("connect_error", "/admin", b'{"message":"Invalid namespace"}')]
    assert not session.is_connected("/admin")
    assert session.open("/admin"), "it may be asked for again"
    assert counted(session) == {"connect_errors": 1}


def test_a_bad_token_is_accepted_and_then_kicked(session: Scripted, handler: RecordingHandler) -> None:
    session.open("/queue", {"token": "bad"})
    session.open("/video", {"token": "bad"})
    for message in (b'40/queue,{"sid":"a"}', b"41/queue,", b"41/video,"):
        session.on_text(message, 2)
    assert handler.calls == [("connect", "/queue"), ("kicked", "/queue"), ("kicked", "/video")]
    assert not session.emit("/queue", "hello")
    assert counted(session) == {"connects": 1, "kicks": 2, "unsent": 1}


@pytest.mark.parametrize(
    ("message", "call"),
    [
        pytest.param(
            b'42/queue,["match",{"a":["b"]}]',
            ("event", "/queue", b"match", b'["match",{"a":["b"]}]', 9),
            id="an event in a namespace",
        ),
        pytest.param(b'42["hello"]', ("event", "/", b"hello", b'["hello"]', 9), id="an event in the default one"),
        pytest.param(b'42["\\u00e9",1]', ("event", "/", "é".encode(), b'["\\u00e9",1]', 9), id="an escaped name"),
        pytest.param(b'42 ["a"]', ("trouble", "an event that is not a JSON array"), id="a blank too early"),
        pytest.param(b'42[ "a"]', ("event", "/", b"a", b'[ "a"]', 9), id="a blank where JSON allows one"),
        pytest.param(b'42[7,["a"]]', ("event", "/", b"7", b'[7,["a"]]', 9), id="a number for a name"),
        pytest.param(b'42["never ends', ("trouble", "an event that is not JSON"), id="a name without an end"),
        pytest.param(b'427["ask",1]', ("call", "/", b"ask", b'["ask",1]', 7, 9), id="a call"),
        pytest.param(
            b'42/queue,0["ask"]', ("call", "/queue", b"ask", b'["ask"]', 0, 9), id="a call in a namespace, id 0"
        ),
        pytest.param(b"42notjson", ("trouble", "an event that is not a JSON array"), id="no JSON"),
        pytest.param(b"", ("trouble", "an empty message"), id="an empty message"),
        pytest.param(b"9", ("trouble", "an Engine.IO packet of an unknown kind"), id="an unknown kind outside"),
        pytest.param(b"49", ("trouble", "a packet of an unknown kind"), id="an unknown kind inside"),
        pytest.param(OPENING, ("trouble", "a second open packet"), id="a second open packet"),
        pytest.param(PLACEHOLDER, ("trouble", "a binary event, which is not supported"), id="a binary event"),
        pytest.param(
            b"461-3[]", ("trouble", "a binary acknowledgement, which is not supported"), id="a binary acknowledgement"
        ),
        pytest.param(b"bAAAA", ("trouble", "a binary message in base64, which is not supported"), id="base64"),
        pytest.param(b"44/queue,{}", None, id="a refusal of what is connected"),
        pytest.param(b"40/nope,", None, id="a namespace that nobody asked for"),
        pytest.param(b"41/nope,", None, id="a kick out of a namespace that was never open"),
        pytest.param(b'42/nope,["a"]', None, id="an event of a namespace that is not open"),
        pytest.param(b"435[1]", None, id="an acknowledgement that nobody waits for"),
        pytest.param(b"3probe", None, id="a pong"),
        pytest.param(b"5", None, id="an upgrade"),
        pytest.param(b"6", None, id="a noop"),
    ],
)
def test_what_the_handler_hears(
    session: Scripted, handler: RecordingHandler, message: bytes, call: tuple[Any, ...] | None
) -> None:
    connected(session, "/", "/queue")
    session.on_text(message, 9)
    assert handler.calls == ([] if call is None else [call])
    assert session.out == []
    if call is None:
        kind = "strays" if message[:1] == b"4" else ""
    elif call[0] == "trouble":
        kind = "unsupported" if "not supported" in call[1] else "malformed"
    else:
        kind = f"{call[0]}s"
    assert counted(session) == {"connects": 2} | ({kind: 1} if kind else {})


def test_a_very_long_namespace_takes_the_careful_way(session: Scripted, handler: RecordingHandler) -> None:
    namespace = "/" + "n" * 200
    connected(session, namespace)
    session.on_text(b'42%b,["a",1]' % namespace.encode(), 9)
    assert handler.calls == [("event", namespace, b"a", b'["a",1]', 9)]


@pytest.mark.parametrize(
    ("ping", "pong"),
    [pytest.param(b"2", b"3", id="a ping"), pytest.param(b"2probe", b"3probe", id="a probe's content comes back")],
)
def test_pings_are_answered(session: Scripted, ping: bytes, pong: bytes) -> None:
    session.on_text(ping, 77)
    assert session.out == [pong]
    assert session.heard == [1, 77]
    assert counted(session) == {"pings": 1}


def test_a_close_packet_asks_for_the_end(session: Scripted, handler: RecordingHandler) -> None:
    session.on_text(b"1", 2)
    assert (session.dismissals, handler.calls) == (1, [])


def test_attachments_are_passed_over_with_their_event(session: Scripted, handler: RecordingHandler) -> None:
    connected(session, "/")
    session.on_text(b'452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', 2)
    session.on_binary(b"\x00", 3)
    session.on_binary(b"\x01", 3)
    session.on_text(b'42["after"]', 4)
    session.on_binary(b"\x02", 5)
    assert handler.names() == ["trouble", "event", "trouble"]
    assert handler.calls[2] == ("trouble", "a binary message that no packet announced, which is not supported")
    assert session.counts.unsupported == 2


def test_events_are_sent_with_and_without_waiting_for_an_acknowledgement(session: Scripted) -> None:
    connected(session, "/", "/queue")
    answers: list[tuple[bytes | None, int]] = []

    def on_ack(payload: bytes | None, at_ns: int) -> None:
        answers.append((payload, at_ns))

    assert session.emit("/", "visitor:join", {"orgId": "é"})
    assert session.emit("/queue", "a", 1, None, on_ack=on_ack)
    assert session.emit("/", "agent:back", on_ack=on_ack)
    assert session.emit_json("/queue", b'["raw",{"n":1}]')
    assert session.out == [
        '42["visitor:join",{"orgId":"é"}]'.encode(),
        b'42/queue,0["a",1,null]',
        b'421["agent:back"]',
        b'42/queue,["raw",{"n":1}]',
    ]
    session.on_text(b'431[{"success":true}]', 5)
    session.on_text(b"430[]", 6)
    session.on_text(b"431[]", 7)
    assert answers == [(b'[{"success":true}]', 5)]
    session.on_text(b"43/queue,0[]", 8)
    assert answers[1:] == [(b"[]", 8)]
    assert counted(session) == {"connects": 2, "acks": 2, "strays": 2}


def test_a_call_is_acknowledged(session: Scripted) -> None:
    connected(session, "/", "/queue")
    assert session.ack("/queue", 7, {"ok": True}, 2)
    assert session.ack("/", 0)
    assert session.out == [b'43/queue,7[{"ok":true},2]', b"430[]"]


def test_nothing_is_sent_where_it_would_end_the_connection(session: Scripted) -> None:
    answers: list[Any] = []
    assert not session.emit("/", "early")
    assert not session.ack("/", 1)
    assert not session.leave("/")
    session.open("/")
    assert not session.emit("/", "still early", on_ack=lambda *answer: answers.append(answer))
    session.on_text(b"40", 2)
    session.closing = True
    assert not session.emit("/", "too late", on_ack=lambda *answer: answers.append(answer))
    assert not session.open("/queue")
    assert session.out == [b"40"]
    session.end()
    assert answers == [], "what was not sent is not waited for"
    assert counted(session) == {"connects": 1, "unsent": 5}


def test_an_event_may_overtake_the_confirmation(session: Scripted, handler: RecordingHandler) -> None:
    session.open("/video")
    session.on_text(b'42/video,["hello"]', 3)
    session.on_text(b"40/video,", 3)
    assert handler.names() == ["event", "connect"]
    assert counted(session) == {"connects": 1, "events": 1}


def test_leaving_a_namespace_is_no_kick(session: Scripted, handler: RecordingHandler) -> None:
    connected(session, "/", "/queue")
    assert session.leave("/queue")
    assert session.out == [b"41/queue,"]
    session.on_text(b'42/queue,["late"]', 3)
    assert handler.calls == []
    assert session.open("/queue"), "and it can be opened again"
    assert counted(session) == {"connects": 2, "strays": 1}


@pytest.mark.parametrize(
    ("end", "lost"),
    [
        pytest.param(lambda session: session.on_text(b"41/queue,", 3), 2, id="a kick"),
        pytest.param(lambda session: session.leave("/queue"), 2, id="leaving"),
        pytest.param(lambda session: session.end(), 3, id="the end of the connection"),
    ],
)
def test_acknowledgements_that_will_not_come(session: Scripted, handler: RecordingHandler, end: Any, lost: int) -> None:
    connected(session, "/", "/queue")
    answers: list[tuple[bytes | None, int]] = []

    def stumbling(payload: bytes | None, at_ns: int) -> None:
        answers.append((payload, at_ns))
        raise ZeroDivisionError

    for namespace in ("/queue", "/", "/queue"):
        session.emit(namespace, "a", on_ack=stumbling)
    end(session)
    assert [payload for payload, _ in answers] == [None] * lost
    assert all(at_ns > 0 for _, at_ns in answers)
    assert len(handler.errors) == lost, "a mistake in one does not spare the others"
    assert session.counts.acks_lost == lost


def test_the_end_forgets_every_namespace(session: Scripted) -> None:
    connected(session, "/", "/queue")
    session.open("/video")
    session.end()
    assert not any(map(session.is_connected, ("/", "/queue", "/video")))
    session._leave_all()
    assert session.out == [b"40/video,"]


def test_a_mistake_in_the_handler_is_not_taken_for_the_servers(session: Scripted, handler: RecordingHandler) -> None:
    connected(session, "/")
    handler.stumble = "event"
    for message in (b'42["a"]', b'42["\\u0061"]'):
        with pytest.raises(ZeroDivisionError):
            session.on_text(message, 2)
    assert counted(session) == {"connects": 1, "events": 2}


PIECES = st.sampled_from(
    [b"", b"/queue,", b"/nope,", b"/", b"0", b"7", b"[", b'["a"]', b'["', b"{}", b'{"sid":"a"}', b"x"]
)


@given(st.lists(st.tuples(st.sampled_from(list(b"0123456b9")), st.lists(PIECES, max_size=5)), max_size=20))
def test_whatever_the_server_sends_nothing_breaks_and_all_is_counted(messages: list[tuple[int, list[bytes]]]) -> None:
    handler = RecordingHandler()
    session = Scripted(handler)
    session.open("/queue")
    session.open("/")
    for first, pieces in messages:
        session.on_text(bytes([first]) + b"".join(pieces), 3)
    counts = session.counts
    assert counts.received == len(messages)
    told = Counter(handler.names())
    assert told["trouble"] == counts.malformed + counts.unsupported
    assert (told["event"], told["call"]) == (counts.events, counts.calls)
    assert (told["connect"], told["connect_error"], told["kicked"]) == (
        counts.connects,
        counts.connect_errors,
        counts.kicks,
    )


RECORDED = [
    json.loads(line)
    for line in (Path(__file__).parent / "socketio_recorded.jsonl").read_text(encoding="utf-8").splitlines()
]
"""Every Socket.IO connection in recordings of two real servers, as the client saw it."""


def say(session: Scripted, text: str, answers: list[bytes | None]) -> None:
    """What the recorded client said, by our methods."""
    packet = codec.decode(text[1:].encode())
    if packet.kind == codec.CONNECT:
        session.open(packet.namespace, json.loads(packet.data) if packet.data else None)
    elif packet.kind == codec.DISCONNECT:
        session.leave(packet.namespace)
    elif packet.ack_id is None:
        session.emit_json(packet.namespace, packet.data)
    else:
        session._acks = session._acks or PendingAcks()
        session._acks._next_id = packet.ack_id
        session.emit_json(packet.namespace, packet.data, lambda payload, at_ns: answers.append(payload))


LATE = {
    "greeter": ["08-assigned-later", "10-call-visitor-ends", "13-rna", "22-cancel", "23-reject-second-agent"],
    "verity": ["18-disconnect-leaves"],
}
"""Flows in which an event crossed our leaving of its namespace."""


@pytest.mark.parametrize("server", ["greeter", "verity"])
def test_every_frame_of_the_real_servers_is_understood(server: str) -> None:
    heard: Counter[str] = Counter()
    frames: Counter[str] = Counter()
    late: list[str] = []
    answers: list[bytes | None] = []
    for recording in (recording for recording in RECORDED if recording["server"] == server):
        handler = RecordingHandler()
        session = Scripted(handler)
        for direction, kind, data in recording["events"]:
            if kind == "text" and direction == "<":
                session.on_text(data.encode(), 1)
                frames[data[:2] if data[0] == "4" else data[0]] += 1
            elif kind == "text" and data[0] == "4" and data != "42notjson":
                say(session, data, answers)
        assert (session.counts.malformed, session.counts.unsupported) == (0, 0), recording["flow"]
        late += [recording["flow"]] * session.counts.strays
        heard.update(handler.names())
    assert late == LATE[server]
    assert heard["event"] + len(late) == frames["42"] > 100
    assert (heard["connect"], heard["connect_error"]) == (frames["40"], frames["44"])
    assert heard["kicked"] == frames["41"]
    assert len([answer for answer in answers if answer is not None]) == frames["43"]
    assert answers.count(None) == (server == "greeter"), "an interaction that the server never acknowledges"
    assert heard["trouble"] == 0
