from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from pika_locust.runtime import streams as module
from pika_locust.runtime.streams import BoundedWriter

F_SETPIPE_SZ, PIPE_BYTES = 1031, 65_536


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that holds 64 KB."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, F_SETPIPE_SZ, PIPE_BYTES)
    yield reading, writing
    for end in (reading, writing):
        os.close(end)


def test_what_is_read_is_written_in_full(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    writer = BoundedWriter(writing)
    assert writer.write(b"abc" * 1000) == 3000
    assert os.read(reading, 10_000) == b"abc" * 1000
    assert writer.dropped_bytes == 0


@pytest.mark.alone
def test_what_nobody_reads_is_waited_for_once_and_dropped(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = pipe
    writer = BoundedWriter(writing)
    writer.patience_s = 0.3
    began_s = time.monotonic()
    assert writer.write(b"x" * 100_000) == 100_000
    assert 0.3 <= time.monotonic() - began_s < 1.0
    dropped = writer.dropped_bytes
    assert 100_000 - PIPE_BYTES <= dropped < 100_000
    began_s = time.monotonic()
    writer.write(b"y" * 10_000)
    assert time.monotonic() - began_s < 0.2
    assert writer.dropped_bytes == dropped + 10_000
    # Somebody reads again.
    os.read(reading, 100_000)
    writer.write(b"z")
    assert os.read(reading, 10_000) == b"z"
    assert writer.dropped_bytes == dropped + 10_000


def test_who_is_patient_waits_again(pipe: tuple[int, int]) -> None:
    writer = BoundedWriter(pipe[1])
    writer.patience_s = 0.0
    writer.write(b"x" * 100_000)
    began_s = time.monotonic()
    writer.be_patient(0.2)
    writer.write(b"x")
    assert time.monotonic() - began_s >= 0.2


PRINTING = """
import sys
from pika_locust.runtime.streams import PATIENCE_S, bound_standard_streams, dropped_bytes
bound_standard_streams()
print("é")
for _ in range(int(sys.argv[1])):
    print("x" * 99)
print(dropped_bytes(sys.stdout), sys.stdout.isatty(), file=sys.stderr)
"""


@pytest.mark.alone
def test_a_process_whose_output_nobody_reads_comes_to_its_end() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PRINTING, "5000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.wait(timeout=30 + module.PATIENCE_S) == 0
        dropped, is_terminal = process.stderr.read().split()
        assert int(dropped) > 400_000
        assert is_terminal == "False"


def test_where_somebody_reads_nothing_is_lost() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PRINTING, "5000"], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "latin-1"}
    )
    assert ended.stdout == b"\xe9\n" + (b"x" * 99 + b"\n") * 5000
    assert ended.stderr == b"0 False\n"
