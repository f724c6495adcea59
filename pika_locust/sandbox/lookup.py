"""Finds the worlds that can be served: those of this package, and those of packages that offer a platform."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

from pika_locust import platforms
from pika_locust.errors import ConfigurationError
from pika_locust.sandbox.world import Platform


def known_platforms() -> tuple[str, ...]:
    """Names of all platforms that have a world, in alphabetical order."""
    return tuple(name for name, package in platforms.packages().items() if find_spec(f"{package}.world") is not None)


def find_platform(name: str) -> Platform:
    """The platform of that name; raises `ConfigurationError` naming the known ones."""
    package = platforms.packages().get(name)
    if package is None or find_spec(f"{package}.world") is None:
        raise ConfigurationError(f"platform {name!r} has no sandbox; known are {', '.join(known_platforms())}")
    platform = importlib.import_module(f"{package}.world").PLATFORM
    if not isinstance(platform, Platform):
        raise ConfigurationError(f"{package}.world.PLATFORM is no sandbox.world.Platform")
    return platform
