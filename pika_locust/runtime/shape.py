"""LoadTestShapes: the one that follows the engine, and the base of the files in `shapes/`."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from locust import LoadTestShape

from pika_locust.load.plan import LoadProfile
from pika_locust.load.stages import parse_stages, total_s, users_at


class Driver(Protocol):
    """Who knows how many users there should be now."""

    def prepare(self) -> None:
        """A test is about to start: its clock is 0 now."""

    def tick(self) -> tuple[int, float] | None:
        """Total users, and how many to start or stop a second; None ends the test."""


class EngineShape(LoadTestShape):
    """The only shape that Locust sees. It asks the engine, which owns the load plan and the clock."""

    abstract = True
    use_common_options = True

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver

    def reset_time(self) -> None:
        super().reset_time()
        self._driver.prepare()

    def tick(self) -> Any:
        return self._driver.tick()


class StagesShape(LoadTestShape):
    """Base of a shape file: `-f locustfiles/dancers.py,shapes/stress.py`.

    With a scenario of this package the file names the load profile to use, and its stages serve where the scenario
    has no such profile. With any other locustfile it is an ordinary LoadTestShape.
    """

    abstract = True
    profile: ClassVar[str] = ""
    stages: ClassVar[str] = ""
    start_users: ClassVar[int] = 1

    def tick(self) -> tuple[int, float] | None:
        stages = parse_stages(self.stages)
        elapsed_s = self.get_run_time()
        if elapsed_s >= total_s(stages):
            return None
        users = users_at(stages, elapsed_s, self.start_users)
        return users, float(max(1, abs(users - self.get_current_user_count())))

    @classmethod
    def as_profile(cls) -> LoadProfile:
        """The file's stages as a load profile."""
        return LoadProfile(cls.profile, parse_stages(cls.stages), cls.start_users, (cls.__doc__ or "").strip())

    @classmethod
    def loaded(cls) -> list[type[StagesShape]]:
        """The shape files that this process has loaded."""
        return [shape for shape in cls.__subclasses__() if not shape.abstract]
