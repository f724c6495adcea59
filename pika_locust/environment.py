"""What the environment says, and behind it `.env.load-tests`; and which names in both seem misspelt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

ENV_FILE = ".env.load-tests"


@dataclass(frozen=True, slots=True, eq=False)
class Environment(Mapping[str, str]):
    """The real environment, and behind it what the file says. Two layers, because any name in the real one wins."""

    given: Mapping[str, str]
    from_file: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    """What cannot be read of the file, a sentence each."""

    def __getitem__(self, name: str) -> str:
        return self.given[name] if name in self.given else self.from_file[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self.from_file, **self.given})

    def __len__(self) -> int:
        return len({**self.from_file, **self.given})

    def find(self, names: Sequence[str]) -> tuple[str, str, str] | None:
        """The name that decides, its text, and where both stand; None when none of the names is set.

        `names` goes from the special to the general. A name in the real environment, an empty one as well, takes away
        what the file says under the same name or a more special one.
        """
        for name in names:
            if found := self.given.get(name, "").strip():
                return name, found, ""
        for index, name in enumerate(names):
            found = self.from_file.get(name, "").strip()
            if found and not any(general in self.given for general in names[index:]):
                return name, found, f" in {ENV_FILE}"
        return None


def environment_of(environ: Mapping[str, str], directory: Path) -> Environment:
    """The environment, completed by the directory's `.env.load-tests`; the environment itself is not touched."""
    path = directory / ENV_FILE
    if not path.exists():
        return Environment(dict(environ))
    try:
        from_file, problems = _read_file(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        from_file, problems = {}, [f"{ENV_FILE} cannot be read: {error}"]
    return Environment(dict(environ), from_file, tuple(problems))


def _read_file(content: str) -> tuple[dict[str, str], list[str]]:
    # Importing it costs 10 ms, and most runs have no such file.
    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    # No more than where it is: the line may hold a secret.
    problems = [
        f"{ENV_FILE}, line {_first_line(binding.original)}: not a setting; write NAME=value, or # before a comment"
        for binding in parse_stream(StringIO(content))
        if binding.error
    ]
    values = {} if problems else dotenv_values(stream=StringIO(content))
    return {name: value for name, value in values.items() if value is not None}, problems


def _first_line(original: Any) -> int:
    """Where a statement begins; the parser counts the empty lines before it in."""
    text: str = original.string
    return int(original.line) + text[: len(text) - len(text.lstrip())].count("\n")


_FOREIGN = frozenset({"USER"})
"""One letter from a setting (USERS), and in every shell."""


def misspelt(environ: Environment, known: Collection[str], unset: Iterable[str]) -> Iterator[str]:
    """A sentence for each name that nobody reads, one slip away from one that is not set: it was meant for that.

    Unnoticed, `WSURL=…` would test the sandbox, and be green.

    Arguments:
        known: the names that are read.
        unset: those of them that could have been meant.
    """
    wanted = list(unset)
    for name in environ:
        if name in known or name in _FOREIGN or not environ[name].strip():
            continue
        meant = next((one for one in wanted if _one_slip(_bare(name), _bare(one))), None)
        if meant is not None:
            place = "" if name in environ.given else f" in {ENV_FILE}"
            yield f"{name}{place}: no setting is called so; did you mean {meant}?"


def _bare(name: str) -> str:
    return name.upper().replace("_", "")


def _one_slip(given: str, meant: str) -> bool:
    """Whether the two are equal but for one letter too many, too few, wrong, or in its neighbour's place.

    The first letter must be right: it rarely slips, and AWS_URL is not WS_URL.
    """
    if given[:1] != meant[:1]:
        return False
    same = next((index for index, (one, other) in enumerate(zip(given, meant, strict=False)) if one != other), None)
    start = min(len(given), len(meant)) if same is None else same
    rest, wanted = given[start:], meant[start:]
    swapped = wanted[1::-1] + wanted[2:]
    return rest in (wanted, wanted[1:], swapped) or rest[1:] in (wanted, wanted[1:])
