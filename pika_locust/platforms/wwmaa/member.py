"""What WWMAA's users have in common: where the API is, tokens against forged requests, members and their tokens."""

from __future__ import annotations

from dataclasses import dataclass

from pika_locust import clock
from pika_locust.kit import HttpActor
from pika_locust.load.rng import SeededRandom
from pika_locust.platforms.wwmaa.members_file import read_members
from pika_locust.runtime.context import WorkerContext
from pika_locust.wire.http import HttpClient, Response, Timeouts

CSRF_PATH = "/api/security/csrf-token"
TOKEN_LASTS_S = 1500.0
"""Access tokens are good for half an hour: they are fetched anew before that is over."""


@dataclass(slots=True)
class Member:
    """One of the members that are in the target before the load, and the token that it has."""

    email: str
    password: str
    token: str = ""
    until_s: float = 0.0


class Members:
    """The members of a process: those of MEMBERS_FILE, else those whose addresses follow from their numbers. Get it
    with `worker.shared(Members)`.

    Each of n processes hands out every n-th: nobody is handed out twice before a process has been through its share,
    and no user waits for an answer of another process, as it would where the master hands them out one by one. In
    return, the members of a process that was lost stay unused.
    """

    def __init__(self, worker: WorkerContext) -> None:
        self._worker = worker
        self._next = 0
        path: str | None = worker.settings["MEMBERS_FILE"]
        self._listed = read_members(path) if path else []
        self._size: int = len(self._listed) or worker.settings["MEMBERS"]
        self._pattern: str = worker.settings["TEST_USER_EMAIL"]
        self._password: str = worker.settings["TEST_USER_PASSWORD"]

    def take(self) -> Member:
        """The next one that nobody has been; the first one again when all have been taken."""
        number = self._worker.global_number(self._next)
        self._next += 1
        return self.at(number)

    def at(self, number: int) -> Member:
        """The member of a number; beyond the last one they begin anew."""
        number %= self._size
        if not self._listed:
            return Member(self._pattern.replace("{user}", str(number)), self._password)
        listed = self._listed[number]
        return Member(listed.email, listed.password or self._password)

    def any(self, dice: SeededRandom) -> Member:
        """One of all, whoever has been handed out."""
        return self.at(dice.below(self._size))


def is_refusal(answer: Response) -> bool:
    """Whether the target said no for good: a 429 says not now, and a 5xx or no answer nothing of what became of it."""
    return 400 <= answer.status < 500 and answer.status != 429


class WwmaaUser(HttpActor):
    """A user of WWMAA's API."""

    abstract = True
    timeouts = Timeouts(total_s=60.0, read_s=60.0)

    def begin(self) -> None:
        super().begin()
        self.is_suite: bool = self.worker.settings["CONTRACT"] == "suite"

    csrf_headers: tuple[tuple[str, str], ...] = ()
    """What the real server's POSTs carry against forged requests."""
    authorization: tuple[tuple[str, str], ...] = ()
    """Who calls, once somebody is logged in."""

    def new_client(self, *, metered: bool = True) -> HttpClient:
        client = super().new_client(metered=metered)
        client.set_headers(dict(self.csrf_headers))
        return client

    def prepare_posts(self) -> bool:
        """Fetch what the real server's POSTs need, once; whether it is there."""
        if self.is_suite or self.csrf_headers:
            return True
        response = self.call("GET", CSRF_PATH, name="csrf-token", ok=(200,))
        token = response.json_object().get("csrf_token")
        if not isinstance(token, str):
            return False
        self.csrf_headers = (("cookie", f"csrf_token={token}"), ("x-csrf-token", token))
        self.http.set_headers(dict(self.csrf_headers))
        return True

    def log_in(self, member: Member) -> bool:
        """Have a token of the member's, from now on sent with every request."""
        if clock.monotonic() > member.until_s:
            body = {"email": member.email, "password": member.password}
            answer = self.call("POST", "/api/auth/login", body, name="login", ok=(200,))
            token = answer.json_object().get("access_token")
            if not isinstance(token, str):
                return False
            member.token, member.until_s = token, clock.monotonic() + TOKEN_LASTS_S
        self.authorization = (("authorization", f"Bearer {member.token}"),)
        self.http.set_headers(dict(self.authorization))
        return True
