from __future__ import annotations

import _socket
import socket
import time
from collections.abc import Callable, Iterator
from time import monotonic_ns

import gevent
import pytest
from gevent import get_hub

from pika_locust.wire.http_connection import SocketWaiter, wait_for

# Waits of a few hundredths of a second, and how soon after them they end.
pytestmark = pytest.mark.alone


@pytest.fixture
def pair() -> Iterator[tuple[SocketWaiter, socket.socket]]:
    ours, theirs = _socket.socketpair()
    ours.setblocking(False)
    channel = SocketWaiter(ours, 0.05)
    yield channel, theirs
    channel.close()
    theirs.close()


def test_it_waits_first_and_then_reads(pair: tuple[SocketWaiter, socket.socket]) -> None:
    channel, peer = pair
    gevent.spawn_later(0.01, peer.send, b"hello")
    assert channel.wait_readable(monotonic_ns())
    assert channel.recv(100) == b"hello"
    with pytest.raises(BlockingIOError):
        channel.recv(100)


def test_its_patience_ends(pair: tuple[SocketWaiter, socket.socket]) -> None:
    channel, _ = pair
    for wait, least, most in (
        (lambda: channel.wait_readable(monotonic_ns()), 0.045, 0.5),
        (lambda: channel.wait_readable_within(0.02), 0.018, 0.3),
        (lambda: channel.wait_readable_within(-1), 0, 0.1),
    ):
        began = time.monotonic()
        assert not wait()
        assert least <= time.monotonic() - began <= most


def test_its_patience_does_not_end_early_in_a_busy_process(pair: tuple[SocketWaiter, socket.socket]) -> None:
    channel, peer = pair
    for wait in (lambda: channel.wait_readable_within(0.05), lambda: channel.wait_readable(monotonic_ns())):
        peer.send(b"x")
        assert channel.wait_readable(monotonic_ns())
        assert channel.recv(100) == b"x"
        channel._drop_timer()
        # Woken by its socket, the event loop has not looked at a clock since.
        time.sleep(0.03)
        began = time.monotonic()
        assert not wait()
        assert time.monotonic() - began >= 0.049


def test_short_waits_do_not_add_up_to_a_long_one(pair: tuple[SocketWaiter, socket.socket]) -> None:
    channel, peer = pair
    for _ in range(6):
        gevent.spawn_later(0.02, peer.send, b"x")
        assert channel.wait_readable(monotonic_ns())
        assert channel.recv(100) == b"x"


def test_each_wait_has_the_whole_patience_whenever_it_begins(pair: tuple[SocketWaiter, socket.socket]) -> None:
    channel, peer = pair
    for rest_s in (0.03, 0.06):
        peer.send(b"x")
        assert channel.wait_readable(monotonic_ns())
        assert channel.recv(100) == b"x"
        gevent.sleep(rest_s)
        began = time.monotonic()
        assert not channel.wait_readable(monotonic_ns())
        assert 0.05 <= time.monotonic() - began <= 0.5


def test_a_timer_that_fires_while_nobody_waits_wakes_nobody(pair: tuple[SocketWaiter, socket.socket]) -> None:
    channel, peer = pair
    peer.send(b"x")
    assert channel.wait_readable(monotonic_ns())
    began = time.monotonic()
    gevent.sleep(0.12)
    assert time.monotonic() - began >= 0.12


def test_the_end_can_be_read(pair: tuple[SocketWaiter, socket.socket]) -> None:
    channel, peer = pair
    peer.close()
    assert channel.wait_readable(monotonic_ns())
    assert channel.recv(100) == b""


def fill(channel: SocketWaiter) -> None:
    while True:
        try:
            channel.send(b"x" * 65536)
        except BlockingIOError:
            return


def test_it_waits_until_more_can_be_sent(pair: tuple[SocketWaiter, socket.socket]) -> None:
    channel, peer = pair
    assert channel.wait_writable(1) == "write"
    fill(channel)
    assert channel.wait_writable(0.02) == ""
    gevent.spawn_later(0.01, peer.recv, 10_000_000)
    assert channel.wait_writable(1) == "write"


def test_something_to_read_may_come_first(pair: tuple[SocketWaiter, socket.socket]) -> None:
    channel, peer = pair
    fill(channel)
    gevent.spawn_later(0.01, peer.send, b"stop")
    assert channel.wait_writable(0.03) == "", "not asked for"
    assert channel.wait_writable(1, or_readable=True) == "read"


def test_an_interrupted_wait_reads_the_end(pair: tuple[SocketWaiter, socket.socket]) -> None:
    channel, _ = pair
    gevent.spawn_later(0.01, channel.interrupt)
    assert channel.wait_readable(monotonic_ns())
    assert channel.recv(100) == b""
    channel.interrupt()


def test_it_can_be_closed_twice_and_interrupted_afterwards(pair: tuple[SocketWaiter, socket.socket]) -> None:
    channel, peer = pair
    channel.close()
    channel.close()
    channel.interrupt()
    assert peer.recv(100) == b""


WAITS: dict[str, Callable[[SocketWaiter], bool]] = {
    "the usual one": lambda channel: channel.wait_readable(monotonic_ns()),
    "one with its own patience": lambda channel: channel.wait_readable_within(1),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_wait_that_is_killed_leaves_nothing_behind(
    pair: tuple[SocketWaiter, socket.socket], wait: Callable[[SocketWaiter], bool]
) -> None:
    channel, peer = pair
    waiting = gevent.spawn(wait, channel)
    gevent.sleep(0.01)
    waiting.kill()
    peer.send(b"late")
    gevent.sleep(0.01)
    assert channel.wait_readable(monotonic_ns()), "the watcher can be used again"
    assert channel.recv(100) == b"late"


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_wait_that_somebody_else_ends_is_an_error(
    pair: tuple[SocketWaiter, socket.socket], wait: Callable[[SocketWaiter], bool]
) -> None:
    channel, _ = pair
    caught: list[BaseException] = []

    def wait_and_tell() -> None:
        try:
            wait(channel)
        except BaseException as error:
            caught.append(error)

    waiting = gevent.spawn(wait_and_tell)
    gevent.sleep(0.01)
    get_hub().loop.run_callback(waiting.switch, "nonsense")
    gevent.sleep(0.01)
    assert [type(error).__name__ for error in caught] == ["InvalidSwitchError"]


def test_the_first_watcher_that_fires_is_returned(pair: tuple[SocketWaiter, socket.socket]) -> None:
    loop = get_hub().loop
    soon, late = loop.timer(0.01), loop.timer(5)
    assert wait_for(get_hub(), (late, soon), 1) is soon
    assert wait_for(get_hub(), (late,), 0.01) is None
    soon.close()
    late.close()
