"""The CI templates: their schemas accept them, and what they run does what it is there for."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml, Skipped
from ruamel.yaml import YAML

from tests.e2e.support import ROOT

CI = ROOT / "conf" / "ci"
GITHUB, AZURE = CI / "github-actions.yml", CI / "azure-pipelines.yml"
BRIEFLY = {"THINK_TIME_MIN": "0.1", "THINK_TIME_MAX": "0.2"}


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = read(path)["jobs"]
    (job,) = jobs.values() if isinstance(jobs, dict) else jobs
    return list(job["steps"])


def commands(path: Path) -> list[str]:
    """What is run, in its order."""
    return [step.get("run") or step["script"] for step in steps(path) if "run" in step or "script" in step]


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        (GITHUB, ["vendor.github-workflows"]),
        (AZURE, ["vendor.azure-pipelines", "--data-transform", "azure-pipelines", "--regex-variant", "python"]),
    ],
    ids=["github", "azure"],
)
def test_its_schema_accepts_a_template(path: Path, schema: list[str]) -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    told = subprocess.run([checker, "--builtin-schema", *schema, path], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr


def test_results_are_kept_whatever_came_of_the_run() -> None:
    kept = [step for step in steps(GITHUB) if "upload-artifact" in step.get("uses", "")]
    assert [(step["if"], step["with"]["path"]) for step in kept] == [("always()", "test-results")]
    tasks = {step["task"]: step for step in steps(AZURE) if "task" in step}
    assert tasks["PublishPipelineArtifact@1"]["condition"] == "always()"
    assert tasks["PublishPipelineArtifact@1"]["inputs"]["targetPath"] == "test-results"
    assert tasks["PublishTestResults@2"]["condition"] == "always()"
    assert tasks["PublishTestResults@2"]["inputs"]["testResultsFiles"] == "test-results/junit.xml"


def test_what_is_installed_is_this_package_with_extras_that_it_has() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for install, run in (commands(GITHUB), commands(AZURE)):
        assert install == "pip install ."
        assert "--out otlp" not in run
        assert "--out prometheus" not in run
    assert {"otlp", "prometheus"} <= set(extras)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("path", "more", "code"),
    [(GITHUB, "", 0), (AZURE, " --threshold 'http_reqs:count<1'", 99)],
    ids=["github", "azure"],
)
def test_its_commands_run_and_keep_the_results_of_a_red_run_too(
    path: Path, more: str, code: int, tmp_path: Path
) -> None:
    command = commands(path)[-1]
    assert command.count(" -t 1m ") == 1
    (tmp_path / "locustfiles").symlink_to(ROOT / "locustfiles")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PIKA_", "LOCUST_"))}
    env |= {
        "PATH": f"{Path(sys.executable).parent}:{env['PATH']}",
        "PYTHONPATH": str(ROOT),
        "API_URL": "",
        "API_TOKEN": "",
    }
    finished = subprocess.run(
        # As a runner does it.
        ["bash", "-e", "-o", "pipefail", "-c", command.replace(" -t 1m ", " -t 2s ").rstrip() + more],
        cwd=tmp_path,
        env={**env, **BRIEFLY, "USERS_PEAK": "5"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert finished.returncode == code, finished.stdout + finished.stderr
    results = tmp_path / "test-results"
    assert {file.name for file in results.iterdir()} == {"summary.json", "points.json.gz", "junit.xml"}
    (suite,) = JUnitXml.fromfile(str(results / "junit.xml"))
    failed = {case.name for case in suite for one in case.result if not isinstance(one, Skipped)}
    assert failed == (set() if code == 0 else {"http_reqs: count<1"})
    assert "http_req_duration: p(95)<500" in {case.name for case in suite}
