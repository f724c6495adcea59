"""Scripts and style sheets of the HTML report and the live page, from `outputs/static`.

uPlot (the charts) is Leon Sorokin's, under the MIT licence that lies beside it.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

UPLOT_SCRIPT = "uPlot.iife.min.js"
UPLOT_STYLE = "uPlot.min.css"
CHART_SCRIPTS = (UPLOT_SCRIPT, "charts.js")
CHART_STYLES = (UPLOT_STYLE, "charts.css")
"""What a page with charts of a timeline needs, in this order, before its own."""


@cache
def asset(name: str) -> str:
    """The text of a file in `outputs/static`. Raises FileNotFoundError for a name that is none of them."""
    if "/" in name or "\\" in name or name.startswith("."):
        raise FileNotFoundError(name)
    return (files("pika_locust.outputs") / "static" / name).read_text("utf-8")
