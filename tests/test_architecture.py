"""Rules of the code base: who imports whom, what every module has, and that a name means one thing."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pika_locust.catalogue import scenarios
from pika_locust.judge import check, check_bands
from pika_locust.load.plan import BY_HAND, CONSTANT, LoadRequest, resolve
from pika_locust.metrics.builtin import BASE_METRICS, TARGET_METRICS
from pika_locust.runtime.options import BASE_THRESHOLDS, LOAD_SETTINGS
from pika_locust.scenario import Scenario
from pika_locust.settings import Settings, read_settings
from tests.layers import ROOT, is_actor, module_names, product_files, stubs, violations

MODULES = module_names()
LOCUSTFILES = sorted((ROOT / "locustfiles").glob("*.py"))
SCENARIOS = list(scenarios().values())


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def source_of(path: Path) -> tuple[str, str]:
    return path.relative_to(ROOT).as_posix(), text_of(path)


# Who imports whom


@pytest.mark.parametrize("path", product_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_follow_the_rules_for_what_a_file_is(path: Path) -> None:
    assert violations(*source_of(path), MODULES) == []


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """import-linter over the package below `root`, with the contracts of pyproject.toml."""
    command = [
        str(Path(sys.executable).parent / "lint-imports"),
        "--config",
        str(root / "pyproject.toml"),
        "--no-cache",
    ]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment, timeout=120)


def test_the_import_contracts_are_kept() -> None:
    told = lint_imports(ROOT)
    assert told.returncode == 0, told.stdout


LINTED_BREACHES: dict[str, tuple[str, str, str]] = {
    "upwards inside of a function": (
        "settings.py",
        "def read():\n    import pika_locust.sandbox.world",
        "Imports go downwards only BROKEN",
    ),
    "a circle for types only": (
        "metrics/metric.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pika_locust.metrics.values import Value",
        "No module imports itself by way of its neighbours BROKEN",
    ),
    "the package itself below": (
        "runtime/run.py",
        "from pika_locust import __version__",
        "Nothing below imports the package itself, which exports what is below it BROKEN",
    ),
    "one platform in another": (
        "platforms/verity/answers.py",
        "from pika_locust.platforms.pika import messages",
        "Platforms do not know each other BROKEN",
    ),
    "gevent in an output": ("outputs/table.py", "from gevent import spawn", "gevent BROKEN"),
    "Locust on the wire": ("wire/http.py", "from locust import events", "knows no Locust BROKEN"),
}


@pytest.mark.parametrize(("path", "source", "says"), LINTED_BREACHES.values(), ids=LINTED_BREACHES)
def test_a_planted_breach_of_a_contract_is_found(path: str, source: str, says: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "pika_locust", tmp_path / "pika_locust", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "pika_locust" / path).open("a", encoding="utf-8") as file:
        file.write(f"\n{source}\n")
    told = lint_imports(tmp_path)
    assert told.returncode == 1
    assert says in told.stdout.replace("\n", " ").replace("  ", " "), told.stdout


PLANTED: dict[str, tuple[str, str, str]] = {
    "a clock in arithmetic": ("pika_locust/load/x.py", "from time import monotonic", "load has no clock"),
    "the package's clock in arithmetic": (
        "pika_locust/load/x.py",
        "from pika_locust.clock import monotonic",
        "load has no clock",
    ),
    "the package's clock in arithmetic, by the module": (
        "pika_locust/judge/x.py",
        "from pika_locust import clock",
        "judge has no clock",
    ),
    "a date in arithmetic": ("pika_locust/judge/x.py", "import datetime as dt", "judge has no clock"),
    "sleeping in arithmetic": ("pika_locust/metrics/x.py", "import threading", "never waits, but imports threading"),
    "a library in arithmetic": ("pika_locust/metrics/x.py", "import numpy", "standard library only, but imports numpy"),
    "gevent in arithmetic": ("pika_locust/load/x.py", "import gevent.event", "standard library only"),
    "gevent beside actors": ("pika_locust/platforms/pika/x.py", "import gevent", "may not know gevent"),
    "Locust in a scenario": ("pika_locust/platforms/pika/scenarios.py", "import locust", "may not know locust"),
    "a class that is only called like an actor": (
        "pika_locust/platforms/pika/x.py",
        "import locust\nclass Actor: ...",
        "may not know locust",
    ),
    "a world that reads the actors' vocabulary": (
        "pika_locust/platforms/pika/world_messages.py",
        "from pika_locust.platforms.pika import messages",
        "a world may not import pika_locust.platforms.pika.messages",
    ),
    "a world that reads it by a relative name": (
        "pika_locust/platforms/pika/world.py",
        "from .messages import ack_id",
        "a world may not import pika_locust.platforms.pika.messages",
    ),
    "a world that knows the wire": (
        "pika_locust/platforms/pika/world.py",
        "from pika_locust.wire import websocket_protocol",
        "a world may not import pika_locust.wire.websocket_protocol",
    ),
    "the plugin elsewhere": (
        "pika_locust/runtime/x.py",
        "from pika_locust.plugin import install",
        "only locustfiles do",
    ),
    "the plugin by a name that is written out": (
        "pika_locust/cli/main.py",
        "import importlib\nimportlib.import_module('pika_locust.plugin')",
        "only locustfiles do",
    ),
}


@pytest.mark.parametrize(("path", "source", "says"), PLANTED.values(), ids=PLANTED)
def test_a_planted_breach_is_found(path: str, source: str, says: str) -> None:
    found = violations(path, source, MODULES)
    assert any(says in sentence and sentence.startswith(f"{path}: ") for sentence in found), found


ALLOWED = {
    "an actor knows gevent and Locust": (
        "pika_locust/platforms/pika/x.py",
        "import gevent\nimport locust\nfrom pika_locust.runtime.actor import Actor\nclass Dancer(Actor): ...",
    ),
    "a world is written in the sandbox's words": (
        "pika_locust/platforms/pika/world_messages.py",
        "from pika_locust.platforms.pika import world_model\nfrom pika_locust.sandbox.world import Effects",
    ),
    "the package itself loads the plugin": ("pika_locust/__init__.py", "from pika_locust.plugin import install"),
    "judging reads what was measured": (
        "pika_locust/judge/x.py",
        "from pika_locust.metrics import Snapshot\nimport math",
    ),
    "a name of the same beginning": ("pika_locust/load/x.py", "import timeit"),
}


@pytest.mark.parametrize(("path", "source"), ALLOWED.values(), ids=ALLOWED)
def test_what_is_allowed_is_let_be(path: str, source: str) -> None:
    assert violations(path, source, MODULES) == []


def test_an_actor_is_known_by_its_base() -> None:
    assert is_actor(ast.parse("class Dj(Actor): ..."))
    assert is_actor(ast.parse("class Dj(actor.Actor): ..."))
    assert is_actor(ast.parse("class Buyer(OpenActor): ..."))
    assert not is_actor(ast.parse("class Dj(Person): ..."))


NOT_LOADED = ("gevent", "locust", "requests", "flask")


@pytest.mark.parametrize("module", ["pika_locust", "pika_locust.judge", "pika_locust.metrics", "pika_locust.load.plan"])
def test_importing_it_loads_neither_gevent_nor_locust(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {NOT_LOADED!r} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.strip() == "[]"


def test_importing_the_package_starts_and_registers_nothing() -> None:
    code = """
        import signal, sys, threading
        handlers = [signal.getsignal(number) for number in signal.valid_signals()]
        import pika_locust
        assert [signal.getsignal(number) for number in signal.valid_signals()] == handlers
        assert threading.active_count() == 1
        assert "socket" not in sys.modules
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, cwd=ROOT)


