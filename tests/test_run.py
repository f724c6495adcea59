"""`pika-locust run`: which files it gives to Locust, and what it says of names that nobody knows."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from pika_locust import catalogue
from pika_locust.cli import run as command
from pika_locust.cli.main import main
from pika_locust.cli.run import NAMES, locustfiles, run, shipped
from pika_locust.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[1]


class Became(Exception):
    """In place of the process that would have been replaced."""


@pytest.fixture
def became() -> Iterator[list[tuple[list[str], dict[str, str]]]]:
    """The command and environment that the process would go on as."""
    calls: list[tuple[list[str], dict[str, str]]] = []

    def note(path: str, argv: list[str], env: dict[str, str]) -> None:
        assert path == sys.executable
        calls.append((argv[1:], env))
        raise Became

    with patch.object(os, "execve", note):
        yield calls


@pytest.mark.parametrize("options", [["--headless", "-u", "20"], ["--", "--headless", "-u", "20"]])
def test_a_scenario_runs_in_locust_with_locust_s_options(
    became: list[tuple[list[str], dict[str, str]]], options: list[str]
) -> None:
    with pytest.raises(Became):
        run(["queue", *options])
    file = str(ROOT / "locustfiles" / "queue.py")
    assert became == [(["-m", "locust", "-f", file, "--headless", "-u", "20"], dict(os.environ))]


def test_a_shape_stands_beside_a_scenario() -> None:
    files, others = locustfiles(["dancers", "stress"])
    assert [path.relative_to(ROOT).as_posix() for path in files] == ["locustfiles/dancers.py", "shapes/stress.py"]
    assert others == []


def test_every_scenario_of_the_package_has_a_file_that_comes_along() -> None:
    assert set(shipped("locustfiles")) == set(catalogue.scenarios())


def test_an_installation_has_the_files_inside_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "locustfiles").mkdir()
    (tmp_path / "locustfiles" / "queue.py").touch()
    with patch.object(command, "_PACKAGE", tmp_path):
        assert shipped("locustfiles") == {"queue": tmp_path / "locustfiles" / "queue.py"}


def test_a_scenario_without_a_file_runs_from_the_one_that_serves_all(
    became: list[tuple[list[str], dict[str, str]]],
) -> None:
    known = catalogue.scenarios()
    with patch.object(catalogue, "scenarios", lambda: {**known, "shop": known["queue"]}), pytest.raises(Became):
        run(["shop"])
    (argv, env) = became[0]
    assert argv == ["-m", "locust", "-f", str(ROOT / "pika_locust" / "cli" / "named_scenarios.py")]
    assert env[NAMES] == "shop"


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["quue"], "there is no scenario and no shape 'quue'; did you mean queue?"),
        (["dancers", "stres"], "there is no scenario and no shape 'stres'; did you mean stress?"),
        (["zzz"], "there is no scenario and no shape 'zzz'; there are "),
        (["stress"], "stress: name a scenario; `pika-locust list` shows them"),
    ],
)
def test_a_name_that_nobody_knows_is_told_with_the_one_that_was_meant(names: list[str], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        locustfiles(names)
    assert str(caught.value).startswith(problem)


def test_help_goes_to_standard_output_and_none_asked_for_is_104(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    assert "usage: pika-locust run NAME" in capsys.readouterr().out
    assert main(["run"]) == 104
    assert "usage: pika-locust run NAME" in capsys.readouterr().err
