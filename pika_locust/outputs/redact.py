"""Removes secrets from everything that is printed or written.

Three ways, because secrets arrive in three: by name (`--api-key abc`, `TOKEN=abc`, a variable of the environment),
which hides the whole value; by shape (`user:password@` in a URL, a bearer header, a JSON Web Token), for text that
comes from elsewhere, such as the target's error messages; and by value (`conceal`), as a target may say in any words
what it was told. When in doubt a value is hidden: a report can do without it.
"""

from __future__ import annotations

import re
import shlex
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePath
from urllib.parse import unquote

HIDDEN = "REDACTED"
"""What stands in place of a secret. A plain word, so that a shell needs no quotes around it."""

_WORDS = (
    "SECRET", "TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "KEY", "BEARER", "AUTHORIZATION", "CREDENTIAL", "COOKIE",
)  # fmt: skip
# bounded, here and below: a hostile answer must not make the search quadratic
_NAMED = rf"[\w.-]{{0,64}}(?:{'|'.join(_WORDS)})[\w.-]{{0,64}}"
_INSIDE = re.IGNORECASE | re.DOTALL
_MIN_LENGTH = 6
"""Shorter values of secret variables are not searched for in other words: `1` would hide every number."""

_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<=://)[^\s/?#]*@"), f"{HIDDEN}@"),
    (re.compile(rf"([?&;]{_NAMED}=)[^\s&;#\"']+", re.IGNORECASE), rf"\g<1>{HIDDEN}"),
    # outside a URL `tokens=5` is a number of tokens
    (re.compile(rf"((?<![\w.-]){_NAMED}=)(?!\d{{1,6}}\b)[^\s&;#,\"']+", re.IGNORECASE), rf"\g<1>{HIDDEN}"),
    (re.compile(rf"((?<![\w.-]){_NAMED}=)([\"'])(?:(?!\2).)*\2?", _INSIDE), rf"\g<1>\g<2>{HIDDEN}\g<2>"),
    # the text may have been cut before the closing quote, and the whole may itself be quoted in JSON
    (
        re.compile(rf"([\"']{_NAMED}\\{{0,3}}[\"']\s*:\s*\\{{0,3}})([\"'])(?:\\.|(?!\2).)*\2?", _INSIDE),
        rf"\g<1>\g<2>{HIDDEN}\g<2>",
    ),
    (re.compile(r"\b(authorization\s*[:=]\s*)(?:\w+\s+)?[^\s\"',]+", re.IGNORECASE), rf"\g<1>{HIDDEN}"),
    (re.compile(r"\b(cookie\s*:\s*)[^\r\n\"']+", re.IGNORECASE), rf"\g<1>{HIDDEN}"),
    # "Bearer authentication required" is prose: a credential has a digit or is long
    (re.compile(r"\b((?:bearer|basic)\s+)(?=\S*\d|\S{20})[^\s\"',]+", re.IGNORECASE), rf"\g<1>{HIDDEN}"),
    (re.compile(r"\beyJ[\w-]{1,2000}\.[\w-]+\.[\w-]*"), HIDDEN),
    (re.compile(r"\b(?:[sr]k_(?:live|test)|whsec|gh[pousr]|xox[abp])[_-][\w-]{6,}"), HIDDEN),
)
_ASSIGNMENT = re.compile(r"(?:^|(?<=[\s,;=\"']))(--?)?([A-Za-z_][\w.-]*)=", re.ASCII)
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_HEADER = re.compile(r"\s*([A-Za-z][\w-]*)\s*:(\s*)\S", re.ASCII)


_USERINFO = re.compile(r"://([^\s/?#]*)@")
_QUERY_SECRET = re.compile(rf"[?&;]{_NAMED}=([^\s&;#\"']+)", re.IGNORECASE)

_concealed: set[str] = set()
_values: re.Pattern[str] | None = None


def conceal(values: Iterable[str]) -> None:
    """Hide these values wherever they turn up, from now on and in this whole process; short ones cannot be."""
    global _values
    new = {value for value in values if len(value) >= _MIN_LENGTH and value != HIDDEN} - _concealed
    if not new:
        return
    _concealed.update(new)
    longest_first = sorted(_concealed, key=len, reverse=True)
    _values = re.compile("|".join(map(_pattern, longest_first)))
    name.cache_clear()


