"""Hosts that nobody may put load on by mistake."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from pika_locust.scenario import Scenario


def production_hosts(scenario: Scenario, environ: Mapping[str, str]) -> frozenset[str]:
    """Hosts that are somebody's production: `PIKA_PRODUCTION_HOSTS`, a list with commas, else the scenario's own."""
    listed = [name.strip() for name in environ.get("PIKA_PRODUCTION_HOSTS", "").split(",")]
    return frozenset(_host(name) for name in ([name for name in listed if name] or scenario.production_hosts))


def refusal(target: str, source: str, refused: frozenset[str]) -> str | None:
    """Why a target must not be loaded, as a sentence; None when it may."""
    host = _host(urlsplit(target).hostname or "")
    if host not in refused:
        return None
    return f"{source} names {host}, a production host; --allow-production says that it is meant"


def _host(name: str) -> str:
    """A host's name in one form: DNS knows no case, and a final dot changes nothing."""
    return name.lower().rstrip(".")
