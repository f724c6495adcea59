"""The metrics and ledgers of the dancers' night: declared once; metrics are bound once in each process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pika_locust.measure import Rate, Trend, counter, rate, trend
from pika_locust.runtime.crossing import CLOCK_METRICS
from pika_locust.runtime.http_metrics import HTTP_METRICS

if TYPE_CHECKING:
    from pika_locust.runtime.context import WorkerContext

LEDGERS = ("likes", "tempo votes", "poll votes")

FANOUT_KINDS = ("track", "poll", "announcement")
ACK_KINDS = (
    "subscribe",
    "like",
    "bulk_like",
    "tempo",
    "vote",
    "thank_you",
    "register",
    "track",
    "poll",
    "end_poll",
    "announcement",
    "end_session",
)

METRICS = (
    trend(
        "ws_message_latency", "from a send to its receipt: our DJ's broadcasts, and answers to dancers' own messages"
    ),
    counter("ws_messages_received", "text messages that dancers received"),
    counter("ws_messages_sent", "SUBSCRIBE, likes, tempo requests, votes and thanks that dancers sent"),
    counter("ws_connection_errors", "connections that failed or were lost"),
    rate("ws_connection_success", "attempts to connect that were upgraded and whose SUBSCRIBE was answered"),
    rate("ws_connection_kept", "connections that lasted until we closed them"),
    rate("ws_session_live", "subscriptions whose session was live, and stayed so until the dancer left"),
    trend("ws_connecting", "from the first packet to the end of the upgrade"),
    trend("ws_session_duration", "how long connections lasted"),
    counter("ws_reconnects", "connections that replace a lost one, under the same identity"),
    trend("fanout_latency", "from our DJ's send to a dancer's receipt, replays to late joiners excluded"),
    rate("fanout_delivery", "our DJ's broadcasts that reached a dancer who was connected, within 5 s"),
    counter("fanout_duplicates", "broadcasts that reached a dancer more than once"),
    trend("ack_latency", "from a message to its ACK"),
    rate("ack_success", "messages that were acknowledged within 5 s"),
    counter("nacks", "messages that were refused, by text"),
    counter("late_answers", "acknowledgements that came after 5 s"),
    trend("ping_latency", "from PING to PONG"),
    counter("dj_messages_received", "text messages that our DJ received"),
    *CLOCK_METRICS,
    *HTTP_METRICS,
)


class Meters:
    """Bound handles, shared by all actors of a process: binding is dear, and a dancer has no memory to spare."""

    def __init__(self, worker: WorkerContext) -> None:
        metrics = worker.metrics
        self.message_latency = metrics.trend("ws_message_latency")
        self.received = metrics.counter("ws_messages_received")
        self.sent = metrics.counter("ws_messages_sent")
        self.connection_errors = metrics.counter("ws_connection_errors")
        self.connection_success = metrics.rate("ws_connection_success")
        self.connection_kept = metrics.rate("ws_connection_kept")
        self.session_live = metrics.rate("ws_session_live")
        self.connecting = metrics.trend("ws_connecting")
        self.session_duration = metrics.trend("ws_session_duration")
        self.reconnects = metrics.counter("ws_reconnects")
        self.nacks = metrics.counter("nacks")
        self.late_answers = metrics.counter("late_answers")
        self.ping_latency = metrics.trend("ping_latency")
        self.dj_received = metrics.counter("dj_messages_received")
        self.fanout_duplicates = metrics.counter("fanout_duplicates")
        self.fanout_latency = _by_kind(metrics.trend("fanout_latency"), FANOUT_KINDS)
        self.ack_latency = _by_kind(metrics.trend("ack_latency"), ACK_KINDS)
        self.fanout_delivery = {kind: metrics.rate("fanout_delivery").tagged(kind=kind) for kind in FANOUT_KINDS}
        self.ack_success: dict[str, Rate] = {kind: metrics.rate("ack_success").tagged(kind=kind) for kind in ACK_KINDS}


def _by_kind(root: Trend, kinds: tuple[str, ...]) -> dict[str, Trend]:
    return {kind: root.tagged(kind=kind) for kind in kinds}
