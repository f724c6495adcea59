"""`python -m pika_locust.browser`: users with real browsers, for `kit.browser_users`, which starts it.

One line of JSON on standard input says what is to be done (`Job`). From then on standard output has one line for each
look at a page, after a first one when Chromium is there. The line `finish` lets everybody finish; where standard input
ends, so does this process, at once and with its Chromium: whoever has started it is gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from playwright.async_api import Browser, BrowserContext, Error, Page, Route, async_playwright
from playwright.async_api import TimeoutError as Late

LOAD_TIMEOUT_S = 60.0
FINISH_WITHIN_S = 8.0
"""How long a page may still take when everybody is to finish."""
END_WITHIN_S = 5.0
"""How long Chromium may take to end when the starter is gone."""
PAINT_WITHIN_S = 10.0
"""How long a page that was loaded may show nothing."""
INTERACTION_WITHIN_S = 1.0
"""How long a page may take to show that it was clicked, before nothing is said of it."""
_ARGUMENTS = ("--no-proxy-server", "--disable-dev-shm-usage")
_COLLECT = """
if (window === window.top) {
  const seen = (window.__webVitals = {});
  const note = (metric) => { seen[metric.name] = metric.value; };
  for (const on of ['onTTFB', 'onFCP', 'onLCP', 'onCLS', 'onINP']) webVitals[on](note, {reportAllChanges: true});
}
"""
"""Each figure as it is now: those that end with the page are read before it is left."""
_CORNER = (2, 2)
"""Where nothing is that a click would follow."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done."""

    url: str
    pages: list[tuple[str, str, float]]
    """Name, path and share of each page."""
    users: int
    seed: int
    think_s: tuple[float, float]
    """Shortest and longest look at a page."""
    executable: str
    verify: bool
    """Whether certificates must be good."""
    headers: Mapping[str, str]
    """What the target, and nobody else, is sent with every request."""


def tell(**line: Any) -> None:
    """Write a line to whoever has started this."""
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()


class Visitors:
    """All users of one Chromium; each look has an empty cache and no cookies, as a first visit has."""

    def __init__(self, job: Job, browser: Browser, script: str, ending: asyncio.Event) -> None:
        self._job = job
        self._browser = browser
        self._script = script
        self._ending = ending

    async def live(self, number: int) -> None:
        """One user's looks at pages, one after another, until all are to finish."""
        dice = random.Random(f"{self._job.seed} {number}")
        shares = [share for _, _, share in self._job.pages]
        await self._pause(number / self._job.users)
        while not self._ending.is_set():
            name, path, _ = dice.choices(self._job.pages, shares)[0]
            look_s = dice.uniform(*self._job.think_s)
            try:
                vitals, load_ms, error = await self._look(path, look_s)
            except Error as failure:
                if not self._browser.is_connected():
                    raise
                vitals, load_ms, error = {}, 0.0, failure.message.partition("\n")[0]
            tell(page=name, vitals=vitals, load_ms=load_ms, error=error)
            if error:
                await self._pause(look_s)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    async def _look(self, path: str, look_s: float) -> tuple[dict[str, float], float, str]:
        """The page's figures, how long it took to load, and what was wrong with it, if anything."""
        context = await self._browser.new_context(ignore_https_errors=not self._job.verify)
        try:
            await context.add_init_script(self._script)
            if self._job.headers:
                await self._add_headers(context)
            return await self._look_in(await context.new_page(), path, look_s)
        finally:
            with suppress(Error):
                await context.close()

    async def _look_in(self, page: Page, path: str, look_s: float) -> tuple[dict[str, float], float, str]:
        response = await page.goto(urljoin(self._job.url, path), timeout=LOAD_TIMEOUT_S * 1000)
        if response is None or not response.ok:
            return {}, 0.0, f"answered {response.status}" if response is not None else "not answered"
        load_ms = await page.evaluate("performance.getEntriesByType('navigation')[0].loadEventStart")
        try:
            await page.wait_for_function("'LCP' in window.__webVitals", timeout=PAINT_WITHIN_S * 1000)
        except Late:
            return {}, load_ms, f"nothing was painted within {PAINT_WITHIN_S:g} s"
        # The largest picture may come last, and counts until somebody clicks.
        await self._pause(look_s)
        await page.mouse.click(*_CORNER)
        with suppress(Error):
            await page.wait_for_function("'INP' in window.__webVitals", timeout=INTERACTION_WITHIN_S * 1000)
        vitals: dict[str, float] = await page.evaluate("window.__webVitals")
        return vitals, load_ms, ""

    async def _add_headers(self, context: BrowserContext) -> None:
        async def forward(route: Route) -> None:
            await route.continue_(headers={**route.request.headers, **self._job.headers})

        await context.route(f"{self._job.url.rstrip('/')}/**", forward)


async def drive(job: Job, ending: asyncio.Event, gone: asyncio.Event) -> None:
    """Start Chromium, and have everybody look at pages until `ending`; until `gone` at the latest.

    Raises `playwright.async_api.Error` where Chromium does not start, or ends.
    """
    script = (Path(__file__).parent / "web-vitals.iife.js").read_text(encoding="utf-8") + _COLLECT
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=job.executable, args=list(_ARGUMENTS), chromium_sandbox=os.geteuid() != 0
        )
        tell(ready=browser.version)
        visitors = Visitors(job, browser, script, ending)
        users = [asyncio.create_task(visitors.live(number)) for number in range(job.users)]
        ended = asyncio.create_task(_end(ending, gone))
        try:
            either: list[asyncio.Future[Any]] = [asyncio.gather(*users), ended]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            for user in users:
                if user.done():
                    user.result()
            for user in users:
                if not user.done():
                    tell(page="", vitals={}, load_ms=0.0, error=f"cut off {FINISH_WITHIN_S:g} s after the end")
        finally:
            for task in (*users, ended):
                task.cancel()
            await asyncio.gather(*users, ended, return_exceptions=True)
            with suppress(Error):
                await browser.close()


async def _end(ending: asyncio.Event, gone: asyncio.Event) -> None:
    await ending.wait()
    with suppress(TimeoutError):
        await asyncio.wait_for(gone.wait(), FINISH_WITHIN_S)


async def main() -> int:
    """Read the job, do it; the result is the exit code."""
    ending, gone = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    line = sys.stdin.readline()
    if not line:
        return 0
    given = json.loads(line)
    pages = [(str(name), str(path), float(share)) for name, path, share in given.pop("pages")]

    def listen() -> None:
        if sys.stdin.readline():
            loop.call_soon_threadsafe(ending.set)
            sys.stdin.read()
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(gone.set)
            loop.call_soon_threadsafe(ending.set)
        # Nobody is there to wait for: where the way out is blocked, Chromium ends because its driver's pipe closes.
        time.sleep(END_WITHIN_S)
        os._exit(1)

    threading.Thread(target=listen, name="starter", daemon=True).start()
    try:
        await drive(Job(**given, pages=pages), ending, gone)
    except Error as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        code = asyncio.run(main())
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    # Without waiting for the thread that reads standard input, which may go on for ever.
    os._exit(code)
