"""`pika-locust seed`: writes the data that a platform's scenarios need, loads it into a target, removes it again."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

from pika_locust.catalogue import packages
from pika_locust.errors import ConfigurationError, ExitCode, SetupError
from pika_locust.kit.seeding import LOAD_PATH, Row, Seed, SeedContext
from pika_locust.load.rng import SeededRandom
from pika_locust.outputs import redact
from pika_locust.runtime.options import PRODUCTION_HOSTS, production_hosts, refusal
from pika_locust.runtime.target_settings import TARGET_SETTINGS, reach
from pika_locust.settings import Settings, environment_of, read_settings
from pika_locust.wire.http import HttpClient, Timeouts

MANIFEST = "seed.json"
"""What was written and loaded, for `--clean`."""
BATCH_ROWS = 500
TIMEOUTS = Timeouts(total_s=60.0, read_s=60.0)
NO_SUCH_API = (404, 405)

_EPILOG = f"""\
examples:
  pika-locust seed --platform wwmaa                                        files, in seed-data/wwmaa
  pika-locust seed --platform wwmaa --users 20000 --events 50 --seed 7
  pika-locust seed --platform wwmaa -H http://127.0.0.1:8700               and into that target
  pika-locust seed --platform wwmaa --clean                                what that made is removed again

Each kind is written as NAME.csv and NAME.json. A target that is named (-H, or its setting, also in .env.load-tests)
gets the rows at {LOAD_PATH}, which the sandbox has: POST {{"batch", "kind", "rows"}}, answered by how many were
"made" and how many were "there" already, which stay as they are; DELETE {{"batch"}} removes what was made under that
name. A target without it is told of, with exit code 100: the files are there to be loaded by its own means.

