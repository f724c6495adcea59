"""k6's HTTP metrics, for scenarios to declare; whoever only looks at a scenario loads no socket for it."""

from __future__ import annotations

from pika_locust.measure import counter, rate, trend

HTTP_METRICS = (
    counter("http_reqs", "HTTP requests"),
    rate("http_req_failed", "HTTP requests that failed or were not answered 2xx or 3xx"),
    trend("http_req_duration", "sending, waiting and receiving of requests that were answered 2xx or 3xx"),
    trend("http_req_failed_duration", "the same of all others, which are often faster than an answer"),
    trend("http_req_blocked", "until the connection began to be made, name look-up included"),
    trend("http_req_connecting", "making the TCP connection"),
    trend("http_req_tls_handshaking", "TLS handshake"),
    trend("http_req_sending", "writing the request"),
    trend("http_req_waiting", "from the last byte sent to the first received"),
    trend("http_req_receiving", "from the first byte received to the last"),
    counter("http_rate_limited", "requests that were answered 429"),
    counter("http_retries", "requests sent twice, because the kept connection turned out to be closed"),
)
