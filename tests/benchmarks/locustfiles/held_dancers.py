"""Pika!'s dancers at a target that broadcasts nothing: nobody is owed anything, and all else is judged."""

from __future__ import annotations

from dataclasses import replace

import pika_locust
from pika_locust.platforms.pika.dancer import Dancer
from pika_locust.platforms.pika.scenarios import DANCERS

__all__ = ["Dancer"]

pika_locust.install(
    replace(DANCERS, thresholds=tuple(limit for limit in DANCERS.thresholds if not limit.metric.startswith("fanout_")))
)
