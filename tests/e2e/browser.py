"""Locust's web page in a real browser, as a user sees and uses it: by its labels, buttons, tabs and what they show."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from selenium.common.exceptions import (
    ElementNotInteractableException,
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

T = TypeVar("T")

WAIT_S = 30.0
MISSING = "These tests use the web page in Chromium, which is not here: apt-get install chromium chromium-driver"

# As root, without a screen, and without a word to anybody but loopback.
_ARGUMENTS = (
    "--headless=new",
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
    "--window-size=1300,1400",
)
_DRAWN = """
const canvas = [...document.querySelectorAll('canvas')][arguments[0]];
if (!canvas) return 0;
const {width, height} = canvas, pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
let top = height, bottom = 0;
for (let y = Math.floor(height / 4); y < height; y++)
  for (let x = 0; x < width; x++) {
    const [r, g, b, a] = pixels.slice(4 * (y * width + x), 4 * (y * width + x) + 4);
    if (a > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 90) { top = Math.min(top, y); bottom = Math.max(bottom, y); }
  }
return Math.max(0, bottom - top) / height;
"""
"""How much of a chart's height its coloured lines span, below the legend."""
_TABLE = """
const table = [...document.querySelectorAll('table')].at(-1);
return [...(table ? table.rows : [])].map(row => [...row.cells].map(cell => cell.innerText.trim()));
"""
# What React exchanges while it is looked at is looked at again.
_PASSING = (ElementNotInteractableException, NoSuchElementException, StaleElementReferenceException, IndexError)


class Page:
    """The page that is open. What it does waits until it can be done; what it reads is what is there now."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    # Waiting

    def until(self, condition: Callable[[], T], what: str, timeout_s: float = WAIT_S) -> T:
        """The condition's first true value."""
        wait = WebDriverWait(self.driver, timeout_s, 0.1, ignored_exceptions=_PASSING)
        try:
            return wait.until(lambda _: condition())
        except TimeoutException:
            raise AssertionError(f"no {what} within {timeout_s:g} s; the page says:\n{self.text}") from None

    # What a user does

    def open(self, url: str) -> None:
        """Go to Locust's page, or load it again."""
        self.driver.get(url)
        self.until(lambda: self._button("Start"), "start form")

    def press(self, label: str) -> None:
        """Press a button, as soon as nothing lies over it."""
        self._click(lambda: self._button(label), f"button {label}")

    def tab(self, label: str) -> None:
        """Turn to a tab."""
        self._click(lambda: self._named("button[role=tab]", label), f"tab {label}")

    def unfold(self, label: str) -> None:
        """Open a part of the form."""
        part = "button.MuiAccordionSummary-root"
        self._click(lambda: self._named(part, label), label)
        self.until(lambda: self._named(part, label).get_attribute("aria-expanded") == "true", f"open {label}")

    def fill(self, name: str, text: str) -> None:
        """Type into a field in place of what stands there, and leave it."""

        def filled() -> bool:
            field = self._field(name)
            field.send_keys(Keys.CONTROL, "a")
            field.send_keys(Keys.DELETE, text, Keys.TAB)
            return field.get_attribute("value") == text

        self.until(filled, f"field {name}")

    def choose(self, name: str, choice: str) -> None:
        """Choose from a list."""
        self.until(lambda: Select(self._field(name)).select_by_visible_text(choice) or True, f"{choice} in {name}")

    # What a user sees

    @property
    def text(self) -> str:
        """All that can be read."""
        return str(self.driver.execute_script("return document.body.innerText"))

    @property
    def header(self) -> dict[str, str]:
        """What stands above all tabs: Host, Status, Users, RPS, Failures."""
        lines = re.split(r"\n+", self.driver.execute_script("return document.querySelector('header').innerText"))
        titles = ("Host", "Status", "Users", "RPS", "Failures", "Workers")
        return {title: lines[lines.index(title) + 1] for title in titles if title in lines}

    @property
    def alerts(self) -> str:
        """The form's messages."""
        return "\n".join(alert.text for alert in self.driver.find_elements(By.CSS_SELECTOR, "[role=alert]"))

    @property
    def rows(self) -> list[dict[str, str]]:
        """The table of the open tab, by its column titles."""
        titles, *lines = self.driver.execute_script(_TABLE) or [[]]
        return [dict(zip(titles, line, strict=True)) for line in lines]

    def requests(self) -> dict[str, int]:
        """`# Requests` of the statistics, by name."""
        return {row["Name"]: int(row["# Requests"]) for row in self.rows if row["Name"]}

    def value(self, name: str) -> str:
        """What stands in a field of the form."""
        return str(self._field(name).get_attribute("value"))

    def label(self, name: str) -> str:
        """What a field of the form is called."""
        field = self._field(name)
        return self.driver.find_element(By.CSS_SELECTOR, f"label[for='{field.get_attribute('id')}']").text

    def choices(self, name: str) -> list[str]:
        """What a list offers."""
        return [option.text for option in Select(self._field(name)).options]

    def charted(self, number: int) -> float:
        """How much of its height the lines of a chart span; 0 before there are any."""
        return float(self.driver.execute_script(_DRAWN, number))

    def has_field(self, name: str) -> bool:
        """Whether the form has this field, folded away or not."""
        return bool(self.driver.find_elements(By.NAME, name))

    def shows_field(self, name: str) -> bool:
        """Whether the part of the form that is unfolded shows this field."""
        return any(field.is_displayed() for field in self.driver.find_elements(By.NAME, name))

    # What a developer sees

    def console_errors(self) -> list[str]:
        """What went wrong in the page's own program."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def asked(self) -> set[str]:
        """Addresses that the page has sent requests to, without what belongs to the browser itself."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        urls = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
        return {url for url in urls if not url.startswith(("chrome:", "data:", "blob:"))}

    # Finding

    def _click(self, find: Callable[[], WebElement], what: str) -> None:
        self.until(lambda: find().click() or True, what)

    def _button(self, label: str) -> WebElement:
        return self._named("button:not([role=tab])", label)

    def _named(self, selector: str, label: str) -> WebElement:
        """The one on top: a dialog comes after the page that it covers."""
        found = self.driver.find_elements(By.CSS_SELECTOR, selector)
        named = [element for element in found if element.text.strip().lower() == label.lower()]
        if not named:
            raise NoSuchElementException(label)
        return named[-1]

    def _field(self, name: str) -> WebElement:
        return self.driver.find_elements(By.NAME, name)[-1]


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """A browser that nobody has used before, for as long as the context lasts; its files go to `profile`."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium is not None, MISSING
    assert driver is not None, MISSING
    options = ChromeOptions()
    options.binary_location = chromium
    for argument in (*_ARGUMENTS, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = Chrome(options=options, service=Service(driver))
    try:
        yield Page(started)
    finally:
        started.quit()
