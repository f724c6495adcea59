"""The members that webhooks pay for: made before the load, one after the other, as the suite's own set-up does."""

from __future__ import annotations

from contextlib import ExitStack

from pika_locust.errors import SetupError
from pika_locust.platforms.verity.account import JOINED, body_of
from pika_locust.scenario import Given, SetupContext
from pika_locust.wire.http import HttpClient, Origin, SourceAddresses


def seed_users(context: SetupContext) -> Given:
    """SEED_USER_COUNT anonymous accounts. Some may fail, as with a server that throttles; without any, SetupError."""
    users: dict[str, str] = {}
    why = ""
    pool = context.settings["SOURCE_ADDRESSES"]
    addresses = SourceAddresses(pool) if pool else None
    origin = Origin(context.target)
    with ExitStack() as clients:
        http = clients.enter_context(HttpClient(origin))
        for number in range(context.settings["SEED_USER_COUNT"]):
            if addresses is not None:
                http = clients.enter_context(HttpClient(origin, source_address=addresses[number]))
            response = http.post("/auth/signup-anonymous", json={})
            if response.error is not None and not users:
                raise SetupError(f"no user could be made for the webhooks: {response.error}")
            try:
                body = body_of(response) if response.status in JOINED else {}
                users[str(body["user"]["id"])] = str(body["accessToken"])
            except (KeyError, TypeError):
                why = f"sign-up was answered {response.status} {response.reason}"
    if not users:
        raise SetupError(f"no user could be made for the webhooks: {why}")
    return Given(public={"users": list(users)}, private={"tokens": users})
