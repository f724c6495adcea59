"""An HTTP/1.1 client for very many users in one process.

One kept connection per client, one llhttp parser per connection, one `send` and one `recv` per usual request: a
request costs little more than its system calls. Nothing is shared between clients but what is handed to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pika_locust.wire.http_addresses import SourceAddresses
from pika_locust.wire.http_errors import ErrorKind, TransportError
from pika_locust.wire.http_origin import Origin
from pika_locust.wire.http_redirect import redirect
from pika_locust.wire.http_request import Data, Params, RequestWriter
from pika_locust.wire.http_response import Headers, Response, Timings
from pika_locust.wire.http_session import ConcurrentUseError, RequestObserver, _Requests
from pika_locust.wire.http_timeouts import Timeouts

if TYPE_CHECKING:
    from pika_locust.wire.http_tls import Trust

__all__ = [
    "ConcurrentUseError",
    "ErrorKind",
    "Headers",
    "HttpClient",
    "Origin",
    "RequestObserver",
    "Response",
    "SourceAddresses",
    "Timeouts",
    "Timings",
    "TransportError",
]

MAX_BODY_BYTES = 1 << 24


class HttpClient(_Requests):
    """What a virtual user sends requests with.

    `base_url` is a URL or an `Origin`, which many clients can share. `headers` go with every request. `verify` is
    True (the system's authorities), the path of a file or directory of authorities, False (anybody), or an SSLContext.
    `source_address` is an address of this machine to send from. Answers whose body, packed or not, exceeds
    `max_body_bytes` are errors. Redirects are answers like any other unless `max_redirects` allows some; they are
    followed on the same scheme, host and port only, each is a request of its own for the `observer`, and the last
    answer is returned. Cookies are the caller's (`response.headers.get_all("set-cookie")`).

    A request never raises for what the target does: `response.error` says it; with `raise_errors` it is raised too.
    It raises ValueError for a request that cannot be written, and ConcurrentUseError.

    A kept connection that the server has closed meanwhile is replaced. When that shows only after the request was
    sent, and within a second, and before any byte of an answer, the request is sent once more, whatever its method:
    `response.retried` is set and `retries` counts it, for the server may have seen it twice.

    `close` it at the end. A greenlet killed during a request leaves the client usable, its connection closed, and
    `abandoned` one higher.
    """

    __slots__ = ("_writer", "max_redirects", "raise_errors")

    def __init__(
        self,
        base_url: str | Origin,
        *,
        timeouts: Timeouts | None = None,
        headers: Mapping[str, str] | None = None,
        source_address: str | None = None,
        verify: Trust = True,
        observer: RequestObserver | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        max_redirects: int = 0,
        raise_errors: bool = False,
    ) -> None:
        origin = Origin(base_url) if isinstance(base_url, str) else base_url
        super().__init__(origin, timeouts or Timeouts(), source_address, verify, observer, max_body_bytes)
        self._writer = RequestWriter(origin.authority, origin.prefix, headers or {})
        self.max_redirects = max_redirects
        self.raise_errors = raise_errors

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every request, names in lower case; to change it use `set_headers`."""
        return self._writer.headers

    def set_headers(self, headers: Mapping[str, str | None]) -> None:
        """Change what goes with every request from now on (a token after login, say); None takes a header away."""
        self._writer.set_headers(headers)

    def get(
        self,
        path: str,
        *,
        name: str | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
    ) -> Response:
        return self._run("GET", path, name, None, None, params, headers, timeouts)

    def head(
        self,
        path: str,
        *,
        name: str | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
    ) -> Response:
        return self._run("HEAD", path, name, None, None, params, headers, timeouts)

    def options(
        self,
        path: str,
        *,
        name: str | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
    ) -> Response:
        return self._run("OPTIONS", path, name, None, None, params, headers, timeouts)

    def post(
        self,
        path: str,
        *,
        json: Any = None,
        data: Data | None = None,
        name: str | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
    ) -> Response:
        return self._run("POST", path, name, json, data, params, headers, timeouts)

    def put(
        self,
        path: str,
        *,
        json: Any = None,
        data: Data | None = None,
        name: str | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
    ) -> Response:
        return self._run("PUT", path, name, json, data, params, headers, timeouts)

    def patch(
        self,
        path: str,
        *,
        json: Any = None,
        data: Data | None = None,
        name: str | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
    ) -> Response:
        return self._run("PATCH", path, name, json, data, params, headers, timeouts)

    def delete(
        self,
        path: str,
        *,
        json: Any = None,
        data: Data | None = None,
        name: str | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
    ) -> Response:
        return self._run("DELETE", path, name, json, data, params, headers, timeouts)

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: Data | None = None,
        name: str | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
    ) -> Response:
        """Send a request and wait for its answer.

        `path` is below the base URL's, `name` (the path, if it is not given) is what the observer is told, `json` or
        `data` is the body, `timeouts` replace the client's own for this request.
        """
        method = method.upper()
        if not (method.isascii() and method.isalpha()):
            raise ValueError(f"{method!r} is no HTTP method")
        return self._run(method, path, name, json, data, params, headers, timeouts)

    def _run(
        self,
        method: str,
        path: str,
        name: str | None,
        json: Any,
        data: Data | None,
        params: Params | None,
        headers: Mapping[str, str] | None,
        timeouts: Timeouts | None,
    ) -> Response:
        payload = self._writer.write(method, path, json, data, params, headers)
        response = self._exchange(payload, name or path, method, timeouts or self._timeouts)
        if self.max_redirects and 300 <= response.status < 400:
            target = self._writer.target(path, params)
            response = self._follow(response, method, target, name or path, json, data, headers, timeouts)
        if self.raise_errors and response.error is not None:
            raise response.error from None
        return response

    def _follow(
        self,
        response: Response,
        method: str,
        target: str,
        name: str,
        json: Any,
        data: Data | None,
        headers: Mapping[str, str] | None,
        timeouts: Timeouts | None,
    ) -> Response:
        """The last answer of a chain of redirects."""
        for _ in range(self.max_redirects):
            onward = redirect(self.origin, target, method, response)
            if onward is None:
                break
            if onward[0] != method:
                json = data = None
            method, target = onward
            payload = self._writer.write(method, "", json, data, None, headers, target)
            response = self._exchange(payload, name, method, timeouts or self._timeouts)
        return response

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
