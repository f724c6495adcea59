"""The sandbox's port: routes paths to worlds and serves the control endpoints."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

import psutil

from pika_locust.errors import ConfigurationError
from pika_locust.sandbox.fault_effects import ProcessFaults
from pika_locust.sandbox.faults import COMMON, Fault, FaultKind, FaultSwitches, faults_from_json
from pika_locust.sandbox.host import WorldHost
from pika_locust.sandbox.http import Exchange, HttpConnection
from pika_locust.sandbox.websocket import SocketOwner, WebSocketConnection
from pika_locust.sandbox.world import Answer, Platform, Request

LARGEST_HEAD = 64 * 1024
_BLANK_LINE = b"\r\n\r\n"
_ASKS_FOR_WEBSOCKET = re.compile(rb"\r\nupgrade:[^\r\n]*websocket", re.IGNORECASE)


class ConnectionOwner(Protocol):
    """Where connections report."""

    def handle(self, exchange: Exchange, /) -> None: ...

    def route(self, request: Request, /) -> tuple[SocketOwner | None, Request]: ...

    def next_socket_id(self) -> int: ...

    def connected(self, connection: Connection) -> None: ...

    def disconnected(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """One TCP connection, whose first head says whether a WebSocket or plain HTTP is to handle it."""

    def __init__(self, owner: ConnectionOwner) -> None:
        self._owner = owner
        self._head = b""
        self._handler: WebSocketConnection | HttpConnection | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's, but have the same methods
        self._transport = cast(asyncio.Transport, transport)
        self._owner.connected(self)

    def data_received(self, data: bytes) -> None:
        if self._handler is not None:
            self._handler.feed(data)
            return
        self._head += data
        end = self._head.find(_BLANK_LINE)
        if end >= 0:
            self._decide(end)
        elif len(self._head) > LARGEST_HEAD:
            self.abort()

    def pause_writing(self) -> None:
        if self._handler is not None:
            self._handler.write_paused(True)

    def resume_writing(self) -> None:
        if self._handler is not None:
            self._handler.write_paused(False)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._handler is not None:
            self._handler.lost()
        self._owner.disconnected(self)

    def abort(self) -> None:
        """Ends the connection at once, without a close frame."""
        if self._transport is not None:
            self._transport.abort()

    def _decide(self, end: int) -> None:
        assert self._transport is not None
        peer = self._transport.get_extra_info("peername")
        address = peer[0] if peer else ""
        if _ASKS_FOR_WEBSOCKET.search(self._head, 0, end):
            self._handler = WebSocketConnection(
                self._owner.next_socket_id(), self._transport, self._owner.route, address
            )
        else:
            self._handler = HttpConnection(self._transport, self._owner.handle, address)
        data, self._head = self._head, b""
        end += len(_BLANK_LINE)
        # What follows is not looked at before the head is answered: a mistake in it must not come before the answer.
        self._handler.feed(data[:end])
        if len(data) > end:
            self._handler.feed(data[end:])


METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def legal_faults(platforms: Iterable[Platform]) -> tuple[FaultKind, ...]:
    """The faults that at least one of these platforms supports."""
    kinds: dict[str, FaultKind] = {}
    for platform in platforms:
        for kind in (*COMMON, *platform.named):
            if kind.name in platform.supports:
                kinds[kind.name] = kind
    return tuple(kinds.values())


def process_figures() -> dict[str, float]:
    """Memory and processor time of this process."""
    return {"rss_bytes": psutil.Process().memory_info().rss, "cpu_seconds": round(time.process_time(), 3)}


def metrics_text(hosts: Iterable[WorldHost]) -> str:
    """The figures of the process and its worlds in Prometheus' text format, version 0.0.4."""
    states = [host.state() for host in hosts]
    figures = process_figures()
    lines: list[str] = []

    def family(name: str, kind: str, about: str, samples: Iterable[tuple[str, float]]) -> None:
        lines.extend((f"# HELP {name} {about}", f"# TYPE {name} {kind}"))
        lines.extend(f"{name}{labels} {value}" for labels, value in samples)

    def by_platform(key: str) -> list[tuple[str, float]]:
        return [(f'{{platform="{state["platform"]}"}}', state[key]) for state in states if key in state]

    family("sandbox_connections", "gauge", "WebSockets open now.", by_platform("connections_open"))
    family("sandbox_connections_total", "counter", "WebSockets ever opened.", by_platform("connections_total"))
    family("sandbox_refused_total", "counter", "WebSockets refused.", by_platform("connections_refused"))
    family("sandbox_slow_clients_total", "counter", "Clients cut: too slow.", by_platform("dropped_slow_clients"))
    family("sandbox_frames_received_total", "counter", "Messages received.", by_platform("frames_received"))
    family("sandbox_frames_sent_total", "counter", "Frames written to sockets.", by_platform("frames_sent"))
    family("sandbox_http_requests_total", "counter", "Plain HTTP requests.", by_platform("http_requests"))
    family("sandbox_sessions", "gauge", "Sessions live now.", by_platform("sessions_live"))
    family(
        "sandbox_fault_hits_total",
        "counter",
        "Events hit by a fault.",
        [
            (f'{{platform="{state["platform"]}",fault="{name}"}}', counts["hit"])
            for state in states
            for name, counts in state["fault_hits"].items()
        ],
    )
    family("process_resident_memory_bytes", "gauge", "Resident memory size.", [("", figures["rss_bytes"])])
    family("process_cpu_seconds_total", "counter", "User and system time.", [("", figures["cpu_seconds"])])
    return "\n".join(lines) + "\n"


