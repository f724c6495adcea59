"""Ctrl-C and SIGTERM, as Locust's main greenlet needs to hear of them."""

from __future__ import annotations

import signal
from collections.abc import Callable

import gevent


def listen(heard: Callable[[str], None], *, alone: bool) -> None:
    """Have `heard` called with the name of a signal that asks this process to end.

    SIGINT then goes on to Locust as the KeyboardInterrupt it waits for, and so does SIGTERM where we are `alone`:
    while a shape drives a headless run, Locust does not listen to it.
    """
    gevent.signal_handler(signal.SIGINT, _on_signal, heard, "SIGINT", True)
    gevent.signal_handler(signal.SIGTERM, _on_signal, heard, "SIGTERM", alone)


def _on_signal(heard: Callable[[str], None], name: str, interrupt: bool) -> None:
    heard(name)
    # From here, a greenlet of its own, it reaches Locust's main greenlet, and never a callback of the hub: an
    # interrupted callback would lose what it had read. Raised instead, gevent would print its traceback first.
    if interrupt:
        gevent.get_hub().handle_system_error(KeyboardInterrupt, KeyboardInterrupt())
