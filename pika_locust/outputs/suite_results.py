"""What a suite of runs has come to, kept as `suite.json` beside the summaries, and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pika_locust.errors import ConfigurationError
from pika_locust.outputs import redact
from pika_locust.outputs.recorded import read_summary

MANIFEST = "suite.json"
SCHEMA = 1

Kind = Literal["baseline", "load"]
State = Literal["pass", "fail", "invalid", "crash", "stopped", "not_run"]
"""invalid: the load generator could not keep up, or a set-up step failed. crash: no summary that can be believed."""
Ending = Literal["complete", "fail_fast", "stopped", "setup", "unfinished"]
"""setup: no run began, as `SuiteResults.problems` says."""


@dataclass(frozen=True, slots=True)
class SuiteEntry:
    """One run of a suite. Files are named relative to the suite's folder; `why` is what failed or came closest."""

    scenario: str
    kind: Kind
    state: State
    exit_code: int | None = None
    why: str = ""
    seconds: float = 0.0
    results: str = ""
    """The summary's file; the log and Locust's own HTML report are beside it, `.log` and `.html`."""
    summary: Mapping[str, Any] | None = None

    @property
    def passed(self) -> bool:
        return self.state == "pass"


@dataclass(frozen=True, slots=True)
class SuiteResults:
    """All runs of a suite, baselines and those that never began included."""

    name: str
    platform: str
    quick: bool
    started_at: str
    ending: Ending
    entries: tuple[SuiteEntry, ...] = ()
    left_out: tuple[str, ...] = field(default=())
    """Scenarios of the platform that were not asked for (`--only`)."""
    problems: tuple[str, ...] = field(default=())
    """Why no run began, a sentence each."""

    @property
    def loads(self) -> tuple[SuiteEntry, ...]:
        """The runs that decide."""
        return tuple(entry for entry in self.entries if entry.kind == "load")

    def baseline_of(self, scenario: str) -> SuiteEntry | None:
        """The baseline of a scenario that has a summary."""
        return next(
            (
                entry
                for entry in self.entries
                if entry.kind == "baseline" and entry.scenario == scenario and entry.summary is not None
            ),
            None,
        )

    @property
    def passed(self) -> bool:
        """Whether every scenario that was to run has run, and passed."""
        return bool(self.loads) and all(entry.passed for entry in self.loads)


def to_json(results: SuiteResults) -> dict[str, Any]:
    """The manifest; summaries stay in their own files."""
    return {
        "schema": SCHEMA,
        "platform": results.platform,
        "quick": results.quick,
        "started_at": results.started_at,
        "ending": results.ending,
        "passed": results.passed,
        "left_out": list(results.left_out),
        "problems": [redact.text(problem) for problem in results.problems],
        "runs": [
            {
                "scenario": entry.scenario,
                "kind": entry.kind,
                "state": entry.state,
                "exit_code": entry.exit_code,
                "why": redact.text(entry.why),
                "seconds": round(entry.seconds, 1),
                "summary": entry.results,
            }
            for entry in results.entries
        ],
    }


def read_suite(folder: Path) -> SuiteResults:
    """The results in a folder: by its manifest, or of all the summaries in it where there is none.

    Raises ConfigurationError where there are no results that can be read.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder")
    manifest = folder / MANIFEST
    if not manifest.exists():
        return _of_summaries(folder)
    try:
        found = json.loads(manifest.read_bytes())
        return SuiteResults(
            folder.resolve().name,
            str(found["platform"]),
            bool(found["quick"]),
            str(found["started_at"]),
            found["ending"],
            tuple(_entry(folder, run) for run in found["runs"]),
            tuple(map(str, found["left_out"])),
            tuple(map(str, found.get("problems", ()))),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{manifest} cannot be read as the results of a suite: {error!r}") from error


def _entry(folder: Path, run: Mapping[str, Any]) -> SuiteEntry:
    summary = read_summary(folder / run["summary"]) if run["summary"] else None
    if summary is not None and summary.get("exit_code") != run["exit_code"]:
        summary = None
    # A summary that is gone, or of another ending, is no proof of a pass.
    state: State = run["state"]
    if state in ("pass", "fail", "invalid") and summary is None:
        why = f"its summary {run['summary']} is missing, or of another run"
        return SuiteEntry(run["scenario"], run["kind"], "crash", run["exit_code"], why, run["seconds"], run["summary"])
    return SuiteEntry(
        run["scenario"],
        run["kind"],
        state,
        run["exit_code"],
        str(run["why"]),
        float(run["seconds"]),
        run["summary"],
        summary,
    )


def _of_summaries(folder: Path) -> SuiteResults:
    summaries = [(path, summary) for path in sorted(folder.glob("*.json")) if (summary := read_summary(path))]
    known = [(path, summary) for path, summary in summaries if "scenario" in summary and "exit_code" in summary]
    if not known:
        raise ConfigurationError(f"{folder}: there is neither {MANIFEST} nor a summary of a run in it")
    # A common summary of several scenarios lies beside those of each.
    found = [(path, summary) for path, summary in known if "scenarios" not in summary]
    return suite_of(found or [(path, one) for path, summary in known for one in each(summary)], folder.resolve().name)


def each(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A summary, or those of the scenarios that it is common to; none where their run never ended."""
    return [one for one in summary["scenarios"].values() if one] if "scenarios" in summary else [summary]


def suite_of(found: Sequence[tuple[Path, Mapping[str, Any]]], name: str) -> SuiteResults:
    """Summaries that nobody has a list of, as the results of a suite.

    Raises ConfigurationError where there are none.
    """
    if not found:
        raise ConfigurationError("scenarios ran beside each other, and the run never ended: no summary of one is there")
    entries = tuple(
        SuiteEntry(
            str(summary["scenario"]),
            "load",
            state_of(int(summary["exit_code"]), summary),
            int(summary["exit_code"]),
            "; ".join(one["text"] for one in summary["reasons"][:1]),
            float(summary["duration_s"]),
            path.name,
            summary,
        )
        for path, summary in found
    )
    began = min(str(summary["started_at"]) for _, summary in found)
    return SuiteResults(name, "", False, began, "complete", entries)


def state_of(exit_code: int, summary: Mapping[str, Any] | None) -> State:
    """What a run that has ended by itself came to: a pass only where exit code and verdict both say so."""
    if summary is None or summary.get("exit_code") != exit_code:
        return "crash"
    codes: Sequence[str] = [reason["code"] for reason in summary["reasons"]]
    match exit_code, summary["verdict"]:
        case 0, "pass":
            return "pass"
        case 99, _:
            return "fail"
        case 105, _:
            return "stopped"
        case ((100 | 110), _):
            return "invalid"
        case _:
            return "crash" if "unfinished" in codes or exit_code in (0, 107) else "invalid"
