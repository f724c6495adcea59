"""A world written as routes, messages and timers: the base class that implements `sandbox.world.World`.

    class Orders(App):
        name, about = "orders", "a shop that takes orders"
        covers = (Cover("lose-write", "lose-write=0.1", "orders", "orders"),)

        def start(self) -> None:
            self.orders: list[str] = []

        @route("POST", "/orders", body={"id": text(1)})
        def order(self, call: Call) -> None:
            self.orders += [call.body["id"]] * self.copies("order")
            self.after(0.005, call.answer, {"id": call.body["id"]}, 201)

    PLATFORM = Orders.platform()

Whatever a platform may want to say in its own words is a method to override. The faults `drop` and `throttle` are
applied here, `lose-write` and `double` by `copies`, `lose-fanout` by `broadcast` and `emit`; those of the wire
(`latency`, `error`, `refuse`, `max-sockets`, `close-after`, `leak`, `crash-after`) by the server. `covers` says which
are legal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from inspect import isfunction
from typing import Any, ClassVar, TypeVar
from urllib.parse import parse_qsl, unquote

from pika_locust.errors import ConfigurationError
from pika_locust.sandbox.faults import Cover, FanoutLoss, FaultKind, FaultSwitches
from pika_locust.sandbox.rate_limit import FixedWindow
from pika_locust.sandbox.schema import Refused, Schema, parse_json, read_fields, read_json
from pika_locust.sandbox.timers import Timer, Timers
from pika_locust.sandbox.world import (
    Answer,
    Close,
    Effect,
    Effects,
    Ping,
    Platform,
    Publish,
    Reply,
    Request,
    Send,
    to_json,
)
from pika_locust.settings import Parser, names_of, number, on_unless_0, whole

Handler = TypeVar("Handler", bound=Callable[..., Any])
Value = TypeVar("Value", bool, int, float, str)

INTERNAL_ERROR = Answer.text("Internal Server Error", 500)
"""What a call is answered when its handler or a timer of it fails."""

_TAKEN = "a world has {1} of that name already, which the sandbox uses: call it something else, such as {0}_items"
_NO_PARAMS: Mapping[str, str] = {}
_PARSERS: Mapping[type, Parser] = {bool: on_unless_0, int: whole(), float: number()}
_MARKS = "_handles"
"""Attribute of a handler: the routes and messages it is for."""


@dataclass(frozen=True, slots=True)
class Route:
    """What `route` says of a handler."""

    method: str
    path: str
    body: Schema | None = None
    auth: bool = False
    limit: int | None = None
    window_s: float = 60.0
    exempt: bool = False

    @property
    def kind(self) -> str:
        """The name under which faults count its requests: "POST /orders"."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Message:
    """What `message` says of a handler."""

    kind: str
    body: Schema | None


def route(
    method: str,
    path: str,
    *,
    body: Schema | None = None,
    auth: bool = False,
    limit: int | None = None,
    window_s: float = 60.0,
    exempt: bool = False,
) -> Callable[[Handler], Handler]:
    """Marks a method of an `App` as the handler of one kind of HTTP request. A handler may have several routes.

    It is called with a `Call`, and returns a JSON value, an `Answer`, or None when it answers later (`Call.answer`).

    Arguments:
        method: such as "POST"; GET handles HEAD as well.
        path: parts in braces (`/orders/{id}`) match one part of any text, which is then in `Call.params`.
        body: what each field of the JSON body must be (see `sandbox.schema`); the accepted ones are in `Call.body`.
        auth: asks `App.authenticate` who calls; without an answer it is `App.unauthorized`.
        limit: requests let through for each client (see `App.client_of`) in a window; more are `App.too_many`.
        window_s: seconds of that window, which starts with the client's first request.
        exempt: neither `drop` nor `throttle` touches it: for health pages and for what an audit reads.
    """
    return mark(Route(method, path, body, auth, limit, window_s, exempt))


def message(kind: str, *, body: Schema | None = None) -> Callable[[Handler], Handler]:
    """Marks a method of an `App` as the handler of one kind of WebSocket message (see `App.kind_of`).

    It is called with the `Socket` and the message: all of it, or with `body` the accepted fields only.
    """
    return mark(Message(kind, body))


