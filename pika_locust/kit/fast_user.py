"""FastUser: Locust's FastHttpUser on this package's HTTP client, for a quarter of its CPU time or less.

A locustfile changes one import. The requests, responses, names and failures are those of
`locust.contrib.fasthttp`; what is not there (streaming, files, proxies) is refused by an error that names it.
"""

from __future__ import annotations

import json as json_module
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from http.client import HTTPMessage
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import Request as CookieRequest

from gevent import GreenletExit
from gevent.lock import BoundedSemaphore
from locust import User
from locust.contrib.fasthttp import LocustBadStatusCode, LocustUserAgent
from locust.exception import CatchResponseError, LocustError, ResponseError, StopTest
from locust.user.task import LOCUST_STATE_STOPPING
from locust.user.users import RestMixin
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from pika_locust.clock import monotonic_ns, time
from pika_locust.wire.http import ErrorKind, HttpClient, Origin, Response, Timeouts, TransportError, redirect_of
from pika_locust.wire.tracing import sampler, traceparent
from pika_locust.wire.traffic import TRAFFIC

MAX_BODY_BYTES = 1 << 30
MAX_REQUEST_S = 3600.0
"""A server that keeps sending is given up after so long; FastHttpUser would wait for ever."""
_VALID = LocustUserAgent.valid_response_codes
_NOT_ENTERED = (
    "success() and failure() are for a with-block: with self.client.get(..., catch_response=True) as response: ..."
)

Auth = tuple[str | bytes, str | bytes]
Timeout = float | tuple[float, float]


class TooManyRedirects(Exception):
    """More redirects in a row than the user's `max_redirects`."""


