"""A document as one HTML file that needs nothing else: styles, scripts, charts and data are in it.

It opens without a network and asks for nothing (its own policy forbids it). All words are escaped by the template, and
what the charts are drawn from is data that no browser runs.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from pika_locust.format import amount
from pika_locust.outputs import redact
from pika_locust.outputs.assets import CHART_SCRIPTS, CHART_STYLES, asset
from pika_locust.outputs.document import Bars, Block, Chart, Document, Fold

_WIDTH, _HEIGHT = 640.0, 120.0


def render(document: Document) -> str:
    """The whole page."""
    # Costs 50 ms and 3 MB, which only a page is worth.
    from jinja2 import Environment
    from markupsafe import Markup

    charts = list(_charts(document.blocks))
    scripts = [asset(name) for name in (*CHART_SCRIPTS, "report.js")] if charts else []
    style = "\n".join(asset(name) for name in (*(CHART_STYLES if charts else ()), "report.css"))
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["words"] = redact.one_line
    environment.tests["block"] = lambda block, name: type(block).__name__ == name
    environment.globals["bars"] = _bars
    return environment.from_string(asset("report.html")).render(
        title=document.title,
        blocks=document.blocks,
        number_of={id(chart): number for number, chart in enumerate(charts)},
        id=id,
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        policy=_policy(scripts),
        data=Markup(_json([_chart(chart) for chart in charts])),
    )


def _charts(blocks: Iterable[Block]) -> Iterator[Chart]:
    for block in blocks:
        if isinstance(block, Chart):
            yield block
        elif isinstance(block, Fold):
            yield from _charts(block.blocks)


def _chart(chart: Chart) -> dict[str, Any]:
    return {
        "t": list(chart.times_s),
        "unit": chart.unit,
        "limit": chart.limit,
        "lines": [[redact.one_line(line.label), line.style, list(line.values)] for line in chart.lines],
        "marks": [[mark["at_s"], str(mark["kind"]), redact.one_line(str(mark["text"]))] for mark in chart.marks],
    }


def _json(value: Any) -> str:
    """JSON that ends no script element, whatever is in it."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _policy(scripts: Iterable[str]) -> str:
    """Nothing is loaded, and nothing runs but the scripts that are in the page."""
    hashes = " ".join(f"'sha256-{b64encode(sha256(one.encode()).digest()).decode()}'" for one in scripts)
    hashes = hashes or "'none'"
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {hashes}"


def _bars(block: Bars) -> dict[str, Any]:
    """The outline of a distribution's bars, each as wide as the others, and where its marks stand. One outline, as an
    element for each bar would be most of the page."""
    highest = max(share for _, _, share in block.bars)
    width = _WIDTH / len(block.bars)
    outline = "".join(
        f"M{at * width:.1f} {_HEIGHT:g}v-{_HEIGHT * share / highest:.1f}h{max(0.5, width - 1):.1f}V{_HEIGHT:g}z"
        for at, (_, _, share) in enumerate(block.bars)
        if share
    )
    marks = [
        {"name": name, "value": amount(value, block.unit), "x": round(_place(block, value) * width, 1)}
        for name, value in block.marks
    ]
    first, last = amount(block.bars[0][0], block.unit), amount(block.bars[-1][1], block.unit)
    return {"outline": outline, "marks": marks, "first": first, "last": last, "width": _WIDTH, "height": _HEIGHT}


def _place(block: Bars, value: float) -> float:
    """How many bars a value is from the left."""
    for at, (low, high, _) in enumerate(block.bars):
        if value <= high:
            return at + (max(0.0, value - low) / (high - low) if high > low else 0.5)
    return float(len(block.bars))
