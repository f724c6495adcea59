"""The command `pika-locust new`: which names it takes, what it leaves alone, what it writes."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from pika_locust.cli.main import main

KINDS: tuple[tuple[str, ...], ...] = ((), ("--websocket",), ("--socketio",))
"""The options of every kind of platform that is offered."""

New = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def new(tmp_path: Path) -> New:
    """The command, in an empty folder."""

    def write(*words: str) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with chdir(tmp_path), redirect_stdout(out), redirect_stderr(err):
            code = main(["new", *words])
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    return write


@pytest.mark.parametrize("options", KINDS)
def test_three_files_of_valid_python_and_how_to_go_on(new: New, tmp_path: Path, options: tuple[str, ...]) -> None:
    done = new("tea_shop", *options)
    assert (done.returncode, done.stderr) == (0, "")
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"tea_shop.py", "tea_shop_world.py", "test_tea_shop.py"}
    for path in tmp_path.iterdir():
        text = path.read_text()
        assert ast.get_docstring(ast.parse(text)), f"{path.name} does not say what it is"
        assert "$" not in text
        assert path.name in done.stdout
    for command in ("pytest test_tea_shop.py", "locust --headless -f tea_shop.py", "lose-write=0.05", "-H http://"):
        assert command in done.stdout


@pytest.mark.parametrize("options", KINDS)
def test_what_is_written_passes_the_linters_of_this_package(new: New, tmp_path: Path, options: tuple[str, ...]) -> None:
    new("tea_shop", *options)
    root = Path(__file__).resolve().parents[1]
    for command in (["check"], ["format", "--check"]):
        words = [
            sys.executable,
            "-m",
            "ruff",
            *command,
            "--no-cache",
            "--config",
            str(root / "pyproject.toml"),
            str(tmp_path),
        ]
        told = subprocess.run(words, capture_output=True, text=True)
        assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("tea-shop", "'tea-shop' is no name for a Python module"),
        ("2shop", "'2shop' is no name for a Python module"),
        ("", "'' is no name for a Python module"),
        ("_", "a letter first"),
        ("../shop", "'../shop' is no name for a Python module"),
        ("class", "'class' is a keyword of Python"),
        ("queue", "'queue' is a module of Python's standard library"),
        ("locust", "'locust' is an installed package"),
        ("pika_locust", "'pika_locust' is an installed package"),
        ("conftest", "pytest loads a conftest.py by itself"),
    ],
)
def test_a_name_that_cannot_be_a_module_s_is_refused(new: New, tmp_path: Path, name: str, why: str) -> None:
    done = new(name)
    assert (done.returncode, done.stdout) == (104, "")
    assert done.stderr.startswith("pika-locust new: ")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_files_are_never_overwritten_and_nothing_is_written_beside_them(new: New, tmp_path: Path) -> None:
    mine = tmp_path / "shop_world.py"
    mine.write_text("# mine\n")
    done = new("shop")
    assert done.returncode == 104
    assert "shop_world.py is there already" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["shop_world.py"]
    assert mine.read_text() == "# mine\n"


def test_a_dangling_link_is_not_written_through(new: New, tmp_path: Path) -> None:
    (tmp_path / "shop.py").symlink_to(tmp_path / "elsewhere.py")
    done = new("shop")
    assert done.returncode == 104
    assert "shop.py is there already" in done.stderr
    assert not (tmp_path / "elsewhere.py").exists()


def test_all_mistakes_are_named_at_once(new: New, tmp_path: Path) -> None:
    for file in ("queue.py", "test_queue.py"):
        (tmp_path / file).touch()
    done = new("queue")
    assert done.returncode == 104
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    for line, words in zip(lines, ("standard library", "queue.py is there", "test_queue.py is there"), strict=True):
        assert words in line


def test_a_second_time_says_that_the_files_are_there_not_that_the_name_is_taken(new: New) -> None:
    assert new("shop").returncode == 0
    again = new("shop")
    assert again.returncode == 104
    assert [line.split()[2] for line in again.stderr.splitlines()] == ["shop.py", "shop_world.py", "test_shop.py"]


def test_a_failure_half_way_leaves_nothing_behind(new: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_open = Path.open

    def full(path: Path, *arguments: str, **named: str) -> object:
        if path.name == "test_shop.py":
            raise OSError(28, "No space left on device", str(path))
        return real_open(path, *arguments, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    done = new("shop")
    assert done.returncode == 104
    assert "test_shop.py cannot be written: No space left on device" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_a_name_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["new"])
    assert ended.value.code == 2
    assert "pika-locust new" in capsys.readouterr().err
