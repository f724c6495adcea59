"""Users for a master without us: they report requests of two names, as users of the queue do, and make none."""

from __future__ import annotations

import random

from locust import User, between, task


class Reporting(User):
    wait_time = between(1.0, 2.0)

    @task
    def visit(self) -> None:
        for name in ("queue_join", "queue_leave"):
            self.environment.events.request.fire(
                request_type="POST",
                name=name,
                response_time=random.uniform(1.0, 10.0),
                response_length=100,
                exception=None,
                context={},
            )