# What every module has


@pytest.mark.parametrize("path", product_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(text_of(path)))


WORDS_OF_UNFINISHED_WORK = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
PATHS_OF_SOMEBODY_S_MACHINE = re.compile(r"(?<![\w.$}])/(?:work|tmp|home(?!/locust\b)|root|Users)/|(?<![\w.])/work\b")
PRODUCT = [
    *product_files(),
    *LOCUSTFILES,
    *sorted(path for folder in ("shapes", "conf") for path in (ROOT / folder).rglob("*") if path.is_file()),
    *(
        ROOT / name
        for name in (
            "pyproject.toml",
            "Makefile",
            "README.md",
            "CHANGELOG.md",
            ".ci/run",
            "Dockerfile",
            "docker-compose.yml",
        )
    ),
]


def unfinished(text: str) -> list[str]:
    """Words that say that something is still to be done, and paths that only one machine has."""
    return [
        found[0]
        for pattern in (WORDS_OF_UNFINISHED_WORK, PATHS_OF_SOMEBODY_S_MACHINE)
        for found in pattern.finditer(text)
    ]


def test_nothing_is_left_to_be_done_and_no_path_is_one_machine_s() -> None:
    texts = {path: text_of(path) for path in PRODUCT if path.exists() and path.suffix != ".pyc"}
    assert {path.name: unfinished(text) for path, text in texts.items() if unfinished(text)} == {}


def test_that_would_be_seen() -> None:
    assert unfinished("x = 1  # TODO: later") == ["TODO"]
    workplace = f"/{'work'}/"
    assert unfinished(f"cd {workplace}main && open('/tmp/x')") == [workplace, "/tmp/"]
    assert unfinished("the methodological network/work of https://example.org/tmp/x") == []


def test_no_function_is_a_stub() -> None:
    assert stubs(dict(source_of(path) for path in product_files())) == []


