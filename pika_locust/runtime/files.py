"""The limit of open files: Locust raises it to 10,000, which ten thousand sockets in one process exceed."""

from __future__ import annotations

import resource


def raise_open_file_limit() -> None:
    """Raise this process's limit of open files as far as it may go."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
