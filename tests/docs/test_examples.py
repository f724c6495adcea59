"""Every command and snippet of README and docs/ is executed, or listed here as one that cannot be, with the reason."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest

from tests.docs.execution import NotAsDocumented, brief, execute, expected_code, is_run
from tests.docs.snippets import FILES, PAGES, SHELL, SHOWN, Example, blocks, each_once, examples, is_command, spans

NOT_RUN = {
    "make *": "`.ci/run` runs lint, docs and test; the others take minutes",
    "apt-get install *": "changes the machine; `.ci/run` does it",
    "*docker compose *": "`make containers` brings it up",
    "docker *": "needs a registry",
    "helm *": "needs a cluster; tests/deployment/test_kubernetes.py holds the files to their schemas",
    "kubectl *": "needs a cluster, likewise",
    "sysctl -w *": "changes the machine",
    "ip addr add *": "changes the machine",
    "pip install *": "changes the environment; tests/e2e/test_wheel.py and test_other_packages.py do it elsewhere",
    "pika-locust run shop_orders *": "needs the package installed; tests/e2e/test_other_packages.py runs it",
    "*AGENTS=0 *": "needs a server where agents sit already",
    "ulimit -n *": "only an administrator may raise the limit in every shell",
    "source .venv/bin/activate": "there is no .venv in the folder that tests run in",
    "pika-locust capacity *": "a search takes minutes; tests/e2e/test_capacity.py runs one",
    "pika-locust suite *": "a suite takes minutes; tests/e2e/test_suite.py runs them",
    "pika-locust report *": "needs the results of two suites; tests/e2e/test_suite.py compares them",
    "pika-locust compare *": "needs the results of two runs; tests/e2e/test_report.py compares some",
    "python -m tests.benchmarks.*": "they take minutes, and a machine without neighbours",
    "pika-locust run queue --repeat *": "five runs take minutes; tests/test_cli_repeat.py has a stand-in for them",
}
"""Patterns of commands that no test here executes, and why."""


def reason_not_to_run(command: str) -> str | None:
    command = command.partition("  #")[0].strip()
    return next((why for pattern, why in NOT_RUN.items() if fnmatch.fnmatchcase(command, pattern)), None)


ALL = [example for page in PAGES for example in examples(page)]
RUN = each_once([one for one in ALL if not all(reason_not_to_run(command) for command in one.commands)])


def takes_long(example: Example) -> bool:
    """Whether it is several runs, or a test of some."""
    return sum(is_run(one) for one in example.commands) > 1 or any("pytest" in one for one in example.commands)


@pytest.mark.e2e
@pytest.mark.parametrize(
    "example",
    [pytest.param(one, id=one.name, marks=[pytest.mark.long] * takes_long(one)) for one in RUN],
)
def test_a_documented_command_does_what_its_page_says(example: Example, tmp_path: Path) -> None:
    execute(example, tmp_path)


def test_an_example_is_run_as_a_whole_or_not_at_all() -> None:
    mixed = [one.name for one in RUN if any(reason_not_to_run(command) for command in one.commands)]
    assert mixed == []


def test_whatever_is_not_run_is_in_the_documentation() -> None:
    typed = [command.partition("  #")[0].strip() for example in ALL for command in example.commands]
    assert [pattern for pattern in NOT_RUN if not fnmatch.filter(typed, pattern)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_block_says_what_it_is(page: Path) -> None:
    """Commands, a file with its name, or what is printed: a block that is none of these would be executed by nobody."""
    wrong = [
        f"{block.page}:{block.line}"
        for block in blocks(page)
        if block.language not in (SHELL, SHOWN) and not (block.language in FILES and block.title)
    ]
    assert wrong == []


def used(page: Path) -> set[str]:
    """Files of a page that a command there makes use of, or another file does."""
    files = {block.title: block.text for block in blocks(page) if block.language in FILES}
    words = [command for example in examples(page) for command in example.commands if is_run_here(command)]
    words += files.values()
    return {
        name
        for name in files
        if any(name in text or re.search(rf"\b{name.removesuffix('.py')}(?::|\s+import )", text) for text in words)
    }


def is_run_here(command: str) -> bool:
    return reason_not_to_run(command) is None


READ_BY_ITSELF = {"locustfile.py": "locust", "locust.conf": "locust", ".env.load-tests": "locust"}
READ_BY_PIP = {"pyproject.toml"}
"""Files that a program finds without being told of them."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_shows_is_used_by_a_command_there(page: Path) -> None:
    typed = [command for example in examples(page) for command in example.commands if is_run_here(command)]
    titles = {block.title for block in blocks(page) if block.language in FILES}
    by_itself = {
        name for name, program in READ_BY_ITSELF.items() if any(program in command.split() for command in typed)
    }
    assert titles - used(page) - by_itself - READ_BY_PIP == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_file_that_no_command_names_is_named_in_the_text(page: Path) -> None:
    """Not every viewer shows a block's title."""
    titles = {block.title for block in blocks(page) if block.language in FILES}
    assert titles & (READ_BY_ITSELF.keys() | READ_BY_PIP) <= {span for _, span in spans(page)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_sandbox_in_place_of_another_says_that_the_other_has_to_end(page: Path) -> None:
    """Of two on one port the second does not start, and the run that a fault is to fail has a healthy target."""
    typed = [one for example in examples(page) for one in example.commands if "sandbox" in one and "--port" in one]
    bare = [re.sub(r"  +#.*", "", one) for one in typed]
    second = [one for before, after, one in zip(bare, bare[1:], typed[1:], strict=False) if before != after]
    assert [one for one in second if "Ctrl-C first" not in one] == []


# What would be seen


def test_loads_are_made_brief_and_nothing_else() -> None:
    assert brief("pika-locust inspect dancers -u 60 -t 40s  # quickly") == "pika-locust inspect dancers -u 60 -t 40s"
    command = brief("locust --headless -f locustfiles/dancers.py -u 60 -r 30 -t 40s --seed 7")
    assert command.startswith("locust --headless -f locustfiles/dancers.py -u 5 -r 30 -t 2s --seed 7 ")
    broken = brief("locust --headless -f a.py -u 60 -t 40s --sandbox-fault lose-write=0.05  # exit code 99")
    assert "-u 30 -t 5s --sandbox-fault lose-write=0.5 " in broken
    assert "--autostart --autoquit 1" in brief("locust -f a.py")


def test_a_comment_says_what_a_command_ends_with() -> None:
    assert expected_code("locust -f a.py  # 40s, exit code 99") == 99
    assert expected_code("locust -f a.py  # 40s") == 0


def test_commands_are_told_from_other_words() -> None:
    assert is_command("pika-locust list")
    assert is_command("USERS=5 locust -f locustfiles/queue.py")
    assert not is_command("locust -f …")
    assert not is_command("p(95)<500")
    assert not is_command("locust")


@pytest.mark.parametrize(
    "command",
    [
        "pika-locust inspect nothing",
        "pika-locust list  # exit code 99",
        "locust --headless -f locustfiles/none.py",
        "locust --headless -f locustfiles/queue.py -u 5 -t 3s --threshold 'http_req_duration{name:/join}:p(95)<9000'",
        "locust --headless -f locustfiles/queue.py -u 5 -t 3s --threshold 'http_req_duration{status:200}:p(95)<9000'",
    ],
)
def test_a_command_that_does_something_else_is_seen(command: str, tmp_path: Path) -> None:
    with pytest.raises(NotAsDocumented):
        execute(Example("a page", 1, (command,)), tmp_path)
