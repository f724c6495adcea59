"""The session of a run, what Pika broadcasts in it because of what our users do, and where it is counted who got it."""

from __future__ import annotations

from pika_locust.kit.broadcast import BroadcastDelivery, BroadcastMetrics
from pika_locust.kit.counted_broadcast import CountedBroadcasts, CountedKind, CountedMetrics
from pika_locust.platforms.pika.scenarios import COUNTED, NAMED
from pika_locust.runtime.context import WorkerContext

_KINDS = {
    "like": CountedKind("like"),
    "tempo": CountedKind("tempo", starts_anew=True),
    "vote": CountedKind("vote"),
    "thanks": CountedKind("thanks"),
    "tempo_reset": CountedKind("tempo_reset"),
    # The server repeats the count every two seconds while it changes.
    "listeners": CountedKind("listeners", once=False, of_receivers=True),
}
LIKE, TEMPO, VOTE, THANKS, TEMPO_RESET, LISTENERS = map(COUNTED.index, _KINDS)
"""Where each kind is in what `CountedBroadcasts.joined` returns."""


def session_id_of(worker: WorkerContext) -> str:
    """The session of this run: what the set-up has found, else what is set."""
    return str(worker.begin.given.get("session_id", worker.settings["SESSION_ID"]))


def broadcast_delivery(worker: WorkerContext) -> BroadcastDelivery:
    """What the users of a process get of the DJ's broadcasts; get it with `worker.shared(broadcast_delivery)`."""
    return BroadcastDelivery(worker, BroadcastMetrics.of(worker, NAMED), "fanout_latency", "ws_message_latency")


def counted_broadcasts(worker: WorkerContext) -> CountedBroadcasts:
    """The same of what follows from everybody's actions, which does not say from whose."""
    kinds = [_KINDS[name] for name in COUNTED]
    alone = worker.settings["PIKA_DJ"] == "own"
    return CountedBroadcasts(worker, kinds, CountedMetrics.of(worker, kinds), alone=alone)