BACKLOG = 8192
SHUTDOWN_GRACE_S = 0.5
MOST_MESSAGES = 5
"""As many different internal errors are named."""
CONTROL = "/__sandbox/"


class Sandbox:
    """Serves one platform at `/`, or several each under `/<name>`, on one port of the loopback interface.

    Arguments:
        platforms: whose worlds to serve.
        faults: switched on from the start; each must be supported by one of the platforms at least.
        settings: environment variables for the worlds.
    """

    def __init__(self, platforms: Iterable[Platform], faults: Iterable[Fault], settings: Mapping[str, str]) -> None:
        self._platforms = tuple(platforms)
        self._faults = tuple(faults)
        self._settings = settings
        self._hosts: dict[str, WorldHost] = {}
        self._socket_ids = itertools.count(1)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._process_faults: ProcessFaults | None = None
        self._internal_errors = 0
        self._error_messages: list[str] = []

    async def start(self, port: int, address: str = "127.0.0.1") -> int:
        """Listens; returns the port."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._broken)
        # one clock for everything: the epoch's time, but never running backwards, and finer than the loop's own
        base = time.time() - time.monotonic()

        def clock() -> float:
            return base + time.monotonic()

        alone = len(self._platforms) == 1
        for platform in self._platforms:
            switches = FaultSwitches(legal_faults([platform]))
            switches.replace(fault for fault in self._faults if fault.name in platform.supports)
            world = platform.create(switches, self._settings, clock())
            self._hosts["" if alone else f"/{platform.name}"] = WorldHost(platform, world, switches, clock, loop)
        self._process_faults = ProcessFaults(loop, [host.faults for host in self._hosts.values()])
        self._server = await loop.create_server(lambda: Connection(self), address, port, backlog=BACKLOG)
        return int(self._server.sockets[0].getsockname()[1])

    async def shut_down(self) -> None:
        """Stops as the real servers do: a last notice, half a second, then every connection just ends."""
        if self._server is not None:
            self._server.close()
        for host in self._hosts.values():
            host.shutdown()
        await asyncio.sleep(SHUTDOWN_GRACE_S)
        for connection in list(self._connections):
            connection.abort()

    # what connections need

    def next_socket_id(self) -> int:
        return next(self._socket_ids)

    def connected(self, connection: Connection) -> None:
        self._connections.add(connection)

    def disconnected(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def route(self, request: Request) -> tuple[SocketOwner | None, Request]:
        host, request = self._find(request)
        if host is not None and self._process_faults is not None:
            self._process_faults.client_came()
        return host, request

    def handle(self, exchange: Exchange) -> None:
        host, request = self._find(exchange.request)
        path = request.path
        if path.startswith(CONTROL) or (path == "/metrics" and not (host is not None and host.platform.own_metrics)):
            exchange.answer(self._control(host, request))
        elif host is None:
            exchange.answer(self._overview(request))
        else:
            if path != "/health" and self._process_faults is not None:
                self._process_faults.client_came()
            host.handle(exchange, request)

    # its own endpoints

    def _find(self, request: Request) -> tuple[WorldHost | None, Request]:
        for prefix, host in self._hosts.items():
            if not prefix:
                return host, request
            if request.path == prefix or request.path.startswith(prefix + "/"):
                path = request.path[len(prefix) :] or "/"
                inner = Request(request.method, path, request.query, request.headers, request.body, request.peer)
                return host, inner
        return None, request

    def _overview(self, request: Request) -> Answer:
        """Several platforms: the root only says where they are."""
        names = [platform.name for platform in self._platforms]
        if request.path == "/health":
            return Answer.json({"status": "ok", "platforms": names}, headers=(("x-pika-sandbox", ",".join(names)),))
        if request.path == "/":
            return Answer.json({"platforms": {name: f"/{name}" for name in names}})
        return Answer.text("404 Not Found", 404)

    def _control(self, host: WorldHost | None, request: Request) -> Answer:
        hosts = [host] if host is not None else list(self._hosts.values())
        match request.method, request.path:
            case "GET", "/metrics" | "/__sandbox/metrics":
                return Answer(200, metrics_text(hosts).encode(), (("content-type", METRICS_TYPE),))
            case "GET", "/__sandbox/state":
                return Answer.json(self._state(host, users="users=0" not in request.query.split("&")))
            case "GET" | "PUT" | "DELETE", "/__sandbox/faults":
                return self._switch(hosts, request)
            case "POST", "/__sandbox/reset":
                for one in hosts:
                    one.reset()
                return Answer.json({"reset": [one.platform.name for one in hosts]})
        known = f"below {CONTROL} there are GET state, GET/PUT/DELETE faults, POST reset, GET metrics"
        return Answer.json({"error": f"no {request.method} {request.path} here; {known}"}, 404)

    def _state(self, host: WorldHost | None, users: bool) -> dict[str, Any]:
        if host is not None:
            return {**_state_of(host, users), **self._figures()}
        return {**{one.platform.name: _state_of(one, users) for one in self._hosts.values()}, **self._figures()}

    def _figures(self) -> dict[str, Any]:
        return {
            **process_figures(),
            "internal_errors": self._internal_errors,
            "internal_error_messages": self._error_messages,
        }

    def _broken(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An internal error: counted and named in the state, written to stderr; its connection is lost."""
        error = context.get("exception")
        message = context["message"] if error is None else f"{type(error).__name__}: {error}"
        self._internal_errors += 1
        if message not in self._error_messages and len(self._error_messages) < MOST_MESSAGES:
            self._error_messages.append(message)
        loop.default_exception_handler(context)

    def _switch(self, hosts: list[WorldHost], request: Request) -> Answer:
        legal = legal_faults(host.platform for host in hosts)
        try:
            if request.method == "PUT":
                faults = faults_from_json(_json(request.body), legal)
                for host in hosts:
                    host.faults.replace(fault for fault in faults if fault.name in host.platform.supports)
            elif request.method == "DELETE":
                for host in hosts:
                    host.faults.replace(())
        except ConfigurationError as error:
            return Answer.json({"error": str(error), "legal": _usages(legal)}, 400)
        on = {name: value for host in hosts for name, value in host.faults.to_json().items()}
        return Answer.json({"faults": on, "legal": _usages(legal)})


def _state_of(host: WorldHost, users: bool) -> dict[str, Any]:
    return {name: part for name, part in host.state().items() if users or name not in host.platform.per_user}


def _usages(legal: Iterable[FaultKind]) -> dict[str, str]:
    return {kind.usage: kind.about for kind in legal}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