class FastResponse:
    """What came back, as Locust's `FastResponse` and `ResponseContextManager` show it.

    `status_code` is 0, `content` and `text` are None and `error` says why when there was no answer. `url` is what was
    asked for first, `request_meta` what Locust's `request` event is told, which a with-block may change.
    """

    __slots__ = ("__dict__", "_catching", "_event", "_started_ns", "_wire", "error", "request_meta", "url")

    encoding: str | None = None
    """Set this before reading `text` when the server does not name its charset, or names the wrong one."""

    _headers: CaseInsensitiveDict[str] | None = None
    _entered = False
    _manual_result: bool | Exception | None = None

    def __init__(
        self,
        wire: Response | None,
        url: str,
        error: Exception | None,
        started_ns: int,
        event: Any,
        catching: bool,
        meta: dict[str, Any],
    ) -> None:
        self._wire = wire
        self.url = url
        self.error = error
        """A transport's error, or Locust's LocustBadStatusCode for a status that is none of success or redirect."""
        self._started_ns = started_ns
        self._event = event
        self._catching = catching
        self.request_meta = meta

    @property
    def status_code(self) -> int:
        return 0 if self._wire is None else self._wire.status

    @property
    def ok(self) -> bool:
        """Whether there is an answer whose status is below 400."""
        return 0 < self.status_code < 400

    @property
    def retried(self) -> bool:
        """Whether it was sent twice, as a kept connection was closed before an answer to it: the target may have acted
        on the first, and refused the second for that."""
        return self._wire is not None and self._wire.retried

    @property
    def reason(self) -> str:
        """The words beside the status."""
        return str(self.error) if self._wire is None else self._wire.reason

    @property
    def content(self) -> bytes | None:
        """The body, gzip and deflate undone."""
        return None if self._wire is None or not self._wire.status else self._wire.content

    _content = content
    """Under the name that requests has for a body that has been read."""

    @property
    def text(self) -> str | None:
        """The body in the charset that Content-Type names, or `encoding`; UTF-8 otherwise."""
        wire, content = self._wire, self.content
        if wire is None or content is None:
            return None
        return wire.text if self.encoding is None else content.decode(self.encoding, "replace")

    @property
    def headers(self) -> CaseInsensitiveDict[str]:
        """Names match whatever their case; the values of a repeated header are joined by a comma."""
        headers = self._headers
        if headers is None:
            headers = self._headers = CaseInsensitiveDict()
            for name, value in self._wire.headers if self._wire is not None else ():
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    @property
    def elapsed(self) -> timedelta:
        """From the request to the last byte of its answer, redirects included."""
        return timedelta(microseconds=0 if self._wire is None else (self._wire.done_ns - self._started_ns) // 1000)

    def json(self) -> Any:
        """The body as JSON; whole numbers beyond 64 bits come as floats.

        Raises json.JSONDecodeError when it is none, and LocustError when there was no answer.
        """
        if self._wire is None or not self._wire.status:
            raise LocustError(f"there is no JSON to read: {self.error}")
        try:
            return self._wire.json()
        except ValueError:
            text = self.text or ""
        try:
            return json_module.loads(text)
        except RecursionError:
            raise json_module.JSONDecodeError("Nested too deeply", text, 0) from None

    def raise_for_status(self) -> None:
        """Raise what made the request a failure, if anything did."""
        result = self._manual_result
        if result is True:
            return
        if isinstance(result, Exception):
            raise result
        if self.error is not None:
            raise self.error

    def success(self) -> None:
        """Count the request as passed, whatever its status. Raises LocustError outside of a with-block."""
        if not self._entered:
            raise LocustError(_NOT_ENTERED)
        self._manual_result = True

    def failure(self, reason: Any) -> None:
        """Count the request as failed; `reason` is an exception or what to say. Raises LocustError like `success`."""
        if not self._entered:
            raise LocustError(_NOT_ENTERED)
        self._manual_result = reason if isinstance(reason, Exception) else CatchResponseError(reason)

    def __enter__(self) -> FastResponse:
        if not self._catching:
            raise LocustError("a request in a with-block needs catch_response=True")
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Report the request; True, and the exception goes no further, for Locust's ResponseError alone."""
        result = self._manual_result
        if result is not None:
            self._report(None if result is True else result)
            return raised is None
        if raised is None:
            self._report(self.error)
            return True
        if isinstance(raised, ResponseError):
            self._report(raised)
            return True
        return False

    def _report(self, exception: Any) -> None:
        self.request_meta["exception"] = exception
        self._event.fire(**{"response": self, **self.request_meta})

    def __repr__(self) -> str:
        return f"<FastResponse {self.status_code or self.error}>"


def _count_retry() -> None:
    TRAFFIC.retries += 1


class _Pool:
    """The clients of one user for one origin, of which each takes one request at a time."""

    __slots__ = ("_without_secrets", "closings", "headers", "idle", "origin", "timeouts", "trust")

    def __init__(self, origin: Origin, headers: Mapping[str, str], timeouts: Timeouts, trust: Any) -> None:
        self.origin = origin
        self.headers = headers
        self.timeouts = timeouts
        self.trust = trust
        self._without_secrets: _Pool | None = None
        self.idle: list[HttpClient] = []
        self.closings = 0
        """How often all were closed: whoever was at work then is closed when it comes back."""

    def open(self) -> HttpClient:
        """One more client: none is idle."""
        return HttpClient(
            self.origin,
            headers=self.headers,
            timeouts=self.timeouts,
            verify=self.trust,
            max_body_bytes=MAX_BODY_BYTES,
            on_retry=_count_retry,
        )

    def give_back(self, client: HttpClient, taken_after: int) -> None:
        """Take in a client again that was idle, or opened; `taken_after` is what `closings` was then."""
        if taken_after == self.closings:
            self.idle.append(client)
        else:
            client.close()

    def is_of(self, origin: Origin) -> bool:
        """Whether it is for that origin, with the same user and password if its URL has any."""
        own = self.origin
        return (own.scheme, own.authority, own.authorization) == (origin.scheme, origin.authority, origin.authorization)

    def without_secrets(self) -> _Pool:
        """Clients for the same origin, which is led to by another: it is told nothing in confidence."""
        headers = _without_secrets(self.headers)
        if headers == self.headers:
            return self
        if self._without_secrets is None:
            self._without_secrets = _Pool(self.origin, headers, self.timeouts, self.trust)
        return self._without_secrets

    def close(self) -> None:
        """Close those that are idle, and the others as soon as their requests are over."""
        self.closings += 1
        while self.idle:
            self.idle.pop().close()
        if self._without_secrets is not None:
            self._without_secrets.close()


def _without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    """What one host was told in confidence is not for another."""
    return {name: value for name, value in headers.items() if name.lower() not in ("authorization", "cookie")}


@lru_cache(maxsize=256)
def _origin(scheme: str, netloc: str) -> Origin:
    """One for all users: its addresses are looked up once a minute."""
    return Origin(f"{scheme}://{netloc}")


@lru_cache(maxsize=256)
def _timeouts(connection_s: float, network_s: float) -> Timeouts:
    return Timeouts(
        dns_s=connection_s,
        connect_s=connection_s,
        tls_s=connection_s,
        send_s=network_s,
        read_s=network_s,
        total_s=max(MAX_REQUEST_S, network_s),
    )


def _basic_auth(auth: Auth) -> str:
    user, password = (part.encode("latin-1") if isinstance(part, str) else part for part in auth)
    return f"Basic {b64encode(user + b':' + password).decode()}"


class FastClient:
    """`self.client` of a FastUser: a browser's session with cookies, at a base URL.

    `cookiejar` (also `cookies`) holds the cookies; `request_name`, when set, names every request that has no name of
    its own. Several greenlets may use one client: at most `concurrency` requests are under way at once.
    """

    def __init__(
        self,
        base_url: str,
        request_event: Any,
        *,
        context: Callable[[], dict[str, Any]] = dict,
        connection_timeout: float = 60.0,
        network_timeout: float = 60.0,
        max_redirects: int = 30,
        concurrency: int = 10,
        headers: Mapping[str, str] | None = None,
        verify: Any = False,
        is_waited_for: Callable[[], bool] = lambda: True,
    ) -> None:
        """Times are in seconds, `verify` is as for `HttpClient`. Raises ValueError for a base URL that is none.

        `is_waited_for` says whether its user is to stop and has time to finish: who is killed without has not failed.
        """
        parts = urlsplit(base_url)
        netloc = parts.netloc.rpartition("@")[2]
        self.request_event = request_event
        self.base_url = urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))
        self.request_name: str | None = None
        # As Locust does: sites that are tested without TLS would otherwise lose their Secure cookies.
        policy = DefaultCookiePolicy(secure_protocols=("https", "wss", "http", "ws"))
        self._jar = RequestsCookieJar(policy)
        self._may_have_cookies = False
        """An answer has set one, or somebody has the jar."""
        self.max_redirects = max_redirects
        self._context = context
        self._is_waited_for = is_waited_for
        self._prefix = parts.path.rstrip("/")
        self._timeouts = (connection_timeout, network_timeout)
        self._trust = verify
        self._slots = BoundedSemaphore(concurrency)
        self._headers = {"Accept-Encoding": "gzip, deflate", **(headers or {})}
        accepts = any(name.lower() == "accept" for name in self._headers)
        self._json_headers = None if accepts else {"Accept": "application/json"}
        own = self._headers
        if parts.username and parts.password:
            own = {**own, "Authorization": _basic_auth((unquote(parts.username), unquote(parts.password)))}
        self._pool = _Pool(_origin(parts.scheme, netloc), own, _timeouts(*self._timeouts), verify)
        self._pools = {(parts.scheme, netloc): self._pool}
        """By scheme and host as a URL spells them."""

    @property
    def cookiejar(self) -> RequestsCookieJar:
        self._may_have_cookies = True
        return self._jar

    @cookiejar.setter
    def cookiejar(self, jar: RequestsCookieJar) -> None:
        self._may_have_cookies = True
        self._jar = jar

    cookies = cookiejar

    def request(
        self,
        method: str,
        url: str,
        name: str | None = None,
        data: Any = None,
        catch_response: bool = False,
        stream: bool = False,
        headers: Mapping[str, str] | None = None,
        auth: Auth | None = None,
        json: Any = None,
        allow_redirects: bool = True,
        context: Mapping[str, Any] | None = None,
        params: Any = None,
        timeout: Timeout | None = None,
        files: Any = None,
    ) -> FastResponse:
        """Send a request, follow its redirects, and report it once.

        Arguments:
            url: a path below the base URL, or a whole URL.
            name: what to call it in the statistics; `url` otherwise.
            data: the body as bytes or text, a mapping or pairs for a form; `json` is only used without it.
            catch_response: the response is for a with-block, which decides with `success` or `failure`.
            auth: user and password.
            timeout: seconds of silence, or a pair of seconds to connect and of silence, instead of the user's own.
            stream, files: refused, as this client has neither.

        A request that fails is no exception but a response with `error`. Raises LocustError for what is not there.
        """
        if stream or files:
            missing = "stream=True" if stream else "files="
            raise LocustError(f"FastUser has no {missing}: use Locust's FastHttpUser for this request")
        start_time = time()
        started_ns = monotonic_ns()
        absolute = url[:1] != "/" and url[:8].lower().startswith(("http://", "https://"))
        whole = url if absolute else f"{self.base_url}{'' if url[:1] == '/' else '/'}{url}"
        if data:
            json = None
        else:
            data = None
            if json is not None and self._json_headers is not None:
                if not headers:
                    headers = self._json_headers
                elif "Accept" not in headers and "accept" not in headers:
                    headers = {**self._json_headers, **headers}
        if auth is not None:
            headers = {**(headers or {}), "Authorization": _basic_auth(auth)}
        timeouts = None if timeout is None else self._timeouts_of(timeout)
        tracer = sampler()
        trace_id = None if tracer is None else tracer.begin()
        if trace_id is not None:
            headers = {**(headers or {}), "traceparent": traceparent(trace_id)}
        wire: Response | None = None
        error: Exception | None
        cut_off: BaseException | None = None
        try:
            if absolute:
                pool, path = self._pool_of(url)
            else:
                pool, path = self._pool, self._prefix + (url if url[:1] == "/" else f"/{url}")
            wire = self._send(pool, method, path, whole, json, data, params, headers, timeouts)
            error = wire.error
            if allow_redirects and 300 <= wire.status < 400 and self.max_redirects:
                wire, error = self._follow(wire, method, whole, json, data, headers, timeouts)
        except ValueError as mistake:
            # A URL, a method or a header that cannot be written: often they come from an earlier answer.
            error = mistake.with_traceback(None)
        except Exception:
            # A mistake in the locustfile, such as a body that is no JSON: nothing was sent.
            raise
        except BaseException as ended:
            if isinstance(ended, GreenletExit) and not self._is_waited_for():
                raise
            cut_off, error = ended, TransportError(ErrorKind.CUT, "cut off before the answer was complete")
        status = 0 if wire is None else wire.status
        if error is None and status not in _VALID:
            error = LocustBadStatusCode(whole, code=status)
        done_ns = monotonic_ns() if wire is None else wire.done_ns
        own_context = self._context()
        meta = {
            "request_type": method,
            "name": name or self.request_name or url,
            "context": {**own_context, **context} if context else own_context,
            "exception": error,
            "start_time": start_time,
            "url": whole,
            "response_length": 0 if wire is None else len(wire.content),
            "response_time": (done_ns - started_ns) / 1e6,
        }
        response = FastResponse(wire, whole, error, started_ns, self.request_event, catch_response, meta)
        if tracer is not None and trace_id is not None and wire is not None and cut_off is None:
            tracer.end(trace_id, str(meta["name"]), wire)
        if not catch_response or cut_off is not None:
            self.request_event.fire(response=response, **meta)
            if cut_off is not None:
                raise cut_off
        return response

    def get(self, url: str, **options: Any) -> FastResponse:
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Any) -> FastResponse:
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Any) -> FastResponse:
        return self.request("OPTIONS", url, **options)

    def delete(self, url: str, **options: Any) -> FastResponse:
        return self.request("DELETE", url, **options)

    def post(self, url: str, data: Any = None, json: Any = None, **options: Any) -> FastResponse:
        return self.request("POST", url, data=data, json=json, **options)

    def put(self, url: str, data: Any = None, **options: Any) -> FastResponse:
        return self.request("PUT", url, data=data, **options)

    def patch(self, url: str, data: Any = None, **options: Any) -> FastResponse:
        return self.request("PATCH", url, data=data, **options)

    def iter_lines(self, url: str, method: str = "GET", **options: Any) -> Iterator[str]:
        """Refused: this client reads whole answers. Raises LocustError."""
        raise LocustError("FastUser has no iter_lines: use Locust's FastHttpUser for streamed answers")

    @contextmanager
    def rename_request(self, name: str) -> Iterator[None]:
        """Every request in the with-block that has no name of its own is called this."""
        self.request_name = name
        try:
            yield
        finally:
            self.request_name = None

    def close(self) -> None:
        """Close the kept connections, those of requests under way when these are over; a later one opens a new one."""
        for pool in self._pools.values():
            pool.close()

    def _send(
        self,
        pool: _Pool,
        method: str,
        path: str,
        url: str,
        json: Any,
        data: Any,
        params: Any,
        headers: Mapping[str, str] | None,
        timeouts: Timeouts | None,
    ) -> Response:
        """One request and its answer, cookies looked after."""
        # Most users have no cookies at all, and the jar's own search costs as much as the whole request.
        if self._may_have_cookies and any(True for _ in self._jar):
            asked = CookieRequest(url, headers=dict(headers or {}))
            self._jar.add_cookie_header(asked)
            cookies = asked.unredirected_hdrs.get("Cookie")
            if cookies:
                headers = {**(headers or {}), "Cookie": cookies}
        with self._slots:
            client, taken_after = pool.idle.pop() if pool.idle else pool.open(), pool.closings
            try:
                wire = client.request(
                    method, path, json=json, data=data, params=params, headers=headers, timeouts=timeouts
                )
            finally:
                pool.give_back(client, taken_after)
        if wire.sets_cookies:
            self._may_have_cookies = True
            self._jar.extract_cookies(_SetCookies(wire), CookieRequest(url))  # type: ignore[arg-type]
        return wire

    def _follow(
        self,
        wire: Response,
        method: str,
        url: str,
        json: Any,
        data: Any,
        headers: Mapping[str, str] | None,
        timeouts: Timeouts | None,
    ) -> tuple[Response, Exception | None]:
        """The last answer of a chain of redirects, and what went wrong on the way."""
        hops, asked = 0, self._pool_of(url)[0]
        while (onward := redirect_of(url, method, wire)) is not None:
            if hops == self.max_redirects:
                return wire, TooManyRedirects(f"more than {self.max_redirects} redirects")
            hops += 1
            if onward[0] != method:
                json = data = None
            method, there = onward
            pool, path = self._pool_of(there)
            if pool is not asked:
                headers = headers and _without_secrets(headers)
                # The user's own host is told what is meant for it, wherever the redirect comes from.
                pool = pool if pool is self._pool else pool.without_secrets()
            url = there
            was_retried = wire.retried
            wire = self._send(pool, method, path, url, json, data, None, headers, timeouts)
            wire.retried = wire.retried or was_retried
        return wire, wire.error

    def _pool_of(self, url: str) -> tuple[_Pool, str]:
        """The clients for a whole URL, and the path to ask them for. Raises ValueError for a URL that is none."""
        parts = urlsplit(url)
        key = (parts.scheme, parts.netloc)
        pool = self._pools.get(key)
        if pool is None:
            origin = _origin(*key)
            # Another spelling, in capitals perhaps or with the scheme's own port, is no other host.
            known = next((one for one in self._pools.values() if one.is_of(origin)), None)
            pool = known or _Pool(origin, self._headers, _timeouts(*self._timeouts), self._trust)
            self._pools[key] = pool
        return pool, f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"

    def _timeouts_of(self, timeout: Timeout) -> Timeouts:
        if isinstance(timeout, Sequence):
            connection_s, network_s = timeout
            return _timeouts(connection_s, network_s)
        return _timeouts(timeout, timeout)


