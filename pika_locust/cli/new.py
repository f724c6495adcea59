"""The command `pika-locust new`: a platform of one's own as three files, ready to run and to be changed."""

from __future__ import annotations

import argparse
import keyword
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.resources import files
from pathlib import Path
from string import Template

from pika_locust.cli.draft import Draft
from pika_locust.cli.draft_files import files_of, unmeasured
from pika_locust.cli.har import read_har
from pika_locust.cli.k6_script import read_k6_script
from pika_locust.errors import ConfigurationError

_TEMPLATES = "templates"
_RESERVED = {
    "conftest": "pytest loads a conftest.py by itself, before every test",
}


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of platform that can be written: its folder of templates, and what its option says."""

    folder: str
    about: str


_HTTP = _Kind("http", "calls over HTTP")
_OTHERS = (
    _Kind("websocket", "messages over WebSocket instead, JSON objects with a type"),
    _Kind("socketio", "events over Socket.IO instead"),
)
"""Kinds with an option of their own, `--<folder>`."""


def run(argv: Sequence[str]) -> int:
    """Writes the files into the current folder and prints what to do with them; returns the exit code.

    Arguments:
        argv: what follows `pika-locust new` on the command line.

    Raises `ConfigurationError`, with every mistake at once, when the name cannot be used, a file is there already, or
    the folder cannot be written to. Nothing has been written then.
    """
    options = _parser().parse_args(argv)
    if options.from_har_host is not None and options.from_har is None:
        raise ConfigurationError("--host says whose requests to take of --from-har, which is not given")
    kind: _Kind = options.kind
    folder = Path.cwd()
    name: str = options.name
    problems = list(_name_problems(name, folder))
    drafts = _drafts(options)
    if name.isidentifier():
        texts = files_of(drafts, name) if drafts else _texts(kind, name)
        problems += _file_problems(texts, folder)
    if problems:
        raise ConfigurationError(problems)
    _write({folder / file: text for file, text in texts.items()})
    print(_how_to_fill_in(drafts, name) if drafts else _next_steps(name))
    return 0


def _drafts(options: argparse.Namespace) -> Sequence[Draft]:
    """What is to be filled in, read from a file; none where no file is named."""
    if options.from_k6 is not None:
        return read_k6_script(_read(options.from_k6), options.name, Path(options.from_k6).name)
    if options.from_har is not None:
        return [read_har(_read(options.from_har), options.name, Path(options.from_har).name, options.from_har_host)]
    return ()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise ConfigurationError(f"{path} cannot be read: {why}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pika-locust new",
        description="Write a load test of a platform of your own into the current folder: NAME.py, the locustfile;\n"
        "NAME_world.py, a stand-in for the server to try it on; and test_NAME.py, a test of both.",
        epilog="  pika-locust new shop\n  pytest test_shop.py\n  locust --headless -f shop.py -t 20s\n\n"
        "  pika-locust new shop --from-k6 shop.js\n  pika-locust new shop --from-har visit.har\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="a Python identifier, such as shop; files are called after it")
    # What a file says of the platform's kind needs no option.
    source = parser.add_mutually_exclusive_group()
    for kind in _OTHERS:
        source.add_argument(f"--{kind.folder}", dest="kind", action="store_const", const=kind, help=kind.about)
    parser.set_defaults(kind=_HTTP)
    source.add_argument("--from-k6", metavar="SCRIPT.js", help="take load, thresholds and requests of a k6 script")
    source.add_argument("--from-har", metavar="FILE.har", help="take the requests of a visit that a browser recorded")
    parser.add_argument(
        "--host",
        dest="from_har_host",
        metavar="HOST",
        help="with --from-har: whose requests; otherwise the host's that most of them went to",
    )
    return parser


def _file_names(name: str) -> dict[str, str]:
    """Template -> the file that it becomes."""
    return {"locustfile": f"{name}.py", "world": f"{name}_world.py", "test": f"test_{name}.py"}


def _name_problems(name: str, folder: Path) -> Iterator[str]:
    """Why modules cannot be called this, a sentence each."""
    if not name.isidentifier() or not name[0].isalpha():
        yield f"{name!r} is no name for a Python module: letters, digits and underscores, and a letter first"
        return
    if keyword.iskeyword(name):
        yield f"{name!r} is a keyword of Python; {name}.py could not be imported"
    elif name in sys.stdlib_module_names:
        yield f"{name!r} is a module of Python's standard library, which {name}.py would replace; take another name"
    elif name in _RESERVED:
        yield f"{name!r} cannot be the name: {_RESERVED[name]}"
    elif found := _installed(name, folder):
        yield f"{name!r} is an installed package ({found}), which {name}.py would replace; take another name"


def _installed(name: str, folder: Path) -> str | None:
    """Where Python would find a module of that name, unless it is a file of this folder."""
    spec = PathFinder.find_spec(name, [str(folder), *filter(None, sys.path)])
    if spec is None or spec.origin is None or Path(spec.origin).parent == folder:
        return None
    return spec.origin


def _file_problems(names: Iterable[str], folder: Path) -> Iterator[str]:
    """Which files would be overwritten, a sentence each."""
    for file in names:
        # A link that leads nowhere would be followed, and written to, as well.
        if (folder / file).exists() or (folder / file).is_symlink():
            yield f"{file} is there already, and is left as it is; take another name, or move the file away"


def _texts(kind: _Kind, name: str) -> dict[str, str]:
    """The files of a platform of that name: file name -> text."""
    source = files("pika_locust.cli").joinpath(_TEMPLATES, kind.folder)
    words = {"name": name, "Name": "".join(word[:1].upper() + word[1:] for word in name.split("_"))}
    return {
        file: Template(source.joinpath(f"{template}.py.tmpl").read_text(encoding="utf-8")).substitute(words)
        for template, file in _file_names(name).items()
    }


def _write(texts: dict[Path, str]) -> None:
    """All of the files or none; never over a file that came in between."""
    written: list[Path] = []
    try:
        for path, text in texts.items():
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise ConfigurationError(f"{error.filename} cannot be written: {error.strerror}") from error


def _how_to_fill_in(drafts: Sequence[Draft], name: str) -> str:
    """What was written, what is left to do, and how to try it."""
    lines = []
    for draft in drafts:
        lines.append(f"wrote {draft.name}.py: what users do, how many there are, and what must hold")
        lines += [f"  left out: {note}" for note in draft.notes]
        if unfed := unmeasured(draft):
            lines.append(f"  comments, until users measure what they are about: thresholds on {', '.join(unfed)}")
    files = ",".join(f"{draft.name}.py" for draft in drafts)
    return "\n".join(
        [
            *lines,
            f"wrote {name}_world.py, a stand-in for the server, which says yes to everything",
            f"wrote test_{name}.py, a short run on it",
            "",
            "Next:",
            f"  pytest test_{name}.py",
            f"  locust --headless -f {files} -t 20s",
            f"  locust --headless -f {files} -H http://HOST:PORT",
            "Then let users do what depends on answers, and add what the target must hold in the end as an audit.",
        ]
    )


def _next_steps(name: str) -> str:
    run = f"locust --headless -f {name}.py -t 20s"
    commands = {
        f"pytest test_{name}.py": "both, in half a minute",
        run: "on the stand-in, as no target is named",
        f"{run} --sandbox-fault lose-write=0.05": "red: acknowledged writes are not stored",
        f"{run} -H http://HOST:PORT": "on your own server",
    }
    width = max(map(len, commands))
    return "\n".join(
        [
            f"wrote {name}.py, the users: what they do, what is measured, and what must hold",
            f"wrote {name}_world.py, a stand-in for the server: what it answers, and what it holds",
            f"wrote test_{name}.py, a test of both: green when all is well, red when writes are lost",
            "",
            "Next:",
            *(f"  {command:<{width}}  {about}" for command, about in commands.items()),
            f"Then put your own requests into {name}.py, and your server's answers into {name}_world.py.",
        ]
    )
