"""`Bounds`: what a target must hold of something, going by its own answers, where some have not come."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Bounds:
    """A number that lies between `least` and `most`, such as the balance of a user."""

    least: int = 0
    most: int = 0

    def add(self, change: int) -> None:
        """So many more, for certain; fewer when it is negative."""
        self.least += change
        self.most += change

    def maybe(self, change: int) -> None:
        """Something that may have happened or not: its answer has not come, and perhaps never will."""
        self.least += min(0, change)
        self.most += max(0, change)

    def known(self, change: int, happened: bool) -> None:
        """What `maybe` left open is settled."""
        self.least -= min(0, change)
        self.most -= max(0, change)
        if happened:
            self.add(change)
