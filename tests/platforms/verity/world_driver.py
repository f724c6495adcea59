"""Drives Verity's world without a server: users who ask over HTTP and listen over sockets, and Stripe's webhooks."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from pika_locust.platforms.verity.world import PLATFORM
from pika_locust.testing.world_driver import START_S, SocketIoWorldDriver

SECRET = "whsec_test_secret"
KEY = "canberra:44136fa355b3"

Status = tuple[int, Any]
"""Status and parsed body of an answer."""


def signed(body: bytes, at: float, secret: str = SECRET) -> str:
    """A `stripe-signature` header, made by Stripe's description and not by its library."""
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
    """One account; `packets` collects what comes on all its sockets."""

    driver: VerityDriver
    id: str
    token: str
    packets: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, body: Any = None) -> Status:
        return self.driver.ask(method, path, body, authorization=f"Bearer {self.token}")

    def join(self, **body: Any) -> Status:
        return self.ask("POST", "/queue/join", body)

    def begin_join(self, **body: Any) -> int:
        """Sends a join; the number of its answer, which comes later."""
        return self.driver.request("POST", "/queue/join", body, authorization=f"Bearer {self.token}")

    def leave(self) -> Status:
        return self.ask("DELETE", "/queue/leave")

    def balance(self) -> int:
        return int(self.ask("GET", "/tokens/balance")[1]["tokenBalance"])

    def listen(self, *namespaces: str) -> int:
        """Opens a socket and enters; what the server says to that is not kept."""
        socket = self.driver.open(into=self.packets)
        for namespace in namespaces or ("/queue", "/video"):
            self.driver.join(socket, namespace, {"token": self.token})
        self.packets.clear()
        return socket

    def events(self) -> list[tuple[Any, ...]]:
        """(name, payload) of the events that came since it was last asked."""
        packets, self.packets[:] = list(self.packets), []
        return self.driver.events(packets)

    def names(self) -> list[str]:
        return [name for name, _ in self.events()]


class VerityDriver(SocketIoWorldDriver):
    """A fresh world; the arguments are those of `WorldDriver`."""

    def __init__(self, *faults: str, settings: Mapping[str, str] | None = None, answers_pings: bool = True) -> None:
        super().__init__(PLATFORM, *faults, settings=settings, answers_pings=answers_pings)

    def wait_until_tick(self, before_s: float = 0.0) -> None:
        """Until the matching worker begins its next round, or that much before it."""
        passed = (self.now - START_S + before_s) % 0.5
        self.wait(0.5 - passed)

    def member(self, tokens: int = 0) -> Member:
        """Somebody who has signed up and bought that many tokens."""
        status, body = self.ask("POST", "/auth/signup-anonymous", {})
        assert status == 201
        member = Member(self, body["user"]["id"], body["accessToken"])
        if tokens:
            assert self.pay(purchase(member.id, tokens, f"evt_{member.id}")) == (200, {"received": True})
        return member

    def pay(self, event: Any, signature: str | None = None) -> Status:
        """Delivers an event of Stripe's, rightly signed unless told otherwise."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        header = signed(body, self.now) if signature is None else signature
        return self.ask("POST", "/webhooks/stripe", body, content_type="application/json", stripe_signature=header)


def pair(driver: VerityDriver, tokens: int = 2) -> tuple[Member, Member]:
    """Two members with sockets who have just been matched; their events are still to be read."""
    first, second = driver.member(tokens), driver.member(tokens)
    for member in (first, second):
        member.listen()
    driver.wait_until_tick(before_s=0.1)
    for member in (first, second):
        assert member.join(preferences={"for": "two"})[0] == 201
    driver.wait(0.2)
    return first, second
