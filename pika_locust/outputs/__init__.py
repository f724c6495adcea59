"""What becomes of a finished Report: the summary file, the console, the progress line. Nothing here judges."""

from __future__ import annotations

from pika_locust import format as humanise
from pika_locust.outputs import console, progress, redact, summary

__all__ = ["console", "humanise", "progress", "redact", "summary"]
