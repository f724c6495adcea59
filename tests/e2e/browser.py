"""Locust's web page in a real browser, as a user sees and uses it: by its labels, buttons, tabs and what they show."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from playwright.sync_api import Error, Locator, sync_playwright
from playwright.sync_api import Page as Tab

from pika_locust.browser.chromium import find_chromium

T = TypeVar("T")

WAIT_S = 30.0
MISSING = "These tests use the web page in Chromium, which is not here: apt-get install chromium"

# As root, without a screen, and without a word to anybody but loopback.
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_DRAWN = """number => {
const canvas = [...document.querySelectorAll('canvas')].filter(one => one.offsetParent)[number];
if (!canvas) return 0;
const {width, height} = canvas, pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
let top = height, bottom = 0;
for (let y = Math.floor(height / 4); y < height; y++)
  for (let x = 0; x < width; x++) {
    const [r, g, b, a] = pixels.slice(4 * (y * width + x), 4 * (y * width + x) + 4);
    if (a > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 90) { top = Math.min(top, y); bottom = Math.max(bottom, y); }
  }
return Math.max(0, bottom - top) / height;
}"""
"""How much of a chart's height its coloured lines span, below the legend."""
_TABLE = """() => {
const table = [...document.querySelectorAll('table')].at(-1);
return [...(table ? table.rows : [])].map(row => [...row.cells].map(cell => cell.innerText.trim()));
}"""
_LIVE = """() => {
const root = document.querySelector('.pika');
if (!root) return null;
const text = node => node.innerText.trim();
const rows = selector => [...root.querySelectorAll(selector + ' tbody tr')].map(row => [...row.cells].map(text));
return {
  word: text(root.querySelector('.pika-bar b')), bar: text(root.querySelector('.pika-bar')),
  reasons: [...root.querySelectorAll('.pika-reasons li')].map(text),
  thresholds: rows('.pika-thresholds'), audits: rows('.pika-data-integrity-checks'), errors: rows('.pika-errors'),
  workers: rows('.pika-load-generators'), tests: rows('.pika-tests-of-this-process'),
  tiles: Object.fromEntries([...root.querySelectorAll('.pika-tiles > div')].map(
    tile => [text(tile.children[0]), text(tile.children[1])])),
  charts: Object.fromEntries([...root.querySelectorAll('.pika-chart')].map(
    chart => [text(chart.querySelector('b')), [...chart.querySelectorAll('.u-value')].map(text)])),
  marks: [...root.querySelectorAll('.pika-marks li')].map(text),
};
}"""
"""What the live page shows; of each chart, what its legend says: the time under the cursor, and each line's value."""


