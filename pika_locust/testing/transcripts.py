r"""Recorded conversations with a real server: a world must say what that server said, a user must understand it.

A transcript is a file of JSON lines, recorded at the clients: a header, then an event a line, oldest first.

| key | meaning |
| --- | --- |
| `t_ms` | milliseconds since the beginning |
| `who` | which client |
| `dir` | `>` the client did it, `<` the server did it |
| `kind` | `open`, `text`, `binary`, `ping`, `pong`, `close` or `http` |
| `data` | the exact text of a frame, `{"base64"}` of a binary one; for the other kinds an object |

`open` has path and headers, or the status and what else a refusal says. `http` has method, path, headers and body, or
status, the headers that matter, and body. In `close`, 1006 stands for a connection that was cut. Cookies are named, not
shown, and `<session#2>` in what a client sent stands for the second value that the cookie `session` was given.

    RECORDED = r'''
    {"server": "greeter", "flow": "hello", "about": "Somebody is greeted, and welcomed back by a number."}
    {"t_ms": 0, "who": "a", "dir": ">", "kind": "open", "data": {"path": "/ws"}}
    {"t_ms": 1, "who": "a", "dir": "<", "kind": "open", "data": {"status": 101}}
    {"t_ms": 2, "who": "a", "dir": ">", "kind": "text", "data": "{\"type\":\"hello\"}"}
    {"t_ms": 9, "who": "a", "dir": "<", "kind": "text", "data": "{\"type\":\"welcome\",\"visitor\":4711}"}
    {"t_ms": 20, "who": "a", "dir": ">", "kind": "text", "data": "{\"type\":\"again\",\"visitor\":4711}"}
    {"t_ms": 22, "who": "a", "dir": "<", "kind": "text", "data": "{\"type\":\"welcome back\",\"visits\":2}"}
    '''

    class Greeter(App):
        name = "greeter"

        def start(self) -> None:
            self.visits: list[int] = []

        @message("hello")
        def hello(self, socket: Socket, body: dict[str, Any]) -> None:
            self.visits.append(1)
            socket.send({"type": "welcome", "visitor": len(self.visits)})

        @message("again")
        def again(self, socket: Socket, body: dict[str, Any]) -> None:
            self.visits[body["visitor"] - 1] += 1
            socket.send({"type": "welcome back", "visits": self.visits[body["visitor"] - 1]})

    def test_the_world_says_what_the_server_said() -> None:
        transcript = Transcript.parse(RECORDED)
        replay = WorldReplay(Greeter.platform(), transcript, ids=Ids('"visitor":[0-9]+'))
        assert replay.run() == replay.recorded()

    class UserReplay(TranscriptReplay):
        greeted = 0

        def received_text(self, who: str, data: str) -> None:
            self.greeted += json.loads(data)["type"].startswith("welcome")

    def test_a_user_understands_what_the_server_said() -> None:
        replay = UserReplay(Transcript.parse(RECORDED))
        replay.play()
        assert replay.greeted == 2
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pika_locust.sandbox.world import Answer, Platform
from pika_locust.testing.world_driver import START_S, WorldDriver

KINDS = ("open", "text", "binary", "ping", "pong", "close", "http")
"""Whatever events are about."""

Seen = dict[str, list[tuple[str, Any]]]
"""What each client was sent: (kind, data), oldest first."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_COOKIE = re.compile(r"<(\w+)#(\d+)>")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened between a client and the server."""

    at_ms: float
    """Since the beginning."""
    who: str
    """Which client."""
    by_client: bool
    kind: str
    data: Any


