"""Replays a recorded flow against the pure world: the recorded times are the clock, the recorded side that clients
sent is fed in, and what comes back is collected per client in the form of the recording.

Ids are learnt as they appear: the k-th thing a client gets is laid beside the k-th of the recording, and from then on
the recorded id stands for ours. What an id stood for once it must stand for always, or the comparison fails.
"""

from __future__ import annotations

import hmac
import json
import re
from base64 import urlsafe_b64decode
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt

from pika_locust.platforms.verity.world import PLATFORM
from pika_locust.sandbox.faults import FaultSwitches, parse_faults
from pika_locust.sandbox.server import legal_faults
from pika_locust.sandbox.world import Answer, Close, Effects, Reply, Request, Send

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts" / "verity"
SECRETS = {"STRIPE_WEBHOOK_SECRET": "whsec_test", "JWT_ACCESS_SECRET": "replay"}
KEPT_HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after", "content-type")

_ROW = re.compile(r"(?<![a-z0-9])c[a-z0-9]{24}(?![a-z0-9])")
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_COOKIE = re.compile(r"<refresh_token#(\d+)>")
_MADE = (
    (_TIME, "<time>"),
    (_JWT, "<access token>"),
    (re.compile(r"anon_[0-9a-f]{12}"), "<anonymous>"),
    (re.compile(r'"sid":"[\w-]{20}"'), '"sid":"<sid>"'),
    (re.compile(r'"token":"007[\w+/=]+"'), '"token":"<media token>"'),
    (re.compile(r'"uid":\d+'), '"uid":<uid>'),
    (re.compile(r'"uptimeSeconds":\d+'), '"uptimeSeconds":<n>'),
)

Event = dict[str, Any]
Seen = dict[str, list[tuple[str, Any]]]


