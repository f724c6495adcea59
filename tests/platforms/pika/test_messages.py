from __future__ import annotations

import json
from typing import Any

import pytest

from pika_locust.platforms.pika import messages
from pika_locust.platforms.pika.messages import SPELLING, Stamp
from tests.platforms.pika.transcripts import TRANSCRIPTS

TRACK = {"title": "Blue Bossa", "artist": "Kenny Dorham", "bpm": 148, "key": "Cm"}
STAMP = Stamp(17, "0123456789ab", "89abcdef", 123_456_789_012)

SPOKEN = {
    "a dancer joins, naming version 0.3.0, the only one that is taken": (
        messages.subscribe("friday-social", "client_1", "m1"),
        '{"type":"SUBSCRIBE","sessionId":"friday-social","clientId":"client_1","version":"0.3.0","messageId":"m1"}',
    ),
    "a like names session, client, title and artist, and nothing else of the track": (
        messages.like("friday-social", "client_1", TRACK, "m1"),
        (
            '{"type":"SEND_LIKE","sessionId":"friday-social","clientId":"client_1",'
            '"payload":{"track":{"title":"Blue Bossa","artist":"Kenny Dorham"}},"messageId":"m1"}'
        ),
    ),
    "likes made offline go in one message": (
        messages.bulk_like("friday-social", "client_1", [TRACK, {"title": "Sway", "artist": "Dean Martin"}], "m1"),
        (
            '{"type":"SEND_BULK_LIKE","sessionId":"friday-social","clientId":"client_1","payload":{"tracks":['
            '{"title":"Blue Bossa","artist":"Kenny Dorham"},{"title":"Sway","artist":"Dean Martin"}]},"messageId":"m1"}'
        ),
    ),
    "a tempo request": (
        messages.tempo("friday-social", "client_1", "slower", "m1"),
        (
            '{"type":"SEND_TEMPO_REQUEST","sessionId":"friday-social","clientId":"client_1","preference":"slower",'
            '"messageId":"m1"}'
        ),
    ),
    "a vote names the poll by number, and no session": (
        messages.vote(12, "client_1", 0, "m1"),
        '{"type":"VOTE_ON_POLL","pollId":12,"optionIndex":0,"clientId":"client_1","messageId":"m1"}',
    ),
    "thanks": (
        messages.thank_you("friday-social", "client_1", "m1"),
        (
            '{"type":"SEND_REACTION","sessionId":"friday-social","clientId":"client_1","reaction":"thank_you",'
            '"messageId":"m1"}'
        ),
    ),
    "a PING has no messageId: its PONG is the answer": (messages.PING, '{"type":"PING"}'),
    "an anonymous DJ sends no token": (
        messages.register("friday-social", "DJ Mila", None, "m1"),
        '{"type":"REGISTER_SESSION","sessionId":"friday-social","djName":"DJ Mila","version":"0.3.0","messageId":"m1"}',
    ),
    "a DJ with an account sends its token": (
        messages.register("friday-social", "DJ Mila", "pk_dj_0123", "m1"),
        (
            '{"type":"REGISTER_SESSION","sessionId":"friday-social","djName":"DJ Mila","token":"pk_dj_0123",'
            '"version":"0.3.0","messageId":"m1"}'
        ),
    ),
    "an announcement stands for a minute, the least there is": (
        messages.announce("friday-social", "Last song – thank you", "m1"),
        (
            '{"type":"SEND_ANNOUNCEMENT","sessionId":"friday-social","message":"Last song – thank you",'
            '"durationSeconds":60,"messageId":"m1"}'
        ),
    ),
}


@pytest.mark.parametrize(("written", "wanted"), SPOKEN.values(), ids=SPOKEN.keys())
def test_what_is_written(written: bytes, wanted: str) -> None:
    assert written.decode() == wanted


def respoken(recorded: dict[str, Any]) -> bytes | None:
    """The recorded message as we would have written it; None for one that we never write."""
    match recorded:
        case {"type": "SUBSCRIBE", "sessionId": session, "clientId": client, "messageId": id}:
            return messages.subscribe(session, client, id)
        case {"type": "SEND_LIKE", "sessionId": session, "clientId": client, "payload": payload, "messageId": id}:
            return messages.like(session, client, payload["track"], id)
        case {"type": "SEND_BULK_LIKE", "sessionId": session, "clientId": client, "payload": payload, "messageId": id}:
            return messages.bulk_like(session, client, payload["tracks"], id)
        case {
            "type": "SEND_TEMPO_REQUEST",
            "sessionId": session,
            "clientId": client,
            "preference": preference,
            "messageId": id,
        }:
            return messages.tempo(session, client, preference, id)
        case {"type": "VOTE_ON_POLL", "pollId": poll, "optionIndex": option, "clientId": client, "messageId": id}:
            return messages.vote(poll, client, option, id)
        case {"type": "REGISTER_SESSION", "sessionId": session, "djName": name, "version": _, "messageId": id}:
            return messages.register(session, name, recorded.get("token"), id)
        case {"type": "BROADCAST_TRACK", "sessionId": session, "track": track, "messageId": id}:
            return messages.play(session, track, id)
        case {"type": "START_POLL", "sessionId": session, "question": question, "options": options, "messageId": id}:
            return messages.start_poll(session, question, options, id)
        case {"type": "SEND_ANNOUNCEMENT", "sessionId": session, "message": text, "messageId": id}:
            return messages.announce(session, text, id)
        case {"type": "END_POLL", "pollId": poll, "messageId": id}:
            return messages.end_poll(poll, id)
        case {"type": "END_SESSION", "sessionId": session, "messageId": id}:
            return messages.end_session(session, id)
        case {"type": "PING"} if len(recorded) == 1:
            return messages.PING
    return None


