"""WWMAA's pages with a style sheet, a script and a picture, and what they ask the API for."""

from __future__ import annotations

from random import Random
from struct import pack
from typing import Any
from zlib import compress, crc32

from pika_locust.platforms.wwmaa.world_accounts import Accounts
from pika_locust.sandbox.app import Call, route
from pika_locust.sandbox.world import Answer

_STYLE = b"body{font-family:sans-serif;margin:2rem}h1{color:#8b0000}img{width:640px;height:320px}"
_SCRIPT = b"document.documentElement.dataset.ready='yes';"
_HEAVY = b"document.documentElement.dataset.heavy='yes';"
HEAVY_S = 3.0
"""How long the script of a heavy page is on its way."""


def _picture(width: int = 160, height: int = 80) -> bytes:
    """A red field with grain as PNG: what hardly has content, a browser takes for a background."""
    grain = Random(1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", crc32(kind + data))

    row_of = bytes([2, 1, 1, 1])
    rows = b"".join(b"\0" + bytes(grain.choices(row_of, k=width)) for _ in range(height))
    header = pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    palette = chunk(b"PLTE", b"\0\0\0" + b"\x8b\0\0" + b"\xa5\x2a\x2a")
    picture = chunk(b"IHDR", header) + palette + chunk(b"IDAT", compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + picture


_PICTURE = _picture()


class Pages(Accounts):
    """The pages of the suite: home, events, instructors, search, and the dashboard of whoever is logged in."""

    def start(self) -> None:
        super().start()
        self.instructors_there: dict[str, dict[str, Any]] = {}

    @route("GET", "/")
    def home(self, call: Call) -> Answer | None:
        return self._page(call, "WWMAA")

    @route("GET", "/events")
    def events_page(self, call: Call) -> Answer | None:
        return self._page(call, "Events")

    @route("GET", "/instructors")
    def instructors_page(self, call: Call) -> Answer | None:
        return self._page(call, "Instructors")

    @route("GET", "/search")
    def search_page(self, call: Call) -> Answer | None:
        return self._page(call, "Search")

    @route("GET", "/dashboard", auth=True)
    def dashboard_page(self, call: Call) -> Answer | None:
        return self._page(call, "Dashboard")

    def _page(self, call: Call, title: str) -> Answer | None:
        heavy = '<script src="/static/js/heavy.js"></script>' if self._is_heavy() else ""
        html = (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f'<link rel="stylesheet" href="/static/css/main.css">{heavy}</head><body><h1>{title}</h1>'
            '<img src="/static/images/logo.png" alt=""><script src="/static/js/main.js"></script></body></html>'
        )
        answer = Answer(200, html.encode(), (("content-type", "text/html; charset=utf-8"),))
        slow_ms = self.faults.amount("slow-page")
        if not slow_ms:
            return answer
        self.faults.count("slow-page")
        self.after(slow_ms / 1000, call.answer, answer)
        return None

    def _is_heavy(self) -> bool:
        if "heavy-page" not in self.faults.on:
            return False
        self.faults.count("heavy-page")
        return True

    @route("GET", "/static/js/heavy.js")
    def heavy_script(self, call: Call) -> None:
        """What a heavy page waits for before it shows anything; nobody notices who only fetches the page."""
        self.after(HEAVY_S, call.answer, Answer(200, _HEAVY, (("content-type", "text/javascript"),)))

    @route("GET", "/static/css/main.css")
    def style(self, call: Call) -> Answer:
        return Answer(200, _STYLE, (("content-type", "text/css"),))

    @route("GET", "/static/js/main.js")
    def script(self, call: Call) -> Answer:
        return Answer(200, _SCRIPT, (("content-type", "text/javascript"),))

    @route("GET", "/static/images/logo.png")
    def logo(self, call: Call) -> Answer:
        return Answer(200, _PICTURE, (("content-type", "image/png"),))

    @route("GET", "/api/instructors")
    def instructors(self, call: Call) -> Answer:
        """The suite's; the real server has none."""
        if not self.is_suite:
            return self.not_found(call.request)
        limit = call.query.get("limit", "")
        found = [{"id": "ins_1", "name": "Load Instructor"}, *map(_shown, self.instructors_there.values())]
        return Answer.json({"instructors": found[: int(limit)] if limit.isdecimal() else found, "total": len(found)})

    @route("GET", "/api/users/me/dashboard", auth=True)
    def dashboard(self, call: Call) -> Any:
        """The suite's."""
        return {"user_id": call.user["sub"], "registrations": []}


def _shown(instructor: dict[str, Any]) -> dict[str, Any]:
    return {"id": instructor["id"], "name": f"{instructor['first_name']} {instructor['last_name']}"}
