"""A report as Chromium shows it: what it says after its scripts have run, and what its charts say under the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from tests.e2e.browser import browser
from tests.outputs.report_blocks import Chart, ReadReport, read_page
from tests.outputs.report_figures import clock

_LEGEND = """figure => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(
  [...figure.querySelectorAll('.u-legend .u-series')].map(row => [...row.children].map(cell => cell.textContent.trim()))
))))"""


@dataclass
class ShownReport:
    """`said`: all that came on the console. `asked`: what was loaded beside the file itself. `idle`: what legends say
    before there is a cursor. `legends`: of each chart the labels and values under the cursor in its middle."""

    report: ReadReport
    text: str
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)
    legends: list[tuple[Chart, list[list[str]]]] = field(default_factory=list)


def show(path: Path) -> ShownReport:
    """Open a report, go with the mouse over its charts, and read what is there."""
    with browser() as opened:
        tab = opened.tab_of_browser
        said: list[str] = []
        asked: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        opened.visit(path.as_uri())
        shown = ShownReport(read_page(tab.content()), tab.inner_text("body"), said)
        tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        shown.idle = tab.locator(".u-value").all_text_contents()
        for at, chart in enumerate(shown.report.charts):
            figure = tab.locator("figure.pika-chart").nth(at)
            figure.locator(".u-over").hover()
            shown.legends.append((chart, figure.evaluate(_LEGEND)))
        shown.asked = [url for url in asked if url != path.as_uri()]
        return shown


def legend_differences(legends: Sequence[tuple[Chart, list[list[str]]]]) -> list[str]:
    """Where a chart says another time or value under the cursor than its data has at any one point."""
    found = []
    for chart, (time, *lines) in legends:
        data = chart.data
        said = [time[1].split(" ")[0], *(line[1] for line in lines)]
        points = [
            [clock(at), *(in_legend(values[point], data["unit"]) for _, _, values in data["lines"])]
            for point, at in enumerate(data["t"])
        ]
        if said not in points:
            found.append(f"{chart.title}: {said}, and not one of {points}")
    return found


def in_legend(value: float | None, unit: str) -> str:
    """A value as a chart is to say it: three significant digits, and all before the point; rounded half up."""
    if value is None:
        return "–"
    exact = Decimal(repr(value))
    if abs(exact) >= Decimal("99.95"):
        text = f"{exact.quantize(Decimal(1), ROUND_HALF_UP):,f}"
    else:
        places = 2 - exact.adjusted() if exact else 0
        text = f"{exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text} {unit}".rstrip()
