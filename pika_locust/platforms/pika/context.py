"""What the Pika! users of one process share: metrics, pending replies, broadcast delivery and the session."""

from __future__ import annotations

from pika_locust.load.rng import SeededRandom
from pika_locust.platforms.pika.answers import PendingReplies
from pika_locust.platforms.pika.delivery import BroadcastDelivery
from pika_locust.platforms.pika.scenarios import Meters
from pika_locust.platforms.pika.target import http_url
from pika_locust.runtime.context import WorkerContext
from pika_locust.runtime.http_meter import HttpMeter
from pika_locust.wire.http import Origin


class PikaContext:
    """Get it with `worker.shared(PikaContext)`."""

    def __init__(self, worker: WorkerContext) -> None:
        self.worker = worker
        self.session_id: str = worker.settings["SESSION_ID"]
        self.url = worker.begin.target
        self.http_origin = Origin(http_url(self.url))
        self.http_meter = worker.shared(HttpMeter)
        self.meters = Meters(worker)
        self.answers = PendingReplies(worker, self.meters)
        self.delivery = BroadcastDelivery(worker, self.meters)

    def client_id(self, number: int, dice: SeededRandom) -> str:
        """An identity as the app makes one: kept across reconnects, and of a form that the server's HTTP side takes."""
        return f"client_{self.worker.begin.run_id}_{self.worker.worker_index}_{number}_{dice.bits():016x}"
