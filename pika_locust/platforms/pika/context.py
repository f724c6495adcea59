"""What the Pika! users of one process share: metrics, pending replies, broadcast delivery and the session."""

from __future__ import annotations

from pika_locust.kit.broadcast import BroadcastDelivery, BroadcastMetrics
from pika_locust.kit.json_messages import JsonMessages
from pika_locust.kit.pending import PendingReplies, ReplyMetrics
from pika_locust.kit.targets import http_side
from pika_locust.load.rng import SeededRandom
from pika_locust.platforms.pika.scenarios import Meters
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.http_meter import HttpMeter
from pika_locust.wire.http import Origin

SPELLING = JsonMessages(kind="type", id="messageId", error="error", ack="ACK", nack="NACK")
"""Every text that the server sends begins with `{"type":"<TYPE>"`, and an ACK goes on with its messageId."""


class PikaContext:
    """Get it with `worker.shared(PikaContext)`."""

    def __init__(self, worker: WorkerContext) -> None:
        self.worker = worker
        self.session_id: str = worker.settings["SESSION_ID"]
        self.url = worker.begin.target
        self.http_origin = Origin(http_side(self.url))
        self.http_meter = worker.shared(HttpMeter)
        self.meters = meters = Meters(worker)
        replies = ReplyMetrics(
            latency=meters.ack_latency,
            success=meters.ack_success,
            round_trip=meters.message_latency,
            refused=meters.nacks,
            late=meters.late_answers,
        )
        self.pending = PendingReplies(worker, replies, SPELLING)
        broadcasts = BroadcastMetrics(
            latency=meters.fanout_latency,
            any_latency=meters.message_latency,
            delivered=meters.fanout_delivery,
            duplicates=meters.fanout_duplicates,
        )
        self.delivery = BroadcastDelivery(worker, broadcasts, "fanout_latency", "ws_message_latency")

    def client_id(self, number: int, dice: SeededRandom) -> str:
        """An identity as the app makes one: kept across reconnects, and of a form that the server's HTTP side takes."""
        return f"client_{self.worker.begin.run_id}_{self.worker.worker_index}_{number}_{dice.bits():016x}"
