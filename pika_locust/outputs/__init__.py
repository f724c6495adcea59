"""Writes results: console, summary JSON, reports, k6's, Prometheus', OTLP and JUnit formats."""

from __future__ import annotations

from pika_locust.outputs import console, progress, redact, summary

__all__ = ["console", "progress", "redact", "summary"]
