"""JUnit's XML, against its schema's rules and by another reader of such files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from pika_locust.judge import Reason, Report
from pika_locust.judge.report import AuditResult, ThresholdResult
from pika_locust.outputs import junit
from tests.outputs.samples import GREEN, RED

ALLOWED = {
    "testsuites": {"name", "tests", "failures", "errors", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "testcase": {"name", "classname", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
}
"""Elements and attributes of Jenkins' junit-10.xsd that are written here."""
CHILDREN = {"testsuites": {"testsuite"}, "testsuite": {"testcase"}, "testcase": {"failure", "error", "skipped"}}


def strictly(report: Report) -> ElementTree.Element:
    root = ElementTree.fromstring(junit.render(report))
    assert root.tag == "testsuites"
    for element in root.iter():
        assert set(element.attrib) <= ALLOWED[element.tag], element.attrib
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
        if element.tag == "testcase":
            assert len(element) <= 1
            assert element.get("name")
        if "time" in element.attrib:
            assert re.fullmatch(r"\d+\.\d{3}", element.attrib["time"])
    (suite,) = root
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.attrib[name]) == len(suite.findall(f"testcase/{tag}"))
    assert int(suite.attrib["tests"]) == len(suite) == int(root.attrib["tests"])
    if "timestamp" in suite.attrib:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
    return suite


def outcomes(report: Report) -> dict[str, str]:
    return {case.attrib["name"]: case[0].tag if len(case) else "" for case in strictly(report)}


def test_a_threshold_and_an_audit_are_test_cases_of_a_run_that_passes() -> None:
    assert outcomes(GREEN) == {
        "queue_join_latency: p(95)<3000": "",
        "checks: rate>0.999": "",
        "server_memory: value<500": "skipped",
        "tokens conserved": "",
        "the run itself": "",
    }


def test_a_run_that_fails_has_a_failure_for_each_reason(tmp_path: Path) -> None:
    assert junit.write(RED, str(tmp_path / "new" / "r.xml")) is None
    strictly(RED)
    (suite,) = JUnitXml.fromfile(str(tmp_path / "new" / "r.xml"))
    failed = {case.name for case in suite if any(isinstance(one, Failure) for one in case.result)}
    expected = {f"{one.metric}: {one.expression}" for one in RED.thresholds if one.status in ("fail", "no_data")}
    expected |= {audit.name for audit in RED.audits if audit.status == "fail"}
    assert failed == expected != set()
    assert suite.failures == len(expected)
    assert not any(isinstance(one, Skipped) for case in suite if case.name in expected for one in case.result)


def test_what_is_no_threshold_is_an_error_of_the_run() -> None:
    reasons = (Reason("incomplete", "worker 1", "worker 1 on a never delivered"),)
    report = replace(GREEN, verdict="fail", exit_code=99, reasons=reasons)
    assert outcomes(report)["the run itself"] == "error"
    (suite,) = JUnitXml.fromstring(junit.render(report).decode())
    (error,) = [one for case in suite for one in case.result if isinstance(one, Error)]
    assert (error.message, error.type) == ("fail, exit code 99", "incomplete")
    assert "worker 1 on a never delivered" in error.text


def test_a_threshold_that_holds_and_fails_a_strict_run_is_a_failure() -> None:
    doubtful = ThresholdResult("checks", "rate>0.99", 0.995, 400, "pass", (0.98, 0.999), conclusive=False, kind="rate")
    sentence = "checks rate was 0.995, limit >0.99 (400 samples): holds, but is inconclusive: …"
    report = replace(
        GREEN,
        verdict="fail",
        exit_code=99,
        thresholds=(doubtful, replace(doubtful, expression="rate>0.5", conclusive=True)),
        audits=(AuditResult("sockets", "not_observed", None, None),),
        reasons=(Reason("threshold", "checks", sentence), Reason("no_data", "sockets", "could not be made; strict")),
    )
    assert outcomes(report) == {
        "checks: rate>0.99": "failure",
        "checks: rate>0.5": "",
        "sockets": "failure",
        "the run itself": "",
    }


@pytest.mark.parametrize("code", [104, 107, 105], ids=str)
def test_no_run_that_is_no_pass_is_without_a_failure_or_an_error(code: int) -> None:
    report = replace(GREEN, verdict="invalid", exit_code=code, reasons=(), thresholds=(), audits=())
    assert outcomes(report) == {"the run itself": "error"}


def test_the_targets_words_are_xml_without_secrets() -> None:
    audit = AuditResult("orders", "fail", 3, 2, detail="said \x00\x1b[1m<b> ]]> & Bearer 5dXkq0vTjzYb3hPw1")
    report = replace(GREEN, verdict="fail", exit_code=99, audits=(audit,))
    data = junit.render(report).decode()
    strictly(report)
    assert "5dXkq0vTjzYb3hPw1" not in data
    assert "said \ufffd\ufffd[1m&lt;b&gt; ]]&gt; &amp; Bearer REDACTED" in data
