"""Another machine: a Python that has this folder in its PYTHONPATH reads a monotonic clock that is a day ahead.

To a process of Locust that is what `unshare --time --monotonic 86400` gives, which not everybody may do, in a container
say. Timers of the event loop run for so and so long and need no change; those of the kernel that ring at a time would
ring by its own clock, and are not to be had here, as on systems that lack them.
"""

from __future__ import annotations

import ctypes
import os
import time
from typing import Any

AHEAD_S = 86_400

_monotonic, _monotonic_ns, _readlink = time.monotonic, time.monotonic_ns, os.readlink


def _read(path: Any, **where: Any) -> Any:
    return "time:[1]" if os.fspath(path) == "/proc/self/ns/time" else _readlink(path, **where)


time.monotonic = lambda: _monotonic() + AHEAD_S
time.monotonic_ns = lambda: _monotonic_ns() + AHEAD_S * 1_000_000_000
os.readlink = _read
ctypes.CDLL.timerfd_create = staticmethod(lambda clock, flags: -1)  # type: ignore[attr-defined]
