"""Verity's world with a clock moved by hand: members ask over HTTP and hear over sockets."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import Any

from pika_locust.platforms.verity.world import PLATFORM, VerityWorld
from pika_locust.sandbox.faults import FaultSwitches, parse_faults
from pika_locust.sandbox.server import legal_faults
from pika_locust.sandbox.world import Answer, Close, Effects, Reply, Request, Send

START_S = 1_795_230_000.0
SECRET = "whsec_test_secret"
KEY = "canberra:44136fa355b3"

Told = tuple[int, Any]
"""Status and parsed body of an answer."""


def signed(body: bytes, at: float, secret: str = SECRET) -> str:
    """A `stripe-signature` header, made here by the book."""
    stamp = int(at)
    return f"t={stamp},v1={hmac.new(secret.encode(), b'%d.' % stamp + body, sha256).hexdigest()}"


def purchase(user_id: str, tokens: Any, event: str, checkout: str | None = None, **changes: Any) -> dict[str, Any]:
    """A paid checkout as the suite's script reports it."""
    about = {"userId": user_id, "packId": "starter", "tokens": str(tokens)}
    paid = {"object": "checkout.session", "payment_status": "paid", "metadata": about}
    report = {"id": event, "type": "checkout.session.completed"}
    return {**report, "data": {"object": {"id": checkout or f"cs_{event}", **paid}}, **changes}


@dataclass
class Member:
    """One account; `heard` collects the packets of all its sockets."""

    club: Club
    id: str
    token: str
    heard: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, body: Any = None) -> Told:
        return self.club.ask(method, path, body, authorization=f"Bearer {self.token}")

    def join(self, **body: Any) -> Told:
        return self.ask("POST", "/queue/join", body)

    def leave(self) -> Told:
        return self.ask("DELETE", "/queue/leave")

    def balance(self) -> int:
        return int(self.ask("GET", "/tokens/balance")[1]["tokenBalance"])

    def listen(self, *namespaces: str) -> int:
        """Opens a socket and connects it; what the server says to that is not kept."""
        socket = self.club.open(self.heard)
        for namespace in namespaces or ("/queue", "/video"):
            self.club.say(socket, f'40{namespace},{{"token":"{self.token}"}}')
        self.heard.clear()
        return socket

    def events(self) -> list[tuple[str, Any]]:
        """(name, payload) of the events heard since it was last asked."""
        packets, self.heard[:] = list(self.heard), []
        return [tuple(json.loads(packet.partition(",")[2])) for packet in packets if packet.startswith("42")]

    def names(self) -> list[str]:
        return [name for name, _ in self.events()]


class Club:
    """`wait` moves the clock; `ask` waits for answers that take a while."""

    def __init__(self, *faults: str, settings: Mapping[str, str] | None = None, answers_pings: bool = True) -> None:
        self.answers_pings = answers_pings
        self.faults = FaultSwitches(faults=parse_faults(faults, legal_faults([PLATFORM])))
        self.now = START_S
        self.world = VerityWorld(self.faults, settings or {}, self.now)
        self.answers: dict[int, Answer] = {}
        self.closed: list[tuple[int, int | None]] = []
        self.listeners: dict[int, list[str]] = {}
        self._numbers = count(1)

    def switch(self, *faults: str) -> None:
        self.faults.replace(parse_faults(faults, legal_faults([PLATFORM])))

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.world.due <= until:
            self.now = max(self.now, self.world.due)
            self.carry_out(self.world.tick(self.now))
        self.now = until

    def wait_until_tick(self, before_s: float = 0.0) -> None:
        """Until the matching worker begins its next round, or that much before it."""
        passed = (self.now - START_S + before_s) % 0.5
        self.wait(0.5 - passed)

    # HTTP

    def send(self, method: str, path: str, body: Any = None, peer: str = "127.0.0.1", **headers: str) -> int:
        """Sends a request; returns its number in `answers`."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        if body is not None:
            names.setdefault("content-type", "application/json")
        path, _, query = path.partition("?")
        exchange = next(self._numbers)
        self.carry_out(self.world.request(exchange, Request(method, path, query, names, data, peer), self.now))
        return exchange

    def answer(self, method: str, path: str, body: Any = None, peer: str = "127.0.0.1", **headers: str) -> Answer:
        exchange = self.send(method, path, body, peer, **headers)
        if exchange not in self.answers:
            self.wait(0.01)
        return self.answers.pop(exchange)

    def ask(self, method: str, path: str, body: Any = None, peer: str = "127.0.0.1", **headers: str) -> Told:
        answer = self.answer(method, path, body, peer, **headers)
        return answer.status, json.loads(answer.body) if answer.body else None

    def member(self, tokens: int = 0) -> Member:
        status, body = self.ask("POST", "/auth/signup-anonymous", {})
        assert status == 201
        member = Member(self, body["user"]["id"], body["accessToken"])
        if tokens:
            assert self.pay(purchase(member.id, tokens, f"evt_{member.id}")) == (200, {"received": True})
        return member

    def pay(self, event: Any, signature: str | None = None) -> Told:
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        header = signed(body, self.now) if signature is None else signature
        return self.ask("POST", "/webhooks/stripe", body, stripe_signature=header)

    def state(self) -> dict[str, Any]:
        return self.world.state(self.now)

    # sockets

    def open(self, heard: list[str], **headers: str) -> int:
        request = Request("GET", "/socket.io/", "EIO=4&transport=websocket", headers)
        assert self.world.upgrade(request, self.now) is None
        socket = next(self._numbers)
        self.listeners[socket] = heard
        self.carry_out(self.world.opened(socket, request, self.now))
        return socket

    def say(self, socket: int, packet: str | bytes) -> None:
        self.carry_out(self.world.received(socket, packet, self.now, 0))

    def hang_up(self, socket: int) -> None:
        del self.listeners[socket]
        self.carry_out(self.world.closed(socket, self.now))

    def carry_out(self, effects: Effects) -> None:
        for effect in effects:
            match effect:
                case Reply(exchange, answer):
                    assert exchange not in self.answers
                    self.answers[exchange] = answer
                case Send(socket, "2") if self.answers_pings and socket in self.listeners:
                    self.say(socket, "3")
                case Send(socket, str() as packet):
                    self.listeners.get(socket, []).append(packet)
                case Close(socket, code, _):
                    self.closed.append((socket, code))
                    if socket in self.listeners:
                        self.hang_up(socket)
                case _:
                    raise AssertionError(f"unexpected {effect}")


def couple(club: Club, tokens: int = 2) -> tuple[Member, Member]:
    """Two members with sockets who have just been matched; their events are still to be read."""
    first, second = club.member(tokens), club.member(tokens)
    for member in (first, second):
        member.listen()
    club.wait_until_tick(before_s=0.1)
    for member in (first, second):
        assert member.join(preferences={"for": "two"})[0] == 201
    club.wait(0.2)
    return first, second
