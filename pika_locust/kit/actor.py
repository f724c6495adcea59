"""What the kit's virtual users have in common, whatever they speak: meters, ids, think time, and handlers of events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

from pika_locust.kit.meters import BoundMeters
from pika_locust.runtime.actor import Actor
from pika_locust.runtime.context import WorkerContext

Method = TypeVar("Method", bound=Callable[..., Any])


class ThinkTimes:
    """What the settings of a run say of think times; get it with `worker.shared(ThinkTimes)`."""

    def __init__(self, worker: WorkerContext) -> None:
        self._settings = worker.settings
        self._of: dict[tuple[float, float], tuple[float, float]] = {}

    def of(self, think_s: tuple[float, float]) -> tuple[float, float]:
        """Shortest and longest pause in seconds of a class that has these where the settings say nothing."""
        bounds = self._of.get(think_s)
        if bounds is None:
            get = self._settings.get
            bounds = self._of[think_s] = get("THINK_TIME_MIN", think_s[0]), get("THINK_TIME_MAX", think_s[1])
        return bounds


class PlatformActor(Actor):
    """The base of `HttpActor`, `WebSocketActor` and `SocketIoActor`; an actor that speaks two protocols has two of them
    as bases. Whoever overrides `begin` calls this one's first."""

    abstract = True

    meters: Any = {}
    """Metrics of this class by name, see `kit.meters`; of an instance, their handles."""
    ledgers: ClassVar[tuple[str, ...]] = ()
    """Ledgers that the actor writes to."""
    sockets: ClassVar[int] = 1
    """How many sockets a user has open at once, at the least: so many for each must fit into the limit of open files
    before a test begins."""
    think_s: ClassVar[tuple[float, float]] = (0.5, 2.0)
    """Shortest and longest pause in seconds, where the settings THINK_TIME_MIN and THINK_TIME_MAX say nothing else."""

    def begin(self) -> None:
        self.meters = self.worker.shared(BoundMeters(type(self)))
        self._usual_think_s = self.worker.shared(ThinkTimes).of(self.think_s)

    def checked(self, name: str, ok: bool) -> bool:
        """Count a check; gives `ok`. Override it where a failed check counts as something else, too."""
        self.worker.check(name, ok)
        return ok

    def new_id(self) -> str:
        """An id that no other user of any test has; it begins with the run's id."""
        number = self.worker.global_number(self.number)
        return f"{self.worker.begin.run_id}-{number}-{self.dice.bits():016x}"

    def think(self, low_s: float | None = None, high_s: float | None = None) -> None:
        """Pause for a random time, which ends at once when the user is to finish.

        Without bounds they are the settings' (THINK_TIME_MIN, THINK_TIME_MAX), else the class's `think_s`; with one
        bound, or bounds the wrong way round, the pause is the lower one.
        """
        if low_s is None:
            usual = self._usual_think_s
            low_s, high_s = usual[0], usual[1] if high_s is None else high_s
        elif high_s is None:
            high_s = low_s
        self.pause(self.dice.uniform(low_s, high_s) if high_s > low_s else low_s)


_NAMES = "_handles_events"


def on(*names: str, fields: Mapping[str, type] | None = None) -> Callable[[Method], Method]:
    """Mark a method as the handler of events (messages) of these names: `@on("call:ended", "call:cancelled")`.

    It is called as `method(data, at_ns)` in the event loop, so it must not wait: with what the event carries, and the
    monotonic clock when it was read.

    Arguments:
        names: of the events.
        fields: what the event's data, then an object, must have: name -> type. An event without is the target's
            mistake: it is counted as an error, and the method is not called.
    """

    def mark(method: Method) -> Method:
        setattr(method, _NAMES, (names, tuple((fields or {}).items())))
        return method

    return mark


Fields = tuple[tuple[str, type], ...]

RAW: Fields = (("", bytes),)
"""In the place of the fields of a handler that gets messages as they came."""


def on_raw(*names: str) -> Callable[[Method], Method]:
    """Mark a method of a `WebSocketActor` as the handler of messages of these kinds, as they came: it is called as
    `method(payload, at_ns)`, and nothing is parsed. See `on`."""

    def mark(method: Method) -> Method:
        setattr(method, _NAMES, (names, RAW))
        return method

    return mark


def handlers_of(actor: type) -> dict[bytes, tuple[Callable[..., Any], Fields]]:
    """The marked methods of a class and its bases by the event's name, as UTF-8, and what they ask of its data."""
    found: dict[bytes, tuple[Callable[..., Any], Fields]] = {}
    for owner in reversed(actor.__mro__):
        for attribute, method in vars(owner).items():
            if hasattr(method, _NAMES):
                names, fields = getattr(method, _NAMES)
                # The last word is the subclass's, also where it overrides a method without marking it again.
                found |= {name.encode(): (getattr(actor, attribute), fields) for name in names}
    return found
