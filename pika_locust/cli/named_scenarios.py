"""The locustfile of `pika-locust run` for scenarios that bring none of their own, such as those of other packages.

The environment names them (`cli.run.NAMES`), so that forked workers run the same.
"""

from __future__ import annotations

import os
from typing import Any

from pika_locust.catalogue import find_scenario
from pika_locust.cli.inspect import actors_of
from pika_locust.cli.run import NAMES
from pika_locust.plugin import install
from pika_locust.scenario import load_reference


def install_named(names: str) -> dict[str, Any]:
    """Install the scenarios of these names, which are separated by commas.

    Gives their actors by class name, as Locust looks for users among the names of this file. Raises ConfigurationError
    for a scenario that nobody knows.
    """
    actors: dict[str, Any] = {}
    for scenario in map(find_scenario, filter(None, names.split(","))):
        classes = map(load_reference, actors_of(scenario))
        actors |= {actor.__name__: actor for actor in classes}
        install(scenario)
    return actors


globals().update(install_named(os.environ.get(NAMES, "")))
