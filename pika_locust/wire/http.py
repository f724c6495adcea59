"""An HTTP/1.1 client for very many users in one process.

One kept connection per client, one llhttp parser per connection, one `send` and one `recv` per usual request: a
request costs little more than its system calls. Nothing is shared between clients but what is handed to them.

`HttpClient` has the methods; `redirect_of` says where a redirect leads (RFC 9110, section 15.4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, Unpack
from urllib.parse import urljoin, urlsplit

from pika_locust import clock
from pika_locust.clock import monotonic_ns
from pika_locust.settings import SourceAddresses
from pika_locust.wire.access import access_to
from pika_locust.wire.http_connection import Connection
from pika_locust.wire.http_dial import Connector, Origin
from pika_locust.wire.http_models import ErrorKind, Headers, Response, Timeouts, Timings, TransportError
from pika_locust.wire.http_protocol import Data, Params, RequestWriter
from pika_locust.wire.tracing import TraceSampler, traceparent

if TYPE_CHECKING:
    from pika_locust.wire.http_tls import Trust


_AS_GET = frozenset((301, 302, 303))
_AS_IT_WAS = frozenset((307, 308))


def redirect_of(url: str, method: str, response: Response) -> tuple[str, str] | None:
    """Method and absolute URL of the request that a redirect asks for, wherever it leads; None for no redirect.

    301, 302 and 303 turn every method but HEAD into GET, as k6 and FastHttpUser have it. Browsers leave PUT and DELETE
    as they were after the first two.
    """
    status = response.status
    if status not in _AS_GET and status not in _AS_IT_WAS:
        return None
    location = response.headers.get_all("location")
    if len(location) != 1:
        return None
    try:
        there = urljoin(url, location[0])
        Origin(f"{urlsplit(there).scheme}://{urlsplit(there).netloc}")
    except ValueError:
        return None
    if status in _AS_GET and method != "HEAD":
        method = "GET"
    return method, there


def redirect(origin: Origin, target: str, method: str, response: Response) -> tuple[str, str] | None:
    """Method and target of the request that a redirect asks for, or None.

    None is also the answer to a redirect that leaves the origin: whoever started a test named the host to be loaded,
    and no other.
    """
    onward = redirect_of(f"{origin.scheme}://{origin.authority}{target}", method, response)
    if onward is None:
        return None
    there = urlsplit(onward[1])
    elsewhere = Origin(f"{there.scheme}://{there.netloc}")
    if (elsewhere.scheme, elsewhere.host, elsewhere.port) != (origin.scheme, origin.host, origin.port):
        return None
    path = there.path or "/"
    if not (path.isascii() and path.isprintable()) or " " in path or " " in there.query:
        return None
    return onward[0], f"{path}?{there.query}" if there.query else path


IDLE_CHECK_NS = 1_500_000_000
"""A connection that was idle for so long is checked before it is used, and not only when it was seen to have closed or
sent: the event loop may not have looked since. Servers close idle connections after two seconds or more."""
RETRY_WITHIN_US = 1_000_000
"""An idle connection that the server has closed shows it at once. A later end is the server's answer to the request."""


class RequestObserver(Protocol):
    """Called once with every request, in the greenlet that made it, before the caller gets the response.

    A request that was cut off is one, too: its greenlet was killed, or a time-out of its own ended it. Its response has
    the error `cut`, and the caller gets none.
    """

    def __call__(self, name: str, method: str, response: Response, /) -> None: ...


class ConcurrentUseError(RuntimeError):
    """A second greenlet used a client whose request was not finished, or somebody used one that was closed."""


