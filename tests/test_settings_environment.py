from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from pika_locust.settings import ENV_FILE, Environment, environment_of, misspelt

# The file


def test_the_file_completes_the_environment_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ENV_FILE).write_text(
        "# a comment\nUSERS=7\nexport HOLD='90s'\nAPI_URL=\"http://127.0.0.1:1\" # why\nEMPTY=\n"
    )
    environ = {"USERS": "5", "PATH": "/bin"}
    found = environment_of(environ, tmp_path)
    assert dict(found) == {
        "USERS": "5",
        "PATH": "/bin",
        "HOLD": "90s",
        "API_URL": "http://127.0.0.1:1",
        "EMPTY": "",
    }
    assert len(found) == 5
    assert found.problems == ()
    assert environ == {"USERS": "5", "PATH": "/bin"}


def test_no_file_is_no_trouble_and_the_environment_is_as_it_was(tmp_path: Path) -> None:
    environ = {"USERS": "5"}
    found = environment_of(environ, tmp_path)
    environ["USERS"] = "6"
    assert dict(found) == {"USERS": "5"}


def test_a_mark_at_the_beginning_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / ENV_FILE).write_bytes(b"\xef\xbb\xbfUSERS=7\r\nHOLD=5s\r\n")
    assert dict(environment_of({}, tmp_path)) == {"USERS": "7", "HOLD": "5s"}


@pytest.mark.parametrize("content", [b"USERS=7\n", b"\xef\xbb\xbfUSERS=7\n"])
def test_the_parser_is_never_given_the_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    # Parsers before 1.1.2 took the mark for a part of the first name, and the setting was nobody's.
    import dotenv.parser

    given: list[str] = []

    def parse_stream(stream: IO[str]) -> Iterator[dotenv.parser.Binding]:
        given.append(stream.read())
        return iter(())

    monkeypatch.setattr(dotenv.parser, "parse_stream", parse_stream)
    (tmp_path / ENV_FILE).write_bytes(content)
    environment_of({}, tmp_path)
    assert given == ["USERS=7\n"]


NOT_A_SETTING = "not a setting; write NAME=value, or # before a comment"
OTHER_SHELL = "WS_URL is set in another shell's syntax; write the value itself, or ${NAME} for a variable's"
WITHOUT_EFFECT: dict[str, tuple[str, str]] = {
    "no value": ("export WS_URL", "WS_URL has no value; write WS_URL=value, or WS_URL= to leave it unset"),
    "a colon": ("WS_URL: s3cr3t", NOT_A_SETTING),
    "no equals sign": ("WS_TOKEN s3cr3t", NOT_A_SETTING),
    "csh": ("setenv WS_URL s3cr3t", NOT_A_SETTING),
    "fish": ("set -x WS_URL s3cr3t", NOT_A_SETTING),
    "cmd": ("set WS_URL=s3cr3t", NOT_A_SETTING),
    "PowerShell": ('$env:WS_URL="s3cr3t"', NOT_A_SETTING),
    "not a name": ("WS-URL=s3cr3t", NOT_A_SETTING),
    "a variable of a shell": ("WS_URL=$HOST_URL", OTHER_SHELL),
    "a variable of cmd": ("WS_URL=%HOST_URL%", OTHER_SHELL),
    "a command": ("WS_URL=$(hostname)", OTHER_SHELL),
    "an unset variable": (
        "WS_URL=ws://${NOWHERE}/ws",
        "WS_URL uses ${NOWHERE}, which is not set; set it, or write ${NOWHERE:-default}",
    ),
    "a second time": ("USERS=8", "USERS is set on line 1 already; keep one of them"),
}


@pytest.mark.parametrize(("line", "problem"), WITHOUT_EFFECT.values(), ids=WITHOUT_EFFECT)
def test_a_line_without_effect_is_told_by_its_number_and_never_by_its_value(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str, problem: str
) -> None:
    (tmp_path / ENV_FILE).write_text(f"USERS=7\n\n\n{line}\n# fine\nHOLD=5s\n")
    found = environment_of({}, tmp_path)
    assert found.problems == (f".env.load-tests, line 4: {problem}",)
    assert found["HOLD"] == "5s"  # so that the mistakes of other lines are told in the same run
    assert caplog.text == ""


def test_every_line_without_effect_is_told(tmp_path: Path) -> None:
    (tmp_path / ENV_FILE).write_text("export WS_URL\nHOLD: 5s\n")
    assert len(environment_of({}, tmp_path).problems) == 2


def test_a_variable_is_what_the_environment_says_or_the_lines_before_or_its_default(tmp_path: Path) -> None:
    (tmp_path / ENV_FILE).write_text("PORT=1\nA=${HOST}:${PORT}\nB=${NOWHERE:-none}\nTOKEN=pa$word\n")
    found = environment_of({"HOST": "here", "PORT": "2"}, tmp_path)
    assert found.problems == ()
    assert (found["A"], found["B"], found["TOKEN"]) == ("here:2", "none", "pa$word")


