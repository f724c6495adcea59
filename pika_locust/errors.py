"""Exit codes with their reasons, and the exceptions this package raises.

```
PikaLocustError
├── ConfigurationError     the user's settings are wrong; nothing has been sent yet     (104)
├── SetupError             a required step before the load failed                       (100)
└── UnreadableError        an audit's look at the target failed: the audit has failed    (99)
```

What the target does wrong is never an exception: it is a sample. What this project does wrong is whatever else is
raised; the runtime counts it, logs it with its traceback and ends with 107.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process ends with. All but the last are k6's, so that a pipeline written for k6 reads them unchanged.

    When several apply, `judge.verdict` says which wins; the report lists every reason.
    """

    PASS = 0
    FAILED = 99
    """A threshold or an audit failed, a threshold had no data, or a part of the run is missing."""
    SETUP = 100
    """A required step before the load failed (seeding, say). A dead target is FAILED: it leaves samples."""
    CONFIG = 104
    """Settings that cannot be read or do not fit together; found before the first request."""
    STOPPED = 105
    """Stopped from outside: SIGINT, SIGTERM or SIGHUP."""
    INTERNAL = 107
    """An error of this project's own, or an exception in a locustfile."""
    GENERATOR = 110
    """The load generator could not keep up: its numbers say more about itself than about the target. In k6, a test that
    its script has marked as failed."""


class PikaLocustError(Exception):
    """Base of all errors raised on purpose."""


class ConfigurationError(PikaLocustError):
    """Everything that is wrong with the settings, at once.

    `problems` holds one sentence each: what was wrong, where, and what would be right.
    """

    exit_code = ExitCode.CONFIG

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        if not self.problems:
            raise ValueError("ConfigurationError without a problem")
        super().__init__("\n".join(self.problems))


class SetupError(PikaLocustError):
    """A required step before the load failed; `str(error)` says which and why."""

    exit_code = ExitCode.SETUP


class UnreadableError(PikaLocustError):
    """A look at the target was tried and failed: refused, not trusted, no success, too late, or not what was asked for.

    Nobody knows then what the target holds. That is a failed audit, and never one that nothing could show.
    `status` is the answer's, None without an answer.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, problem: str, status: int | None = None) -> None:
        super().__init__(problem)
        self.status = status
