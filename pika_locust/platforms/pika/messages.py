"""The messages of Pika!'s WebSocket: how they are spelt, what is sent, and the stamp that our own broadcasts carry."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring as _quoted
from typing import Any

from pika_locust.kit.json_messages import JsonMessages

PROTOCOL_VERSION = "0.3.0"
SPELLING = JsonMessages(kind="type", id="messageId", error="error", ack="ACK", nack="NACK")
"""Every text that the server sends begins with `{"type":"<TYPE>"`, and an ACK goes on with its messageId."""

TEMPOS = ("slower", "perfect", "faster")
THANK_YOU = "thank_you"

# json.dumps makes an encoder on every call that does not take its defaults.
_write = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

_STAMP = re.compile(rb"LT (\d{6,9}) ([0-9a-f]{12}) ([0-9a-f]{8}) (\d{1,20})")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What our DJ writes into a title, a question or an announcement, so that whoever receives it knows which
    broadcast of which run it is, and when it was sent.

    `sent_ns` is the monotonic clock that `boot` names: another machine's is another one.
    """

    number: int
    run_id: str
    boot: str
    sent_ns: int

    def __str__(self) -> str:
        return f"LT {self.number:06d} {self.run_id} {self.boot} {self.sent_ns}"


def find_stamp(payload: bytes) -> Stamp | None:
    """The stamp in a message of our own DJ; None in anybody else's."""
    match = _STAMP.search(payload)
    if match is None:
        return None
    return Stamp(int(match[1]), match[2].decode(), match[3].decode(), int(match[4]))


def session_mark(session_id: str) -> bytes:
    """What every broadcast contains that is about a session and says so."""
    return _quoted(session_id).encode(errors="replace")


def listeners_in(payload: bytes) -> int | None:
    """How many a LISTENER_COUNT tells, where there may be thousands of them: it is the last that the server writes."""
    _, field, rest = payload.rpartition(b'"count":')
    if field and rest.endswith(b"}") and (count := rest[:-1]).isdigit():
        return int(count)
    told = (SPELLING.parse(payload) or {}).get("count")
    return told if isinstance(told, int) else None


def votes_in(message: Mapping[str, Any], of_options: str) -> tuple[int, ...]:
    """How many votes a poll has: by their total, and by the sum over its options; what is no number is left out."""
    found: list[Any] = [message.get("totalVotes")]
    votes = message.get(of_options)
    if isinstance(votes, list) and all(isinstance(one, int) for one in votes):
        found.append(sum(votes))
    return tuple(number for number in found if isinstance(number, int))


def tempos_in(message: Mapping[str, Any]) -> tuple[int, ...]:
    """How many want which tempo: by the total, and by the sum; what is no number is left out."""
    found: list[Any] = [message.get("total")]
    wishes = [message.get(tempo) for tempo in TEMPOS]
    if all(isinstance(one, int) for one in wishes):
        found.append(sum(one for one in wishes if isinstance(one, int)))
    return tuple(number for number in found if isinstance(number, int))


def _encode(message: Mapping[str, Any]) -> bytes:
    # Half a surrogate pair, which JSON can name and UTF-8 cannot write, may come back in somebody's title.
    return _write(message).encode(errors="replace")


def subscribe(session_id: str, client_id: str, message_id: str) -> bytes:
    """Join a session as a listener."""
    return _encode(
        {
            "type": "SUBSCRIBE",
            "sessionId": session_id,
            "clientId": client_id,
            "version": PROTOCOL_VERSION,
            "messageId": message_id,
        }
    )


# What dancers send by the thousand is written out by hand, in a quarter of the time that a JSON encoder takes.


def like(session_id: str, client_id: str, track: Mapping[str, Any], message_id: str) -> bytes:
    """Like a track."""
    return (
        f'{{"type":"SEND_LIKE","sessionId":{_quoted(session_id)},"clientId":{_quoted(client_id)},'
        f'"payload":{{"track":{{"title":{_quoted(track["title"])},"artist":{_quoted(track["artist"])}}}}},'
        f'"messageId":{_quoted(message_id)}}}'
    ).encode(errors="replace")


def bulk_like(session_id: str, client_id: str, tracks: list[Mapping[str, Any]], message_id: str) -> bytes:
    """Likes that were made while there was no connection."""
    titles = [{"title": track["title"], "artist": track["artist"]} for track in tracks]
    return _encode(
        {
            "type": "SEND_BULK_LIKE",
            "sessionId": session_id,
            "clientId": client_id,
            "payload": {"tracks": titles},
            "messageId": message_id,
        }
    )


def tempo(session_id: str, client_id: str, preference: str, message_id: str) -> bytes:
    """Ask for slower or faster music."""
    return (
        f'{{"type":"SEND_TEMPO_REQUEST","sessionId":{_quoted(session_id)},"clientId":{_quoted(client_id)},'
        f'"preference":{_quoted(preference)},"messageId":{_quoted(message_id)}}}'
    ).encode()


def vote(poll_id: int, client_id: str, option: int, message_id: str) -> bytes:
    """Vote on a poll."""
    return (
        f'{{"type":"VOTE_ON_POLL","pollId":{poll_id:d},"optionIndex":{option:d},"clientId":{_quoted(client_id)},'
        f'"messageId":{_quoted(message_id)}}}'
    ).encode()


def thank_you(session_id: str, client_id: str, message_id: str) -> bytes:
    """Thank the DJ."""
    return (
        f'{{"type":"SEND_REACTION","sessionId":{_quoted(session_id)},"clientId":{_quoted(client_id)},'
        f'"reaction":"{THANK_YOU}","messageId":{_quoted(message_id)}}}'
    ).encode()


PING = _encode({"type": "PING"})


def register(session_id: str, dj_name: str, token: str | None, message_id: str) -> bytes:
    """Go live as the DJ of a session; without a token, as an anonymous one."""
    account = {"token": token} if token else {}
    return _encode(
        {
            "type": "REGISTER_SESSION",
            "sessionId": session_id,
            "djName": dj_name,
            **account,
            "version": PROTOCOL_VERSION,
            "messageId": message_id,
        }
    )


def play(session_id: str, track: Mapping[str, Any], message_id: str) -> bytes:
    """Play a track."""
    return _encode({"type": "BROADCAST_TRACK", "sessionId": session_id, "track": track, "messageId": message_id})


def start_poll(session_id: str, question: str, options: list[str], message_id: str) -> bytes:
    """Start a poll, which runs until it is ended."""
    return _encode(
        {
            "type": "START_POLL",
            "sessionId": session_id,
            "question": question,
            "options": options,
            "messageId": message_id,
        }
    )


def end_poll(poll_id: int, message_id: str) -> bytes:
    """End a poll."""
    return _encode({"type": "END_POLL", "pollId": poll_id, "messageId": message_id})


def announce(session_id: str, text: str, message_id: str) -> bytes:
    """Announce something, to be shown for a minute."""
    return _encode(
        {
            "type": "SEND_ANNOUNCEMENT",
            "sessionId": session_id,
            "message": text,
            "durationSeconds": 60,
            "messageId": message_id,
        }
    )


def end_session(session_id: str, message_id: str) -> bytes:
    """End the session."""
    return _encode({"type": "END_SESSION", "sessionId": session_id, "messageId": message_id})
