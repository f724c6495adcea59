"""Which machine this is: monotonic clocks of processes can be compared on one machine, until it boots again."""

from __future__ import annotations

import functools
from pathlib import Path
from uuid import getnode


@functools.cache
def boot_id() -> str:
    """Eight hexadecimal digits that are the same for all processes of this machine since it booted."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", "")[:8]
    except OSError:
        return f"{getnode() & 0xFFFFFFFF:08x}"
