"""Settings from the environment and `.env.load-tests`; every mistake is reported at once.

A platform declares the names it reads as `Setting` values. The real environment wins over the file; within each, a name
that is given for one scenario only (`DANCERS_WS_URL`) wins over one for its platform (`PIKA_WS_URL`), and that over the
shared one (`WS_URL`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any

from pika_locust.load.durations import parse_duration
from pika_locust.url import parse_url

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
    """The environment, completed by the directory's `.env.load-tests`; the environment itself is not touched.

    A line of that file without effect is a problem: whoever wrote it believes that it counts.
    """
    try:
        # -sig: Windows editors begin a file with a byte order mark, which would be part of the first name.
        content = _text((directory / ENV_FILE).read_bytes())
    except FileNotFoundError:
        if not (directory / ENV_FILE).is_symlink():
            return Environment(dict(environ))
        return Environment(dict(environ), {}, (f"{ENV_FILE} cannot be read: it is a link to a file that is not there",))
    except (OSError, UnicodeDecodeError) as error:
        return Environment(dict(environ), {}, (f"{ENV_FILE} cannot be read: {error}",))
    from_file, problems = _read_file(content, environ)
    return Environment(dict(environ), from_file, tuple(problems))


def _text(content: bytes) -> str:
    """The text of a settings file, with or without a byte order mark; raises UnicodeDecodeError. Decoded as a stream, a
    file that is but the beginning of such a mark would be an empty one."""
    return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def _read_file(content: str, environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What the file sets, and a sentence for each line of no effect. It says where, not what: it may be a secret."""
    # Importing it costs 10 ms, and most runs have no such file.
    from dotenv.parser import parse_stream
    from dotenv.variables import Variable, parse_variables

    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    problems = []
    for binding in parse_stream(StringIO(content)):
        name, raw, line = binding.key, binding.value, _first_line(binding.original)
        if name is None and not binding.error:
            continue  # a comment, or empty lines
        problem = None
        if name is None or _NAME.fullmatch(name) is None:
            problem = "not a setting; write NAME=value, or # before a comment"
        elif raw is None:
            problem = f"{name} has no value; write {name}=value, or {name}= to leave it unset"
        elif _FOREIGN_VALUE.fullmatch(raw):
            problem = f"{name} is set in another shell's syntax; write the value itself, or ${{NAME}} for a variable's"
        elif name in lines:
            problem = f"{name} is set on line {lines[name]} already; keep one of them"
        if problem is None and name is not None and raw is not None:
            known = {**values, **environ}
            atoms = list(parse_variables(raw))
            variables = [atom for atom in atoms if isinstance(atom, Variable)]
            unset = [one.name for one in variables if one.default is None and known.get(one.name) is None]
            if unset:
                problem = f"{name} uses ${{{unset[0]}}}, which is not set; set it, or write ${{{unset[0]}:-default}}"
            values[name] = "".join(atom.resolve(known) for atom in atoms)
            lines[name] = line
        if problem is not None:
            problems.append(f"{ENV_FILE}, line {line}: {problem}")
    return values, problems


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_FOREIGN_VALUE = re.compile(r"\$\w+|\$env:\w+|%\w+%|\$\(.*\)|`.*`")
"""A variable or a command as shells write them: nothing is put in its place."""


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


Parser = Callable[[str], Any]

_CREDENTIALS = re.compile(r"(?<=//)[^\s/]*@")
"""A user and a password in a URL, or in what was meant to be one."""

_WHOLE = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Setting:
    """One name that a scenario reads.

    `parse` turns the text into a value and raises ValueError saying what would be right. An empty text counts as not
    set. A secret's value never leaves the process that read it. What is `for_master` is shown, but not sent to workers,
    who have no use for it.
    """

    name: str
    parse: Parser
    default: Any
    about: str
    secret: bool = False
    for_master: bool = False


@dataclass(frozen=True, slots=True)
class Settings(Mapping[str, Any]):
    """What was read, by name; frozen. `sources` says where each value came from, `given` as what text, but for
    secrets."""

    values_by_name: Mapping[str, Any]
    sources: Mapping[str, str]
    secret_names: frozenset[str] = frozenset()
    given: Mapping[str, str] = field(default_factory=dict)
    master_names: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Any:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def public(self) -> dict[str, Any]:
        """All values but the secrets: what may be shown, where URLs are redacted."""
        return {name: value for name, value in self.values_by_name.items() if name not in self.secret_names}

    def for_workers(self) -> dict[str, Any]:
        """What workers are sent: the public values that they have a use for."""
        return {name: value for name, value in self.public().items() if name not in self.master_names}

    def with_public(self, values: Mapping[str, Any]) -> Settings:
        """These settings with another process's public values in place; its own secrets stay."""
        return replace(self, values_by_name={**self.values_by_name, **values})


