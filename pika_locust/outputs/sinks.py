"""Where the bytes of an output go: a file, plain or compressed, or a server by HTTP.

A sink may block; whoever uses it sees to it that nobody else waits (`runtime.outputs`).
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping
from http import HTTPStatus
from typing import IO, Any, Protocol, cast

from pika_locust.outputs import redact

ANSWER_WITHIN_S = 5.0
"""How long a server has for each step of an answer."""
MAX_ANSWER_BYTES = 2_000


class UndeliveredError(Exception):
    """Bytes that did not arrive, and why. `again`: they may, if they are sent once more."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again


class Sink(Protocol):
    """Takes an output's bytes, one portion after another."""

    is_file: bool

    def send(self, data: bytes) -> None:
        """Deliver these. Raises UndeliveredError."""

    def close(self) -> None:
        """No more will come. Raises UndeliveredError where what was sent has not arrived after all."""


class FileSink:
    """A file that is written anew; compressed where its name ends in `.gz`. What was sent can be read at once."""

    is_file = True

    def __init__(self, path: str) -> None:
        """Nothing is opened before the first bytes."""
        self._path = path
        self._file: IO[bytes] | None = None
        self._compressed: gzip.GzipFile | None = None

    def send(self, data: bytes) -> None:
        try:
            if self._file is None:
                self._file = open(self._path, "wb")  # noqa: SIM115  # it is closed by `close`
                if self._path.endswith(".gz"):
                    self._compressed = gzip.GzipFile(fileobj=self._file, mode="wb", mtime=0)
            (self._compressed or self._file).write(data)
            if self._compressed is not None:
                self._compressed.flush()
            self._file.flush()
        except (OSError, ValueError) as error:
            raise self._failed(error) from error

    def close(self) -> None:
        if self._file is None:
            return
        try:
            try:
                if self._compressed is not None:
                    self._compressed.close()
                self._file.flush()
                if os.path.isfile(self._path):
                    os.fsync(self._file.fileno())
            finally:
                self._file.close()
        except (OSError, ValueError) as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError | ValueError) -> UndeliveredError:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return UndeliveredError(why, again=False)


class HttpSink:
    """A server that bytes are posted to. Neither a proxy nor a `.netrc` of the environment is used."""

    is_file = False

    def __init__(self, url: str, headers: Mapping[str, str], create: str | None = None) -> None:
        """`create`: what is posted to once, without a body, when the server answers 404 (a database is missing)."""
        self._url = url
        self._headers = dict(headers)
        self._create = create
        self._session: Any = None

    def send(self, data: bytes) -> None:
        status, words = self._post(self._url, data)
        if status == HTTPStatus.NOT_FOUND and self._create is not None:
            create, self._create = self._create, None
            created, words_then = self._post(create, b"")
            if created == HTTPStatus.OK:
                status, words = self._post(self._url, data)
            else:
                words = words_then
        if not 200 <= status < 300:
            said = redact.one_line(words)[:200]
            why = f"answered {status} {_phrase(status)}" + (f": {said}" if said else "")
            raise UndeliveredError(why, again=status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500)

    def _post(self, url: str, data: bytes) -> tuple[int, str]:
        import requests

        if self._session is None:
            self._session = requests.Session()
            self._session.trust_env = False
        try:
            with self._session.post(
                url, data=data, headers=self._headers, timeout=ANSWER_WITHIN_S, allow_redirects=False, stream=True
            ) as answer:
                body = answer.raw.read(MAX_ANSWER_BYTES, decode_content=True) or b""
                return cast(int, answer.status_code), body.decode("utf-8", "replace")
        except requests.exceptions.Timeout as error:
            raise UndeliveredError(f"no answer within {ANSWER_WITHIN_S:g} s", again=True) from error
        except Exception as error:
            # Those of requests, and those that its libraries let through (urllib3, ssl, zlib).
            raise UndeliveredError(_cause(error), again=True) from error

    def close(self) -> None:
        if self._session is not None:
            self._session.close()


def _cause(error: BaseException) -> str:
    """What the system says is the cause; what the libraries say around it is long."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__cause__ or inner.__context__
    return f"{type(error).__name__}: {redact.one_line(str(error))[:200]}"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
