from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

import pika_locust
from pika_locust.cli.main import main
from pika_locust.platforms.pika.scenarios import DANCERS

ROOT = Path(__file__).resolve().parents[1]
QUIET = ROOT / "tests"
"""A directory without anybody's settings."""


MINE = ("PIKA_", "LOCUST_", "WS_", "SCENARIO", "USERS", "RAMP_", "HOLD", "SESSION_", "TRACK_")


def environment(env: dict[str, str] | None) -> dict[str, str]:
    """An environment that sets nothing of ours but this."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(MINE)}
    clean["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**clean, **(env or {})}


def pika(
    *words: str, env: dict[str, str] | None = None, directory: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """The command as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "pika_locust.cli.main", *words],
        env=environment(env),
        cwd=directory or QUIET,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
    )


def here(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The same within this process, which is quicker."""
    out, err = io.StringIO(), io.StringIO()
    with patch.dict(os.environ, environment(env), clear=True), chdir(QUIET), redirect_stdout(out), redirect_stderr(err):
        code = main(list(words))
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def test_help_teaches_the_commands_and_how_a_test_is_run() -> None:
    told = pika("--help")
    assert (told.returncode, told.stderr) == (0, "")
    for word in ("list", "inspect SCENARIO", "sandbox", "locust -f locustfiles/dancers.py", "--headless"):
        assert word in told.stdout


def test_nobody_knows_a_command_of_another_name() -> None:
    told = pika("lst")
    assert told.returncode == 2
    assert "invalid choice: 'lst'" in told.stderr


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"pika-locust {pika_locust.__version__}\n"


def test_list_shows_every_scenario_with_its_platform() -> None:
    told = pika("list")
    assert (told.returncode, told.stderr) == (0, "")
    listed, _, how = told.stdout.partition("\n\n")
    lines = {line.split()[0]: line for line in listed.splitlines()}
    assert lines["dancers"].split(maxsplit=2) == ["dancers", "pika", DANCERS.about]
    assert how.endswith("  pika-locust run NAME\n")


def test_columns_are_as_wide_as_the_longest_name(capsys: pytest.CaptureFixture[str]) -> None:
    known = {name: replace(DANCERS, platform=name[:3]) for name in ("orders", "a-name-that-is-long")}
    with patch("pika_locust.catalogue.scenarios", lambda: known):
        assert main(["list"]) == 0
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert [first.index(" ord "), first.index(DANCERS.about)] == [second.index(" a-n "), second.index(DANCERS.about)]


def test_in_a_clone_list_points_at_the_locustfiles_that_are_there() -> None:
    told = pika("list", directory=ROOT)
    assert told.stdout.endswith("  locust -f locustfiles/NAME.py\n")


@pytest.mark.parametrize("name", ["dancers", "queue", "sessions", "tokens"])
def test_a_printed_locustfile_brings_the_users_of_the_one_in_the_repository(name: str, tmp_path: Path) -> None:
    told = here("locustfile", name)
    assert (told.returncode, told.stderr) == (0, "")
    (tmp_path / "locustfile.py").write_text(told.stdout)
    users = (
        "import sys; from locust.util.load_locustfile import load_locustfile; "
        "print(*sorted(load_locustfile(sys.argv[1])[0]))"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", users, str(file)], cwd=QUIET, env=environment(None), capture_output=True, text=True
        )
        for file in (tmp_path / "locustfile.py", ROOT / "locustfiles" / f"{name}.py")
    ]
    assert [one.returncode for one in found] == [0, 0], found[0].stderr
    assert found[0].stdout.split()
    assert found[0].stdout == found[1].stdout


def test_whoever_says_nothing_gets_the_help_and_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "locustfile SCENARIO" in said.err


def test_a_reader_who_has_seen_enough_hears_no_complaint() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "pika_locust.cli.main", "inspect", "dancers"],
        env=environment(None),
        cwd=QUIET,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


PRINTS = """
import os, sys
from types import SimpleNamespace
from pika_locust.cli import main
def run(words):
    for n in range(3):
        print("a line", flush=True)
        print("a problem", file=sys.stderr, flush=True)
        os.write(int(words[0]), b"x")
    return 99
sys.modules["pika_locust.cli.suite"] = SimpleNamespace(run=run)
code = main.main(["suite", *sys.argv[1:]])
sys.exit(code)
"""


@pytest.mark.parametrize("unbuffered", [[], ["-u"]])
def test_a_command_whose_reader_has_gone_comes_to_its_own_end_and_exit_code(unbuffered: list[str]) -> None:
    """`pika-locust suite | head -1` runs all of it, and is as red as without `head`."""
    (done, tell), (read, write) = os.pipe(), os.pipe()
    os.close(read)
    with subprocess.Popen(
        [sys.executable, *unbuffered, "-c", PRINTS, str(tell)],
        env=environment(None),
        cwd=QUIET,
        stdout=write,
        stderr=write,
        pass_fds=[tell],
    ) as process:
        for one in (tell, write):
            os.close(one)
        with open(done, "rb") as file:
            assert file.read() == b"xxx"
        assert process.wait(30) == 99


def test_inspect_shows_what_would_run_and_sends_nothing() -> None:
    told = pika("inspect", "dancers", "--seed", "7")
    assert (told.returncode, told.stderr) == (0, "")
    assert "none named: the embedded sandbox" in told.stdout
    assert "seed        7" in told.stdout
    assert "Load  standard: 2m → 100, 8m at 100, 1m → 0 (11m)" in told.stdout


def test_inspect_takes_the_options_of_a_run_wherever_they_stand() -> None:
    for words in (["-u", "60", "-r", "30", "dancers", "-t", "40"], ["dancers", "-u", "60", "-r", "30", "-t", "40s"]):
        told = here("inspect", *words)
        assert (told.returncode, told.stderr) == (0, "")
        assert "Load  constant: 60 users at 30/s, for 40s" in told.stdout


def test_inspect_reads_the_environment_the_file_and_locust_s_configuration_as_a_run_does(tmp_path: Path) -> None:
    (tmp_path / ".env.load-tests").write_text("USERS=20\nSESSION_ID=from-the-file\nPIKA_SEED=5\n")
    (tmp_path / "locust.conf").write_text("headless = true\nrun-time = 90s\nlocustfile = locustfiles/dancers.py\n")
    told = pika(
        "inspect", "dancers", env={"PIKA_LOAD_PROFILE": "stress", "WS_URL": "ws://127.0.0.1:1"}, directory=tmp_path
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert "target      ws://127.0.0.1:1/ws" in told.stdout
    assert "seed        5" in told.stdout
    assert "USERS=20 scales the stress profile (peak 500)" in told.stdout
    # A minute and a half of the ramp from 1 to 20 in 300 s: 1 + 19 * 0.3 = 6.7.
    assert "Load  stress: 1m30s → 7 (1m30s)" in told.stdout
    assert "from-the-file (from .env.load-tests)" in told.stdout


def test_every_mistake_is_told_at_once_and_the_code_is_104() -> None:
    told = pika(
        "inspect",
        "dancers",
        *("-r", "3", "--seed", "x", "--load-profile", "no", "--stage", "often", "--bogus"),
        *("--threshold", "nothing:p(95)<1", "-H", "ftp://nowhere"),
        env={"TRACK_EVERY": "2s", "PIKA_DJ": "nobody", "PIKA_USERS": "0"},
    )
    assert (told.returncode, told.stdout) == (104, "")
    problems = [line.removeprefix("pika-locust inspect: ") for line in told.stderr.splitlines()]
    beginnings = [
        "--load-profile no: it must be one of standard, big, stress, spike, constant",
        "--seed x: it is not a whole number",
        "unrecognized arguments: --bogus",
        "PIKA_USERS=0: it must be at least 1",
        "PIKA_DJ=nobody: it must be one of own, external",
        "-r needs -u",
        "--stage: 'often' is not a stage",
        "-H ftp://nowhere: ",
        "TRACK_EVERY=2s: ",
    ]
    for beginning in beginnings:
        assert any(problem.startswith(beginning) for problem in problems), (beginning, problems)
    assert any("nothing" in problem for problem in problems)
    assert len(problems) == len(beginnings) + 1


MISTAKES = {
    "an unknown scenario": (["inspect", "dancrs"], "there is no scenario 'dancrs'; did you mean dancers?"),
    "no scenario": (["inspect"], "the following arguments are required: scenario"),
    "an option without its value": (["inspect", "dancers", "-u"], "argument -u/--users: expected one argument"),
    "a value that is another option's": (["inspect", "-u", "10"], "the following arguments are required: scenario"),
}


@pytest.mark.parametrize(("words", "problem"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_sentence_and_104(words: list[str], problem: str) -> None:
    told = here(*words)
    assert (told.returncode, told.stdout, told.stderr) == (104, "", f"pika-locust inspect: {problem}\n")


def test_secrets_are_in_no_output() -> None:
    env = {"PIKA_DJ_TOKEN": "s3cr3t-token", "WS_URL": "ws://user:pa55word@127.0.0.1:1/ws"}
    for words in (["dancers"], ["dancers", "-r", "3", "--sandbox-fault", "latency=1"]):
        told = here("inspect", *words, env=env)
        assert "s3cr3t-token" not in told.stdout + told.stderr
        assert "pa55word" not in told.stdout + told.stderr
    assert "PIKA_DJ_TOKEN            set (from the environment)" in here("inspect", "dancers", env=env).stdout


def test_inspect_s_help_names_the_profiles_of_the_scenario() -> None:
    told = here("inspect", "dancers", "--help")
    assert told.returncode == 0
    for option in ("stage", "seed", "summary-json", "threshold", "sandbox-fault", "strict", "allow-production"):
        assert f"--{option}" in told.stdout
    assert "{standard,big,stress,spike,constant}" in told.stdout
    assert "{warning,critical}" in told.stdout
    assert here("inspect", "--help").returncode == 0


def test_the_thresholds_and_loads_that_inspect_s_help_shows_can_be_used() -> None:
    lines = here("inspect", "--help").stdout.partition("\nthresholds, ")[2].splitlines()
    thresholds = [shlex.split(line)[:2] for line in lines if line.startswith("  --threshold")]
    assert len(thresholds) == 5
    assert here("inspect", "dancers", *[word for pair in thresholds for word in pair]).returncode == 0
    for load in (["-u", "60", "-r", "30", "-t", "40s"], ["--stage", "30s:100,1m:100,10s:0"]):
        assert here("inspect", "dancers", *load).returncode == 0


def test_the_sandbox_command_is_here_too() -> None:
    told = pika("sandbox", "--list-faults", "--platform", "pika")
    assert told.returncode == 0
    assert "lose-write=RATE" in told.stdout


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize("words", [("inspect", "dancers"), ("inspect", "dancers", "--help"), ("list",)])
def test_a_terminal_may_lack_letters(words: tuple[str, ...], encoding: str) -> None:
    finished = pika(*words, env={"PYTHONIOENCODING": encoding})
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout
