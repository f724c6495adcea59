"""The metrics that every scenario has, under k6's names where k6 has them."""

from __future__ import annotations

from pika_locust.judge import Threshold
from pika_locust.measure.metric import counter, gauge, rate, trend

LOCUSTFILE_METRICS = (
    gauge("vus", "primary users that are active now"),
    trend("generator_lag_ms", "how late the load generator's own timers fired and readable sockets were read"),
)
"""What can be told of users that are not of this package."""

BASE_METRICS = (
    *LOCUSTFILE_METRICS,
    gauge("vus_max", "primary users that were started and have not ended"),
    counter("iterations", "times that a user went through its whole task"),
    trend("iteration_duration", "from the start of an iteration to its end"),
    counter("iterations_started", "iterations of the open model that began"),
    trend("iteration_service_time", "open-model iterations from their start; iteration_duration counts from when due"),
    trend("arrival_lateness", "how late iterations of the open model began"),
    counter("iterations_cut", "iterations that had to be killed when the test ended"),
    counter("dropped_iterations", "iterations that were due and found no free user"),
    rate("checks", "share of checks that held"),
)

BASE_THRESHOLDS = (
    Threshold.of("dropped_iterations", {"threshold": "count==0", "about": "every iteration that was due was started"}),
)

TARGET_METRICS = (
    gauge("target_memory_mb", "resident memory of the target's process, where it can be seen", "MB", merge="max"),
    rate("health_success", "share of probes of the target's health page that were answered 2xx"),
    trend("health_latency", "round trip of those probes"),
)
