"""docker-compose.yml and the Dockerfile, as far as one sees without bringing them up: tests/containers does that."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ["sandbox", "web", "master", "worker"]
PROFILES = {
    "web": {"sandbox", "web", "worker"},
    "headless": {"sandbox", "master", "worker"},
    "sandbox": {"sandbox"},
    "monitoring": {"prometheus", "grafana"},
}


def of(profile: str) -> set[str]:
    return {name for name, service in SERVICES.items() if profile in service["profiles"]}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_starts_what_belongs_together_and_what_that_waits_for(profile: str) -> None:
    assert of(profile) == PROFILES[profile]
    needed = {other for name in of(profile) for other in SERVICES[name].get("depends_on", {})}
    assert needed <= of(profile)


def test_the_web_page_is_what_comes_without_a_profile() -> None:
    assert "COMPOSE_PROFILES=web" in (ROOT / ".env").read_text().splitlines()


@pytest.mark.parametrize("name", OURS)
def test_a_container_of_ours_may_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"\$\{LOAD_TEST_USER:-[1-9]\d*\}", service["user"])
    assert service["ulimits"]["nofile"]["soft"] == "${OPEN_FILES:-65536}"
    assert {"test", "interval", "timeout", "retries"} <= set(service["healthcheck"])
    writable = [volume for volume in service.get("volumes", []) if not volume.endswith(":ro")]
    assert writable in ([], ["./results:/results"])


def test_users_reach_a_target_on_the_machine_itself_as_its_page_says() -> None:
    name = "host.docker.internal"
    assert name in (ROOT / "docs" / "containers.md").read_text()
    for service in ("web", "master", "worker"):
        assert SERVICES[service]["extra_hosts"] == [f"{name}:host-gateway"]


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_monitoring_writes_to_its_own_volume_only(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["user"] != "0"
    writable = [volume.partition(":")[0] for volume in service["volumes"] if not volume.endswith(":ro")]
    assert writable == [name]
    assert name in COMPOSE["volumes"]
    for volume in service["volumes"]:
        source = volume.partition(":")[0]
        assert source == name or (ROOT / source).is_dir()


def test_prometheus_scrapes_the_ports_that_are_there() -> None:
    config = YAML(typ="safe").load((ROOT / "conf" / "prometheus" / "prometheus.yml").read_text())
    targets = {one for job in config["scrape_configs"] for part in job["static_configs"] for one in part["targets"]}
    assert targets == {"master:9646", "sandbox:8700"}
    for name in ("web", "master"):
        assert "--out prometheus=:9646" in SERVICES[name]["command"]
        assert "9646" in SERVICES[name]["expose"]
    assert SERVICES["web"]["networks"]["default"]["aliases"] == ["master"]


def test_the_image_is_no_root_s_and_is_built_of_what_the_folder_has() -> None:
    words = (ROOT / "Dockerfile").read_text()
    assert words.rindex("USER ${UID}") > words.rindex("RUN ")
    assert re.search(r"^ARG UID=[1-9]\d*$", words, re.MULTILINE)
    assert words.count("FROM ") == 2
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"pika_locust", "locustfiles", "shapes", "pyproject.toml"} <= kept
    assert {name for name in kept - {"wheels"} if not (ROOT / name).exists()} == set()


def test_the_published_schema_of_compose_accepts_it() -> None:
    """Debian's own is version 1; this is the schema of version 2."""
    checker = Path(sys.executable).with_name("check-jsonschema")
    told = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="apt-get install docker-compose")
def test_compose_has_nothing_to_say_against_it() -> None:
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    told = subprocess.run(["docker-compose", "config"], cwd=ROOT, env=clean, capture_output=True, text=True, timeout=60)
    assert (told.returncode, told.stderr) == (0, "")
    assert set(YAML(typ="safe").load(told.stdout)["services"]) >= PROFILES["web"]