class _Requests:
    """Sends requests, given as bytes, one at a time to one origin, over one kept connection.

    The connection is opened when it is needed, checked after it was idle, replaced when it was closed, and the request
    on it retried once.
    `connections` opened, `retries` (requests sent twice) and `abandoned` (requests whose greenlet was killed) are
    counted. `HttpClient` says what the arguments mean.
    """

    __slots__ = (
        "_busy",
        "_closed",
        "_connection",
        "_retrying",
        "_timeouts",
        "_trust",
        "abandoned",
        "connections",
        "max_body_bytes",
        "observer",
        "on_retry",
        "origin",
        "retries",
        "source_address",
    )

    def __init__(
        self,
        origin: Origin,
        timeouts: Timeouts,
        source_address: str | None,
        trust: Trust,
        observer: RequestObserver | None,
        max_body_bytes: int,
        on_retry: Callable[[], None] | None = None,
    ) -> None:
        self.origin = origin
        self._timeouts = timeouts
        self._trust = trust
        self.source_address = source_address
        self.observer = observer
        self.max_body_bytes = max_body_bytes
        self.on_retry = on_retry
        self.connections = 0
        self.retries = 0
        self.abandoned = 0
        self._connection: Connection | None = None
        self._busy = False
        self._closed = False
        self._retrying = False

    def _exchange(self, payload: bytes, name: str, method: str, timeouts: Timeouts) -> Response:
        """One request, one answer, one call of the observer."""
        if self._busy or self._closed:
            raise ConcurrentUseError("the client is closed" if self._closed else "another request is under way")
        self._busy = True
        started = clock.now_ns()
        try:
            bodiless = method == "HEAD"
            connection = self._connection
            if connection is None or (
                (connection.has_spoken or started - connection.last_used_ns > IDLE_CHECK_NS)
                and not connection.is_clean()
            ):
                response = self._exchange_anew(payload, started, bodiless, timeouts)
            else:
                response = connection.exchange(payload, started, started, bodiless, timeouts)
                if response.error is not None:
                    response = self._recover(response, payload, bodiless, timeouts)
                elif self._closed or not connection.reusable:
                    self._drop()
        except BaseException:
            cut = self._cut_off(started)
            self._drop()
            self.abandoned += 1
            if self.observer is not None:
                self.observer(name, method, cut)
            raise
        finally:
            self._busy = False
        observer = self.observer
        if observer is not None:
            observer(name, method, response)
        return response

    def _cut_off(self, started: int) -> Response:
        """What is known of the request, begun at `started`, whose greenlet is being killed."""
        now = monotonic_ns()
        connection = self._connection
        ready = now if connection is None else max(started, connection.last_used_ns)
        error = TransportError(ErrorKind.CUT, "cut off before the answer was complete")
        response = Response(0, b"", b"", (started, ready, now, now, now, 0, 0), 0, 0, error)
        response.retried, self._retrying = self._retrying, False
        return response

    def _exchange_anew(self, payload: bytes, started: int, bodiless: bool, timeouts: Timeouts) -> Response:
        """An exchange on a new connection."""
        self._drop()
        connector = Connector(self.origin, self._trust, self.source_address)
        left_s = timeouts.total_s - (monotonic_ns() - started) / 1e9
        try:
            connection = connector.connect(timeouts, left_s, self.max_body_bytes)
        except TransportError as error:
            return connector.failed(error, started)
        if self._closed:
            connection.close()
            return connector.failed(TransportError(ErrorKind.CLOSED, "the client was closed meanwhile"), started)
        self._connection = connection
        self.connections += 1
        ready = connection.last_used_ns = monotonic_ns()
        response = connection.exchange(
            payload, started, ready, bodiless, timeouts, connector.connecting_ns, connector.tls_ns
        )
        response.bytes_sent += connector.bytes_sent
        response.bytes_received += connector.bytes_received
        if self._closed or not connection.reusable:
            self._drop()
        return response

    def _recover(self, failed: Response, payload: bytes, bodiless: bool, timeouts: Timeouts) -> Response:
        """After a failure on a kept connection: the request again, where the connection had been closed before it."""
        connection, error = self._connection, failed.error
        self._drop()
        if (
            self._closed
            or connection is None
            or not connection.unanswered
            or error is None
            or error.kind not in (ErrorKind.CLOSED, ErrorKind.RESET)
            or failed.duration_us > RETRY_WITHIN_US
        ):
            return failed
        self.retries += 1
        if self.on_retry is not None:
            self.on_retry()
        self._retrying = True
        response = self._exchange_anew(payload, failed.started_ns, bodiless, timeouts)
        self._retrying = False
        response.bytes_sent += failed.bytes_sent
        response.retried = True
        return response

    def _drop(self) -> None:
        connection = self._connection
        if connection is not None:
            self._connection = None
            connection.close()

    def close(self) -> None:
        """Close the connection; the client takes no further request. More than once does no harm.

        A request that is under way in another greenlet ends at once, as failed.
        """
        self._closed = True
        if not self._busy:
            self._drop()
        elif self._connection is not None:
            self._connection.interrupt()


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


_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"))
"""What need not be looked at any more."""


class RequestOptions(TypedDict, total=False):
    """What every request can be given by name; see `HttpClient.request`."""

    name: str | None
    params: Params | None
    headers: Mapping[str, str] | None
    timeouts: Timeouts | None


class BodyOptions(RequestOptions, total=False):
    """The same for a request that can have a body."""

    json: Any
    data: Data | None