class _SetCookies:
    """What http.cookiejar wants to see of an answer."""

    def __init__(self, wire: Response) -> None:
        self._message = HTTPMessage()
        for value in wire.headers.get_all("set-cookie"):
            self._message["Set-Cookie"] = value

    def info(self) -> HTTPMessage:
        return self._message


class FastUser(User, RestMixin):  # type: ignore[misc]
    """Locust's FastHttpUser, whose requests cost a quarter or less: `from pika_locust import FastUser`.

    `self.client` sends the requests; `self.rest(method, url, …)` and `rest_` are Locust's own.
    """

    abstract = True

    obeys_target_settings = True
    """What CA_FILE, ORIGIN and the like say is done."""

    connection_timeout: float = 60.0
    """Seconds for each of looking up the host's name, connecting and the TLS handshake."""
    network_timeout: float = 60.0
    """Seconds of silence after which a request has failed."""
    max_redirects: int = 30
    """In a row; 0: a redirect is an answer like any other."""
    insecure: bool = True
    """Whether certificates are accepted unseen; FastHttpUser does so, too."""
    default_headers: dict[str, str] | None = None
    """Sent with every request."""
    concurrency: int = 10
    """How many requests of one user, made in greenlets of its own, are under way at once."""
    ssl_context_factory: Callable[[], Any] | None = None
    """Makes the SSLContext of the user's connections, instead of `insecure`."""
    max_retries: int = 0
    proxy_host: str | None = None
    proxy_port: int | None = None
    client_pool: Any = None

    client: FastClient

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("max_retries", "proxy_host", "proxy_port", "client_pool"):
            if getattr(cls, name):
                raise LocustError(f"{cls.__name__}: FastUser has no {name}; leave it out, or use Locust's FastHttpUser")

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        if self.host is None:
            raise StopTest("You must specify the base host: the class's attribute `host`, or the option --host.")
        # Bound to the user when it is a function of the class, as in FastHttpUser.
        factory = self.ssl_context_factory
        self.client = FastClient(
            self.host,
            environment.events.request,
            context=self.context,
            connection_timeout=self.connection_timeout,
            network_timeout=self.network_timeout,
            max_redirects=self.max_redirects,
            concurrency=self.concurrency,
            headers=self.default_headers,
            verify=not self.insecure if factory is None else factory(),
            # Locust waits for who was at work when it was to stop. Who has just begun with it, after a pause, is killed
            # at once; so is everybody where there is no time to finish (-s 0).
            is_waited_for=lambda: self._state == LOCUST_STATE_STOPPING,
        )

    def run(self) -> None:
        """Run the tasks, as Locust does, and close the connections of a user that has ended."""
        try:
            super().run()
        finally:
            self.client.close()