def load(flow: str) -> list[Event]:
    """The events of a flow, without the head line."""
    lines = (TRANSCRIPTS / f"{flow}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[1:]]


def normalised(kind: str, data: Any) -> tuple[str, Any]:
    """Times, tokens and random names aside; everything else as it is, key order included."""
    if isinstance(data, str):
        for pattern, name in _MADE:
            data = pattern.sub(name, data)
        return kind, data
    if data.get("body"):
        data = {**data, "body": normalised("", data["body"])[1]}
    return kind, data


def recorded(events: Iterable[Event]) -> Seen:
    """What the real server sent, in the form of `Replay.run`."""
    seen: Seen = defaultdict(list)
    for event in events:
        if event["dir"] == "<":
            seen[event["who"]].append(normalised(event["kind"], event["data"]))
    return seen


def began_at(events: Iterable[Event]) -> float:
    """The epoch's time at the beginning of a flow: by the first time that the server wrote."""
    for event in events:
        found = _TIME.search(str(event["data"])) if event["dir"] == "<" else None
        if found is not None:
            return datetime.fromisoformat(found[0]).timestamp() - event["t_ms"] / 1000
    raise AssertionError("no time in this flow")


class Names:
    """What recorded ids, tokens and cookies stand for in the replay."""

    def __init__(self, secret: str) -> None:
        self._ours: dict[str, str] = {}
        self._recorded: dict[str, str] = {}
        self._cookies: list[str] = []
        self._secret = secret

    def learn(self, recorded: str, ours: str) -> None:
        for pattern in (_ROW, _JWT):
            there, here = pattern.findall(recorded), pattern.findall(ours)
            if len(there) == len(here):
                for theirs, own in zip(there, here, strict=True):
                    self._ours.setdefault(theirs, own)
                    self._recorded.setdefault(own, theirs)

    def learn_cookie(self, value: str) -> None:
        self._cookies.append(value)

    def to_ours(self, text: str) -> str:
        text = _COOKIE.sub(lambda match: self._cookies[int(match[1]) - 1], text)
        text = _JWT.sub(lambda match: self._ours.get(match[0]) or self._forged(match[0]), text)
        return _ROW.sub(lambda match: self._ours.get(match[0], match[0]), text)

    def to_recorded(self, text: str) -> str:
        return _ROW.sub(lambda match: self._recorded.get(match[0], match[0]), text)

    def _forged(self, token: str) -> str:
        """The same claims under the secret of the replay: the recorder has made some tokens of its own."""
        part = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return jwt.encode({**claims, "sub": self.to_ours(claims["sub"])}, self._secret)


def resigned(header: str, recorded_body: str, body: str, secret: bytes) -> str:
    """A signature header for a body whose ids were translated; what did not sign the recorded body stays wrong."""
    stamp = header.partition(",")[0].removeprefix("t=")

    def over(text: str) -> str:
        return hmac.new(secret, f"{stamp}.{text}".encode(), sha256).hexdigest()

    return header.replace(over(recorded_body), over(body))


class Replay:
    """The world with as much of a server around it as the recorder saw.

    `tick_ms` is an instant at which the matching worker began to work; every client calls from its own address, and
    the limits are those of the real server.
    """

    def __init__(self, events: list[Event], tick_ms: float, faults: Iterable[str] = ()) -> None:
        self._events = events
        self._start_s = began_at(events)
        self._want = recorded(events)
        self._raw: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            if event["dir"] == "<":
                self._raw[event["who"]].append(event)
        board = FaultSwitches(faults=parse_faults(["throttle=120/60s", *faults], legal_faults([PLATFORM])))
        started_at = self._start_s + (tick_ms % 500 - 500) / 1000
        self._world = PLATFORM.create(board, SECRETS, started_at)
        self._names = Names(SECRETS["JWT_ACCESS_SECRET"])
        self._who: dict[int, str] = {}
        self._sockets: dict[str, int] = {}
        self._asked: dict[int, tuple[str, str]] = {}
        self.seen: Seen = defaultdict(list)

    def run(self) -> Seen:
        for event in self._events:
            now = self._start_s + event["t_ms"] / 1000
            while self._world.due <= now:
                due = self._world.due
                self._carry_out(self._world.tick(due), due)
            if event["dir"] == ">":
                getattr(self, "_" + event["kind"])(event["who"], event["data"], now)
        return self.seen

    # what clients do

    def _open(self, who: str, data: Mapping[str, Any], now: float) -> None:
        path, _, query = data["path"].partition("?")
        headers = {name: self._names.to_ours(value) for name, value in data.get("headers", {}).items()}
        request = Request("GET", path, query, headers, peer=who)
        assert self._world.upgrade(request, now) is None
        number = len(self._who) + 1
        self._who[number], self._sockets[who] = who, number
        self._saw(who, "open", {"status": 101})
        self._carry_out(self._world.opened(number, request, now), now)

    def _text(self, who: str, data: str, now: float) -> None:
        self._carry_out(self._world.received(self._sockets[who], self._names.to_ours(data), now, 0), now)

    def _close(self, who: str, data: Mapping[str, Any], now: float) -> None:
        number = self._sockets.pop(who, None)
        if number is None:
            return
        if data["code"] != 1006:
            self._saw(who, "close", data)
        self._carry_out(self._world.closed(number, now), now)

    def _http(self, who: str, data: Mapping[str, Any], now: float) -> None:
        body = self._names.to_ours(data["body"] or "")
        headers = {name: self._names.to_ours(value) for name, value in data["headers"].items()}
        if "stripe-signature" in headers:
            secret = SECRETS["STRIPE_WEBHOOK_SECRET"].encode()
            headers["stripe-signature"] = resigned(headers["stripe-signature"], data["body"], body, secret)
        path, _, query = self._names.to_ours(data["path"]).partition("?")
        exchange = len(self._asked) + 1
        self._asked[exchange] = (who, data["method"])
        request = Request(data["method"], path, query, headers, body.encode(), who)
        self._carry_out(self._world.request(exchange, request, now), now)

    # what the server does

    def _carry_out(self, effects: Effects, now: float) -> None:
        for effect in effects:
            match effect:
                case Send(socket, str() as text):
                    if self._who[socket] in self._sockets:
                        self._saw(self._who[socket], "text", text)
                case Close(socket, code, reason):
                    who = self._who[socket]
                    self._saw(who, "close", {"code": code, "reason": reason})
                    del self._sockets[who]
                    self._carry_out(self._world.closed(socket, now), now)
                case Reply(exchange, answer):
                    self._answered(*self._asked[exchange], answer)
                case _:
                    raise AssertionError(f"unexpected {effect}")

    def _answered(self, who: str, method: str, answer: Answer) -> None:
        headers: dict[str, Any] = {name: value for name, value in answer.headers if name in KEPT_HEADERS}
        for name, value in answer.headers:
            if name == "set-cookie":
                key, _, rest = value.partition("=")
                self._names.learn_cookie(rest.partition(";")[0])
                headers["set-cookie"] = [key]
        body = "" if method == "HEAD" else answer.body.decode()
        self._saw(who, "http", {"status": answer.status, "headers": headers, "body": body})

    def _saw(self, who: str, kind: str, data: Any) -> None:
        there = self._raw[who]
        position = len(self.seen[who])
        if position < len(there):
            self._names.learn(_words(there[position]["data"]), _words(data))
        if isinstance(data, str):
            data = self._names.to_recorded(data)
        elif "body" in data:
            data = {**data, "body": self._names.to_recorded(data["body"])}
        self.seen[who].append(normalised(kind, data))


def _words(data: Any) -> str:
    return data if isinstance(data, str) else str(data.get("body", ""))
