"""Every built-in metric, under k6's names where k6 has them."""

from __future__ import annotations

from pika_locust.metrics.metric import counter, gauge, rate, trend

HTTP_METRICS = (
    counter("http_reqs", "HTTP requests"),
    rate("http_req_failed", "HTTP requests that failed or were not answered 2xx or 3xx"),
    trend("http_req_duration", "sending, waiting and receiving of requests that were answered 2xx or 3xx"),
    trend("http_req_failed_duration", "sending, waiting and receiving of requests that were not answered 2xx or 3xx"),
    trend("http_req_blocked", "until the connection began to be made, name look-up included"),
    trend("http_req_connecting", "making the TCP connection"),
    trend("http_req_tls_handshaking", "TLS handshake"),
    trend("http_req_sending", "writing the request"),
    trend("http_req_waiting", "from the last byte sent to the first received"),
    trend("http_req_receiving", "from the first byte received to the last"),
    counter("http_rate_limited", "requests that were answered 429"),
    counter("http_retries", "requests sent twice, because the kept connection turned out to be closed"),
)
"""k6's HTTP metrics, for scenarios to declare; whoever only looks at a scenario loads no socket for it."""

PROTOCOL_METRICS = (rate("protocol_errors", "received messages that are none that the protocol has"),)
"""What is measured of how well-formed a target's messages are, for scenarios to declare: it is judged then."""

WEBSOCKET_METRICS = (
    trend("ws_message_latency", "from a send to its receipt: answers to users' own messages, and measured broadcasts"),
    counter("ws_messages_received", "text messages that users received"),
    counter("ws_messages_sent", "text messages that users sent, heartbeats left out"),
    counter("ws_connection_errors", "connections that failed or were lost"),
    rate("ws_connection_success", "attempts to connect that were upgraded and, where that is waited for, answered"),
    rate("ws_connection_kept", "connections that lasted until we closed them"),
    trend("ws_connecting", "from the first packet to the end of the upgrade"),
    trend("ws_session_duration", "how long connections lasted"),
    counter("ws_reconnects", "connections that are not a user's first"),
    trend("ack_latency", "from a message to its acknowledgement"),
    rate("ack_success", "messages that were acknowledged in time"),
    counter("nacks", "messages that were refused, by text"),
    counter("late_answers", "acknowledgements that came too late"),
    trend("ping_latency", "from a heartbeat's ping to its pong"),
    *PROTOCOL_METRICS,
)
"""What is measured of WebSockets, for scenarios to declare."""


FANOUT_METRICS = (
    trend("fanout_latency", "from the send of a broadcast to its receipt, replays to late joiners excluded"),
    rate("fanout_delivery", "broadcasts that reached a user who was connected, by kind"),
    counter("fanout_duplicates", "broadcasts that reached a user more than once, by kind"),
    rate("fanout_correct", "numbers told by broadcasts that agree with what the users did, by kind"),
)
"""What is measured of broadcasts from one user to all others, for scenarios to declare."""

BROWSER_METRICS = (
    trend("browser_web_vital_lcp", "largest contentful paint: when the main content was painted"),
    trend("browser_web_vital_fcp", "first contentful paint: when the first part of the page was painted"),
    trend("browser_web_vital_cls", "cumulative layout shift: how much of the page moved while it loaded", unit="score"),
    trend("browser_web_vital_inp", "interaction to next paint: from a click to the next paint"),
    trend("browser_web_vital_ttfb", "time to first byte of the page"),
    rate("browser_page_success", "pages that a browser loaded and painted, as they should be"),
)
"""What real browsers measure of pages, under k6's names where it has them, for scenarios to declare."""

_PROCESS_METRICS = (
    gauge("vus", "primary users that are active now"),
    trend("generator_lag_ms", "how late the load generator's own timers fired and readable sockets were read"),
    counter("generator_errors", "connections that this machine had no file, port or memory left for"),
)

_DATA_RECEIVED = counter(
    "data_received",
    "what users received: HTTP with its TLS, WebSocket frames without; "
    "of a locustfile's own users, the lengths that Locust is told",
    "B",
)
_DATA_SENT = counter("data_sent", "what users sent: HTTP with its TLS, WebSocket frames without", "B")

_CHECKS = rate("checks", "share of checks that held")

_CUT = counter("iterations_cut", "iterations that had to be killed in a ramp-down or at the end")

LOCUSTFILE_METRICS = (*_PROCESS_METRICS, _CHECKS, _DATA_RECEIVED, _CUT)
"""What every run of a locustfile with users of its own measures."""

REQUEST_EVENT_METRICS = (
    counter("http_reqs", "requests that Locust's request event told of"),
    rate("http_req_failed", "requests that were counted as failures"),
    trend("http_req_duration", "response time of requests that did not fail"),
    trend("http_req_failed_duration", "response time of requests that failed"),
    counter("http_retries", "requests that FastUser sent twice, because the kept connection turned out to be closed"),
    counter("task_exceptions", "exceptions that tasks raised and nobody caught"),
)
"""The same from Locust's `request` event, whichever client fires it."""

BASE_METRICS = (
    *_PROCESS_METRICS,
    gauge("vus_max", "primary users that were started and have not ended"),
    counter("iterations", "times that a user went through its whole task"),
    trend("iteration_duration", "from the start of an iteration to its end"),
    counter("iterations_started", "iterations of the open model that began"),
    trend("iteration_service_time", "open-model iterations from their start; iteration_duration counts from when due"),
    trend("arrival_lateness", "how late iterations of the open model began"),
    _CUT,
    counter("dropped_iterations", "iterations that were due and found no free user"),
    _CHECKS,
    _DATA_RECEIVED,
    _DATA_SENT,
)


TARGET_METRICS = (
    gauge("target_memory_mb", "resident memory of the target's process, where it can be seen", "MB", merge="max"),
    rate("health_success", "share of probes of the target's health page that were answered 2xx"),
    trend("health_latency", "round trip of probes of the target's health page"),
)


CLOCK_METRICS = (
    counter("latencies_one_clock", "latencies between processes that read the same clock"),
    counter("latencies_two_clocks", "latencies between machines, after an estimated offset of their clocks"),
    counter("latencies_negative", "latencies between clocks that came out below zero and count as 0.001 ms"),
    counter("latencies_left_out", "latencies between machines whose clocks could not be compared closely enough"),
    gauge("clock_error", "how wrong the estimated offsets that were used may have been", "ms", merge="max"),
)
"""For scenarios with such latencies to declare. Each is tagged with the metric that it is about, `of`."""
