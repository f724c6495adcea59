from __future__ import annotations

import os
from typing import Any

import gevent
import gevent.event
import pytest
from gevent import get_hub

from pika_locust.wire.websocket import Close, Limits
from tests.wire.http_servers import Certificates
from tests.wire.websocket_servers import (
    CLOSE,
    Talk,
    echoing,
    frame,
    not_reading,
    talking,
    until,
)

pytestmark = pytest.mark.usefixtures("patience")


def test_a_server_that_does_not_read_is_given_up_and_others_are_not_held() -> None:
    limits = Limits(max_unsent_bytes=100_000)
    with talking(not_reading, limits=limits) as (stuck, seen), talking(echoing) as (other, other_seen):
        accepted = 0
        while stuck.send(bytes(50_000)):
            accepted += 50_000
            assert accepted < 50_000_000
        assert seen.closes == [], "not from inside a send"
        assert not stuck.is_open
        assert not stuck.send(b"more")
        other.send(b"ping")
        until(lambda: other_seen.texts, 0.5)
        assert seen.closes == [
            Close(1006, by_us=True, error="the server does not read: more than 100,000 bytes are unsent")
        ]
        assert other.is_open


def test_what_a_slow_server_could_not_take_is_sent_in_order_later(certificates: Certificates) -> None:
    messages = [bytes([number % 256]) * 60_000 for number in range(150)]
    for tls in (None, certificates):
        got: list[tuple[int, bytes]] = []

        def script(talk: Talk, got: list[tuple[int, bytes]] = got) -> None:
            gevent.sleep(0.1)
            while (received := talk.frame()) is not None:
                got.append(received)
                if len(got) % 10 == 0:
                    gevent.sleep(0.001)

        with talking(script, limits=Limits(max_unsent_bytes=1 << 24), certificates=tls) as (opened, _):
            active = get_hub().loop.activecnt
            assert all(opened.send(message) for message in messages)
            assert opened._send_buffer is not None, "this test needs a server that is slow enough"
            until(lambda got=got: len(got) == 150)  # type: ignore[misc]
            assert opened._send_buffer is None
            until(lambda active=active: get_hub().loop.activecnt <= active)  # type: ignore[misc]
        assert got == [(1, message) for message in messages]


def test_a_close_waits_behind_what_is_unsent() -> None:
    got: list[tuple[int, bytes]] = []

    def script(talk: Talk) -> None:
        gevent.sleep(0.05)
        while (received := talk.frame()) is not None:
            got.append(received)
            if received[0] == CLOSE:
                talk.send(frame(received[1], CLOSE))

    with talking(script, limits=Limits(max_unsent_bytes=1 << 24)) as (opened, seen):
        for _ in range(100):
            opened.send(bytes(100_000))
        opened.close(4000)
        until(lambda: seen.closes)
    assert [opcode for opcode, _ in got] == [1] * 100 + [CLOSE]
    assert seen.closes == [Close(4000, by_us=True)]


def test_a_reset_while_something_is_unsent() -> None:
    def script(talk: Talk) -> None:
        talk.send(frame(b"never mind"))
        gevent.sleep(0.02)
        talk.peer.reset()

    active = get_hub().loop.activecnt
    with talking(script) as (opened, seen):
        while opened._send_buffer is None:
            opened.send(bytes(100_000))
        until(lambda: seen.closes)
    assert [close.code for close in seen.closes] == [1006]
    until(lambda: get_hub().loop.activecnt <= active)


def test_bytes_that_tls_could_not_send_are_sent_again_as_they_were(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL has encrypted a part of what it did not send: to offer it anything else would spoil the stream."""
    offered: list[tuple[int, bytes]] = []
    got: list[tuple[int, bytes]] = []
    read = gevent.event.Event()

    def script(talk: Talk) -> None:
        read.wait()
        while (received := talk.frame()) is not None:
            got.append(received)

    with talking(script, certificates=certificates, limits=Limits(max_unsent_bytes=1 << 26)) as (opened, _):
        inner = opened._sock

        class Watching:
            def send(self, data: bytes) -> int:
                sent = int(inner.send(data))
                offered.append((sent, bytes(data)))
                return sent

            def __getattr__(self, name: str) -> Any:
                return getattr(inner, name)

        opened._sock = Watching()
        message = os.urandom(1 << 20).hex().encode()
        while opened._send_buffer is None:
            opened.send(message)
        sent_before = len(offered)
        refused = offered[-1]
        assert refused[0] == 0, "gevent's way to say that TLS wants to write"
        opened.send(b"behind it")
        assert len(offered) == sent_before, "not even tried while something is unsent"
        read.set()
        until(lambda: got and got[-1] == (1, b"behind it"))
        assert offered[sent_before][1].startswith(refused[1])
    assert {payload for _, payload in got[:-1]} == {message}