ACKNOWLEDGED = {
    "SUBSCRIBE",
    "SEND_LIKE",
    "SEND_BULK_LIKE",
    "SEND_TEMPO_REQUEST",
    "VOTE_ON_POLL",
    "REGISTER_SESSION",
    "BROADCAST_TRACK",
    "START_POLL",
    "SEND_ANNOUNCEMENT",
    "END_POLL",
    "END_SESSION",
}


def bare(message: dict[str, Any]) -> str:
    """A message without what is optional: the version, how long something stands, and all of a track but its name."""
    message = {key: value for key, value in message.items() if key not in ("version", "durationSeconds")}
    if "payload" in message:
        payload = message["payload"]
        tracks = payload.get("tracks", [payload.get("track")])
        message["payload"] = [(track["title"], track["artist"]) for track in tracks]
    return json.dumps(message)


def test_real_servers_acknowledged_messages_spelt_as_ours() -> None:
    """Key by key and in that order, what is optional aside."""
    spelt: set[str] = set()
    for flow, transcript in TRANSCRIPTS.items():
        events = [event for event in transcript.events if event.kind == "text"]
        acked = {
            (event.who, SPELLING.ack_id(event.data.encode()))
            for event in events
            if not event.by_client and event.data.startswith('{"type":"ACK"')
        }
        for event in events:
            recorded = SPELLING.parse(event.data.encode()) if event.by_client else None
            if recorded is None or (event.who, recorded.get("messageId")) not in acked:
                continue
            ours = respoken(recorded)
            if ours is not None:
                assert bare(json.loads(ours)) == bare(recorded), flow
                spelt.add(recorded["type"])
    assert spelt == ACKNOWLEDGED


def test_half_a_surrogate_pair_in_a_title_is_no_trouble() -> None:
    track = SPELLING.parse(b'{"title":"Blue \\ud800","artist":"A"}')
    assert track is not None
    assert b'"title":"Blue ?"' in messages.like("friday-social", "client_1", track, "m1")


def test_a_stamp_comes_back_from_whatever_carries_it() -> None:
    played = messages.play("friday-social", {"title": str(STAMP), "artist": "pika-locust"}, "m1")
    asked = messages.start_poll("friday-social", f"What next? {STAMP}", ["Salsa", "Bachata"], "m2")
    said = messages.announce("friday-social", f"Welcome! {STAMP}", "m3")
    assert [messages.find_stamp(text) for text in (played, asked, said)] == [STAMP] * 3
    assert str(STAMP) == "LT 000017 0123456789ab 89abcdef 123456789012"


STAMPED = {
    "somebody else's title": (b"Take Five", None),
    "a number that does not end": (b"LT 000017 0123456789ab 89abcdef " + b"9" * 5000, "short"),
    "letters that are not hexadecimal": (b"LT 000017 0123456789xy 89abcdef 1", None),
    "more than a million broadcasts": (b"LT 1234567 0123456789ab 89abcdef 5", 1_234_567),
}


@pytest.mark.parametrize(("payload", "wanted"), STAMPED.values(), ids=STAMPED.keys())
def test_stamps_that_are_none_or_odd(payload: bytes, wanted: object) -> None:
    stamp = messages.find_stamp(payload)
    if wanted is None:
        assert stamp is None
    elif wanted == "short":
        assert stamp is not None
        assert stamp.sent_ns < 10**20
    else:
        assert stamp is not None
        assert stamp.number == wanted


LISTENERS = {
    "as the server writes it": (b'{"type":"LISTENER_COUNT","sessionId":"a","count":17}', 17),
    "in another order": (b'{"type":"LISTENER_COUNT","count":17,"sessionId":"a"}', 17),
    "with another number behind it": (b'{"type":"LISTENER_COUNT","count":17,"at":18}', 17),
    "with blanks": (b'{"type":"LISTENER_COUNT","count": 17 }', 17),
    "below nothing": (b'{"type":"LISTENER_COUNT","count":-1}', -1),
    "no number": (b'{"type":"LISTENER_COUNT","count":"17"}', None),
    "none": (b'{"type":"LISTENER_COUNT"}', None),
    "cut short": (b'{"type":"LISTENER_COUNT","count":17', None),
}


@pytest.mark.parametrize(("payload", "count"), LISTENERS.values(), ids=LISTENERS.keys())
def test_how_many_listeners_are_told(payload: bytes, count: int | None) -> None:
    assert messages.listeners_in(payload) == count