def test_a_stub_would_be_seen_and_an_abstract_method_is_none() -> None:
    base = "class Base:\n    def act(self):\n        raise NotImplementedError\n"
    assert stubs({"a.py": base}) == ["a.py: Base act is not there yet"]
    assert stubs({"a.py": base, "b.py": "class Mine(Base):\n    def act(self):\n        return 1\n"}) == []
    between = "class Between(Base):\n    pass\nclass Mine(Between):\n    def act(self):\n        return 1\n"
    assert stubs({"a.py": base, "b.py": between}) == []
    assert stubs({"a.py": "def go():\n    raise NotImplementedError('later')\n"}) == [
        "a.py: the function go is not there yet"
    ]


# Locustfiles


@pytest.mark.parametrize("path", LOCUSTFILES, ids=lambda path: path.name)
def test_a_locustfile_is_thin(path: Path) -> None:
    assert len(text_of(path).splitlines()) <= 40
    logic = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.Try, ast.Lambda)
    assert [node for node in ast.walk(ast.parse(text_of(path))) if isinstance(node, logic)] == []


LOAD_ALL = """
    import json, sys
    from locust import events
    from locust.util.load_locustfile import load_locustfile

    found = {}
    for path in sys.argv[1:]:
        users, shapes = load_locustfile(path)
        scenario = events.pika_locust.scenario
        from pika_locust.settings import read_settings
        settings, _ = read_settings(scenario.settings, {}, scenario.platform)
        wanted = sorted({name.rpartition(":")[2] for name in scenario.known_actors(settings)})
        import queue
        found[path] = [scenario.name, sorted(users), wanted, len(shapes), queue.Queue.__name__]
        del events.pika_locust
    print(json.dumps(found))
    """


def test_a_locustfile_brings_its_scenario_s_actors_and_no_shape() -> None:
    paths = [str(path) for path in LOCUSTFILES]
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LOAD_ALL), *paths], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert told.returncode == 0, told.stderr
    for path, (scenario, users, wanted, shapes, queue) in json.loads(told.stdout).items():
        assert scenario in {known.name for known in SCENARIOS}, path
        assert users == wanted, path
        assert shapes == 0, path
        assert queue == "Queue", path


# Scenarios


def defaults(scenario: Scenario) -> Settings:
    return read_settings((*LOAD_SETTINGS, *scenario.settings), {}, scenario.platform)[0]


each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)


@each_scenario
def test_every_name_that_a_scenario_reads_means_one_thing(scenario: Scenario) -> None:
    prefix = f"{scenario.platform.upper()}_"
    names = [setting.name for setting in (*LOAD_SETTINGS, *scenario.settings)]
    read = [*names, *(f"{prefix}{name}" for name in names if not name.startswith(prefix))]
    assert sorted(name for name in set(read) if read.count(name) > 1) == []


@each_scenario
def test_the_names_that_a_scenario_speaks_of_are_declared(scenario: Scenario) -> None:
    settings = defaults(scenario)
    assert {*scenario.target_settings, scenario.users_setting, *scenario.secrets_needed(settings)} <= set(settings)
    assert {setting.name for setting in scenario.settings if setting.secret} >= set(scenario.secrets_needed(settings))
    is_open = scenario.arrivals is not None and scenario.arrivals(settings) is not None
    # Where a setting makes a closed model of an open one, it has a profile as well.
    assert scenario.default_profile in scenario.profiles or is_open
    assert set(scenario.profile_thresholds) <= {*scenario.profiles, CONSTANT, BY_HAND}
    assert CONSTANT not in scenario.profiles
    assert [name for name, profile in scenario.profiles.items() if profile.name != name] == []
    declared = {metric.name for metric in scenario.metrics}
    assert scenario.unobservable(settings) <= declared
    assert set(scenario.speeds.values()) <= declared


@each_scenario
def test_every_threshold_is_on_a_declared_metric(scenario: Scenario) -> None:
    declared = (*BASE_METRICS, *TARGET_METRICS, *scenario.metrics)
    names = [metric.name for metric in declared]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
    for profile in (*scenario.profiles, CONSTANT):
        load = LoadRequest(users=1) if profile == CONSTANT else LoadRequest(profile=profile)
        plan = resolve(load, scenario.profiles, scenario.default_profile)
        thresholds = scenario.thresholds_for(profile, defaults(scenario), plan)
        assert thresholds, profile
        assert check((*thresholds, *BASE_THRESHOLDS), declared) == [], profile


@each_scenario
def test_every_band_grades_a_declared_metric_that_some_profile_holds_to_a_limit(scenario: Scenario) -> None:
    held = [
        threshold
        for profile in (*scenario.profiles, CONSTANT)
        for threshold in scenario.thresholds_for(profile, defaults(scenario))
    ]
    declared = {metric.name for metric in (*BASE_METRICS, *TARGET_METRICS, *scenario.metrics)}
    assert [band.metric for band in scenario.bands if band.metric.partition("{")[0] not in declared] == []
    assert check_bands(scenario.bands, held) == []
