"""Who acts, against what: a folder for each platform.

A platform is a package with a module `scenarios` that holds SCENARIOS and, where it has a sandbox, a module `world`
that holds PLATFORM. A folder in here is found by itself; other packages offer theirs in the entry-point group
`pika_locust.platforms`: name of the platform -> the package that holds it.
"""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

GROUP = "pika_locust.platforms"


def packages() -> dict[str, str]:
    """Name of every platform -> the package that holds it, in alphabetical order; none of them is imported."""
    found = {module.name: f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__) if module.ispkg}
    found.update({entry.name: entry.value.partition(":")[0] for entry in entry_points(group=GROUP)})
    return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class Deferred:
    """A function of one argument by its reference, `package.module:name`: loaded when it is called.

    For a scenario's audit and set-up. They talk to the target, and a look at the scenario must not load what they talk
    with.
    """

    reference: str

    def __call__(self, context: Any) -> Any:
        return pkgutil.resolve_name(self.reference)(context)
