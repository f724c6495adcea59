"""Renders a finished report: summary JSON, console, progress line."""

from __future__ import annotations

from pika_locust.outputs import console, progress, redact, summary

__all__ = ["console", "progress", "redact", "summary"]
