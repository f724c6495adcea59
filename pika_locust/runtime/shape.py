"""`StagesShape`, the base of the files in `shapes/`, and the search for LoadTestShapes that would not be followed."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from locust import LoadTestShape

from pika_locust.load.plan import LoadProfile
from pika_locust.load.stages import parse_stages, total_s, users_at


class StagesShape(LoadTestShape):  # type: ignore[misc]
    """Base of a shape file: `-f locustfiles/dancers.py,shapes/stress.py`.

    With a scenario of this package the file names the load profile to use, and its stages serve where the scenario
    has no such profile. With any other locustfile it is an ordinary LoadTestShape.
    """

    abstract = True
    profile: ClassVar[str] = ""
    """The class's own name in lower case unless it is given."""
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
    def source(cls) -> str:
        """Where the shape comes from, for messages: its file as a rule."""
        path = _file_of(cls)
        return f"{path.parent.name}/{path.name}" if path is not None else cls.__name__

    @classmethod
    def as_profile(cls) -> LoadProfile:
        """The file's stages as a load profile. Raises ValueError for stages that make no load."""
        stages = parse_stages(cls.stages)
        if total_s(stages) == 0:
            raise ValueError("its stages last 0 s in all; give at least one a duration")
        about = (cls.__doc__ or "").strip()
        return LoadProfile(cls.profile or cls.__name__.lower(), stages, cls.start_users, about)

    @classmethod
    def loaded(cls) -> list[type[StagesShape]]:
        """The shapes of this kind that this process has loaded."""
        return [shape for shape in _descendants(cls) if not shape.abstract]


def foreign_shapes(locustfiles: Iterable[str]) -> list[type[Any]]:
    """Shapes of other kinds in these files or directories: Locust would follow them, a load plan does not."""
    named = [Path(file).resolve() for file in locustfiles if file]
    found = []
    for shape in _descendants(LoadTestShape):
        if shape.abstract or issubclass(shape, StagesShape):
            continue
        path = _file_of(shape)
        if path is not None and any(path == file or file in path.parents for file in named):
            found.append(shape)
    return found


def _file_of(shape: type[Any]) -> Path | None:
    try:
        return Path(inspect.getfile(shape)).resolve()
    except (OSError, TypeError):
        return None


def _descendants(base: type[Any]) -> Iterator[type[Any]]:
    for child in base.__subclasses__():
        yield child
        yield from _descendants(child)