def mark(what: Any) -> Callable[[Handler], Handler]:
    """Marks a method of an `App` as the handler of something that its `_add` knows."""

    def marked(handler: Handler) -> Handler:
        setattr(handler, _MARKS, (*getattr(handler, _MARKS, ()), what))
        return handler

    return marked


@dataclass(slots=True, eq=False)
class Call:
    """One HTTP request that a handler has in hand: answer it now (return), or later (`answer`)."""

    world: App
    exchange: int
    request: Request
    route: Route
    params: Mapping[str, str]
    """The parts of the path that are in braces in the route, percent-decoded."""
    body: Any = None
    """The accepted fields of the body, a dictionary; without a schema, all fields of a JSON object."""
    user: Any = None
    """What `authenticate` said."""
    headers: tuple[tuple[str, str], ...] = ()
    """Sent with whatever answer this call gets."""
    answered: bool = False

    def answer(self, value: Any, status: int = 200) -> None:
        """Answers with a JSON value or an `Answer`, now or out of a timer; only the first answer counts."""
        if not self.answered:
            self.answered = True
            self.world._reply(self, value if isinstance(value, Answer) else Answer.json(value, status))

    @property
    def query(self) -> dict[str, str]:
        """The parameters behind the question mark; of several with one name, the last."""
        return dict(parse_qsl(self.request.query, keep_blank_values=True))

    @property
    def bearer(self) -> str:
        """The token of the header `authorization: Bearer ...`; empty when there is none."""
        return self.request.bearer


