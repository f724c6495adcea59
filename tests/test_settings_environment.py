from __future__ import annotations

from pathlib import Path

import pytest

from pika_locust.settings import ENV_FILE, Environment, environment_of, misspelt

# The file


def test_the_file_completes_the_environment_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ENV_FILE).write_text(
        "# a comment\nUSERS=7\nexport HOLD='90s'\nAPI_URL=\"http://127.0.0.1:1\" # why\nEMPTY=\nBARE\n"
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


def test_lines_that_are_no_settings_are_told_by_their_number_and_nothing_else_of_the_file_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ENV_FILE).write_text("USERS=7\n\n\nWS_TOKEN s3cr3t\n# fine\nHOLD: 5s\n")
    found = environment_of({"PATH": "/bin"}, tmp_path)
    assert found.problems == (
        ".env.load-tests, line 4: not a setting; write NAME=value, or # before a comment",
        ".env.load-tests, line 6: not a setting; write NAME=value, or # before a comment",
    )
    assert dict(found) == {"PATH": "/bin"}
    assert caplog.text == ""


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