@dataclass(frozen=True, slots=True)
class Transcript:
    """One recorded conversation of a server with its clients."""

    flow: str
    """Its name."""
    about: str
    events: tuple[Event, ...]

    @classmethod
    def read(cls, path: Path) -> Transcript:
        """The transcript in a file. Raises ValueError with what is wrong with it."""
        return cls.parse(path.read_text(encoding="utf-8"))

    @classmethod
    def parse(cls, text: str) -> Transcript:
        """The transcript in a text of JSON lines. Raises ValueError with what is wrong with it."""
        header, *rows = (json.loads(line) for line in text.splitlines() if line.strip())
        for number, row in enumerate(rows, 2):
            if row["kind"] not in KINDS or row["dir"] not in (">", "<"):
                raise ValueError(f"event {number} is of the unknown kind {row['dir']} {row['kind']}")
        events = (Event(row["t_ms"], row["who"], row["dir"] == ">", row["kind"], row["data"]) for row in rows)
        return cls(header["flow"], header["about"], tuple(events))

    @property
    def clients(self) -> list[str]:
        """Who takes part, in the order of their first events."""
        return list(dict.fromkeys(event.who for event in self.events))

    def of(self, who: str) -> Transcript:
        """One client's part."""
        return Transcript(self.flow, self.about, tuple(event for event in self.events if event.who == who))

    def asked(self, is_asked: Callable[[str, str], bool]) -> Transcript:
        """Without the HTTP requests that it refuses by method and path, and the answers to them: a world serves what
        somebody asks for, and a recording may have more."""
        kept: list[Event] = []
        skipped: set[str] = set()
        for event in self.events:
            if event.kind == "http" and event.by_client and not is_asked(event.data["method"], event.data["path"]):
                skipped.add(event.who)
            elif event.kind == "http" and not event.by_client and event.who in skipped:
                skipped.discard(event.who)
            else:
                kept.append(event)
        return Transcript(self.flow, self.about, tuple(kept))

    def sent(self, kind: str = "text") -> list[Any]:
        """What clients sent of one kind."""
        return [event.data for event in self.events if event.by_client and event.kind == kind]

    def received(self, kind: str = "text") -> list[Any]:
        """What clients were sent of one kind."""
        return [event.data for event in self.events if not event.by_client and event.kind == kind]

    def began_s(self) -> float:
        """When it began, in seconds since the epoch: by the first time that the server wrote.

        Raises ValueError when it wrote none.
        """
        for event in self.events:
            found = None if event.by_client else _TIME.search(_words(event.data))
            if found is not None:
                return datetime.fromisoformat(found[0]).timestamp() - event.at_ms / 1000
        raise ValueError(f"the server wrote no time in {self.flow}")


def read_transcripts(folder: Path) -> dict[str, Transcript]:
    """All transcripts in a folder, by the names of their files without `.jsonl`."""
    return {path.stem: Transcript.read(path) for path in sorted(folder.glob("*.jsonl"))}


def masking(*masks: tuple[str, str]) -> Callable[[str], str]:
    """A `normalise` that puts names in the place of what is different every time: (regular expression, name)."""
    compiled = [(re.compile(pattern), name) for pattern, name in masks]

    def normalise(text: str) -> str:
        for pattern, name in compiled:
            text = pattern.sub(name, text)
        return text

    return normalise


def normalised(data: Any, normalise: Callable[[str], str]) -> Any:
    """An event's data for comparison: texts and bodies as `normalise` has them; connections cut have no reason."""
    if isinstance(data, str):
        return normalise(data)
    if data.get("body"):
        return {**data, "body": normalise(data["body"])}
    if data.get("code") == 1006:
        return {"code": 1006}
    return data


def _words(data: Any) -> str:
    """What may have ids and times in it."""
    return data if isinstance(data, str) else str(data.get("body", ""))


class Ids:
    """What recorded ids and cookies stand for in a replay, learnt as they appear.

    The k-th id in what a client gets is laid beside the k-th in what was recorded there, and from then on the recorded
    one stands for ours. What an id stood for once it stands for always, or the comparison fails.
    """

    def __init__(self, *patterns: str) -> None:
        """Arguments:
        patterns: regular expressions of what the server makes up and clients send back.
        """
        self._patterns = [re.compile(pattern) for pattern in patterns]
        self._ours: dict[str, str] = {}
        self._recorded: dict[str, str] = {}
        self._cookies: dict[str, list[str]] = defaultdict(list)

    def learn(self, recorded: str, ours: str) -> None:
        """A client got `ours` where it had got `recorded`."""
        for pattern in self._patterns:
            there, here = (_all(pattern, text) for text in (recorded, ours))
            if len(there) == len(here):
                for theirs, own in zip(there, here, strict=True):
                    self._ours.setdefault(theirs, own)
                    self._recorded.setdefault(own, theirs)

    def learn_cookie(self, header: str) -> str:
        """A client got this `set-cookie`; returns the cookie's name."""
        name, _, rest = header.partition("=")
        self._cookies[name].append(rest.partition(";")[0])
        return name

    def ours(self, recorded: str) -> str | None:
        """What a recorded id stands for; None for itself: our server has not made it up yet, or never will."""
        return self._ours.get(recorded)

    def to_ours(self, text: str) -> str:
        """What a client sends for what it sent when it was recorded."""
        text = _COOKIE.sub(lambda match: self._cookies[match[1]][int(match[2]) - 1], text)
        return self._translated(text, self.ours)

    def to_recorded(self, text: str) -> str:
        """What a client got, in recorded ids."""
        return self._translated(text, self._recorded.get)

    def _translated(self, text: str, find: Callable[[str], str | None]) -> str:
        for pattern in self._patterns:
            text = pattern.sub(lambda match: find(match[0]) or match[0], text)
        return text


