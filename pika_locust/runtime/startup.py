"""While a run starts: signals are listened to before anything is started, and no process outlives its parent.

Locust listens to signals only when everything is there; by then the sandbox and the workers of `--processes` run.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import gevent

from pika_locust.clock import monotonic
from pika_locust.errors import ExitCode

logger = logging.getLogger(__name__)

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


def listen_early(stopped: Callable[[str], None]) -> None:
    """Have SIGINT, SIGTERM and SIGHUP end this process with 105, after `stopped` was called with the signal's name.

    That is called amid whatever the process does, and must neither wait nor print. `runtime.exit.handle_signals` takes
    the place of this. What `nohup` has ignored stays so.
    """
    process = os.getpid()
    listened = [number for name in SIGNALS if (number := getattr(signal, name, None)) is not None]
    listened = [number for number in listened if signal.getsignal(number) is not signal.SIG_IGN]

    def on_signal(number: int, frame: Any) -> None:
        for other in listened:
            signal.signal(other, signal.SIG_IGN)
        # A forked worker has no report of its own.
        if os.getpid() == process:
            stopped(signal.Signals(number).name)
        sys.exit(int(ExitCode.STOPPED))

    for number in listened:
        signal.signal(number, on_signal)


INSIST_S = 3.0
"""How long a worker has to end after SIGTERM."""
ORPHAN_POLL_S = 1.0
"""How often a process looks whether the one that has started it is still there."""
_POLL_S = 0.02


def end_with_parent(parent: int, on_gone: Callable[[], None]) -> None:
    """End this process as SIGTERM does it, with all results, as soon as the process `parent` that has started it is
    gone. Somebody who kills that one alone may not even know of this one, which would go on to the end of its plan.

    Arguments:
        parent: its process id.
        on_gone: called first.
    """

    def watch() -> None:
        while os.getppid() == parent:
            gevent.sleep(ORPHAN_POLL_S)
        logger.error("The process that has started this run is gone: the run ends")
        on_gone()
        os.kill(os.getpid(), signal.SIGTERM)

    gevent.spawn(watch)


class ForkedWorkers:
    """The workers that `--processes` forks from this process: none of them outlives it.

    A worker that the master has not told to end, as it had not joined yet, would try to join for a minute. Locust means
    to end its workers, and forgets them all when it first looks at them.
    """

    def __init__(self, grace_s: Callable[[], float], has_joined: Callable[[], bool]) -> None:
        """`grace_s` says at the end how many seconds workers have to end by themselves; `has_joined`, in a worker,
        whether it has joined the master, which it looks after itself from then on (`runtime.master_watch`)."""
        self._grace_s = grace_s
        self._has_joined = has_joined
        self._master = os.getpid()
        self._fork: Callable[..., int] = gevent.fork
        self._pids: list[int] = []

    def watch(self) -> None:
        """From now on, note who is forked; at this process's exit, end who is left."""
        gevent.fork = self._note_fork
        atexit.register(self.end)

    def _note_fork(self, *arguments: Any, **named: Any) -> int:
        pid = self._fork(*arguments, **named)
        self._pids = [*self._pids, pid] if pid else []
        if not pid:
            gevent.spawn(self._end_with_master)
        return pid

    def _end_with_master(self) -> None:
        """In a worker: end when the master was killed before this worker could join it. Locust would go on trying."""
        while not self._has_joined():
            if os.getppid() != self._master:
                break
            gevent.sleep(ORPHAN_POLL_S)
        else:
            return
        logger.error("The master has ended before this worker could join it")
        logging.shutdown()
        # Not by an exception: the main greenlet waits inside of Locust, which would try once more.
        os._exit(int(ExitCode.FAILED))

    def end(self) -> None:
        """Wait for those that are left, then insist."""
        if not self._wait(self._grace_s()):
            self._kill(signal.SIGTERM)
            if not self._wait(INSIST_S):
                logger.warning("Killing worker processes that did not end when they were told to: %s", self._pids)
                self._kill(signal.SIGKILL)
                self._wait(INSIST_S)

    def _wait(self, seconds: float) -> bool:
        give_up_s = monotonic() + seconds
        while True:
            self._pids = [pid for pid in self._pids if _runs(pid)]
            if not self._pids or monotonic() >= give_up_s:
                return not self._pids
            time.sleep(_POLL_S)

    def _kill(self, number: signal.Signals) -> None:
        for pid in self._pids:
            os.kill(pid, number)


def _runs(pid: int) -> bool:
    """Whether a child runs; one that has ended is taken off the system's list."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return False


def forget_spawning_stacks() -> None:
    """Have gevent keep no note, with each greenlet, of the frames that it was spawned in: a kilobyte for every user,
    which only gevent's own debugging reads. Call it before greenlets are spawned."""
    gevent.config.track_greenlet_tree = False