def test_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / ENV_FILE).symlink_to(tmp_path / "gone")
    (problem,) = environment_of({}, tmp_path).problems
    assert problem == ".env.load-tests cannot be read: it is a link to a file that is not there"


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / ENV_FILE).write_bytes(b"\xff\xfeU")
    (problem,) = environment_of({}, tmp_path).problems
    assert problem.startswith(".env.load-tests cannot be read: 'utf-8' codec can't decode")


def test_a_directory_of_that_name_is_told(tmp_path: Path) -> None:
    (tmp_path / ENV_FILE).mkdir()
    (problem,) = environment_of({}, tmp_path).problems
    assert problem.startswith(".env.load-tests cannot be read: [Errno 21] Is a directory")


# Which name decides

NAMES = ("PIKA_X", "X")
FILE = " in .env.load-tests"
FOUND: dict[str, tuple[dict[str, str], dict[str, str], tuple[str, str, str] | None]] = {
    "nobody says anything": ({}, {}, None),
    "the own name wins in the environment": ({"PIKA_X": "1", "X": "2"}, {}, ("PIKA_X", "1", "")),
    "the own name wins in the file": ({}, {"PIKA_X": "3", "X": "4"}, ("PIKA_X", "3", FILE)),
    "the environment's own name wins over the file's": ({"PIKA_X": "1"}, {"PIKA_X": "3"}, ("PIKA_X", "1", "")),
    "the environment's shared name wins over the file's own": ({"X": "2"}, {"PIKA_X": "3"}, ("X", "2", "")),
    "the environment's own name wins over the file's shared one": ({"PIKA_X": "1"}, {"X": "4"}, ("PIKA_X", "1", "")),
    "an empty name counts as not set": ({"PIKA_X": " ", "X": "2"}, {}, ("X", "2", "")),
    "an empty shared name takes the file's names away": ({"X": ""}, {"PIKA_X": "3", "X": "4"}, None),
    "an empty own name takes the file's own name away": ({"PIKA_X": ""}, {"PIKA_X": "3", "X": "4"}, ("X", "4", FILE)),
    "an empty name in the file counts as not set": ({}, {"PIKA_X": "", "X": "4"}, ("X", "4", FILE)),
}


@pytest.mark.parametrize(("given", "from_file", "found"), FOUND.values(), ids=FOUND)
def test_the_environment_decides_before_the_file_and_the_own_name_before_the_shared_one(
    given: dict[str, str], from_file: dict[str, str], found: tuple[str, str, str] | None
) -> None:
    assert Environment(given, from_file).find(NAMES) == found


# Names that seem misspelt

SLIPS: dict[str, tuple[str, str | None]] = {
    "an underscore left out": ("RAMPUP", "RAMP_UP"),
    "small letters": ("ramp_up", "RAMP_UP"),
    "a letter too many": ("HOLDS", "HOLD"),
    "a letter too few": ("HOL", "HOLD"),
    "a wrong letter": ("WS_URI", "WS_URL"),
    "neighbours in each other's place": ("USRES", "USERS"),
    "two slips are another name": ("USRSE", None),
    "neighbours and one letter more are another name": ("RAMPPUX", None),
    "another first letter is another name": ("AWS_URL", None),
    "a longer name that begins so": ("HOLD_BACK", None),
    "what every shell has": ("USER", None),
}


@pytest.mark.parametrize(("given", "meant"), SLIPS.values(), ids=SLIPS)
def test_a_name_one_slip_away_from_a_setting_is_told(given: str, meant: str | None) -> None:
    names = ["RAMP_UP", "HOLD", "WS_URL", "USERS"]
    told = list(misspelt(Environment({given: "x", "PATH": "/bin"}), names, names))
    assert told == ([f"{given}: no setting is called so; did you mean {meant}?"] if meant else [])


def test_it_is_told_where_the_name_is_and_an_empty_one_is_not() -> None:
    environ = Environment({"RAMPUP": ""}, {"HOLDS": "s3cr3t"})
    assert list(misspelt(environ, ["HOLD", "RAMP_UP"], ["HOLD", "RAMP_UP"])) == [
        "HOLDS in .env.load-tests: no setting is called so; did you mean HOLD?"
    ]


def test_a_name_is_left_alone_when_what_it_resembles_is_set_or_it_is_read_itself() -> None:
    assert list(misspelt(Environment({"HOLDS": "1"}), ["HOLD"], [])) == []
    assert list(misspelt(Environment({"WS_URI": "1"}), ["WS_URI", "WS_URL"], ["WS_URL"])) == []


@pytest.mark.parametrize("content", [b"\xef", b"\xef\xbb"])
def test_the_beginning_of_a_byte_order_mark_is_no_empty_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / ENV_FILE).write_bytes(content)
    (problem,) = environment_of({}, tmp_path).problems
    assert problem.startswith(".env.load-tests cannot be read: 'utf-8' codec can't decode")


def test_lines_may_end_as_on_other_systems(tmp_path: Path) -> None:
    (tmp_path / ENV_FILE).write_bytes(b"USERS=5\r\nHOLD=1m\rRAMP_UP=2s\n")
    assert environment_of({}, tmp_path).from_file == {"USERS": "5", "HOLD": "1m", "RAMP_UP": "2s"}