def names_of(setting: str, *owners: str) -> tuple[str, ...]:
    """The names that a setting is read by, the strongest first: `QUEUE_USERS`, `VERITY_USERS`, `USERS`.

    Arguments:
        owners: the scenario and its platform, as far as they are known. A setting that has an owner's name in it
            already does not get it again.
    """
    prefixes = [f"{re.sub(r'[^A-Z0-9]', '_', owner.upper())}_" for owner in owners if owner]
    own = (prefix + setting for prefix in prefixes if not setting.startswith(prefix))
    return tuple(dict.fromkeys((*own, setting)))


def environ_of_world(
    declared: Iterable[Setting], environ: Mapping[str, str], platform: str, scenario: str
) -> dict[str, str]:
    """The environment of a stand-in for the server of one scenario, as it knows none: what holds for that scenario has
    the platform's name and the plain one there, whatever it was given by."""
    layers = environ if isinstance(environ, Environment) else Environment(environ)
    told = dict(environ)
    for setting in declared:
        found = layers.find(names_of(setting.name, scenario, platform))
        if found is not None:
            told.update(dict.fromkeys(names_of(setting.name, platform), found[1]))
    return told


def read_settings(
    declared: Sequence[Setting], environ: Mapping[str, str], platform: str, scenario: str = ""
) -> tuple[Settings, list[str]]:
    """All declared settings, and one sentence for each value that cannot be read and each name that seems misspelt.

    Names that are given for the scenario alone, or for its platform, win over shared ones.

    A setting with a mistake has its default in the result, so that further checks can go on and report theirs as well.
    What a secret was set to is in no sentence.
    """
    layers = environ if isinstance(environ, Environment) else Environment(environ)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    given: dict[str, str] = {}
    secrets = set()
    problems = list(layers.problems)
    unset: list[str] = []
    known: set[str] = set()
    for setting in declared:
        candidates = names_of(setting.name, scenario, platform)
        known.update(candidates)
        values[setting.name], sources[setting.name] = setting.default, "default"
        if setting.secret:
            secrets.add(setting.name)
        found = layers.find(candidates)
        if found is None:
            unset += candidates
            continue
        name, said, place = found
        if not setting.secret:
            given[setting.name] = said
        try:
            values[setting.name], sources[setting.name] = setting.parse(said), name + place
        except ValueError as error:
            if setting.secret:
                problems.append(f"{name}{place}: {str(error).replace(said, 'its value')}")
            else:
                problems.append(f"{name}={_CREDENTIALS.sub('...@', said)}{place}: {error}")
    problems += misspelt(layers, known, unset)
    of_master = frozenset(setting.name for setting in declared if setting.for_master)
    return Settings(values, sources, frozenset(secrets), given, of_master), problems


# Parsers


def text(value: str) -> str:
    """Any text."""
    return value


def duration(value: str) -> float:
    """A duration in k6's spelling, as seconds; a plain number is seconds, as the suites' own settings have it."""
    return parse_duration(value, bare_unit="s")


def whole(minimum: int = 0, maximum: int | None = None) -> Parser:
    """A parser of whole numbers within bounds."""

    def parse(value: str) -> int:
        limit = f"at least {minimum}" + (f" and at most {maximum}" if maximum is not None else "")
        if _WHOLE.fullmatch(value) is None:
            raise ValueError(f"not a whole number; it must be {limit}")
        number = int(value)
        if number < minimum or (maximum is not None and number > maximum):
            raise ValueError(f"it must be {limit}")
        return number

    return parse


def number(minimum: float = 0.0) -> Parser:
    """A parser of decimal numbers, at least `minimum`."""

    def parse(value: str) -> float:
        try:
            parsed = float(value)
        except ValueError:
            raise ValueError(f"not a number; it must be at least {minimum:g}") from None
        # written so that a number that is none (NaN) is refused
        if not minimum <= parsed < float("inf"):
            raise ValueError(f"it must be at least {minimum:g}")
        return parsed

    return parse


