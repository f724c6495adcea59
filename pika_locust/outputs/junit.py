"""`--out junit=FILE`: the verdict as JUnit's XML, which CI systems show: thresholds and audits are test cases.

The last test case is the run itself. It is in error for what no threshold and no audit stands for: a lost worker, wrong
settings, an overloaded load generator, a run that never ended.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from pika_locust.judge import describe
from pika_locust.judge.report import AuditResult, Report, ThresholdResult
from pika_locust.outputs import redact, summary

_OF_CASES = frozenset(("threshold", "no_data", "audit"))
"""Reasons that are told by a test case of their own."""
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot have, however they are written."""


def render(report: Report) -> bytes:
    """The file's content."""
    suite = ElementTree.Element("testsuite", name=_text(report.scenario or "pika-locust"))
    for threshold in report.thresholds:
        _add_threshold(suite, threshold, report)
    for audit in report.audits:
        _add_audit(suite, audit, report)
    _add_run(suite, report)
    counts = {
        "tests": len(suite),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    totals = {**{name: str(count) for name, count in counts.items()}, "time": f"{report.duration_s:.3f}"}
    for name, value in totals.items():
        suite.set(name, value)
    if report.started_at:
        suite.set("timestamp", re.sub(r"(Z|[+-]\d\d:\d\d)$", "", report.started_at))
    del totals["skipped"]
    suites = ElementTree.Element("testsuites", {"name": "pika-locust", **totals})
    suites.append(suite)
    ElementTree.indent(suites)
    data: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return data + b"\n"


def write(report: Report, path: str) -> str | None:
    """Write the file, whole or not at all; what went wrong as a sentence, or None."""
    return summary.write_bytes(render(report), path, "JUnit's XML")


def _case(
    suite: ElementTree.Element, report: Report, kind: str, name: str, seconds: float = 0.0
) -> ElementTree.Element:
    classname = f"{_text(report.scenario or 'pika-locust')}.{kind}"
    return ElementTree.SubElement(suite, "testcase", name=_text(name), classname=classname, time=f"{seconds:.3f}")


def _result(case: ElementTree.Element, tag: str, kind: str, message: str, details: str) -> None:
    attributes = {"message": _text(message)} | ({"type": kind} if tag != "skipped" else {})
    ElementTree.SubElement(case, tag, attributes).text = _text(details)


def _add_threshold(suite: ElementTree.Element, result: ThresholdResult, report: Report) -> None:
    case = _case(suite, report, "thresholds", f"{result.metric}: {result.expression}")
    # A threshold that holds can have failed the run all the same: with --strict, say.
    sentence = describe(result)
    reasons = "; ".join(one.text for one in report.reasons if one.subject == result.metric and sentence in one.text)
    value = "no value" if result.value is None else f"{result.value:g} {result.unit}".strip()
    details = "\n".join([f"value: {value}, of {result.samples:,} samples", *([result.about] if result.about else [])])
    if result.status == "not_observed" and not reasons:
        _result(case, "skipped", "", "not observed", details)
    elif result.status != "pass" or reasons:
        _result(case, "failure", result.status, reasons or sentence, details)


def _add_audit(suite: ElementTree.Element, result: AuditResult, report: Report) -> None:
    case = _case(suite, report, "data-integrity", result.name)
    figures = f"acknowledged {result.expected}, stored {result.actual}, unanswered {result.unanswered}"
    reasons = [one.text for one in report.reasons if one.subject == result.name and one.code in ("audit", "no_data")]
    if result.status == "fail" or reasons:
        _result(case, "failure", "audit", "; ".join(reasons) or result.detail or figures, figures)
    elif result.status == "not_observed":
        _result(case, "skipped", "", result.detail or "not observed", figures)


def _add_run(suite: ElementTree.Element, report: Report) -> None:
    case = _case(suite, report, "run", "the run itself", report.duration_s)
    others = [reason for reason in report.reasons if reason.code not in _OF_CASES]
    shown = bool(suite.findall("testcase/failure"))
    if report.exit_code and (others or not shown):
        reasons = others or list(report.reasons)
        text = "\n".join(f"{reason.subject}: {reason.text}" for reason in reasons)
        message = f"{report.verdict}, exit code {int(report.exit_code)}"
        _result(case, "error", reasons[0].code if reasons else "verdict", message, text)


def _text(words: str) -> str:
    return _ILLEGAL.sub("\ufffd", redact.text(words))
