"""Locust's CSV files (`--csv`): whether all that was written to them is there, known before the verdict.

Locust writes them every second into buffers, and closes them when all has been said: what the disk no longer takes is
noticed by nobody, or by a traceback after the verdict.
"""

from __future__ import annotations

import os
from typing import Any

import locust.stats


class CsvFiles:
    """Notes the writer that Locust makes, and looks at its files at the end."""

    def __init__(self) -> None:
        self._writer: Any = None

    def watch(self) -> None:
        """From now on, note the writer that Locust makes."""
        files = self

        class NotedWriter(locust.stats.StatsCSVFileWriter):  # type: ignore[misc]
            def __init__(self, *arguments: Any, **named: Any) -> None:
                super().__init__(*arguments, **named)
                files._writer = self

        locust.stats.StatsCSVFileWriter = NotedWriter

    def flush(self) -> str | None:
        """Have everything that was written reach the files; why it did not, as a sentence, or None."""
        writer = self._writer
        if writer is None:
            return None
        problem = None
        for stream in (
            writer.requests_csv_filehandle,
            writer.stats_history_csv_filehandle,
            writer.failures_csv_filehandle,
            writer.exceptions_csv_filehandle,
        ):
            try:
                stream.flush()
                os.fsync(stream.fileno())
            except OSError as error:
                problem = f"Locust's file {stream.name!r} (--csv) could not be written: {error.strerror}."
                # Locust is going to close it, which would raise once more.
                with open(os.devnull, "w") as nowhere:
                    os.dup2(nowhere.fileno(), stream.fileno())
        return problem