def share(value: str) -> float:
    """A share from 0 to 1."""
    parsed = number(0.0)(value)
    if parsed > 1.0:
        raise ValueError("a share is at most 1; 5 % is 0.05")
    return float(parsed)


def on_unless_0(value: str) -> bool:
    """The suites' switches: everything but the text `0` is on."""
    return value != "0"


def one_of(*choices: str) -> Parser:
    """A parser of one of the given words."""

    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"it must be one of {', '.join(choices)}")
        return value

    return parse


def url(*schemes: str) -> Parser:
    """A parser of URLs of servers with one of the given schemes, see `parse_url`."""

    def parse(value: str) -> str:
        parsed = parse_url(value, *schemes)
        return replace(parsed, path="").full if parsed.path == "/" else parsed.full

    return parse


def sized(minimum: int, maximum: int) -> Parser:
    """A parser of texts of so many characters."""

    def parse(value: str) -> str:
        if not minimum <= len(value) <= maximum:
            raise ValueError(f"it must have {minimum} to {maximum} characters, it has {len(value)}")
        return value

    return parse


_HOST = re.compile(r"(\[[0-9a-f:.%]+\]|[\w.-]+)(:[0-9]{1,5})?", re.IGNORECASE)


def host_names(value: str) -> str:
    """Names of hosts, with a port or without, separated by commas; see `split_names`."""
    if not all(_HOST.fullmatch(name) for name in split_names(value)):
        raise ValueError("it must be names of hosts, with a port or without, separated by commas: load.example.com")
    return value


_BARE_HOST = re.compile(r"[\w-]+(\.[\w-]+)*|\[?[0-9a-f.%]*(:[0-9a-f.%]*){2,}\]?", re.IGNORECASE)
"""A name, or an IPv6 address, which has more colons than a name with a port."""


def bare_hosts(value: str) -> str:
    """Names of hosts and nothing else, separated by commas; see `split_names`."""
    names = split_names(value)
    if not names or not all(_BARE_HOST.fullmatch(name) for name in names):
        raise ValueError(
            "it must be names of hosts, without a scheme, a port or a *, separated by commas: "
            "www.example.com,api.example.com"
        )
    return value


def split_names(value: str | None) -> tuple[str, ...]:
    """The names in a text that separates them by commas, in lower case and without a final dot."""
    names = (name.strip().lower().rstrip(".") for name in (value or "").split(","))
    return tuple(name for name in names if name)


class SourceAddresses:
    """A pool of source addresses of this machine, from which user number n always gets the same one.

    A server that limits requests by address sees a load test as one visitor. On loopback every address of 127.0.0.0/8
    is this machine's, so each user can have its own.

    Spelled like k6's `--local-ips`: addresses, ranges `first-last` and networks `127.0.8.0/22`, separated by commas.
    Of an IPv4 network the first and the last address are left out, as they are nobody's. Nothing is kept per address.

    Raises ValueError for what is none of these.
    """

    __slots__ = ("_spans", "size", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._spans = [_span(part.strip()) for part in text.split(",")]
        self.size = sum(count for _, count in self._spans)
        """How many addresses there are; of an IPv6 network more than `len` could say."""

    def __getitem__(self, index: int) -> str:
        """The address of user `index`; the pool starts again from the front when it is used up."""
        index %= self.size
        for first, count in self._spans:
            if index < count:
                return str(first + index)
            index -= count
        raise AssertionError("an index below the sum of all spans lies in one of them")

    def __iter__(self) -> Iterator[str]:
        """Every address once."""
        return (self[index] for index in range(self.size))

    def __repr__(self) -> str:
        return f"SourceAddresses({self.text!r})"


def _span(part: str) -> tuple[IPv4Address | IPv6Address, int]:
    """First address and number of addresses."""
    try:
        if "/" in part:
            network = ip_network(part, strict=False)
            if network.version == 4 and network.num_addresses > 2:
                return network.network_address + 1, network.num_addresses - 2
            return network.network_address, network.num_addresses
        low, _, high = part.partition("-")
        first, last = ip_address(low.strip()), ip_address(high.strip() or low.strip())
    except ValueError as error:
        raise ValueError(
            f"source addresses {part!r}: {error}; "
            "write an address, a range (127.0.8.1-127.0.8.9) or a network (127.0.8.0/22)"
        ) from None
    if first.version != last.version or int(first) > int(last):
        raise ValueError(f"source addresses {part!r}: a range goes from a lower to a higher address of the same kind")
    return first, int(last) - int(first) + 1
