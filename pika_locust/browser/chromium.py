"""Settings of browser users, and whether this machine has what they need: Chromium and Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec

from pika_locust.settings import Setting, Settings, text, whole

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
"""What Chromium and its relatives are called on PATH."""

BROWSER_SETTINGS = (
    Setting("BROWSER_USERS", whole(0), 0, "users who look at pages in a real browser, on top of all others"),
    Setting("BROWSER_EXECUTABLE_PATH", text, None, "Chromium of BROWSER_USERS; default: the one on PATH"),
)


def find_chromium(named: str | None) -> str | None:
    """Where Chromium is: at the path that was named, else on PATH; None where there is none."""
    if named:
        return named if os.access(named, os.X_OK) and os.path.isfile(named) else None
    return next((found for name in NAMES if (found := shutil.which(name)) is not None), None)


def browser_problems(settings: Settings) -> Iterator[str]:
    """Why the browser users that are wanted cannot be had, with what helps; a sentence each."""
    if not settings["BROWSER_USERS"]:
        return
    wanted = f"BROWSER_USERS={settings['BROWSER_USERS']}"
    if find_spec("playwright") is None:
        yield f"{wanted} needs Playwright, which drives the browser: pip install 'pika-locust[browser]'"
    named = settings["BROWSER_EXECUTABLE_PATH"]
    if find_chromium(named) is None:
        where = f"{named} (BROWSER_EXECUTABLE_PATH) is no program" if named else "there is none on PATH"
        helps = "apt-get install chromium, or name one with BROWSER_EXECUTABLE_PATH"
        yield f"{wanted} needs Chromium, and {where}: {helps}"
    if settings.get("CA_FILE"):
        yield (
            f"{wanted} and CA_FILE: a browser trusts the authorities of its own store; add them there (certutil -d "
            "sql:$HOME/.pki/nssdb -A) and leave CA_FILE out, or set INSECURE_SKIP_TLS_VERIFY=true"
        )
