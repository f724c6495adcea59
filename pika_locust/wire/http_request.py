"""What is sent: one request as bytes (RFC 9112), ready for the socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from re import compile as pattern
from typing import Any
from urllib.parse import quote, urlencode

from pika_locust.wire.http_json import encode_json

Params = Mapping[str, Any] | Sequence[tuple[str, Any]]
Data = bytes | str | Mapping[str, Any] | Sequence[tuple[str, Any]]

_TOKEN = pattern(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_HAVE_BODIES = frozenset(("POST", "PUT", "PATCH"))
_FRAMING = frozenset(("content-length", "transfer-encoding"))
# Everything that may stand in a target as it is; what is not in here is percent-encoded.
_TARGET_SAFE = "/?%:@!$&'()*+,;=~[]\"<>\\^`{|}"


class RequestWriter:
    """Turns requests to one target into bytes.

    `headers` go with every request; those of a single request win over them. `authority` is the Host, `prefix` stands
    before every path. The lines that never change are laid out once.

    Raises ValueError for a header that cannot be written: a name that is no token, a line break in a value, or one of
    Content-Length and Transfer-Encoding, which follow from the body.
    """

    __slots__ = ("_block", "_lines", "_typed", "prefix")

    def __init__(self, authority: str, prefix: str, headers: Mapping[str, str]) -> None:
        self.prefix = prefix
        self._lines: dict[str, str] = {"host": f"Host: {authority}\r\n", "user-agent": "User-Agent: pika-locust\r\n"}
        self._block = ""
        self._typed = False
        self.set_headers(headers)

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every request, names in lower case."""
        return {name: line.partition(":")[2].strip() for name, line in self._lines.items()}

    def set_headers(self, headers: Mapping[str, str | None]) -> None:
        """Change what goes with every request from now on; None takes a header away."""
        lines = dict(self._lines)
        for name, value in headers.items():
            if value is None:
                lines.pop(_known(name), None)
            else:
                lines[_known(name)] = f"{name}: {value}\r\n"
        _check_lines("".join(lines.values()), len(lines))
        self._lines = lines
        self._typed = "content-type" in lines
        self._block = "".join(lines.values())

    def write(
        self,
        method: str,
        path: str,
        json: Any = None,
        data: Data | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        target: str | None = None,
    ) -> bytes:
        """Head and body. `json` is written compactly; `data` is sent as it is, a mapping or pairs as a form.

        `path` stands below the prefix; what a request line cannot hold is percent-encoded, `params` are added. With a
        `target` (from `target`, or where a redirect leads) it is not looked at.
        """
        if target is None:
            target = self.target(path, params) if params else self.prefix + _written_out(path)
        if headers is None:
            block, typed = self._block, self._typed
        else:
            block, typed = self._with(headers)
        kind = ""
        if json is not None:
            if data is not None:
                raise ValueError("a request has one body: json or data, not both")
            body = encode_json(json)
            kind = "" if typed else "Content-Type: application/json\r\n"
        elif data is None:
            length = "Content-Length: 0\r\n" if method in _HAVE_BODIES else ""
            return f"{method} {target} HTTP/1.1\r\n{block}{length}\r\n".encode("latin-1")
        elif isinstance(data, str):
            body = data.encode()
        elif isinstance(data, bytes):
            body = data
        else:
            body = urlencode(data, doseq=True).encode()
            kind = "" if typed else "Content-Type: application/x-www-form-urlencoded\r\n"
        head = f"{method} {target} HTTP/1.1\r\n{block}{kind}Content-Length: {len(body)}\r\n\r\n"
        return head.encode("latin-1") + body

    def target(self, path: str, params: Params | None = None) -> str:
        """The whole request target of a path. Raises ValueError for a URL: the target's address is this writer's."""
        target = self.prefix + _written_out(path)
        if params:
            target += ("&" if "?" in target else "?") + urlencode(params, doseq=True)
        return target

    def _with(self, headers: Mapping[str, str]) -> tuple[str, bool]:
        """The header lines of a request with headers of its own, and whether they name the content's type."""
        lines = self._lines
        typed = self._typed
        own = ""
        overridden = False
        for name, value in headers.items():
            known = _known(name)
            if known in lines:
                overridden = True
            elif known == "content-type":
                typed = True
            own += f"{name}: {value}\r\n"
        _check_lines(own, len(headers))
        if not overridden:
            return self._block + own, typed
        replaced = {_known(name) for name in headers}
        return "".join(line for name, line in lines.items() if name not in replaced) + own, typed


@lru_cache(maxsize=256)
def _known(name: str) -> str:
    """The name of a header in lower case, after a check that it can be one."""
    if not _TOKEN(name):
        raise ValueError(f"{name!r} cannot be the name of a header")
    known = name.lower()
    if known in _FRAMING:
        raise ValueError(f"{name} follows from the body; leave it out")
    return known


def _check_lines(lines: str, count: int) -> None:
    """Refuse a value that would begin another line, or end the head: `lines` are `count` lines, each with its end."""
    if lines.count("\n") != count or lines.count("\r") != count or "\0" in lines:
        raise ValueError("a header's value has a line break or a NUL in it")


@lru_cache(maxsize=1024)
def _written_out(path: str) -> str:
    """A path, maybe with a query, as it may stand in a request line."""
    path = path.partition("#")[0]
    if "://" in path.partition("?")[0]:
        raise ValueError(f"{path!r} is a URL; give the path, the client has its base URL")
    if path[:1] != "/":
        path = f"/{path}"
    return path if path.isascii() and path.isprintable() and " " not in path else quote(path, safe=_TARGET_SAFE)
