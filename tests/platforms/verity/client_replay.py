"""Recorded conversations with a real server, the client's side ours: what the server said is said again, over a real
HTTP connection and to a real Socket.IO session, and our member does whatever the recorded one did."""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from pika_locust.kit.socketio_connection import SocketIoConnection
from pika_locust.platforms.verity.scenarios import SESSIONS
from pika_locust.platforms.verity.session_user import SessionUser, Visit
from pika_locust.testing.transcripts import TranscriptReplay
from pika_locust.wire.websocket import Close
from tests.platforms.verity.harness import Harness
from tests.platforms.verity.transcripts import TRANSCRIPTS
from tests.wire.http_servers import Peer
from tests.wire.socketio_doubles import Scripted


@dataclass
class Answered:
    """One request that our member made, and what it made of the answer."""

    who: str
    line: str
    status: int
    body: Any
    result: Any
    owed: tuple[int, int]
    queued: bool
    """Whether the member was in the queue just then, so that the target holds one token of those that are owed."""


@dataclass
class RecordedSocket:
    """One recorded socket, its client ours."""

    client: SocketIoConnection
    session: Scripted
    wrote: list[str] = field(default_factory=list)
    """What the recorded client said."""
    hung_up: bool = False


class AnswersInTurn:
    """A script for a server: answers whatever comes with what is put into `next`."""

    def __init__(self) -> None:
        self.next: deque[bytes] = deque()
        self.asked: list[str] = []

    def __call__(self, peer: Peer) -> None:
        while request := peer.request():
            method, path, _ = request.split(b"\r\n", 1)[0].decode().split(" ")
            self.asked.append(f"{method} {path}")
            peer.send(self.next.popleft())


class ClientReplay(TranscriptReplay):
    """A flow from its beginning to its end. `answered` has what our requests came to; those of other kinds, which our
    members never make, are `passed_over`."""

    def __init__(self, harness: Harness, url: str, answers: AnswersInTurn, flow: str) -> None:
        super().__init__(TRANSCRIPTS[flow])
        harness.open(SESSIONS, url, THINK_TIME_MIN="0", THINK_TIME_MAX="0")
        self.harness = harness
        self._answers = answers
        self.members: dict[str, SessionUser] = {}
        self.lines: dict[str, RecordedSocket] = {}
        self.answered: list[Answered] = []
        self.passed_over: list[str] = []
        self.sessions: Counter[str] = Counter()
        """How many members heard of their match, by session."""
        self._asked: dict[str, deque[Any]] = defaultdict(deque)
        self._queued: set[str] = set()

    @property
    def at_ns(self) -> int:
        """The moment of the event, on the monotonic clock."""
        return round(self.at_ms * 1e6)

    def run(self) -> ClientReplay:
        self.play()
        for member in self.members.values():
            member.http.close()
        return self

    def member(self, who: str) -> SessionUser:
        """The member of ours that stands for a client's user."""
        name = _owner(who)
        if name not in self.members:
            self.members[name] = self.harness.begun(SessionUser)
        return self.members[name]

    # HTTP: an answer is waiting when our member asks

    def sent_http(self, who: str, data: Any) -> None:
        self._asked[who].append(data)
        if data["path"] == "/queue/join" and who not in self._queued:
            self.member(who).visit = Visit(joined_ns=self.at_ns)

    def received_http(self, who: str, data: Any) -> None:
        asked = self._asked[who].popleft()
        line = f"{asked['method']} {asked['path']}"
        self._answers.next.append(_as_bytes(data, len(self.answered)))
        try:
            result = self._ask(self.member(who), line, asked["body"])
        except LookupError:
            self._answers.next.pop()
            self.passed_over.append(line)
            return
        assert self._answers.asked[-1] == line
        body = json.loads(data["body"]) if data["body"] else None
        if line.endswith("/queue/join") and data["status"] == 201:
            self._queued.add(who)
        elif line.endswith("/queue/leave") and data["status"] == 200:
            self._queued.discard(who)
        tokens = self.member(who).account.tokens
        self.answered.append(
            Answered(who, line, data["status"], body, result, (tokens.least, tokens.most), who in self._queued)
        )

    def _ask(self, member: SessionUser, line: str, sent: str) -> Any:
        match line.split("/"):
            case ["POST ", "auth", "signup-anonymous"]:
                return member.open_account()
            case ["POST ", "auth", "refresh"]:
                return member.account.credentials.renewed(member.http)
            case ["POST ", "webhooks", "stripe"]:
                return member.buy(_tokens_of(sent))
            case ["GET ", "tokens", "balance"]:
                return member.balance()
            case ["POST ", "queue", "join"]:
                return member._join()
            case ["DELETE ", "queue", "leave"]:
                return member._leave()
            case ["POST ", "sessions", session_id, "choice"]:
                member._choose(Visit(session_id=session_id))
                return None
        raise LookupError(line)

    # Sockets: what came is handed to the session, and what the recorded client asked for is asked for

    def sent_open(self, who: str, data: Any) -> None:
        member = self.member(who)
        client = member.client = SocketIoConnection(member)
        self.lines[who] = RecordedSocket(client, Scripted(client))
        client._socket = self.lines[who].session

    def received_open(self, who: str, data: Any) -> None:
        assert data == {"status": 101}

    def sent_text(self, who: str, text: str) -> None:
        line = self.lines[who]
        line.wrote.append(text)
        namespace, _, auth = text[2:].partition(",")
        if text.startswith("40/"):
            line.session.open(namespace, json.loads(auth) if auth else None)
        elif text.startswith("41/"):
            line.session.leave(namespace)
            self._leave_queue(who)

    def received_text(self, who: str, text: str) -> None:
        session = self.lines[who].session
        session.on_text(text.encode(), self.at_ns)
        if text.startswith('42/queue,["match"'):
            self.sessions[self.member(who).visit.session_id] += 1
            self._queued.discard(_owner(who))

    def sent_close(self, who: str, data: Any) -> None:
        self.lines[who].hung_up = True
        if data["code"] == 1006:
            self.received_close(who, data)

    def received_close(self, who: str, data: Any) -> None:
        line = self.lines[who]
        line.session.end()
        line.client.on_close(Close(data["code"], data["reason"], by_us=line.hung_up))
        self._leave_queue(who)

    def _leave_queue(self, who: str) -> None:
        """The server leaves for whoever closes a socket of the queue."""
        self._queued.discard(_owner(who))


def _owner(who: str) -> str:
    """Whose a client is: `u2s` and `u2chat` are u2's, all sockets without a user's name u1's."""
    return who[:2] if who.startswith("u") else "u1"


def _tokens_of(sent: str) -> int:
    """What a recorded webhook pays for; one that is odd in its tokens counts as one."""
    try:
        return int(json.loads(sent)["data"]["object"]["metadata"]["tokens"])
    except (ValueError, KeyError, TypeError):
        return 1


def _as_bytes(data: Any, number: int) -> bytes:
    """A recorded answer as it was on the wire; the recording names cookies without their values."""
    content = data["body"].encode()
    lines = [f"HTTP/1.1 {data['status']} As-Recorded", f"content-length: {len(content)}"]
    for name, value in data["headers"].items():
        if name == "set-cookie":
            lines += [f"set-cookie: {cookie}=cookie{number}; Path=/auth/refresh; HttpOnly" for cookie in value]
        else:
            lines.append(f"{name}: {value}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content
