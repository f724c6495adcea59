"""What the target must hold of users' tokens, going by its own answers."""

from __future__ import annotations

from dataclasses import dataclass

from pika_locust.platforms.verity.answers import Credentials


@dataclass(slots=True)
class TokenBounds:
    """What the target must hold for one user: between `least` and `most`."""

    least: int = 0
    most: int = 0

    def credited(self, tokens: int) -> None:
        """So many more, for certain; fewer when it is negative."""
        self.least += tokens
        self.most += tokens

    def maybe(self, change: int) -> None:
        """Something that may have happened or not: its answer has not come, and perhaps never will."""
        self.least += min(0, change)
        self.most += max(0, change)

    def known(self, change: int, happened: bool) -> None:
        """What `maybe` left open is settled."""
        self.least -= min(0, change)
        self.most -= max(0, change)
        if happened:
            self.credited(change)


@dataclass(frozen=True, slots=True)
class ExpectedBalance:
    """How a user was left: what the target must hold, and how to ask for it."""

    user_id: str
    number: int
    """The user's number in its process, from which its address follows."""
    entry: Credentials
    least: int
    most: int
