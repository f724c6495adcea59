"""Somebody who registers for an event that has fewer places than there are people, some of them twice."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import gevent

from pika_locust.kit.meters import named
from pika_locust.metrics.metric import FAILURE
from pika_locust.platforms.wwmaa.member import Members, WwmaaUser, is_refusal
from pika_locust.platforms.wwmaa.scenarios import PAID_STATUSES, RSVP_METRICS
from pika_locust.runtime.arrivals import OpenActor
from pika_locust.wire.http import Response

CONFIRMED = (200, 201)
LOOK_AGAIN_S = 1.0
"""After how long a registration is looked up again that is not there yet; the suite's script means to look then."""
_ADDRESS = {"line1": "1 Main Street", "city": "Austin", "state": "TX", "postal_code": "78701", "country": "US"}


class Registrant(WwmaaUser, OpenActor):
    """One iteration is one person: it looks at the event, registers, and perhaps once more."""

    meters: Any = named(RSVP_METRICS)
    expected = {"rsvp": (400, 409), "verify": (404,)}
    """Full, or registered already: `rsvp_success` says whether that was right. Not there (yet): `registration_held`."""

    def begin(self) -> None:
        super().begin()
        self._event = f"/api/events/{self.worker.settings['TEST_EVENT_ID']}"

    def act(self) -> None:
        if not self._be_somebody():
            self.meters.rsvp_success.add(False)
            return
        has_places = self._view()
        self.pause(self.worker.settings["RSVP_PAUSE"])
        email = f"loadtest+{self.new_id()}@wwmaa.com"
        costs = self.is_suite and self.dice.chance(self.worker.settings["PAID"])
        body = self._body(email, costs)
        confirmed = self._register(email, body, costs, has_places)
        if confirmed is not None:
            self._look_up(email)
            if self.dice.chance(self.worker.settings["DOUBLES"]):
                self._judge_doubles(confirmed, self.apart.request("POST", f"{self._event}/rsvp", json=body))

    def _be_somebody(self) -> bool:
        """The real server knows members by their tokens; each has one registration."""
        if self.is_suite:
            return True
        if not (self.prepare_posts() and self.log_in(self.worker.shared(Members).take())):
            return False
        self.apart.set_headers(dict(self.authorization))
        return True

    def _view(self) -> bool:
        """Whether there were places left, as far as the event tells."""
        path = self._event if self.is_suite else f"{self._event}/rsvp/status"
        answer = self.call("GET", path, name="event", ok=(200,), trend="event_view_latency")
        page = answer.json_object()
        if answer.status != 200 or not self.is_suite:
            return page.get("event_full") is not True
        # Of an event that nobody has registered for yet, the suite does not ask for their number.
        taken, capacity = page.get("current_registrations") or 0, page.get("capacity")
        if not (isinstance(taken, int) and isinstance(capacity, int)):
            self.checked("event has details", False)
            self.meters.capacity_enforced.tagged(**{FAILURE: "the event does not show its places"}).add(False)
            return True
        self.checked("event has details", True)
        self.meters.capacity_enforced.add(taken <= capacity)
        return taken < capacity

    def _look_up(self, email: str) -> None:
        """Whether what has been confirmed is there, once, as far as whoever registered can see it."""
        seen = self._seen(email)
        if seen is not None and email not in seen:
            # What is read from a copy of the data may come a little later; that it was lost, the audits would say.
            if self.pause(LOOK_AGAIN_S):
                return
            seen = self._seen(email)
        if seen is not None:
            self.meters.registration_held.add(seen == [email])

    def _seen(self, email: str) -> list[Any] | None:
        """The registrations that are shown of this address; None where nothing can be told from the answer."""
        path = f"registrations?email={quote(email)}" if self.is_suite else "rsvp/status"
        answer = self.call("GET", f"{self._event}/{path}", name="verify", ok=(200,))
        if answer.error is not None or answer.status not in (200, 404):
            return None
        told = answer.json_object()
        if not self.is_suite:
            return [email] if told.get("has_rsvp") is True else []
        found = told.get("registrations")
        return [one.get("email") for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def _body(self, email: str, costs: bool) -> dict[str, Any]:
        if not self.is_suite:
            return {"user_name": "Load Tester", "user_email": email, "user_phone": "555-0100"}
        person = {"email": email, "first_name": "Load", "last_name": "Tester", "phone": "555-0100"}
        body: dict[str, Any] = {"event_id": self.worker.settings["TEST_EVENT_ID"], "participant": person}
        if costs:
            billing = {"name": "Load Tester", "email": email, "address": _ADDRESS}
            body["payment"] = {"payment_method": "pm_card_visa", "billing_details": billing}
        return body

    def _register(self, email: str, body: dict[str, Any], costs: bool, has_places: bool) -> Response | None:
        """The answer that confirms it; some are sent twice at the same moment, of which one may be confirmed."""
        ledgers = [self.worker.ledgers[name] for name in ("registrations", *(("payments",) if costs else ()))]
        for ledger in ledgers:
            ledger.sent(email)
        try:
            answers = self._send(body, self.dice.chance(self.worker.settings["DOUBLES"]))
        except BaseException:
            # Cut off in the middle: the target may have got it.
            for ledger in ledgers:
                ledger.uncertain(email)
            raise
        confirmed = [one for one in answers if _is_confirmed(one)]
        is_full = not confirmed and all(map(_is_full, answers))
        known = bool(confirmed) and self.checked("has a confirmation", _is_named(confirmed[0]))
        self.meters.rsvp_success.add(known or is_full)
        if len(answers) > 1:
            self._judge_doubles(*answers)
        if confirmed and not has_places:
            self.meters.capacity_enforced.add(False)
        elif is_full:
            self.meters.capacity_enforced.add(True)
        has_paid = False
        if confirmed and costs:
            has_paid = known and confirmed[0].json_object().get("payment_status") in PAID_STATUSES
            self.meters.payment_processing_success.add(has_paid)
        for ledger, good in zip(ledgers, (bool(confirmed), has_paid), strict=False):
            if good:
                ledger.acked(email)
            elif confirmed or all(one.refused for one in answers):
                ledger.refused(email, "full" if is_full else "refused")
            else:
                ledger.uncertain(email)
        return confirmed[0] if confirmed else None

    def _send(self, body: dict[str, Any], twice: bool) -> list[Response]:
        path = f"{self._event}/rsvp"
        if not twice:
            return [self._send_one(path, body)]
        other: Any = gevent.spawn(self.apart.request, "POST", path, json=body)
        first = self._send_one(path, body)
        return [first, other.get()]

    def _send_one(self, path: str, body: dict[str, Any]) -> Response:
        return self.call("POST", path, body, name="rsvp", ok=CONFIRMED, trend="rsvp_latency")

    def _judge_doubles(self, one: Response, double: Response) -> None:
        """Of two registrations of one person one may be taken; none, where there are no places."""
        both, refused = (one, double), self.meters.double_refused
        confirmed = sum(map(_is_confirmed, both))
        if confirmed == 2:
            self.meters.duplicate_bookings.add()
            refused.tagged(**{FAILURE: "both were confirmed"}).add(False)
        elif confirmed + sum(map(is_refusal, both)) < 2:
            # Nobody knows what became of one of them; what goes over the metered connection is told already.
            if not (_is_confirmed(double) or is_refusal(double)):
                self.worker.error("rsvp-double", double.outcome, double.says)
        elif confirmed or all(map(_is_full, both)):
            refused.add(True)
        elif any(map(_is_there, both)) and not (one.retried or double.retried):
            refused.tagged(**{FAILURE: "both were refused, one as registered already"}).add(False)


_IDS = ("booking_id", "registration_id", "rsvp_id")


def _is_named(confirmed: Response) -> bool:
    answer = confirmed.json_object()
    return any(answer.get(name) for name in _IDS)


def _is_confirmed(response: Response) -> bool:
    return response.error is None and response.status in CONFIRMED


def _is_there(response: Response) -> bool:
    """Refused because whoever it is has a place."""
    return response.status == 409 or (response.status == 400 and "already" in response.says)


def _is_full(response: Response) -> bool:
    """Refused because there are no places; a double that is refused as one is as good."""
    if response.error is not None or response.status not in (400, 409):
        return False
    text = response.content.decode("utf-8", "replace").lower()
    return "capacity" in text or "full" in text
