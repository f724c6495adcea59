"""WWMAA's server as a pure state machine: what the sandbox serves in its place.

In the contract of the real server it is written from what that was seen to do on the wire; what it does wrong comes
back with the fault `as-shipped`. CONTRACT=suite, the default, is what the original load test assumes.
"""

from __future__ import annotations

from typing import Any

from pika_locust.platforms.wwmaa.world_seeding import Seeding
from pika_locust.platforms.wwmaa.world_sessions import Sessions
from pika_locust.platforms.wwmaa.world_webhooks import Webhooks
from pika_locust.sandbox.app import Call, route
from pika_locust.sandbox.faults import Cover, FaultKind, Form


class WwmaaWorld(Seeding, Webhooks, Sessions):
    """The world of one server."""

    name = "wwmaa"
    about = "WWMAA: pages, search, registrations for events, payment webhooks, training sessions"
    # Where one is one too many, a short run has just one.
    covers = (
        Cover("latency", "latency=1500", "search", "search_latency", together="latency+lose-relevance"),
        Cover("error", "error=0.2", "search", "search_errors"),
        Cover("lose-filter", "lose-filter=0.3", "search", "search_errors"),
        Cover("lose-relevance", "lose-relevance=0.3", "search", "search_relevance", together="latency+lose-relevance"),
        Cover("throttle", "throttle=10/60s", "search", "search_errors"),
        Cover("oversell", "oversell=0.025", "rsvp", "capacity", together="oversell+unpaid"),
        Cover("duplicate-booking", "duplicate-booking=0.02", "rsvp", "duplicate_bookings"),
        Cover("double", "double=0.05", "rsvp", "registrations"),
        Cover("double", "double=0.05", "rsvp", "mails"),
        Cover("lose-write", "lose-write=0.05", "rsvp", "registrations"),
        Cover("lose-write", "lose-write=0.05", "rsvp", "registration_held"),
        Cover("unpaid", "unpaid=0.2", "rsvp", "payments", together="oversell+unpaid"),
        Cover("error", "error=0.2", "rsvp", "rsvp_success"),
        Cover("as-shipped", "as-shipped", "rsvp", "rsvp_success", settings=(("CONTRACT", "server"),)),
        Cover("double", "double=0.004", "webhooks", "webhooks", together="latency+double"),
        Cover("lose-write", "lose-write=0.004", "webhooks", "webhooks"),
        Cover("forget-signature", "forget-signature", "webhooks", "forged_refused"),
        Cover("forget-event", "forget-event=0.2", "webhooks", "webhooks"),
        Cover("latency", "latency=700", "webhooks", "webhook_processing_latency", together="latency+double"),
        Cover("error", "error=0.1", "webhooks", "webhook_processing_success"),
        Cover("lose-fanout", "lose-fanout=0.0006", "rtc", "message_delivery_success"),
        Cover("double", "double=0.05", "rtc", "message_duplicates", together="latency+double+video-down"),
        Cover("latency", "latency=700", "rtc", "chat_message_latency", together="latency+double+video-down"),
        Cover("refuse", "refuse=0.2", "rtc", "ws_connection_success"),
        Cover("close-after", "close-after=2", "rtc", "ws_connection_drops"),
        Cover("latency", "latency=400", "api", "api_latency", together="latency+forget-refresh"),
        Cover("error", "error=0.1", "api", "api_success"),
        Cover("forget-refresh", "forget-refresh=0.3", "api", "reuse_refused", together="latency+forget-refresh"),
        Cover("as-shipped", "as-shipped", "api", "api_success", settings=(("CONTRACT", "server"),)),
        Cover("slow-page", "slow-page=3000", "pages", "page_load_time", together="slow-page+error"),
        Cover("heavy-page", "heavy-page", "pages", "browser_web_vital_lcp", settings=(("BROWSER_USERS", "1"),)),
        Cover("error", "error=0.1", "pages", "page_load_success", together="slow-page+error"),
        Cover("latency", "latency=600", "pages", "api_response_time"),
        Cover(
            "video-down", "video-down=0.3", "rtc", "video_health_check_success", together="latency+double+video-down"
        ),
    )
    named = (
        FaultKind("as-shipped", Form.FLAG, "the real server's own defects: tokens and registrations without a user"),
        FaultKind("duplicate-booking", Form.RATE, "somebody who is registered is registered again"),
        FaultKind("unpaid", Form.RATE, "a paid registration is confirmed, and no payment taken"),
        FaultKind("forget-event", Form.RATE, "a webhook that was delivered before is processed again"),
        FaultKind("video-down", Form.RATE, "a look at video's health says that it has failed"),
        FaultKind("forget-refresh", Form.RATE, "a refresh token that was used before is taken again"),
        FaultKind("heavy-page", Form.FLAG, "pages show nothing before a script has come, three seconds later"),
        FaultKind("slow-page", Form.MILLISECONDS, "pages, and nothing else, come MS later"),
        FaultKind("lose-filter", Form.RATE, "a search takes no notice of its filters"),
        FaultKind("lose-relevance", Form.RATE, "a semantic search says nothing of how well its results fit"),
    )

    def state(self, now: float) -> dict[str, Any]:
        return {**self.registrations_state(), **self.webhooks_state(), **self.sessions_state(), **self.seeding_state()}

    @route("GET", "/health", exempt=True)
    def health(self, call: Call) -> Any:
        return {"status": "healthy", "environment": "staging", "debug": False}


PLATFORM = WwmaaWorld.platform()
