"""`pika-locust seed` as a user starts it: files, a target that takes the rows, and how all of it goes again."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
import requests

import tests.quiet_locust  # noqa: F401
from pika_locust.cli.main import main
from pika_locust.platforms.wwmaa.members_file import read_members
from pika_locust.sandbox import SandboxProcess, start_sandbox

FEW = ("--users", "30", "--instructors", "4", "--events", "8", "--content", "1100", "--subscriptions", "3")
OTHERS = {"TEST_USER_EMAIL": "seeded{user}@example.org", "TEST_USER_PASSWORD": "another one"}


@dataclass(frozen=True)
class Told:
    code: int
    out: str
    err: str


Command = Callable[..., Told]


@pytest.fixture
def seed(tmp_path: Path) -> Iterator[Command]:
    """The command, in an empty folder and an environment that names no target."""

    def call(*words: str, **env: str) -> Told:
        out, err = StringIO(), StringIO()
        clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with patch.dict(os.environ, {**clean, **env}, clear=True), redirect_stdout(out), redirect_stderr(err):
            code = main(["seed", "--platform", "wwmaa", *words])
        return Told(code, out.getvalue(), err.getvalue())

    with chdir(tmp_path):
        yield call


@pytest.fixture(scope="module", params=["suite", "server"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[SandboxProcess]:
    with start_sandbox(["wwmaa"], env={"PATH": os.environ["PATH"], "CONTRACT": request.param}) as process:
        yield process


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_files_hold_what_was_asked_for_and_go_again(seed: Command, tmp_path: Path) -> None:
    told = seed(*FEW, **OTHERS)
    assert told.code == 0, told.err
    assert "MEMBERS_FILE=seed-data/wwmaa/users.csv" in told.out
    folder = tmp_path / "seed-data" / "wwmaa"
    counts = {"users": 30, "instructors": 4, "events": 9, "content": 1100, "subscriptions": 3}
    for name, count in counts.items():
        listed = json.loads((folder / f"{name}.json").read_text())
        assert len(rows_of(folder / f"{name}.csv")) == len(listed) == count
    assert [one.email for one in read_members(str(folder / "users.csv"))][29] == "seeded29@example.org"
    assert rows_of(folder / "users.csv")[0]["password"] == "another one"
    assert (folder / "users.csv").stat().st_mode & 0o77 == 0
    events = rows_of(folder / "events.csv")
    assert (events[0]["id"], events[0]["capacity"]) == ("evt_load_test_001", "1000")
    # What is somebody else's stays.
    (folder / "mine.txt").write_text("mine")
    assert seed(*FEW).code == 104
    assert seed("--clean").code == 0
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    assert seed("--clean").code == 104


def test_the_same_seed_makes_the_same_rows(seed: Command, tmp_path: Path) -> None:
    for folder, number in (("a", "7"), ("b", "7"), ("c", "8")):
        assert seed(*FEW, "--seed", number, "--output-dir", folder).code == 0
    first, same, other = ((tmp_path / folder / "content.json").read_text() for folder in ("a", "b", "c"))
    assert first == same != other


def log_in(sandbox: SandboxProcess, email: str, password: str) -> requests.Response:
    body = {"email": email, "password": password}
    return requests.post(f"{sandbox.url}/api/auth/login", json=body, timeout=10)


def test_a_target_takes_the_rows_and_gives_them_back(seed: Command, sandbox: SandboxProcess, tmp_path: Path) -> None:
    sandbox.reset()
    target = sandbox.url.replace("://", "://somebody:of-the-proxy@")
    told = seed(*FEW, "-H", f"{target}/api", **OTHERS)
    assert told.code == 0, told.err
    assert "of-the-proxy" not in told.out + told.err
    manifest = tmp_path / "seed-data/wwmaa/seed.json"
    assert ("of-the-proxy" in manifest.read_text(), manifest.stat().st_mode & 0o777) == (True, 0o600)
    assert "30 users made, 0 were there already" in told.out
    # The event that people register for is the sandbox's own.
    assert "8 events made, 1 were there already" in told.out
    assert "1,100 content made" in told.out
    entered = log_in(sandbox, "seeded7@example.org", "another one")
    assert (entered.status_code, entered.json()["user"]["first_name"]) == (200, "Load7")
    assert log_in(sandbox, "seeded7@example.org", "test_password_123").status_code == 400
    listed = requests.get(f"{sandbox.url}/api/instructors", timeout=10)
    if listed.status_code == 200:
        base = f"{sandbox.url}/api"
        titles = [one["title"] for one in requests.get(f"{base}/search?q=Load Test 7", timeout=10).json()["results"]]
        assert "in" in titles[0]
        assert titles[0].endswith(("(Load Test 7)", "(Load Test 70)"))
        assert requests.get(f"{base}/instructors?limit=3", timeout=10).json()["total"] == 5
        assert len(requests.get(f"{base}/instructors?limit=3", timeout=10).json()["instructors"]) == 3
        listed = requests.get(f"{base}/events?limit=20", timeout=10).json()["events"]
        assert 1 < len(listed) < 9
        subscribed = rows_of(tmp_path / "seed-data/wwmaa/subscriptions.csv")[0]
        token = log_in(sandbox, subscribed["user_email"], "another one").json()["access_token"]
        bearer = {"authorization": f"Bearer {token}"}
        mine = requests.get(f"{base}/subscriptions/my-subscription", headers=bearer, timeout=10)
        assert mine.json()["tier"] in ("basic", "premium", "lifetime")
    # Again, from elsewhere: all is there, and stays when that goes.
    again = seed(*FEW, "-H", sandbox.url, "--output-dir", "again", **OTHERS)
    assert "0 users made, 30 were there already" in again.out
    assert seed("--clean", "--output-dir", "again").code == 0
    assert log_in(sandbox, "seeded7@example.org", "another one").status_code == 200
    cleaned = seed("--clean")
    assert (cleaned.code, "1145 rows removed" in cleaned.out) == (0, True), cleaned
    assert "of-the-proxy" not in cleaned.out + cleaned.err
    assert log_in(sandbox, "seeded7@example.org", "another one").status_code == 400
    assert sandbox.state()["registrations"]["evt_load_test_001"]["capacity"] > 0
    assert len(sandbox.state()["registrations"]) == 1


def test_a_target_without_such_an_api_is_told_of_and_has_nothing_to_give_back(seed: Command, tmp_path: Path) -> None:
    with start_sandbox(["verity"], env={"PATH": os.environ["PATH"]}) as other:
        told = seed(*FEW, "-H", other.url)
    assert told.code == 100
    assert "has no /api/load-test-data" in told.err
    assert (tmp_path / "seed-data/wwmaa/users.csv").exists()
    # Whatever was at that address is gone by now: nobody has to ask it.
    assert seed("--clean").code == 0


def test_a_target_that_is_gone_keeps_the_way_back(seed: Command, tmp_path: Path) -> None:
    with start_sandbox(["wwmaa"], env={"PATH": os.environ["PATH"]}) as process:
        assert seed(*FEW, API_URL=f"{process.url}/api").code == 0
    told = seed("--clean")
    assert (told.code, "DELETE http://127.0.0.1" in told.err) == (100, True), told
    assert (tmp_path / "seed-data/wwmaa/seed.json").exists()


@pytest.mark.parametrize("words", [("-H", "https://wwmaa.com/api"), ("--clean",)])
def test_production_is_refused(words: tuple[str, ...], seed: Command, tmp_path: Path) -> None:
    folder = tmp_path / "seed-data/wwmaa"
    if "--clean" in words:
        folder.mkdir(parents=True)
        made = {"platform": "wwmaa", "batch": "x", "target": "https://api.wwmaa.com", "files": []}
        (folder / "seed.json").write_text(json.dumps(made))
    told = seed(*FEW, *words)
    assert told.code == 104
    assert "a production host; --allow-production says that it is meant" in told.err
    assert not (folder / "users.csv").exists()


def test_the_sandbox_of_a_run_knows_the_members_of_its_file(seed: Command, tmp_path: Path) -> None:
    assert seed(*FEW, **OTHERS).code == 0
    env = {"PATH": os.environ["PATH"], "MEMBERS_FILE": str(tmp_path / "seed-data/wwmaa/users.csv")}
    with start_sandbox(["wwmaa"], env=env) as process:
        assert log_in(process, "seeded29@example.org", "another one").status_code == 200
        assert log_in(process, "seeded30@example.org", "another one").status_code == 400