def _all(pattern: re.Pattern[str], text: str) -> list[str]:
    return [match[0] for match in pattern.finditer(text)]


class TranscriptReplay:
    """Goes through a transcript: each event is handed to the method for its side and kind, if there is one.

    Subclasses write those that they need, with the client and the data as arguments: `sent_text(who, data)` for a text
    that a client sent, `received_http(who, data)` for an answer that it got, and so on for all KINDS.
    """

    def __init__(self, transcript: Transcript) -> None:
        self.transcript = transcript
        self.at_ms = 0.0
        """When the event happened that is replayed, since the beginning."""

    def play(self, until_ms: float = float("inf")) -> None:
        """Replay all events before a moment."""
        for event in self._until(until_ms):
            self.at_ms = event.at_ms
            self.before(event)
            handle = getattr(self, f"{'sent' if event.by_client else 'received'}_{event.kind}", None)
            if handle is not None:
                handle(event.who, event.data)

    def before(self, event: Event) -> None:
        """For overriding: an event is about to be replayed."""

    def _until(self, until_ms: float) -> Iterator[Event]:
        return (event for event in self.transcript.events if event.at_ms < until_ms)


class WorldReplay(TranscriptReplay):
    """Has a world hear what clients sent, at the recorded times, and keeps what it tells them."""

    def __init__(
        self,
        platform: Platform,
        transcript: Transcript,
        *faults: str,
        normalise: Callable[[str], str] = str,
        ids: Ids | None = None,
        kept_headers: Iterable[str] = ("content-type",),
        settings: Mapping[str, str] | None = None,
        began_s: float = START_S,
        born_ms: float = 0.0,
        own_addresses: bool = False,
    ) -> None:
        """A fresh world of `platform`, and the clients of a transcript.

        Arguments:
            faults: the planted faults that are on, as `--sandbox-fault` has them.
            normalise: texts and bodies for comparison, ours and the recorded ones; see `masking`.
            ids: what the server makes up and clients send back.
            kept_headers: the headers of answers that the recording has; of cookies it has the names.
            settings: the environment variables that the world reads.
            began_s: the time at the transcript's beginning, in seconds since the epoch.
            born_ms: when the world was born, before (less than 0) or at its beginning: what it does again and again
                it does in the phase that follows from there.
            own_addresses: whether each client calls from an address of its own.
        """
        super().__init__(transcript)
        self.ids = ids if ids is not None else Ids()
        self.normalise = normalise
        self.seen: Seen = defaultdict(list)
        """What each client was sent so far."""
        self._kept_headers = frozenset(kept_headers)
        self._began_s = began_s
        self._own_addresses = own_addresses
        self._recorded: dict[str, list[Any]] = defaultdict(list)
        for event in transcript.events:
            if not event.by_client:
                self._recorded[event.who].append(event.data)
        self._owners: dict[int, str] = {}
        self._sockets: dict[str, int] = {}
        self._turn = ""
        self.driver = _ReplayDriver(self, platform, *faults, settings=settings, now=began_s + born_ms / 1000)

    def run(self, until_ms: float = float("inf")) -> Seen:
        """Replay all events before a moment; returns what each client was sent, to be compared with `recorded`."""
        self.play(until_ms)
        return self.seen

    def recorded(self) -> Seen:
        """What the real server sent."""
        seen: Seen = defaultdict(list)
        for event in self.transcript.events:
            if not event.by_client:
                seen[event.who].append((event.kind, normalised(event.data, self.normalise)))
        return seen

    def shutdown(self, at_ms: float) -> Seen:
        """The server is told to stop at a moment; returns what each client was sent in all."""
        self.driver.wait_until(self._began_s + at_ms / 1000)
        self.driver.shutdown()
        return self.seen

    def request_headers(self, headers: Mapping[str, str], recorded_body: str, body: str) -> dict[str, str]:
        """The headers of a request whose body was translated; override it when they depend on that."""
        return {name: self.ids.to_ours(value) for name, value in headers.items()}

    # What clients do

    def before(self, event: Event) -> None:
        self.driver.wait_until(self._began_s + event.at_ms / 1000)
        self._turn = event.who

    def sent_open(self, who: str, data: Mapping[str, Any]) -> None:
        path, headers = data["path"], self.request_headers(data.get("headers", {}), "", "")
        refusal = self.driver.try_open(path, self._peer(who), into=None, **headers)
        if isinstance(refusal, Answer):
            self._saw(who, "open", self._told(refusal))

    def sent_text(self, who: str, data: str) -> None:
        self.driver.send(self._sockets[who], self.ids.to_ours(data))

    def sent_binary(self, who: str, data: Mapping[str, str]) -> None:
        self.driver.send(self._sockets[who], b64decode(data["base64"]))

    def sent_ping(self, who: str, data: str) -> None:
        self._saw(who, "pong", data)
        self.driver.ping(self._sockets[who])

    def sent_pong(self, who: str, data: str) -> None:
        self.driver.ping(self._sockets[who])

    def sent_close(self, who: str, data: Mapping[str, Any]) -> None:
        socket = self._sockets.pop(who, None)
        if socket is None:
            return  # the answer to a close that the server began
        if data["code"] != 1006:
            self._saw(who, "close", data)
        self.driver.close(socket)

    def sent_http(self, who: str, data: Mapping[str, Any]) -> None:
        recorded_body = data["body"] or ""
        body = self.ids.to_ours(recorded_body)
        headers = self.request_headers(data.get("headers", {}), recorded_body, body)
        path = self.ids.to_ours(data["path"])
        exchange = self.driver.request(data["method"], path, body.encode(), self._peer(who), **headers)
        self._owners[exchange] = who

    def _peer(self, who: str) -> str:
        return who if self._own_addresses else "127.0.0.1"

    # What the world does

    def on_open(self, socket: int) -> None:
        """The world has accepted a socket."""
        self._owners[socket] = self._turn
        self._sockets[self._turn] = socket
        self._saw(self._turn, "open", {"status": 101})

    def on_message(self, socket: int, data: str | bytes) -> None:
        """A message comes on an open socket."""
        assert isinstance(data, str), "a binary message, which the recording cannot have"
        self._saw(self._owners[socket], "text", data)

    def on_ping(self, socket: int) -> None:
        """A ping frame comes; its answer is among the events."""
        self._saw(self._owners[socket], "ping", "")

    def on_close(self, socket: int, code: int | None, reason: str) -> None:
        """The world has ended a socket."""
        who = self._owners[socket]
        self._sockets.pop(who, None)
        self._saw(who, "close", {"code": 1006} if code is None else {"code": code, "reason": reason})

    def on_answer(self, exchange: int, answer: Answer, method: str) -> None:
        """The answer of an exchange is complete."""
        # One that has no owner yet is answered at once: to the client whose turn it is.
        self._saw(self._owners.get(exchange, self._turn), "http", self._told(answer, method))

    def _told(self, answer: Answer, method: str = "GET") -> dict[str, Any]:
        headers: dict[str, Any] = {name: value for name, value in answer.headers if name in self._kept_headers}
        cookies = [self.ids.learn_cookie(value) for name, value in answer.headers if name == "set-cookie"]
        if cookies:
            headers["set-cookie"] = cookies
        body = "" if method == "HEAD" else answer.body.decode()
        return {"status": answer.status, "headers": headers, "body": body}

    def _saw(self, who: str, kind: str, data: Any) -> None:
        recorded, position = self._recorded[who], len(self.seen[who])
        if position < len(recorded):
            self.ids.learn(_words(recorded[position]), _words(data))
        if isinstance(data, str):
            data = self.ids.to_recorded(data)
        elif "body" in data:
            data = {**data, "body": self.ids.to_recorded(data["body"])}
        self.seen[who].append((kind, normalised(data, self.normalise)))


class _ReplayDriver(WorldDriver):
    """Hands what comes to a replay."""

    def __init__(self, replay: WorldReplay, platform: Platform, *faults: str, **options: Any) -> None:
        self._replay = replay
        super().__init__(platform, *faults, **options)

    def on_open(self, socket: int) -> None:
        self._replay.on_open(socket)

    def on_message(self, socket: int, data: str | bytes) -> None:
        self._replay.on_message(socket, data)

    def on_ping(self, socket: int) -> None:
        self._replay.on_ping(socket)

    def on_close(self, socket: int, code: int | None, reason: str) -> None:
        self._replay.on_close(socket, code, reason)

    def on_answer(self, exchange: int, answer: Answer) -> None:
        self._replay.on_answer(exchange, answer, self.requests[exchange].method)
