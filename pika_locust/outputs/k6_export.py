"""k6's summaries, read as a summary of ours: what `--summary-export` writes, and the data of `handleSummary`.

Neither holds a distribution; percentiles are there as numbers, as far as the script asked for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pika_locust.judge.expressions import ExpressionError, parse

_RATES = ("passes", "fails")
_OF_TREND = re.compile(r"avg|min|med|max|p\(.*\)")
"""The statistics that `summaryTrendStats` names, beside `count`, which others have as well."""
_UNITS = {"time": "ms", "data": "B"}


def is_k6(found: Mapping[str, Any]) -> bool:
    """Whether a JSON document is k6's: it has metrics, and no schema of ours."""
    return isinstance(found.get("metrics"), dict) and "schema" not in found and "verdict" not in found


def read_k6(found: Mapping[str, Any]) -> dict[str, Any]:
    """k6's document with the keys of our summary that have anything to go by.

    Raises ValueError for one whose metrics are not k6's.
    """
    metrics: dict[str, Any] = {}
    thresholds: list[dict[str, Any]] = []
    for name, entry in found["metrics"].items():
        if not isinstance(entry, dict):
            raise ValueError(f"the metric {name!r} has no values")
        # handleSummary keeps the values apart from the rest.
        values, judged = entry.get("values", entry), entry.get("thresholds") or {}
        if not isinstance(values, dict) or not isinstance(judged, dict):
            raise ValueError(f"the metric {name!r} is not as k6 writes it: its values and thresholds are no objects")
        figure = _figure(name, entry, values)
        metrics[name] = figure
        for text, outcome in judged.items():
            # --summary-export says whether it failed, handleSummary whether it is ok.
            failed = not outcome.get("ok") if isinstance(outcome, dict) else bool(outcome)
            thresholds += _threshold(name, text, figure, failed)
    return {
        "k6": True,
        "scenario": "",
        "verdict": "fail" if any(one["status"] == "fail" for one in thresholds) else "pass",
        "exit_code": 99 if any(one["status"] == "fail" for one in thresholds) else 0,
        "reasons": [],
        "sandbox": False,
        "started_at": "",
        "duration_s": _duration_s(found, metrics),
        "load": {},
        "metrics": metrics,
        "thresholds": thresholds,
        "distributions": {},
        "audits": [],
    }


def _figure(name: str, entry: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {part: float(value) for part, value in values.items() if isinstance(value, (int, float))}
    if all(part in numbers for part in _RATES):
        passes, fails = int(numbers["passes"]), int(numbers["fails"])
        # k6 counts as passes what was true: of http_req_failed, the failures.
        count = passes + fails
        return {
            "kind": "rate",
            "unit": "",
            "count": count,
            "rate": passes / count if count else None,
            "passes": passes,
            "fails": fails,
        }
    if entry.get("type") == "trend" or ("value" not in numbers and any(map(_OF_TREND.fullmatch, numbers))):
        unit = _UNITS["time"] if entry.get("contains", "time") == "time" else ""
        # k6 shows what has a threshold without a sample, too: as nothing but zeros.
        count = int(numbers.pop("count", any(numbers.values())))
        return {"kind": "trend", "unit": unit, "count": count, **(numbers if count else {})}
    if {"count", "rate"} <= numbers.keys():
        return {"kind": "counter", "unit": _UNITS["data"] if name.startswith("data_") else "", **numbers}
    if "value" in numbers:
        return {"kind": "gauge", "unit": "", "count": 1, **numbers}
    raise ValueError(f"the metric {name!r} is of no kind that k6 has: {', '.join(map(str, values)) or 'no values'}")


def _threshold(name: str, text: str, figure: Mapping[str, Any], failed: bool) -> Iterator[dict[str, Any]]:
    try:
        aggregation = parse(text).aggregation
    except ExpressionError:
        return
    yield {
        "metric": name,
        "expression": text,
        "value": figure.get(aggregation),
        "samples": int(figure.get("count") or 0),
        "status": "fail" if failed else "pass",
        "kind": figure["kind"],
        "unit": figure["unit"],
        "window_s": None,
    }


def _duration_s(found: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]]) -> float:
    state = found.get("state")
    milliseconds = state.get("testRunDurationMs") if isinstance(state, dict) else None
    if milliseconds and isinstance(milliseconds, (int, float)):
        return float(milliseconds) / 1000
    for one in metrics.values():
        if one["kind"] == "counter" and one["count"] and one["rate"]:
            return float(one["count"] / one["rate"])
    return 0.0
