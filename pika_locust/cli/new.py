"""The command `pika-locust new`: a platform of one's own as three files, ready to run and to be changed."""

from __future__ import annotations

import argparse
import keyword
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.resources import files
from pathlib import Path
from string import Template

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
    kind: _Kind = options.kind
    folder = Path.cwd()
    name: str = options.name
    if problems := [*_name_problems(name, folder), *_file_problems(name, folder)]:
        raise ConfigurationError(problems)
    _write({folder / file: text for file, text in _texts(kind, name).items()})
    print(_next_steps(name))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pika-locust new",
        description="Write a load test of a platform of your own into the current folder: NAME.py, the locustfile;\n"
        "NAME_world.py, a stand-in for the server to try it on; and test_NAME.py, a test of both.",
        epilog="  pika-locust new shop\n  pytest test_shop.py\n  locust --headless -f shop.py -t 20s\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="a Python identifier, such as shop; files are called after it")
    for kind in _OTHERS:
        parser.add_argument(f"--{kind.folder}", dest="kind", action="store_const", const=kind, help=kind.about)
    parser.set_defaults(kind=_HTTP)
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


def _file_problems(name: str, folder: Path) -> Iterator[str]:
    """Which files would be overwritten, a sentence each."""
    if name.isidentifier():
        for file in _file_names(name).values():
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