@dataclass(slots=True, eq=False)
class Socket:
    """One WebSocket."""

    world: App
    id: int
    request: Request
    data: Any = field(default_factory=dict)
    """The world's own: a dictionary, unless `App.on_open` puts something else here."""
    queued_bytes: int = 0
    """What waited to be written to it when its latest message came."""

    @property
    def is_open(self) -> bool:
        """Whether it can still be sent to; what is sent to a closed one has no effect."""
        return self.id in self.world.sockets

    def send(self, value: Any) -> None:
        """Sends a text frame: a string as it is, any other value as JSON. `bytes` are a binary frame."""
        self.world._effects.append(Send(self.id, value if isinstance(value, str | bytes) else to_json(value)))

    def ping(self) -> None:
        """Sends an empty ping frame; when it is answered, `App.on_pong` is called."""
        self.world._effects.append(Ping(self.id))

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Ends it with a close frame; without a code, by cutting the connection."""
        self.world._effects.append(Close(self.id, code, reason))


class App:
    """A world. Subclasses write `start`, handlers and `state`; nothing of theirs blocks, sleeps or reads a clock.

    What a handler raises is an error of the world and not of whoever is tested on it: it is counted and named in the
    sandbox's state, and makes the run invalid. The connection of that request or message is ended; a request that a
    timer was to answer gets 500.

    Arguments:
        faults: the switches of this world.
        settings: environment variables.
        now: seconds since the epoch.

    Raises ConfigurationError with every setting that `start` could not read.
    """

    name: ClassVar[str] = ""
    about: ClassVar[str] = ""
    socket_path: ClassVar[str] = "/ws"
    """Where WebSockets are accepted, unless `accept` says otherwise."""
    covers: ClassVar[tuple[Cover, ...]] = ()
    """The faults this world can show, and who must notice them."""
    named: ClassVar[tuple[FaultKind, ...]] = ()
    """Faults that only this world has."""
    groups: ClassVar[tuple[str, ...]] = ("clients",)
    """The values of `group`."""
    per_user: ClassVar[tuple[str, ...]] = ()
    """Parts of the state with an entry for each user."""

    throttle_blocks: ClassVar[bool] = False
    """Whether whoever tries too often while `throttle` is on is shut out for another whole window."""

    _exact: ClassVar[dict[tuple[str, str], tuple[Route, str, Mapping[str, str]]]]
    _patterns: ClassVar[dict[tuple[str, int], list[tuple[list[str], Route, str]]]]
    _messages: ClassVar[dict[str, tuple[Message, str]]]
    _own: frozenset[str] = frozenset()
    """Names of the attributes that are the world's and not the platform's."""
    _in_hand: Call | None
    """The request that is being handled, also by a timer that its handler set."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._check_class()
        cls._exact, cls._patterns, cls._messages = {}, {}, {}
        # From the base to the subclass: a route of a subclass replaces that of a base; a handler that is merely
        # overridden keeps its route.
        for base in reversed(cls.__mro__):
            for name, handler in vars(base).items():
                for what in getattr(handler, _MARKS, ()):
                    cls._add(what, name)

    @classmethod
    def _check_class(cls) -> None:
        """Raises TypeError for what takes the place of a method of a base class that the sandbox calls."""
        for name, value in vars(cls).items():
            of_base = getattr(super(cls, cls), name, None)
            if not isfunction(of_base) or hasattr(of_base, _MARKS):
                continue
            if hasattr(value, _MARKS):
                raise TypeError(
                    f"{cls.__name__}.{name} handles a route or message, but {_TAKEN.format(name, 'a method')}"
                )
            if not callable(value):
                raise TypeError(f"{cls.__name__}.{name} is no method, but {_TAKEN.format(name, 'a method')}")

    def _check_state(self, before: Mapping[str, Any]) -> None:
        """Raises TypeError for what `start` has put in the place of a method, or of what the world keeps itself."""
        for name, value in vars(self).items():
            is_method = isfunction(getattr(type(self), name, None))
            if is_method or (name in before and value is not before[name]):
                what = "a method" if is_method else "an attribute of its own"
                raise TypeError(f"{type(self).__name__}.start sets self.{name}, but {_TAKEN.format(name, what)}")

    @classmethod
    def _add(cls, what: Any, handler: str) -> None:
        if isinstance(what, Message):
            cls._messages[what.kind] = what, handler
        elif "{" not in what.path:
            cls._exact[what.method, what.path] = what, handler, _NO_PARAMS
        else:
            parts = what.path.split("/")
            same = cls._patterns.setdefault((what.method, len(parts)), [])
            same[:] = [one for one in same if one[1].path != what.path]
            same.append((parts, what, handler))

    @classmethod
    def platform(cls) -> Platform:
        """How the sandbox is offered this world. Raises ValueError when it has no name."""
        if not cls.name:
            raise ValueError(f"{cls.__name__} has no name: say `name = ...` in its class")
        own_metrics = ("GET", "/metrics") in cls._exact
        return Platform(cls.name, cls.about, cls, cls.covers, cls.groups, cls.named, own_metrics, cls.per_user)

    def __init__(self, faults: FaultSwitches, settings: Mapping[str, str], now: float) -> None:
        self.faults = faults
        self.settings = settings
        self._problems: list[str] = []
        faults.watch(self._retune)
        self.reset(now)
        if self._problems:
            raise ConfigurationError(self._problems)

    # For the platform to write

    def start(self) -> None:
        """A fresh world: make the state here, under names that the world has no method of: `closed` is one."""

    def state(self, now: float) -> dict[str, Any]:
        """What the world holds, as plain JSON values, for audits and tests."""
        return {}

    @route("GET", "/health", exempt=True)
    def health(self, call: Call) -> Any:
        """The health page, by which a run sees that the target lives."""
        return {"status": "ok"}

    def on_call(self, call: Call) -> Answer | None:
        """A request has found its route; an answer ends it before limits, authentication and body are looked at.

        For what routes have in common: a token against forged requests, headers of every answer (`Call.headers`).
        """
        return None

    def authenticate(self, call: Call) -> Any:
        """Who calls, for routes with `auth`; None refuses."""
        return None

    def read_body(self, request: Request, schema: Schema | None) -> dict[str, Any]:
        """What `Call.body` is for a route with this schema; raises `sandbox.schema.Refused` with what is wrong."""
        return request.json_object() if schema is None else read_json(request.body, schema)

    def over_limit(self, call: Call) -> int | None:
        """Seconds until the client may call this route again, when it tried too often; None lets the call through."""
        wanted, request = call.route, call.request
        retry_s = None if wanted.exempt else self.over_throttle(wanted.kind, request)
        if retry_s is not None or wanted.limit is None:
            return retry_s
        window = self._limited.get(wanted.kind)
        if window is None:
            window = self._limited[wanted.kind] = FixedWindow(wanted.limit, wanted.window_s)
        return window.take_or_wait(self.client_of(request), self.now)

    def upgrade_over_limit(self, request: Request) -> int | None:
        """Seconds until the client may ask for a WebSocket again, when it tried too often; None lets it through."""
        return self.over_throttle("WebSocket", request)

    def accept(self, request: Request) -> Answer | None:
        """A WebSocket is asked for: None accepts it, an answer refuses it."""
        return None if request.path == self.socket_path else self.not_found(request)

    def on_open(self, socket: Socket) -> None:
        """An accepted WebSocket is open."""

    def on_data(self, socket: Socket, data: str | bytes) -> bool:
        """Something came from a WebSocket and has not been read yet; False leaves it unread."""
        return True

    def on_close(self, socket: Socket) -> None:
        """A WebSocket is gone, whoever ended it."""

    def on_pong(self, socket: Socket) -> None:
        """A ping or pong frame came (pings are answered by the server)."""

    def on_shutdown(self) -> None:
        """The server has been asked to stop; what is sent now is the last."""

    def on_unknown(self, socket: Socket, data: str | bytes) -> None:
        """A message came that is not a JSON object or of a kind without handler."""

    def kind_of(self, message: Any) -> str:
        """The kind of a WebSocket message, a JSON object."""
        return str(message.get("type"))

    def is_answer(self, data: str | bytes) -> bool:
        """Whether what is sent to the sender of a message while that is handled may be taken away by `drop`."""
        return True

    def client_of(self, request: Request) -> str:
        """The client that limits count a request for: its address, unless a proxy's header says more."""
        return request.peer

    def group(self, socket: int) -> str:
        """Which of `groups` a socket belongs to by what it has done so far."""
        return self.groups[0]

    # In the platform's words

    def not_found(self, request: Request) -> Answer:
        """There is no such route."""
        return Answer.json({"error": "not found"}, 404)

    def refused_body(self, problems: list[str]) -> Answer:
        """The body is not what the route's schema asks for."""
        return Answer.json({"error": "; ".join(problems)}, 400)

    def refused_message(self, socket: Socket, kind: str, problems: list[str]) -> None:
        """A WebSocket message is not what its schema asks for."""
        socket.send({"type": "error", "error": "; ".join(problems)})

    def unauthorized(self, call: Call) -> Answer:
        """Nobody who may call."""
        return Answer.json({"error": "unauthorized"}, 401)

    def too_many(self, call: Call, retry_s: int) -> Answer:
        """More requests than the limit; the window ends in `retry_s` seconds."""
        return Answer.json({"error": "too many requests"}, 429, (("retry-after", str(retry_s)),))

    def too_many_sockets(self, request: Request, retry_s: int) -> Answer:
        """More WebSockets asked for than `throttle` lets through; the window ends in `retry_s` seconds."""
        return Answer.json({"error": "too many requests"}, 429, (("retry-after", str(retry_s)),))

    # For the platform to use

    def setting(self, name: str, default: Value) -> Value:
        """A setting from the environment, for `start`. With the platform's name before it (`SHOP_RATE`) it wins over
        the plain one (`RATE`).

        The default says what it is: a switch (off when it is `0`), a whole number or a decimal one from 0, or a text.
        What cannot be read is a mistake in the configuration.
        """
        parse = _PARSERS.get(type(default), str)
        for one in names_of(name, self.name):
            said = self.settings.get(one, "").strip()
            if said:
                try:
                    value: Value = parse(said)
                    return value
                except ValueError as error:
                    self._problems.append(f"{one}={said}: {error}")
                    break
        return default

    def after(self, seconds: float, act: Callable[..., object], *arguments: Any) -> Timer:
        """Calls `act(*arguments)` when that time has come (`self.now` tells it)."""
        return self.at(self.now + seconds, act, *arguments)

    def at(self, when: float, act: Callable[..., object], *arguments: Any) -> Timer:
        """Calls `act(*arguments)` at a time, in seconds since the epoch; those of one instant in the order set."""
        if self._in_hand is not None and not self._in_hand.answered:
            act, arguments = self._answering, (self._in_hand, act, *arguments)
        return self._timers.at(when, act, *arguments)

    def every(self, seconds: float, act: Callable[..., object], *arguments: Any) -> Timer:
        """Calls `act(*arguments)` whenever so many seconds have passed; times that were missed are skipped."""
        return self._timers.at(self.now + seconds, act, *arguments, period_s=seconds)

    def hit(self, fault: str, kind: str = "") -> bool:
        """Whether a fault hits the next event of this kind; False when it is off."""
        return fault in self.faults.on and self.faults.hits(fault, kind)

    def throttle_window(self, kind: str, most: int | None = None) -> FixedWindow | None:
        """The window in which `throttle` counts one kind of request, with its limit or `most`; None while it is off."""
        if self._throttle is None:
            return None
        window = self._throttled.get(kind)
        if window is None:
            limit, window_s = self._throttle
            limit = limit if most is None else min(limit, most)
            window = self._throttled[kind] = FixedWindow(limit, window_s, self.throttle_blocks)
        return window

    def over_throttle(self, kind: str, request: Request, most: int | None = None) -> int | None:
        """Counts a request in that window; seconds until its client may try again, when it has tried too often."""
        window = self.throttle_window(kind, most)
        retry_s = None if window is None else window.take_or_wait(self.client_of(request), self.now)
        if retry_s is not None:
            self.faults.count("throttle")
        return retry_s

    def copies(self, write: str) -> int:
        """How often an acknowledged write is kept: once, unless `lose-write` or `double` hits it."""
        if self.hit("lose-write", write):
            return 0
        return 2 if self.hit("double", write) else 1

    def broadcast(self, value: Any, without: Socket | None = None, kind: str = "") -> None:
        """Sends to every open socket, the cheapest way there is; `kind` is what `lose-fanout` counts it as."""
        text = value if isinstance(value, str) else to_json(value)
        self._effects.append(Publish(text, None if without is None else without.id, kind))

    def emit(self, sockets: Iterable[Socket], value: Any, without: Socket | None = None, kind: str = "") -> None:
        """Sends to some sockets, in their order; `kind` is what `lose-fanout` counts it as."""
        data = value if isinstance(value, str | bytes) else to_json(value)
        recipients = [socket.id for socket in sockets if socket is not without]
        lost = self._losses.of(kind, recipients) if "lose-fanout" in self.faults.on else ()
        self._effects += [Send(number, data) for number in recipients if number not in lost]

    # `sandbox.world.World`: plain HTTP

    def request(self, exchange: int, request: Request, now: float) -> Effects:
        self.now = now
        found = self._find("GET" if request.method == "HEAD" else request.method, request.path)
        if found is None:
            self._effects.append(Reply(exchange, self.not_found(request)))
            return self._take()
        wanted, handler, params = found
        call = Call(self, exchange, request, wanted, params)
        self._in_hand = call
        try:
            answer = self._refusal(call)
            if answer is None:
                answer = getattr(self, handler)(call)
            if answer is not None:
                call.answer(answer)
        except Exception:
            self._failed(call)
            raise
        finally:
            self._in_hand = None
        return self._take()

    def _answering(self, call: Call, act: Callable[..., object], *arguments: Any) -> None:
        """Does later what a call has set a timer for."""
        self._in_hand = call
        try:
            act(*arguments)
        except Exception:
            self._failed(call)
            raise
        finally:
            self._in_hand = None

    def _failed(self, call: Call) -> None:
        """What was done for a call failed: it is answered 500, for by a timer, there is no connection to end."""
        if not call.answered:
            call.answered = True
            self._effects.append(Reply(call.exchange, INTERNAL_ERROR))

    def abandoned(self, exchange: int, now: float) -> Effects:
        self.now = now
        return ()

    def _find(self, method: str, path: str) -> tuple[Route, str, Mapping[str, str]] | None:
        exact = self._exact.get((method, path))
        if exact is not None:
            return exact
        parts = path.split("/")
        for pattern, found, handler in self._patterns.get((method, len(parts)), ()):
            pairs = list(zip(pattern, parts, strict=True))
            if all(want == got or (want[:1] == "{" and got) for want, got in pairs):
                return found, handler, {want[1:-1]: unquote(got) for want, got in pairs if want[:1] == "{"}
        return None

    def _refusal(self, call: Call) -> Answer | None:
        """Why a call does not get as far as its handler; fills in who calls and with what."""
        wanted = call.route
        answer = self.on_call(call)
        if answer is not None:
            return answer
        retry_s = self.over_limit(call)
        if retry_s is not None:
            return self.too_many(call, retry_s)
        if wanted.auth:
            call.user = self.authenticate(call)
            if call.user is None:
                return self.unauthorized(call)
        try:
            call.body = self.read_body(call.request, wanted.body)
        except Refused as refused:
            return self.refused_body(refused.problems)
        return None

    def _reply(self, call: Call, answer: Answer) -> None:
        if "drop" in self.faults.on and not call.route.exempt and self.hit("drop", call.route.kind):
            return
        if call.headers:
            answer = Answer(answer.status, answer.body, (*answer.headers, *call.headers))
        self._effects.append(Reply(call.exchange, answer))

    # `sandbox.world.World`: WebSockets

    def upgrade(self, request: Request, now: float) -> Answer | None:
        self.now = now
        retry_s = self.upgrade_over_limit(request)
        return self.accept(request) if retry_s is None else self.too_many_sockets(request, retry_s)

    def opened(self, socket: int, request: Request, now: float) -> Effects:
        self.now = now
        self.sockets[socket] = one = Socket(self, socket, request)
        self.on_open(one)
        return self._take()

    def received(self, socket: int, data: str | bytes, now: float, queued: int) -> Effects:
        self.now = now
        one = self.sockets[socket]
        one.queued_bytes = queued
        if not self.on_data(one, data):
            return self._take()
        found, value = None, None
        try:
            value = parse_json(data)
            if isinstance(value, dict):
                found = self._messages.get(self.kind_of(value))
        except ValueError:
            pass
        if found is None:
            self.on_unknown(one, data)
            return self._take()
        wanted, handler = found
        try:
            body = value if wanted.body is None else read_fields(value, wanted.body)
        except Refused as refused:
            self.refused_message(one, wanted.kind, refused.problems)
        else:
            getattr(self, handler)(one, body)
        return self._without_answers(self._take(), socket, wanted.kind)

    def _without_answers(self, effects: Effects, socket: int, kind: str) -> Effects:
        """The fault `drop`: the message was processed, but its sender is not answered; the others get theirs."""
        if "drop" not in self.faults.on:
            return effects
        others = [
            effect
            for effect in effects
            if not (isinstance(effect, Send) and effect.socket == socket and self.is_answer(effect.data))
        ]
        answered = len(others) < len(effects)
        return others if answered and self.hit("drop", kind) else effects

    def ponged(self, socket: int, now: float) -> Effects:
        self.now = now
        self.on_pong(self.sockets[socket])
        return self._take()

    def closed(self, socket: int, now: float) -> Effects:
        self.now = now
        one = self.sockets.pop(socket, None)
        if one is not None:
            self.on_close(one)
        return self._take()

    # `sandbox.world.World`: time

    @property
    def due(self) -> float:
        """When `tick` has something to do: a timer, or what a handler had done when it failed; else infinity."""
        return self._timers.due if not self._effects else self.now

    def tick(self, now: float) -> Effects:
        self.now = now
        self._timers.run(now)
        return self._take()

    def shutdown(self, now: float) -> Effects:
        self.now = now
        self.on_shutdown()
        return self._take()

    def reset(self, now: float) -> None:
        """A fresh world. The faults stay as they are switched."""
        self.now = now
        self.sockets: dict[int, Socket] = {}
        self._effects: list[Effect] = []
        self._timers = Timers()
        self._in_hand = None
        self._limited: dict[str, FixedWindow] = {}
        self._losses = FanoutLoss(self.faults)
        self._throttle: tuple[int, float] | None = None
        self._throttled: dict[str, FixedWindow] = {}
        self._retune()
        # At later resets, what an earlier `start` made is there as well.
        self._own = self._own or frozenset(vars(self))
        before = {name: vars(self)[name] for name in self._own}
        self.start()
        self._check_state(before)

    def _take(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    def _retune(self) -> None:
        fault = self.faults.on.get("throttle")
        throttle = None if fault is None else (int(fault.value), float(fault.window_s))
        if throttle != self._throttle:
            self._throttle = throttle
            self._throttled.clear()