exit codes: 0 done; 100 the target has not taken it; 104 bad settings, a production host among them; 105 stopped
"""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one call has made. `target` is empty where nothing was loaded."""

    platform: str
    batch: str
    target: str
    files: Sequence[str]

    def write(self, folder: Path) -> None:
        """Leave it in the folder of the files."""
        about = {"schema": 1, "platform": self.platform, "batch": self.batch, "target": self.target}
        text = json.dumps({**about, "files": list(self.files)}, indent=2)
        # The target's URL may have a password in it.
        (folder / MANIFEST).touch(mode=0o600)
        (folder / MANIFEST).write_text(f"{text}\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The one of that folder. Raises ConfigurationError where there is none that can be read."""
        path = folder / MANIFEST
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            made = cls(found["platform"], found["batch"], found["target"], [str(name) for name in found["files"]])
        except FileNotFoundError:
            raise ConfigurationError(
                f"{path} is not there: nothing was made in {folder} that could be removed"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{path} cannot be read: {error}") from None
        return made


def run(argv: Sequence[str]) -> int:
    """Write and load the data, or remove what was made; returns the exit code.

    Arguments:
        argv: what follows `pika-locust seed` on the command line.

    Raises ConfigurationError with every mistake, before anything is written, and SetupError where the target has not
    taken it.
    """
    seeds = seeds_there_are()
    asked, _ = _parser(seeds, None).parse_known_args([word for word in argv if word not in ("-h", "--help")])
    seed: Seed | None = import_module(f"{seeds[asked.platform]}.seed").SEED if asked.platform else None
    given = _parser(seeds, seed).parse_args(argv)
    if seed is None:
        raise ConfigurationError(f"--platform says whose data; there are {', '.join(seeds)}")
    folder = Path(given.output_dir or f"seed-data/{given.platform}")
    environ = environment_of(os.environ, Path.cwd())
    scenario = seed.scenario
    declared = (*TARGET_SETTINGS, PRODUCTION_HOSTS, *scenario.settings)
    settings, problems = read_settings(declared, environ, scenario.platform)
    refused = frozenset() if given.allow_production else production_hosts(scenario, settings)
    manifest = Manifest.read(folder) if given.clean else None
    target = _target(seed, given.host, settings, problems) if manifest is None else manifest.target
    if target and (problem := refusal(target, "the target", refused)) is not None:
        problems.append(problem)
    if manifest is None and (folder / MANIFEST).exists():
        problems.append(f"{folder} has data of an earlier call: remove it with --clean, or name another --output-dir")
    if problems:
        raise ConfigurationError(problems)
    reach([target] if target else [], settings)
    try:
        if manifest is not None:
            return _clean(manifest, folder)
        counts = {kind.name: getattr(given, kind.name) for kind in seed.kinds}
        return _make(seed, settings, counts, given.seed, target, folder)
    except KeyboardInterrupt:
        print(f"stopped; pika-locust seed --platform {given.platform} --clean removes what was made", file=sys.stderr)
        return int(ExitCode.STOPPED)


def seeds_there_are() -> dict[str, str]:
    """Name of every platform that has data -> its package; none of them is imported."""
    return {name: package for name, package in packages().items() if find_spec(f"{package}.seed") is not None}


def _parser(seeds: Mapping[str, str], seed: Seed | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pika-locust seed",
        description="Write the data that a platform's scenarios need, and load it into a target that takes it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    about = f"whose data: {', '.join(seeds)}; with --help, also how much of each kind"
    parser.add_argument("--platform", choices=seeds, metavar="NAME", help=about)
    parser.add_argument("-H", "--host", metavar="URL", help="the target; default: what the platform's setting names")
    parser.add_argument("--output-dir", metavar="DIR", help="where files are written; default: seed-data/<platform>")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same number makes the same rows (1)")
    parser.add_argument("--clean", action="store_true", help="remove what an earlier call made, and nothing else")
    parser.add_argument("--allow-production", action="store_true", help="a production host is meant")
    for kind in seed.kinds if seed is not None else ():
        parser.add_argument(
            f"--{kind.name}", type=_count, default=kind.count, metavar="N", help=f"{kind.about} ({kind.count})"
        )
    return parser


def _count(value: str) -> int:
    if not value.isdecimal():
        raise argparse.ArgumentTypeError(f"{value!r} is no whole number")
    return int(value)


def _target(seed: Seed, host: str | None, settings: Settings, problems: list[str]) -> str:
    """The base URL of the target, empty where none is named."""
    scenario = seed.scenario
    named = host or next((settings[name] for name in scenario.target_settings if settings[name]), "")
    try:
        return scenario.http_base(scenario.normalise_target(named)) if named else ""
    except ValueError as error:
        problems.append(f"the target {redact.text(named)}: {error}")
        return ""


# Making


def _make(
    seed: Seed, settings: Settings, counts: Mapping[str, int], seed_number: int, target: str, folder: Path
) -> int:
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    made: dict[str, list[Row]] = {}
    for number, kind in enumerate(seed.kinds):
        made[kind.name] = list(kind.rows(SeedContext(settings, SeededRandom(seed_number, number), counts, now)))
    platform, batch = seed.scenario.platform, f"pika-{uuid4().hex[:12]}"
    files = [f"{name}.{ending}" for name in made for ending in ("csv", "json")]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if there := [name for name in files if (folder / name).exists()]:
            raise ConfigurationError(f"{folder / there[0]} is there already, and was not made by an earlier call")
        # First of all: what is interrupted can be cleaned.
        Manifest(platform, batch, target, files).write(folder)
        for name, rows in made.items():
            _write(folder / name, rows)
    except OSError as error:
        raise SetupError(f"{folder} cannot be written: {error}") from None
    print(f"{folder}: {', '.join(f'{len(rows):,} {name}' for name, rows in made.items())}")
    if target:
        try:
            _load(target, batch, made)
        except _Nothing as error:
            Manifest(platform, batch, "", files).write(folder)
            raise SetupError(str(error)) from None
    hints = " ".join(f"{name}={value.format(folder=folder)}" for name, value in seed.hints(settings).items())
    print(f"for a run with it: {hints}")
    return int(ExitCode.PASS)


def _write(path: Path, rows: Sequence[Row]) -> None:
    """As CSV, lists by semicolons, and as JSON."""
    for ending in (".json", ".csv"):
        # There are passwords in some.
        path.with_suffix(ending).touch(mode=0o600)
    with path.with_suffix(".json").open("w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
        file.write("\n")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.with_suffix(".csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


def _cell(value: Any) -> Any:
    return ";".join(map(str, value)) if isinstance(value, list) else value


class _Nothing(SetupError):
    """The target takes no rows, and has none."""


def _load(target: str, batch: str, made: Mapping[str, Sequence[Row]]) -> None:
    with HttpClient(target, timeouts=TIMEOUTS) as http:
        is_first = True
        for kind, rows in made.items():
            taken: Counter[str] = Counter()
            for at in range(0, len(rows), BATCH_ROWS):
                body = {"batch": batch, "kind": kind, "rows": rows[at : at + BATCH_ROWS]}
                told = _ask(http, "POST", target, body, is_first)
                taken.update({word: told[word] for word in ("made", "there") if isinstance(told.get(word), int)})
                is_first = False
            print(
                f"{redact.text(target)}: {taken['made']:,} {kind} made, {taken['there']:,} were there already",
                flush=True,
            )


def _ask(http: HttpClient, method: str, target: str, body: Mapping[str, Any], is_first: bool) -> dict[str, Any]:
    response = http.request(method, LOAD_PATH, json=body)
    if response.error is None and response.status in NO_SUCH_API and is_first:
        why = "the files are written, to be loaded by its own means"
        raise _Nothing(f"{target} has no {LOAD_PATH} ({response.outcome}): {why}")
    try:
        told = response.json() if response.error is None and response.status == 200 else None
    except ValueError:
        told = None
    if isinstance(told, dict):
        return told
    said = response.error.text if response.error is not None else response.summary
    kind = _Nothing if is_first and response.unsent else SetupError
    raise kind(f"{method} {target}{LOAD_PATH}: {said}")


# Removing


def _clean(manifest: Manifest, folder: Path) -> int:
    if manifest.target:
        with HttpClient(manifest.target, timeouts=TIMEOUTS) as http:
            told = _ask(http, "DELETE", manifest.target, {"batch": manifest.batch}, False)
        print(f"{redact.text(manifest.target)}: {told.get('removed')} rows removed")
    try:
        for name in (*manifest.files, MANIFEST):
            (folder / Path(name).name).unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()
    except OSError as error:
        raise SetupError(f"{folder} cannot be cleaned: {error}") from None
    print(f"{folder}: {len(manifest.files)} files removed")
    return int(ExitCode.PASS)
