"""Ctrl-C, SIGTERM and a terminal that is closed, as Locust's main greenlet needs to hear of them."""

from __future__ import annotations

import signal
from collections.abc import Callable

import gevent


def listen(heard: Callable[[str], bool], *, alone: bool) -> None:
    """Have `heard` called with the name of a signal that asks this process to end; it says whether Locust is to know.

    SIGINT then goes on to Locust as the KeyboardInterrupt it waits for. So does SIGHUP, which would end the process on
    the spot, and SIGTERM where we are `alone`: while a shape drives a headless run, Locust does not listen to it.
    """
    gevent.signal_handler(signal.SIGINT, _on_signal, heard, "SIGINT", True)
    gevent.signal_handler(signal.SIGTERM, _on_signal, heard, "SIGTERM", alone)
    # `nohup` has it ignored, and means it.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        gevent.signal_handler(signal.SIGHUP, _on_signal, heard, "SIGHUP", True)


def _on_signal(heard: Callable[[str], bool], name: str, interrupt: bool) -> None:
    # From here, a greenlet of its own, it reaches Locust's main greenlet, and never a callback of the hub: an
    # interrupted callback would lose what it had read. Raised instead, gevent would print its traceback first.
    if heard(name) and interrupt:
        gevent.get_hub().handle_system_error(KeyboardInterrupt, KeyboardInterrupt())