def _with_credentials(origin: Origin, headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers, and the Authorization that the target's URL carries where they have none of their own."""
    if origin.authorization is None or any(name.lower() == "authorization" for name in headers):
        return headers
    return {**headers, "Authorization": origin.authorization}


class HttpClient(_Requests):
    """What a virtual user sends requests with.

    `base_url` is a URL or an `Origin`, which many clients can share. `headers` go with every request. `verify` is
    True (the system's authorities), the path of a file or directory of authorities, False (anybody), or an SSLContext;
    what the run's settings say of a target (`wire.access`) takes the place of True and False.
    `source_address` is an address of this machine to send from. Answers whose body, packed or not, exceeds
    `max_body_bytes` are errors. Redirects are answers like any other unless `max_redirects` allows some; they are
    followed on the same scheme, host and port only, each is a request of its own for the `observer`, and the last
    answer is returned. Cookies are the caller's (`response.headers.get_all("set-cookie")`). `tracer`
    says which requests carry a trace id.

    A request never raises for what the target does: `response.error` says it; with `raise_errors` it is raised too.
    It raises ValueError for a request that cannot be written, and ConcurrentUseError.

    A kept connection that the server has closed meanwhile is replaced. When that shows only after the request was
    sent, and within a second, and before any byte of an answer, the request is sent once more, whatever its method:
    `response.retried` is set and `retries` counts it, for the server may have seen it twice; `on_retry` is called.

    `close` it at the end. A greenlet killed during a request leaves the client usable, its connection closed, and
    `abandoned` one higher; the observer is told of the request.
    """

    __slots__ = ("_writer", "max_redirects", "raise_errors", "tracer")

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
        tracer: TraceSampler | None = None,
        on_retry: Callable[[], None] | None = None,
    ) -> None:
        origin = Origin(base_url) if isinstance(base_url, str) else base_url
        access = access_to(origin.host, origin.port)
        trust = access.trust(verify)
        super().__init__(origin, timeouts or Timeouts(), source_address, trust, observer, max_body_bytes, on_retry)
        self._writer = RequestWriter(origin.authority, origin.prefix, access.headers)
        self._writer.set_headers(_with_credentials(origin, headers or {}))
        self.max_redirects = max_redirects
        self.raise_errors = raise_errors
        self.tracer = tracer

    @property
    def headers(self) -> dict[str, str]:
        """What goes with every request, names in lower case; to change it use `set_headers`."""
        return self._writer.headers

    def set_headers(self, headers: Mapping[str, str | None]) -> None:
        """Change what goes with every request from now on (a token after login, say); None takes a header away."""
        self._writer.set_headers(headers)

    def get(self, path: str, **options: Unpack[RequestOptions]) -> Response:
        return self._run_without_body("GET", path, **options)

    def head(self, path: str, **options: Unpack[RequestOptions]) -> Response:
        return self._run_without_body("HEAD", path, **options)

    def options(self, path: str, **options: Unpack[RequestOptions]) -> Response:
        return self._run_without_body("OPTIONS", path, **options)

    def post(self, path: str, **options: Unpack[BodyOptions]) -> Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Unpack[BodyOptions]) -> Response:
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Unpack[BodyOptions]) -> Response:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Unpack[BodyOptions]) -> Response:
        return self.request("DELETE", path, **options)

    def request(
        self,
        method: str,
        path: str,
        *,
        name: str | None = None,
        json: Any = None,
        data: Data | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
    ) -> Response:
        """Send a request and wait for its answer.

        `path` is below the base URL's, `name` (the path, if it is not given) is what the observer is told, `json` or
        `data` is the body, `timeouts` replace the client's own for this request.
        """
        if method not in _METHODS:
            method = method.upper()
            if not (method.isascii() and method.isalpha()):
                raise ValueError(f"{method!r} is no HTTP method")
        trace_id = None if self.tracer is None else self.tracer.begin()
        if trace_id is not None:
            headers = {**(headers or {}), "traceparent": traceparent(trace_id)}
        payload = self._writer.write(method, path, json, data, params, headers)
        response = self._exchange(payload, name or path, method, timeouts or self._timeouts)
        if trace_id is not None and self.tracer is not None:
            self.tracer.end(trace_id, name or path, response)
        if self.max_redirects and 300 <= response.status < 400:
            target = self._writer.target(path, params)
            response = self._follow(response, method, target, name or path, json, data, headers, timeouts)
        if self.raise_errors and response.error is not None:
            raise response.error from None
        return response

    def _run_without_body(
        self,
        method: str,
        path: str,
        name: str | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
    ) -> Response:
        return self.request(method, path, name=name, params=params, headers=headers, timeouts=timeouts)

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
