"""The interface between the sandbox server and a world: requests and messages in, effects out.

A world is a pure state machine: it owns no socket, no task and no clock. The server tells it what came in and at what
time (`now`, seconds since the epoch, never running backwards) and carries out what it returns, in order. Sockets and
HTTP exchanges are known to a world by the number the server gave them. Whatever happens by time comes out of `tick`,
which the server calls as soon as `now >= world.due`.

WebSocket worlds, plain HTTP worlds and worlds that stream their answers need no more than this: an HTTP answer is an
effect like any other, so it may come at once (`Reply`), later (a `Reply` out of a later `tick`), or in pieces
(`Begin`, `Chunk`..., `End`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pika_locust.sandbox.faults import Cover, FaultKind, FaultSwitches

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, or the request that asks for a WebSocket. Names of headers are in lower case.

    `path` is what the world knows (the prefix it is mounted under is gone), still percent-encoded; `query` is without
    the question mark.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""
    peer: str = ""

    @property
    def bearer(self) -> str:
        """The token of the header `authorization: Bearer ...`; empty when there is none."""
        authorization = self.headers.get("authorization", "")
        if authorization.startswith("Bearer "):
            return authorization[7:].strip()
        scheme, _, token = authorization.partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; empty when it is none."""
        try:
            body = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return body if isinstance(body, dict) else {}


@dataclass(slots=True, unsafe_hash=True)  # not frozen: that would double the time it takes to make one
class Answer:
    """One whole HTTP answer; the server adds content-length and date."""

    status: int
    body: bytes = b""
    headers: Headers = ()

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: Headers = ()) -> Answer:
        """The value as compact JSON, written as JavaScript's `JSON.stringify` would."""
        return cls(status, to_json(value).encode("utf-8", "replace"), (("content-type", "application/json"), *headers))

    @classmethod
    def text(cls, text: str, status: int = 200, headers: Headers = ()) -> Answer:
        """Plain text."""
        return cls(status, text.encode(), (("content-type", "text/plain; charset=UTF-8"), *headers))


@dataclass(slots=True, unsafe_hash=True)  # not frozen: that would double the time it takes to make one
class Send:
    """One message to one socket: a text frame for `str`, a binary frame for `bytes`."""

    socket: int
    data: str | bytes


@dataclass(frozen=True, slots=True)
class Publish:
    """One text to every open socket of this world, in the order they were opened, except `without`.

    `kind` is the name under which the faults on broadcasts count it.
    """

    text: str
    without: int | None = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Ping:
    """An empty ping frame to one socket."""

    socket: int


@dataclass(frozen=True, slots=True)
class Close:
    """Ends a socket: with a close frame (1005: one without a code), or (`code` is None) by cutting the connection."""

    socket: int
    code: int | None
    reason: str = ""


@dataclass(slots=True, unsafe_hash=True)  # not frozen: that would double the time it takes to make one
class Reply:
    """The whole answer of an HTTP exchange."""

    exchange: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Begin:
    """Status and headers of a streamed answer."""

    exchange: int
    status: int
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a streamed answer."""

    exchange: int
    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The end of a streamed answer."""

    exchange: int


Effect = Send | Publish | Ping | Close | Reply | Begin | Chunk | End
Effects = Sequence[Effect]


class World(Protocol):
    """What the server needs of a platform's stand-in. No method may block, sleep or read a clock."""

    @property
    def due(self) -> float:
        """When `tick` wants to be called next (seconds since the epoch; infinity for never)."""

    def request(self, exchange: int, request: Request, now: float) -> Effects:
        """A plain HTTP request came in; some effect must answer `exchange`, now or later."""

    def abandoned(self, exchange: int, now: float) -> Effects:
        """The client of an unanswered or half-answered exchange is gone; effects for it are ignored from now on."""

    def upgrade(self, request: Request, now: float) -> Answer | None:
        """A WebSocket is asked for: None accepts it, an answer refuses it."""

    def opened(self, socket: int, request: Request, now: float) -> Effects:
        """An accepted socket is open."""

    def received(self, socket: int, data: str | bytes, now: float, queued: int) -> Effects:
        """A whole message arrived. `queued` is how many bytes wait to be written to that socket."""

    def ponged(self, socket: int, now: float) -> Effects:
        """A ping or pong frame arrived (pings are answered by the server)."""

    def closed(self, socket: int, now: float) -> Effects:
        """The socket is gone, for whatever reason, also when the world closed it."""

    def tick(self, now: float) -> Effects:
        """Does all that is due at `now` and moves `due` on."""

    def shutdown(self, now: float) -> Effects:
        """The server has been asked to stop; after these effects the process ends without close frames."""

    def group(self, socket: int) -> str:
        """Which of its groups a socket belongs to by what it has done so far; frames are counted by group."""

    def state(self, now: float) -> dict[str, Any]:
        """What the world holds, as plain JSON values, for audits and tests."""

    def reset(self, now: float) -> None:
        """Back to the state of a fresh start. All sockets are already gone."""


@dataclass(frozen=True, slots=True)
class Platform:
    """How a platform offers its world to the sandbox: `PLATFORM` in its module `world`.

    `create(faults, settings, now)` makes a fresh world; `settings` are environment variables. `covers` says for each
    supported fault which metric or audit of which scenario must see it. `groups` are the values of `World.group`;
    `named` are faults that only this platform has; `own_metrics` says that the world itself answers `/metrics` (the
    sandbox's figures are then at `/__sandbox/metrics` only). `per_user` names parts of the state with an entry for each
    user, which `/__sandbox/state?users=0` leaves out.
    """

    name: str
    about: str
    create: Callable[[FaultSwitches, Mapping[str, str], float], World]
    covers: tuple[Cover, ...]
    groups: tuple[str, ...] = ()
    named: tuple[FaultKind, ...] = ()
    own_metrics: bool = False
    per_user: tuple[str, ...] = ()

    @property
    def supports(self) -> frozenset[str]:
        """Names of the faults this world can show."""
        return frozenset(cover.fault for cover in self.covers)


def to_json(value: Any) -> str:
    """Compact JSON as `JSON.stringify` writes it: no spaces, no escapes beyond the necessary.

    Whole numbers must be `int`: JavaScript writes 148, Python would write 148.0.
    """
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
