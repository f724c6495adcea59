"""What Locust, its listeners and its plugins say of a failure in their own ways, in whichever process of a run.

Locust logs what a listener or a greenlet raises, remembers that it happened, and ends that process with 2. A listener
or a plugin may ask for an exit code. In a worker, neither would reach the master.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import locust.log

from pika_locust.metrics import plain

UNHANDLED = 2
"""What Locust ends with after an exception that nobody handled."""


@dataclass(frozen=True, slots=True)
class HostFailure:
    """An exit code that somebody else asks for, and why."""

    code: int
    why: str

    def to_wire(self) -> dict[str, Any]:
        """As plain values."""
        return {"code": self.code, "why": self.why}

    @classmethod
    def from_wire(cls, wire: Any) -> HostFailure:
        """What `to_wire` made. Raises ValueError for anything else, and for the code of a success."""
        known = plain.mapping(wire)
        if code := plain.whole(known.get("code")):
            return cls(code, plain.text(known.get("why")))
        raise ValueError("a failure's exit code is not 0")


def host_failure(environment: Any) -> HostFailure | None:
    """What listeners, plugins and Locust itself say by now of a failure in this process; None: nothing."""
    code = environment.process_exit_code
    if code:
        set_to = f"Locust's exit code was set to {code} by a listener or a plugin (environment.process_exit_code)"
        return HostFailure(int(code), set_to)
    if locust.log.unhandled_greenlet_exception:
        text = "an exception in a listener or a greenlet was handled by nobody; the log has its traceback"
        return HostFailure(UNHANDLED, text)
    return None
