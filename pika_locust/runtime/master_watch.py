"""A worker's look at its master: whether that is still there. Locust's own notices after a minute that it is not."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import gevent

logger = logging.getLogger(__name__)

EVERY_S = 1.0
SILENT = 8
"""So many looks in a row without an answer to a heartbeat, and the master is gone. Looks are counted, not seconds: a
worker that was halted itself has not listened meanwhile. Nor has one that still handles another message, as when a
listener of `test_start` waits: Locust reads one message after another."""


class MasterWatch:
    """Calls `on_gone` once, when the master of a worker's runner is gone."""

    def __init__(self, runner: Any, on_gone: Callable[[], None], *, forked: bool) -> None:
        """`forked` says that the master is this process's parent: when it ends, another one takes its place."""
        self._runner = runner
        self._on_gone = on_gone
        self._parent = os.getppid() if forked else None
        self._watching: Any = None
        self._is_listening = True

    def start(self) -> None:
        """Begin to look."""
        handle = self._runner.handle_message

        def handle_message(message: Any) -> None:
            self._is_listening = False
            try:
                handle(message)
            finally:
                self._is_listening = True

        self._runner.handle_message = handle_message
        self._watching = gevent.spawn(self._watch)

    def stop(self) -> None:
        """Look no more."""
        self._watching.kill(block=False)

    def _watch(self) -> None:
        heard, silent = None, 0
        while silent < SILENT and not self._is_orphan():
            gevent.sleep(EVERY_S)
            before, heard = heard, self._runner.last_heartbeat_timestamp
            # None: the master has not answered the first one yet; connecting is Locust's.
            is_silent = heard is not None and heard == before and self._is_listening
            silent = silent + 1 if is_silent else 0
        why = "it has ended" if self._is_orphan() else f"no word of it for {silent * EVERY_S:g} s"
        logger.error("The master is gone (%s): this worker stops; nobody will report what it measured", why)
        self._on_gone()

    def _is_orphan(self) -> bool:
        return self._parent is not None and os.getppid() != self._parent
