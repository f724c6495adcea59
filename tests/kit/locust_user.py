"""One user of a class for ordinary locustfiles, outside of a run, and what Locust's events were told of it."""

from __future__ import annotations

from typing import Any

from locust.env import Environment


class LoneUser:
    """A user whose host is `url`."""

    def __init__(self, url: str, kind: type[Any]) -> None:
        environment = Environment(host=url)
        self.events: list[dict[str, Any]] = []
        self.mistakes: list[BaseException] = []
        environment.events.request.add_listener(lambda **told: self.events.append(told))
        environment.events.user_error.add_listener(lambda exception, **_: self.mistakes.append(exception))
        self.user = type("Visitor", (kind,), {"host": url})(environment)

    @property
    def names(self) -> list[tuple[str, str]]:
        """Type and name of every request, in order."""
        return [(told["request_type"], told["name"]) for told in self.events]

    @property
    def failures(self) -> list[str]:
        """What went wrong, request by request."""
        return [str(told["exception"]) for told in self.events if told["exception"] is not None]
