from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.layers import ROOT

WRITER = """
import resource, sys
import locust.stats
from locust.env import Environment
from pika_locust.runtime.csv_files import CsvFiles
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
files = CsvFiles()
print(files.flush())
files.watch()
writer = locust.stats.StatsCSVFileWriter(Environment(), [0.5], "run")
writer.stats_history_csv_writer.writerow(["x" * 1000])
print(files.flush())
writer.close_files()
"""


@pytest.mark.parametrize(
    ("most_bytes", "linked_to", "problem"),
    [
        (10_000, None, "None"),
        (500, None, "Locust's file 'run_stats_history.csv' (--csv) could not be written: File too large."),
        (
            10_000,
            "/dev/full",
            "Locust's file 'run_stats_history.csv' (--csv) could not be written: No space left on device.",
        ),
    ],
    ids=["written", "a file that may not grow", "a full disk"],
)
def test_a_file_that_is_cut_is_known_before_locust_closes_it(
    most_bytes: int, linked_to: str | None, problem: str, tmp_path: Path
) -> None:
    if linked_to is not None:
        (tmp_path / "run_stats_history.csv").symlink_to(linked_to)
    ended = subprocess.run(
        [sys.executable, "-c", WRITER, str(most_bytes)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.stdout.splitlines() == ["None", problem], ended.stderr
    assert ended.returncode == 0, ended.stderr
