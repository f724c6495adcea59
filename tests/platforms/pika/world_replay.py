"""Replays a recorded flow against the pure world: the recorded times are the clock, the recorded side that clients
sent is fed in, and what comes back is collected per socket in the form of the recording."""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pika_locust.platforms.pika.world import PLATFORM
from pika_locust.sandbox.faults import FaultSwitches
from pika_locust.sandbox.world import Close, Effects, Ping, Publish, Reply, Request, Send

TRANSCRIPTS = Path(__file__).parents[2] / "transcripts" / "pika"
START_S = 1_795_230_000.0
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_SERIAL = re.compile(r'"id":\d+')
_MADE_ID = re.compile(r"session_\d{13}")
_POLL_ID = re.compile(r'"pollId":(\d+)')

Seen = dict[str, list[tuple[str, Any]]]


def load(flow: str) -> list[dict[str, Any]]:
    lines = (TRANSCRIPTS / f"{flow}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[1:]]


def normalised(kind: str, data: Any) -> tuple[str, Any]:
    """Times, serial numbers and made-up ids aside; everything else as it is, key order included."""
    if isinstance(data, str):
        return kind, _MADE_ID.sub("<made id>", _SERIAL.sub('"id":<n>', _TIME.sub("<time>", data)))
    if "body" in data and data["body"] is not None:
        data = {**data, "body": normalised("", data["body"])[1]}
    return kind, data


def poll_ids(events: list[dict[str, Any]]) -> list[str]:
    """The recorded poll ids in the order the polls were started."""
    ids: dict[str, None] = {}
    for event in events:
        if event["dir"] == "<" and event["kind"] == "text" and "POLL_STARTED" in event["data"]:
            ids.update(dict.fromkeys(_POLL_ID.findall(event["data"])))
    return list(ids)


class Replay:
    """The world with as much of a server around it as the recorder saw.

    `beat_ms` is a recorded instant of the two-second heartbeat; `stop_ms` when the server was told to stop.
    """

    def __init__(self, events: list[dict[str, Any]], beat_ms: float, settings: Mapping[str, str]) -> None:
        self.events = events
        self.seen: Seen = defaultdict(list)
        self._world = PLATFORM.create(FaultSwitches(), settings, START_S + (beat_ms % 2000 - 2000) / 1000)
        self._names: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._to_world = {recorded: str(n) for n, recorded in enumerate(poll_ids(events), 1)}
        self._made_id: str | None = None

    def run(self, stop_ms: float | None = None) -> Seen:
        for event in self.events:
            now = START_S + event["t_ms"] / 1000
            if stop_ms is not None and event["t_ms"] >= stop_ms:
                self._stop(now)
                break
            while self._world.due <= now:
                self._effects(self._world.tick(self._world.due), self._world.due)
            if event["dir"] == ">":
                getattr(self, "_" + event["kind"])(event["who"], event["data"], now)
        return self.seen

    def _stop(self, now: float) -> None:
        self._effects(self._world.shutdown(now), now)
        for who in list(self._numbers):
            self.seen[who].append(("close", {"code": 1006}))

    # what clients do

    def _open(self, who: str, data: dict[str, Any], now: float) -> None:
        request = Request("GET", data["path"], "", data.get("headers", {}))
        refusal = self._world.upgrade(request, now)
        if refusal is not None:
            answer = {"status": refusal.status, "headers": dict(refusal.headers), "body": refusal.body.decode()}
            self.seen[who].append(("open", answer))
            return
        number = len(self._names) + 1
        self._names[number], self._numbers[who] = who, number
        self.seen[who].append(("open", {"status": 101}))
        self._effects(self._world.opened(number, request, now), now)

    def _text(self, who: str, data: str, now: float) -> None:
        self._effects(self._world.received(self._numbers[who], self._translated(data), now, 0), now)

    def _binary(self, who: str, data: dict[str, str], now: float) -> None:
        self._effects(self._world.received(self._numbers[who], base64.b64decode(data["base64"]), now, 0), now)

    def _ping(self, who: str, data: str, now: float) -> None:
        self.seen[who].append(("pong", data))
        self._effects(self._world.ponged(self._numbers[who], now), now)

    def _pong(self, who: str, data: str, now: float) -> None:
        self._effects(self._world.ponged(self._numbers[who], now), now)

    def _close(self, who: str, data: dict[str, Any], now: float) -> None:
        if who not in self._numbers:
            return  # the echo of a close that the server began
        number = self._numbers.pop(who)
        if data["code"] != 1006:
            self.seen[who].append(("close", data))
        self._effects(self._world.closed(number, now), now)

    def _http(self, who: str, data: dict[str, Any], now: float) -> None:
        path = self._translated(data["path"])
        request = Request(data["method"], path, "", data.get("headers", {}), (data["body"] or "").encode())
        for effect in self._world.request(1, request, now):
            assert isinstance(effect, Reply)
            body = "" if data["method"] == "HEAD" else effect.answer.body.decode()
            headers = {k: v for k, v in effect.answer.headers if k in ("content-type", "retry-after")}
            answer = {"status": effect.answer.status, "headers": headers, "body": body}
            self.seen[who].append(normalised("http", answer))

    # what the server does

    def _effects(self, effects: Effects, now: float) -> None:
        for effect in effects:
            match effect:
                case Send(socket, data):
                    assert isinstance(data, str)
                    self._tell(socket, data)
                case Publish(text, without, _):
                    for number in self._numbers.values():
                        if number != without:
                            self._tell(number, text)
                case Ping(socket):
                    self.seen[self._names[socket]].append(("ping", ""))
                case Close(socket, code, reason):
                    who = self._names[socket]
                    close = {"code": 1006} if code is None else {"code": code, "reason": reason}
                    self.seen[who].append(("close", close))
                    del self._numbers[who]
                    self._effects(self._world.closed(socket, now), now)
                case _:
                    raise AssertionError(f"unexpected {effect}")

    def _tell(self, number: int, text: str) -> None:
        made = _MADE_ID.search(text)
        self._made_id = made[0] if made else self._made_id
        back = {ours: recorded for recorded, ours in self._to_world.items()}
        text = _POLL_ID.sub(lambda match: f'"pollId":{back.get(match[1], match[1])}', text)
        self.seen[self._names[number]].append(normalised("text", text))

    def _translated(self, text: str) -> str:
        text = _POLL_ID.sub(lambda match: f'"pollId":{self._to_world.get(match[1], match[1])}', text)
        return _MADE_ID.sub(self._made_id, text) if self._made_id else text


def recorded(events: list[dict[str, Any]]) -> Seen:
    """What the real server sent, in the form of `Replay.run`."""
    seen: Seen = defaultdict(list)
    for event in events:
        if event["dir"] == "<":
            data = event["data"]
            if event["kind"] == "close":
                data = {key: value for key, value in data.items() if not (data["code"] == 1006 and key == "reason")}
            seen[event["who"]].append(normalised(event["kind"], data))
    return seen
