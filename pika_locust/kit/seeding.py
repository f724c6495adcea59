"""What a platform's scenarios need to find in their target: kinds of rows, for `pika-locust seed` to write and load."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pika_locust.load.rng import SeededRandom
from pika_locust.scenario import Scenario
from pika_locust.settings import Settings

Row = Mapping[str, Any]
"""Names and plain values: texts, numbers, booleans, and lists of texts."""

LOAD_PATH = "/api/load-test-data"
"""Where a target takes rows: POST {"batch", "kind", "rows"} answers {"made", "there"}, and leaves alone what is there;
DELETE {"batch"} answers {"removed"}, and removes what was made under that name and nothing else."""


@dataclass(frozen=True, slots=True)
class SeedContext:
    """What rows may depend on: the same context makes the same rows."""

    settings: Settings
    dice: SeededRandom
    counts: Mapping[str, int]
    """How many rows there are to be of each kind."""
    now: datetime


@dataclass(frozen=True, slots=True)
class SeedKind:
    """One kind of rows. `name` is its option and file; `count` is how many there are unless somebody says otherwise."""

    name: str
    count: int
    about: str
    rows: Callable[[SeedContext], Iterable[Row]]


@dataclass(frozen=True, slots=True)
class Seed:
    """A platform's data. A platform that has it offers it as `SEED` in its module `seed`."""

    scenario: Scenario
    """The one whose settings name the target and whatever else rows depend on."""
    kinds: tuple[SeedKind, ...]
    hints: Callable[[Settings], Mapping[str, str]] = lambda settings: {}
    """Settings that a run with this data needs: name -> value, where `{folder}` stands for the folder of the files."""
