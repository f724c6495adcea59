"""What docker-compose.yml promises, in real containers: a run that passes, a worker that is killed, and who watches.

`make containers` runs it: about five minutes, and on a bare Debian machine as root, after
`apt-get install docker.io docker-compose debootstrap prometheus`.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.containers.engine import OPEN_FILES, ROOT, Engine, base_image, engine, must, prometheus_image
from tests.deployment import dashboard
from tests.e2e.support import free_port

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1200)]

USER = 1000
QUEUE = {"SCENARIO_FILE": "queue", "WORKERS": "3"}


@dataclass(frozen=True, slots=True)
class Project:
    """A clone that is brought up."""

    engine: Engine
    folder: Path
    settings: dict[str, str]

    def compose(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return self.engine.compose(self.folder, *words, **self.settings, **more)

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers, those that have ended included."""
        listed = must(
            self.engine.run(
                *("ps", "--all", "--quiet", "--no-trunc", "--filter"),
                f"label=com.docker.compose.service={service}",
            )
        )
        return listed.split()

    def look_at(self, container: str) -> dict[str, Any]:
        return dict(json.loads(must(self.engine.run("inspect", container)))[0])

    def summary(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "results" / "summary.json").read_text()))

    def log(self, service: str) -> str:
        return "".join(self.engine.run("logs", one).stdout for one in self.containers(service))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("containers")
    clone = folder / "clone"
    names = ["pika_locust", "locustfiles", "shapes", "conf", "README.md", "LICENSE", "pyproject.toml"]
    names += ["Dockerfile", "docker-compose.yml", ".dockerignore", ".env"]
    for name in names:
        copy: Callable[..., Any] = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, clone / name)
    (clone / "results").mkdir()
    with engine(folder) as ours:
        settings = base_image(ours, clone) | prometheus_image(ours, folder)
        settings |= {"LOAD_TEST_USER": str(USER), "COMPOSE_PROJECT_NAME": f"pika{os.getpid()}"}
        # An engine can allow no more than itself may have.
        settings["OPEN_FILES"] = str(min(OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        if os.geteuid() == 0:
            os.chown(clone / "results", USER, USER)
        project = Project(ours, clone, settings)
        must(project.compose("--profile", "headless", "build", "sandbox"))
        yield project


@pytest.fixture(autouse=True)
def brought_down(project: Project) -> Iterator[None]:
    yield
    profiles = [word for name in ("web", "headless", "monitoring") for word in ("--profile", name)]
    must(project.compose(*profiles, "down", "--volumes", "--timeout", "5"))
    for file in (project.folder / "results").iterdir():
        file.unlink()


def wait_for(condition: Callable[[], object], what: str, within_s: float = 90.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, f"no {what} within {within_s:.0f} s"
        time.sleep(1.0)


def test_a_master_and_three_workers_pass_and_the_command_ends_with_the_verdict(project: Project) -> None:
    ended = project.compose(
        *("--profile", "headless", "up", "--scale", "worker=3", "--exit-code-from", "master"),
        **QUEUE,
        LOCUST_OPTIONS="-u 30 -r 30 -t 20s",
    )
    assert ended.returncode == 0, ended.stdout
    assert "Exit code 0: every threshold" in ended.stdout
    summary = project.summary()
    assert (summary["verdict"], summary["reasons"]) == ("pass", [])
    assert summary["target"] == "http://sandbox:8700/verity"
    assert len(summary["workers"]) == 3
    assert summary["metrics"]["http_reqs"]["count"] > 100
    assert (project.folder / "results" / "junit.xml").stat().st_uid == USER
    for service in ("sandbox", "master", "worker"):
        for container in project.containers(service):
            found = project.look_at(container)
            assert found["Config"]["User"] == str(USER)
            assert found["HostConfig"]["ReadonlyRootfs"] is True
            assert found["HostConfig"]["Ulimits"][0]["Soft"] == int(project.settings["OPEN_FILES"])


def test_a_broken_target_is_red_outside_of_the_containers_too(project: Project) -> None:
    ended = project.compose(
        *("--profile", "headless", "up", "--exit-code-from", "master"),
        SCENARIO_FILE="queue",
        LOCUST_OPTIONS="-u 5 -r 5 -t 5s --threshold http_reqs:count<1",
    )
    assert ended.returncode == 99, ended.stdout


def test_a_worker_that_is_killed_in_mid_run_is_named(project: Project) -> None:
    must(
        project.compose(
            *("--profile", "headless", "up", "--detach", "--scale", "worker=3"),
            **QUEUE,
            LOCUST_OPTIONS="-u 30 -r 30 -t 40s",
        )
    )
    (master,) = project.containers("master")
    wait_for(lambda: "30 total users" in project.log("master"), "load")
    time.sleep(8)
    killed = project.containers("worker")[0]
    must(project.engine.run("kill", killed))
    code = must(project.engine.run("wait", master)).strip()
    assert code == "99", project.log("master")
    summary = project.summary()
    hostname = project.look_at(killed)["Config"]["Hostname"]
    missing = [one for one in summary["reasons"] if one["code"] == "incomplete"]
    assert [hostname in one["text"] for one in missing] == [True], summary["reasons"]
    assert "Exit code 99" in project.log("master")


def test_a_prometheus_beside_the_web_page_has_the_run_s_series(project: Project) -> None:
    web, prometheus = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    settings = {
        **QUEUE,
        "WEB_PORT": web.rpartition(":")[2],
        "PROMETHEUS_PORT": prometheus.rpartition(":")[2],
        "LOCUST_OPTIONS": "--autostart -u 30 -r 30 -t 90s",
    }
    must(project.compose("--profile", "web", "up", "--detach", "--scale", "worker=3", **settings))
    must(project.compose("--profile", "monitoring", "up", "--detach", "prometheus", **settings))

    def ask(query: str) -> list[dict[str, Any]]:
        query = query.replace("$__rate_interval", "30s").replace("$__interval", "30s")
        answer = requests.get(f"{prometheus}/api/v1/query", params={"query": query}, timeout=10)
        assert answer.ok, f"{query}: {answer.text}"
        return list(answer.json()["data"]["result"])

    def answers(url: str) -> bool:
        try:
            return requests.get(url, timeout=5).ok
        except requests.ConnectionError:
            return False

    wait_for(lambda: answers(web), "web page")
    wait_for(lambda: answers(f"{prometheus}/-/ready"), "Prometheus")
    wait_for(lambda: [one["value"][1] for one in ask("k6_vus")] == ["30"], "load in Prometheus")
    wait_for(lambda: ask("sum(rate(k6_http_reqs_total[30s])) > 5"), "requests in Prometheus")
    assert {one["metric"]["job"]: one["value"][1] for one in ask("up")} == {"load-test": "1", "sandbox": "1"}
    shown = [title for title, _, queries in dashboard.PANELS if any(ask(query) for query, _ in queries)]
    assert {"Users", "HTTP requests a second", "HTTP requests, duration", "Load generator, lag"} <= set(shown)
    rules = requests.get(f"{prometheus}/api/v1/rules", timeout=10).json()["data"]["groups"]
    assert {rule["health"] for group in rules for rule in group["rules"]} == {"ok"}

    def health() -> set[str]:
        services = ("sandbox", "web", "worker", "prometheus")
        found = [project.look_at(one) for service in services for one in project.containers(service)]
        assert len(found) == 6
        return {one["State"]["Health"]["Status"] for one in found}

    wait_for(lambda: health() == {"healthy"}, "health of all containers")


def test_grafana_has_the_dashboard(project: Project) -> None:
    port = str(free_port())
    started = project.compose("--profile", "monitoring", "up", "--detach", GRAFANA_PORT=port)
    if started.returncode != 0 and "grafana" in started.stdout and "pull" in started.stdout.lower():
        pytest.skip(f"the image of Grafana cannot be had here: {started.stdout[-300:]}")
    must(started)
    url = f"http://127.0.0.1:{port}"

    def found() -> bool:
        try:
            return requests.get(f"{url}/api/dashboards/uid/pika-locust", timeout=5).ok
        except requests.ConnectionError:
            return False

    wait_for(found, "dashboard in Grafana")
    answer = requests.get(
        f"{url}/api/datasources/proxy/uid/prometheus/api/v1/query", params={"query": "up"}, timeout=10
    )
    assert answer.ok
    assert answer.json()["data"]["result"]
