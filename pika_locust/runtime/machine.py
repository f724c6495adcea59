"""The boot id, which names this machine's monotonic clock: processes with the same one compare times directly."""

from __future__ import annotations

import functools
import os
from hashlib import blake2b
from pathlib import Path
from uuid import getnode


@functools.cache
def boot_id(proc: Path = Path("/proc")) -> str:
    """Eight hexadecimal digits that are the same for all processes with the same monotonic clock: those of a machine
    since it booted, in one time namespace (`time_namespaces(7)`: a container may have its clock shifted).

    A namespace's number alone would not do: once it is gone, another may get it, with another shift. So the shift
    counts, too.
    """
    boot = _read(proc / "sys/kernel/random/boot_id") or f"{getnode():012x}"
    try:
        namespace = os.readlink(proc / "self/ns/time")
    except OSError:
        namespace = ""
    shift = _read(proc / "self/timens_offsets")
    return blake2b("\n".join((boot, namespace, shift)).encode(), digest_size=4).hexdigest()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
