"""A world as the server of real users in virtual time: they dial, and what either side sends arrives after a while.

    def test_a_caller_is_answered() -> None:
        with VirtualTime() as time, VirtualServer(time, PLATFORM, "slow-join=500") as server:
            worker = make_context(CALLS, target=server.url)
            time.spawn(live, make_user(Caller, worker))
            time.run(10)
            assert server.state()["calls_ever"]["accepted"] == 1

What users do by HTTP has no part in it: in virtual time there are no sockets.
"""

from __future__ import annotations

from contextlib import ExitStack
from math import inf
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from gevent import get_hub

from pika_locust.kit import websocket_actor
from pika_locust.sandbox.world import Answer, Effects, Platform
from pika_locust.testing.virtual_time import VirtualTime
from pika_locust.testing.world_driver import START_S, WorldDriver
from pika_locust.wire import websocket
from pika_locust.wire.websocket import Close
from pika_locust.wire.websocket_handshake import ConnectError

WAY_S = 0.001


class VirtualWebSocket:
    """A user's end of a connection, as `wire.websocket.WebSocket` is one."""

    subprotocol: str | None = None

    def __init__(self, server: VirtualServer, handler: Any) -> None:
        self.handler = handler
        self.number = 0
        self.received_ns = server.time.now_ns
        self.sent: list[str] = []
        """What the user has sent, oldest first."""
        self.received: list[str] = []
        """What it was sent."""
        self._server = server
        self._close: Close | None = None
        self._is_over = False

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._close is None and not self._is_over

    def send(self, payload: bytes) -> bool:
        """Send a text message."""
        if self.is_open:
            self.sent.append(payload.decode())
            self._server.arrive(self, self.sent[-1])
            return True
        return False

    def ping(self, payload: bytes = b"") -> bool:
        """Send a ping frame, whose pong shows in `received_ns`."""
        return self.is_open

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake."""
        if self.is_open:
            self._close = Close(code, reason, by_us=True)
            self._server.leave(self)

    def abort(self, error: str = "given up by the user") -> None:
        """Drop the connection at once."""
        if not self._is_over:
            self._close = Close(1006, by_us=True, error=error)
            self._server.leave(self)

    def hear(self, text: str) -> None:
        """A message arrives."""
        if self._is_over:
            return
        self.received_ns = self._server.time.now_ns
        self.received.append(text)
        try:
            self.handler.on_text(text.encode(), self.received_ns)
        except Exception as error:
            self.handler.on_internal_error(error)

    def end(self, close: Close) -> None:
        """The connection is over."""
        if not self._is_over:
            self._is_over = True
            self.handler.on_close(self._close or close)


class VirtualServer(WorldDriver):
    """While it lasts, WebSockets that are dialled lead to the world, wherever they should have led.

    Arguments:
        time: whose clock the world follows.
        platform, faults, settings: as `WorldDriver` has them.
        way_s: how long a message takes, each way, in seconds.
    """

    url = "http://127.0.0.1:1"

    def __init__(
        self,
        time: VirtualTime,
        platform: Platform,
        *faults: str,
        settings: dict[str, str] | None = None,
        way_s: float = WAY_S,
    ) -> None:
        self.time = time
        self.connections: dict[int, VirtualWebSocket] = {}
        """Those that are open, by the world's numbers."""
        self.ever: list[VirtualWebSocket] = []
        """All that there have been, oldest first."""
        self.dials = 0
        self.is_down = False
        """Whether nobody listens any more."""
        self._way_s = way_s
        self._timer: Any = None
        self._stack = ExitStack()
        super().__init__(platform, *faults, settings=settings, now=self._clock_s())
        self._set_timer()

    def __enter__(self) -> VirtualServer:
        # Whoever imported the function has a name of its own for it.
        modules: tuple[Any, ...] = (websocket, websocket_actor)
        for module in modules:
            self._stack.callback(setattr, module, "connect", module.connect)
            module.connect = self._dial
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def state(self) -> dict[str, Any]:
        self.now = self._clock_s()
        return super().state()

    def crash(self) -> None:
        """The server is gone, and all connections with it."""
        self.is_down = True
        for number in list(self.connections):
            self.on_close(number, None, "")

    def cut(self, handler: Any) -> bool:
        """The connection of this user breaks; whether it had one."""
        found = [number for number, connection in self.connections.items() if connection.handler is handler]
        for number in found:
            self.connections.pop(number).end(Close(1006, error="the server ended the connection without a close frame"))
            self.now = self._clock_s()
            self.close(number)
        return bool(found)

    # For the users' ends

    def arrive(self, connection: VirtualWebSocket, text: str) -> None:
        """A user's message is on its way."""
        self._later(self._receive, connection, text)

    def leave(self, connection: VirtualWebSocket) -> None:
        """A user's end of the connection is on its way."""
        self._later(self._left, connection)

    # As `WorldDriver` has them

    def carry_out(self, effects: Effects) -> None:
        super().carry_out(effects)
        self._set_timer()

    def on_message(self, socket: int, data: str | bytes) -> None:
        if isinstance(data, str) and socket in self.connections:
            self._later(self.connections[socket].hear, data)

    def on_close(self, socket: int, code: int | None, reason: str) -> None:
        connection = self.connections.pop(socket, None)
        if connection is not None:
            error = "" if code is not None else "the server ended the connection without a close frame"
            self._later(connection.end, Close(code or 1006, reason, error=error))

    # The way between

    def _dial(self, url: str, handler: Any, **options: Any) -> VirtualWebSocket:
        self.dials += 1
        self.now = self._clock_s()
        parts = urlsplit(url)
        if self.is_down:
            raise ConnectError("refused", "connection refused")
        connection = VirtualWebSocket(self, handler)
        self._opening = connection
        opened = self.try_open(f"{parts.path}?{parts.query}" if parts.query else parts.path)
        if isinstance(opened, Answer):
            raise ConnectError("refused", f"the server answered {opened.status} to the upgrade", opened.status)
        return connection

    def on_open(self, socket: int) -> None:
        self._opening.number = socket
        self.connections[socket] = self._opening
        self.ever.append(self._opening)

    def _receive(self, connection: VirtualWebSocket, text: str) -> None:
        if connection.number in self.connections:
            self.now = self._clock_s()
            self.send(connection.number, text)

    def _left(self, connection: VirtualWebSocket) -> None:
        if self.connections.pop(connection.number, None) is not None:
            self.now = self._clock_s()
            self.close(connection.number)
        connection.end(Close(1006))

    def _clock_s(self) -> float:
        return START_S + self.time.elapsed_s

    def _tick_now(self) -> None:
        # Seconds are a little less exact than the virtual clock's nanoseconds.
        self.now = max(self._clock_s(), min(self.world.due, self._clock_s() + 1e-6))
        self.carry_out(self.world.tick(self.now))

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self.world.due != inf:
            self._timer = get_hub().loop.timer(max(0.0, self.world.due - self._clock_s()))
            self._timer.start(self._tick_now)

    def _later(self, act: Any, *arguments: Any) -> None:
        get_hub().loop.timer(self._way_s).start(act, *arguments)