class Page:
    """The page that is open. What it does waits until it can be done; what it reads is what is there now."""

    def __init__(self, tab: Tab) -> None:
        self.tab_of_browser = tab
        tab.set_default_timeout(WAIT_S * 1000)
        self._console_errors: list[str] = []
        self._asked: set[str] = set()
        tab.on(
            "console", lambda message: self._console_errors.append(message.text) if message.type == "error" else None
        )
        tab.on("pageerror", lambda error: self._console_errors.append(str(error)))
        tab.on("request", lambda request: self._asked.add(request.url))

    # Waiting

    def until(self, condition: Callable[[], T], what: str, timeout_s: float = WAIT_S) -> T:
        """The condition's first true value."""
        give_up_s = time.monotonic() + timeout_s
        while True:
            try:
                if found := condition():
                    return found
            except (Error, IndexError):
                # What React exchanges while it is looked at is looked at again.
                pass
            if time.monotonic() > give_up_s:
                raise AssertionError(f"no {what} within {timeout_s:g} s; the page says:\n{self.text}")
            # Events of the page come in meanwhile.
            self.tab_of_browser.wait_for_timeout(100)

    # What a user does

    def open(self, url: str) -> None:
        """Go to Locust's page, or load it again."""
        self.tab_of_browser.goto(url)
        self._button("Start").wait_for()

    def visit(self, url: str) -> None:
        """Go to whatever page."""
        self.tab_of_browser.goto(url)

    def without_scripts(self, url: str) -> str:
        """The markup that a browser without scripts has of a page."""
        browser = self.tab_of_browser.context.browser
        assert browser is not None
        with browser.new_context(java_script_enabled=False) as context:
            plain = context.new_page()
            plain.goto(url)
            return plain.locator("main").inner_html()

    def serve_instead(self, name: str, script: str) -> None:
        """Have the page get another script of that name from now on."""
        self.tab_of_browser.route(
            f"**/{name}", lambda route: route.fulfill(body=script, content_type="text/javascript")
        )

    def reload(self) -> None:
        """Load the page again."""
        self.tab_of_browser.reload()

    @property
    def state(self) -> str:
        """Locust's own word for what it does now, whatever the page shows."""
        base = self.tab_of_browser.url.partition("#")[0].partition("?")[0].rstrip("/")
        return str(self.tab_of_browser.request.get(f"{base}/stats/requests").json()["state"])

    def press(self, label: str) -> None:
        """Press a button, as soon as nothing lies over it."""
        self._button(label).click()

    def press_key(self, name: str) -> None:
        """Press a key, by its name."""
        self.tab_of_browser.keyboard.press(name)

    def tab(self, label: str) -> None:
        """Turn to a tab."""
        self._named("button[role=tab]", label).click()

    def unfold(self, label: str) -> None:
        """Open a part of the form."""
        part = self._named("button.MuiAccordionSummary-root", label)
        part.click()
        self.until(lambda: part.get_attribute("aria-expanded") == "true", f"open {label}")

    def fill(self, name: str, text: str) -> None:
        """Type into a field in place of what stands there, and leave it."""

        def filled() -> bool:
            field = self._field(name)
            field.fill(text)
            field.press("Tab")
            return field.input_value() == text

        self.until(filled, f"field {name}")

    def choose(self, name: str, choice: str) -> None:
        """Choose from a list."""
        self._field(name).select_option(label=choice)

    # What a user sees

    @property
    def text(self) -> str:
        """All that can be read."""
        return str(self.run("document.body.innerText"))

    @property
    def header(self) -> dict[str, str]:
        """What stands above all tabs: Host, Status, Users, RPS, Failures."""
        lines = re.split(r"\n+", str(self.run("document.querySelector('header').innerText")))
        titles = ("Host", "Status", "Users", "RPS", "Failures", "Workers")
        return {title: lines[lines.index(title) + 1] for title in titles if title in lines}

    @property
    def badge(self) -> str:
        """The verdict that every tab shows; empty where there is none."""
        return str(self.run("document.getElementById('pika-badge')?.innerText ?? ''"))

    @property
    def live(self) -> dict[str, Any]:
        """What the tab Verdict shows, or the page of its own; empty where it is not open."""
        return dict(self.run(_LIVE) or {})

    @property
    def alerts(self) -> str:
        """The form's messages."""
        return "\n".join(self.tab_of_browser.locator("[role=alert]").all_inner_texts())

    @property
    def rows(self) -> list[dict[str, str]]:
        """The table of the open tab, by its column titles."""
        titles, *lines = self.run(_TABLE) or [[]]
        return [dict(zip(titles, line, strict=True)) for line in lines]

    def requests(self) -> dict[str, int]:
        """`# Requests` of the statistics, by name."""
        return {row["Name"]: int(row["# Requests"]) for row in self.rows if row["Name"]}

    def value(self, name: str) -> str:
        """What stands in a field of the form."""
        return self._field(name).input_value()

    def label(self, name: str) -> str:
        """What a field of the form is called."""
        named = self._field(name).get_attribute("id")
        return self.tab_of_browser.locator(f"label[for='{named}']").inner_text()

    def choices(self, name: str) -> list[str]:
        """What a list offers."""
        return [option.strip() for option in self._field(name).locator("option").all_inner_texts()]

    def charted(self, number: int) -> float:
        """How much of its height the lines of a chart span; 0 before there are any."""
        return float(self.run(_DRAWN, number))

    def has_field(self, name: str) -> bool:
        """Whether the form has this field, folded away or not."""
        return self.tab_of_browser.locator(f"[name='{name}']").count() > 0

    def shows_field(self, name: str) -> bool:
        """Whether the part of the form that is unfolded shows this field."""
        return any(field.is_visible() for field in self.tab_of_browser.locator(f"[name='{name}']").all())

    # What a developer sees

    @property
    def source(self) -> str:
        """The page as markup."""
        return self.tab_of_browser.content()

    def run(self, script: str, argument: object = None) -> Any:
        """What a script finds in the page."""
        return self.tab_of_browser.evaluate(script, argument)

    def console_errors(self) -> list[str]:
        """What went wrong in the page's own program since the last time."""
        found, self._console_errors = self._console_errors, []
        return found

    def asked(self) -> set[str]:
        """Addresses that the page has sent requests to, without what belongs to the browser itself."""
        return {url for url in self._asked if not url.startswith(("chrome:", "data:", "blob:"))}

    # Finding

    def _button(self, label: str) -> Locator:
        return self._named("button:not([role=tab])", label)

    def _named(self, selector: str, label: str) -> Locator:
        """The one on top: a dialog comes after the page that it covers."""
        exactly = re.compile(rf"^\s*{re.escape(label)}\s*$", re.IGNORECASE)
        return self.tab_of_browser.locator(selector).filter(has_text=exactly).last

    def _field(self, name: str) -> Locator:
        return self.tab_of_browser.locator(f"[name='{name}']").last


@contextmanager
def browser(**looks: Any) -> Iterator[Page]:
    """A browser that nobody has used before, for as long as the context lasts; `looks` are Playwright's settings of a
    page, such as its size and colours."""
    chromium = find_chromium(None)
    assert chromium is not None, MISSING
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(_ARGUMENTS))
        try:
            yield Page(started.new_page(**{"viewport": {"width": 1300, "height": 1400}, **looks}))
        finally:
            started.close()