def _pattern(value: str) -> str:
    # Where `dancer` is a password, there are still dancers.
    return rf"\b{value}\b" if value.isalpha() else re.escape(value)


def secrets_in_urls(words: str) -> Iterator[str]:
    """Passwords and tokens of the URLs in a text, in every form in which a server may see and repeat them."""
    for found in _USERINFO.finditer(words):
        user, _, password = found[1].partition(":")
        yield from {password or user, unquote(password or user)}
        yield b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode().rstrip("=")
    for found in _QUERY_SECRET.finditer(words):
        yield from {found[1], unquote(found[1])}


def is_secret(name: str, secret_names: Iterable[str] = ()) -> bool:
    """Whether the value of this option or variable must not be shown.

    `secret_names` are the declared ones; `API_CODE` also covers `--api-code` and a platform's `VERITY_API_CODE`.
    """
    plain = _normal(name)
    declared = [_normal(secret) for secret in secret_names]
    return any(word in plain for word in _WORDS) or any(plain == d or plain.endswith(f"_{d}") for d in declared)


def text(words: str) -> str:
    """`words` without what looks like a secret or is known to be one; for texts whose origin is unknown. Numbers of
    tokens stay."""
    if _values is not None:
        words = _values.sub(HIDDEN, words)
    for shape, replacement in _SHAPES:
        words = shape.sub(replacement, words)
    return words


@lru_cache(maxsize=4096)
def name(words: str) -> str:
    """`text` of a request's name, of which there are few."""
    return text(words)


def one_line(words: str) -> str:
    """`text`, and on one line, without anything a terminal would act on: the target's words may hold both."""
    shown = "".join(c if c.isprintable() else " " for c in text(_ANSI.sub("", words)))
    return " ".join(shown.split())


def command_line(argv: Sequence[str], environ: Mapping[str, str], secret_names: Iterable[str] = ()) -> str:
    """The command as it can be shown and, with the secrets filled in, run again: shell-quoted.

    `argv` is `sys.argv`; variables that belong to the command may stand before it as `NAME=value`. `environ` is not
    printed: the values of its secret variables are hidden wherever they occur in `argv`.
    """
    secrets = tuple(secret_names)
    values = sorted((v for n, v in environ.items() if len(v) >= _MIN_LENGTH and is_secret(n, secrets)), key=len)[::-1]
    shown: list[str] = []
    value_is_secret = False
    for word in argv:
        # an option's value never starts with a dash: argparse would take it for an option
        if value_is_secret and not (word.startswith("-") and len(word) > 1):
            shown.append(HIDDEN)
            value_is_secret = False
            continue
        for value in values:
            word = word.replace(value, HIDDEN)
        value_is_secret = word.startswith("-") and "=" not in word and _secret_option(word, secrets)
        shown.append(text(_without_named_values(word, secrets)))
    return shlex.join(_program(shown))


def _normal(name: str) -> str:
    return name.lstrip("-").replace("-", "_").replace(".", "_").upper()


def _secret_option(option: str, secrets: Sequence[str]) -> bool:
    # argparse accepts `--api-c` for `--api-code`
    short = _normal(option)
    abbreviated = option.startswith("--") and len(short) >= 3 and any(_normal(s).startswith(short) for s in secrets)
    return abbreviated or is_secret(option, secrets)


def _without_named_values(word: str, secrets: Sequence[str]) -> str:
    """Hide what follows the first secret `NAME=` of one word, or the value of a secret `Header: value`."""
    for found in _ASSIGNMENT.finditer(word):
        name = found[2]
        if _secret_option(f"{found[1] or ''}{name}", secrets):
            return word[: found.end()] + HIDDEN
    header = _HEADER.match(word)
    # `token_latency:p(95)<300` is a threshold, not a header
    if header and (header[2] or "-" in header[1]) and is_secret(header[1], secrets):
        return f"{header[1]}: {HIDDEN}"
    return word


def _program(words: list[str]) -> list[str]:
    """The program by its name instead of its path; `…/locust/__main__.py` was started as `python -m locust`."""
    for at, word in enumerate(words):
        if re.match(r"[A-Za-z_]\w*=", word):
            continue
        path = PurePath(word)
        program = ["python", "-m", path.parent.name] if path.name == "__main__.py" else [path.name or word]
        return [*words[:at], *program, *words[at + 1 :]]
    return words
