"""This process: its limit of open files, garbage collection for many long-lived objects, and whose child it is."""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Mapping
from contextlib import suppress


def raise_open_file_limit() -> None:
    """Raise this process's limit of open files as far as it may go.

    Locust raises it to 10,000, which ten thousand sockets in one process exceed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # macOS has no hard limit, and refuses to have none.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


PARENT = "PIKA_LOCUST_PARENT"
"""The environment variable that holds the id of the process which has started a run, and which that is to end with."""


def parent_of(environ: Mapping[str, str]) -> int | None:
    """The id of the process that has started this one, if it is to end with that; None if not."""
    parent = os.getppid()
    # Whoever has inherited the variable alone has a parent of its own.
    return parent if environ.get(PARENT) == str(parent) else None


RESERVED_FILES = 32
"""For what is opened later: the sandbox's pipes, probes, look-ups of the audits, results."""


def too_few_files(sockets: int) -> str | None:
    """Why this process cannot have so many sockets open at once, as a clause; None when it can."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return None
    own = len(os.listdir("/dev/fd")) + RESERVED_FILES
    if sockets + own <= limit:
        return None
    return (
        f"{sockets:,} sockets at once are too many for one process: it may open {limit:,} files (`ulimit -n`), "
        f"of which {own} are for itself"
    )


THRESHOLDS = (50_000, 50, 50)
"""New objects before the young ones are searched, and how many searches before the older ones are. Python's own are
700, 10 and 10: while 10,000 users come it then walks over all that lives again and again, up to 0.3 s
each time, which every latency that is being measured contains."""


def tune_gc() -> None:
    """Search for garbage rarely, and never among what is loaded already; call it when everything is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
