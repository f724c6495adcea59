from __future__ import annotations

from socket import AF_INET, AF_INET6, SOCK_STREAM, gaierror
from typing import Any

import gevent
import pytest

from pika_locust.testing.virtual_time import VirtualTime
from pika_locust.wire import http_dial as http_origin
from pika_locust.wire.http_dial import Origin
from pika_locust.wire.http_models import ErrorKind, TransportError

ORIGINS = {
    "a host": ("http://example.test", ("http", "example.test", 80, "", "example.test")),
    "https": ("https://example.test/", ("https", "example.test", 443, "", "example.test")),
    "a port": ("http://Example.Test:8080", ("http", "example.test", 8080, "", "example.test:8080")),
    "the default port, written out": ("https://example.test:443", ("https", "example.test", 443, "", "example.test")),
    "a path": ("http://example.test/api/v1/", ("http", "example.test", 80, "/api/v1", "example.test")),
    "IPv4": ("http://127.0.0.1:80/", ("http", "127.0.0.1", 80, "", "127.0.0.1")),
    "IPv6": ("http://[::1]:8080", ("http", "::1", 8080, "", "[::1]:8080")),
    "a name beyond ASCII": ("http://bücher.test", ("http", "xn--bcher-kva.test", 80, "", "xn--bcher-kva.test")),
}


@pytest.mark.parametrize(("url", "expected"), ORIGINS.values(), ids=ORIGINS)
def test_a_base_url_is_taken_apart(url: str, expected: tuple[Any, ...]) -> None:
    origin = Origin(url)
    assert (origin.scheme, origin.host, origin.port, origin.prefix, origin.authority) == expected
    assert str(origin) == f"{origin.scheme}://{origin.authority}{origin.prefix}"


REFUSED = {
    "no scheme": "example.test",
    "another scheme": "ws://example.test",
    "no host": "http:///a",
    "nothing": "",
    "a port that is none": "http://example.test:http",
    "a port beyond the last": "http://example.test:65536",
    "an empty label": "http://example..test",
    "a query": "http://example.test/?a",
    "a fragment": "http://example.test/#a",
}


@pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Origin(url)


def test_an_address_needs_no_looking_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_origin, "getaddrinfo", None)
    assert Origin("http://127.0.0.1:81").addresses(1) == [(AF_INET, ("127.0.0.1", 81))]
    assert Origin("http://[::1]:81").addresses(1) == [(AF_INET6, ("::1", 81, 0, 0))]


def test_a_name_is_looked_up_once_a_minute(virtual_time: VirtualTime, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    def getaddrinfo(*arguments: Any) -> list[Any]:
        asked.append(arguments)
        entry = (AF_INET, SOCK_STREAM, 6, "", (f"10.0.0.{len(asked)}", 80))
        return [entry, entry]

    monkeypatch.setattr(http_origin, "getaddrinfo", getaddrinfo)
    origin = Origin("http://example.test")
    assert origin.addresses(1) == origin.addresses(1) == [(AF_INET, ("10.0.0.1", 80))]
    virtual_time.stand_still(59.9)
    assert origin.addresses(1) == [(AF_INET, ("10.0.0.1", 80))]
    virtual_time.stand_still(0.2)
    assert origin.addresses(1) == [(AF_INET, ("10.0.0.2", 80))]
    assert asked == [("example.test", 80, 0, SOCK_STREAM)] * 2


def test_localhost_has_an_address() -> None:
    assert ("127.0.0.1", 81) in [address for _, address in Origin("http://localhost:81").addresses(5)]


def unknown(*_: Any) -> Any:
    raise gaierror(-2, "Name or service not known")


def slow(*_: Any) -> Any:
    gevent.sleep(5)


NOT_FOUND = {
    "the name is not known": (unknown, "example.test: Name or service not known"),
    "nobody answers in time": (slow, "no address for example.test within 0.02 s"),
}


@pytest.mark.parametrize(("getaddrinfo", "text"), NOT_FOUND.values(), ids=NOT_FOUND)
def test_a_name_without_an_address_is_an_error(monkeypatch: pytest.MonkeyPatch, getaddrinfo: Any, text: str) -> None:
    monkeypatch.setattr(http_origin, "getaddrinfo", getaddrinfo)
    origin = Origin("http://example.test")
    for _ in range(2):
        with pytest.raises(TransportError) as caught:
            origin.addresses(0.02)
        assert (caught.value.kind, caught.value.text) == (ErrorKind.DNS, text)
