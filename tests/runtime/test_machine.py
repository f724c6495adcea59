from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from pika_locust.runtime.machine import boot_id

BOOT = "8f25e46d-c3be-484d-b2c8-eb9ee40a34a4\n"
OFFSETS = "monotonic           {:>10}         0\nboottime             0         0\n"


def proc(
    directory: Path, boot: str | None = BOOT, namespace: str | None = "time:[4026531834]", shift: int | None = 0
) -> Path:
    """What a process of some machine finds in /proc."""
    here = directory / f"proc-{len(list(directory.iterdir()))}"
    for name in ("sys/kernel/random", "self/ns"):
        (here / name).mkdir(parents=True)
    if boot is not None:
        (here / "sys/kernel/random/boot_id").write_text(boot)
    if namespace is not None:
        (here / "self/ns/time").symlink_to(namespace)
    if shift is not None:
        (here / "self/timens_offsets").write_text(OFFSETS.format(shift))
    return here


def test_processes_with_one_clock_have_one_name(tmp_path: Path) -> None:
    assert boot_id(proc(tmp_path)) == boot_id(proc(tmp_path))
    assert re.fullmatch("[0-9a-f]{8}", boot_id(proc(tmp_path)))


def test_whatever_makes_another_clock_makes_another_name(tmp_path: Path) -> None:
    names = [
        boot_id(proc(tmp_path)),
        boot_id(proc(tmp_path, boot=BOOT.replace("8", "9"))),
        boot_id(proc(tmp_path, namespace="time:[4026532177]")),
        # The number of a namespace that is gone, given to another one.
        boot_id(proc(tmp_path, namespace="time:[4026532177]", shift=86_400)),
    ]
    assert len(set(names)) == len(names)


def test_what_a_system_does_not_have_does_not_count(tmp_path: Path) -> None:
    bare = {"namespace": None, "shift": None}
    assert boot_id(proc(tmp_path, **bare)) == boot_id(proc(tmp_path, **bare)) != boot_id(proc(tmp_path))  # type: ignore[arg-type]
    nothing = boot_id(tmp_path / "no proc at all")
    assert re.fullmatch("[0-9a-f]{8}", nothing)
    assert nothing == boot_id(proc(tmp_path, boot=None, **bare))  # type: ignore[arg-type]


def test_all_processes_of_this_machine_agree() -> None:
    code = "from pika_locust.runtime.machine import boot_id; print(boot_id())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ})
    assert other.stdout.strip() == boot_id()
