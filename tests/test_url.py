from __future__ import annotations

import pytest

from pika_locust.url import Url, parse_url

ANY = ("http", "https", "ws", "wss")

READ: dict[str, tuple[str, str]] = {
    "a host": ("http://host", "http://host"),
    "capital letters": ("HTTP://Host/Path", "http://host/Path"),
    "the scheme's own port": ("https://host:443/", "https://host/"),
    "another port": ("wss://host:80/ws", "wss://host:80/ws"),
    "a port that is not written": ("ws://host:/ws", "ws://host/ws"),
    "a last slash": ("ws://host/ws/", "ws://host/ws/"),
    "an address": ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
    "an address of IPv6": ("http://[::1]:3000/x", "http://[::1]:3000/x"),
    "a long address of IPv6": ("ws://[0:0:0:0:0:0:0:1]", "ws://[::1]"),
    "a service's name": ("http://my_app-1", "http://my_app-1"),
    "a root's dot": ("http://host.example.", "http://host.example."),
    "an international name": ("http://Bücher.example/", "http://xn--bcher-kva.example/"),
    "a letter that IDNA 2003 took for two": ("http://faß.de", "http://xn--fa-hia.de"),
    "a path with a space": ("http://host/a b", "http://host/a%20b"),
    "a path that is encoded": ("http://host/a%20b%2F", "http://host/a%20b%2F"),
    "a path beyond ASCII": ("http://host/ü", "http://host/%C3%BC"),
    "a query": ("ws://host/ws?room=7&name=a b&x[]=ü", "ws://host/ws?room=7&name=a%20b&x[]=%C3%BC"),
}


@pytest.mark.parametrize(("given", "read"), READ.values(), ids=READ)
def test_a_url_is_read_as_it_will_be_used(given: str, read: str) -> None:
    url = parse_url(given, *ANY)
    assert str(url) == read
    assert parse_url(read, *ANY) == url


NOT_A_URL: dict[str, tuple[str, str]] = {
    "nothing": ("", "not a URL that begins with http:// or ws://"),
    "no scheme": ("host:80", "not a URL that begins with http:// or ws://"),
    "another scheme": ("ftp://host", "not a URL that begins with http:// or ws://"),
    "no host": ("http:///path", "not a URL that begins with http:// or ws://"),
    "a port alone": ("http://:80", "it names no host"),
    "an empty label": ("http://a..b", "its host 'a..b' cannot be one: 1 to 63 letters"),
    "an empty first label": ("http://.b", "its host '.b' cannot be one"),
    "a space in the host": ("http://ho st/", "its host 'ho st' cannot be one"),
    "a label that ends in a dash": ("http://a-.b", "its host 'a-.b' cannot be one"),
    "a label of 64": (f"http://{'a' * 64}.b", "cannot be one"),
    "a name of 254": (f"http://{'.'.join(['a' * 9] * 26)}", "cannot be one"),
    "a per cent sign in the host": ("http://a%41", "its host 'a%41' cannot be one"),
    "an international name that is none": ("http://ü\u0301\u200d.b", "cannot be an internationalised name"),
    "numbers that are no address": ("http://256.1.1.1", "is neither a name nor an address"),
    "three numbers": ("http://127.0.1", "is neither a name nor an address"),
    "a port of 0": ("http://host:0", "its port is not a number from 1 to 65535"),
    "a port beyond": ("http://host:65536", "its port is not a number from 1 to 65535"),
    "a port in letters": ("http://host:http", "its port is not a number from 1 to 65535"),
    "a fragment": ("http://host/#top", "in a path or a password # is written %23"),
    "a backslash": ("http://host\\@other/", "not with a backslash"),
    "a line break": ("http://ho\nst", "no line breaks"),
    "a tab": ("http://host/\t", "no line breaks or other control characters"),
}


@pytest.mark.parametrize(("given", "problem"), NOT_A_URL.values(), ids=NOT_A_URL)
def test_what_is_no_url_is_told(given: str, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_url(given, "http", "ws")
    assert problem in str(caught.value)


CREDENTIALS: dict[str, tuple[str, str]] = {
    # the second is the example of RFC 7617, 2
    "user and password": ("alice:pa55", "Basic YWxpY2U6cGE1NQ=="),
    "a space, encoded": ("Aladdin:open%20sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
    "a colon in the password": ("a:b:c", "Basic YTpiOmM="),
    "an encoded @": ("a:b%40c", "Basic YTpiQGM="),
    "a bare @": ("a:b@c", "Basic YTpiQGM="),
    "no password": ("a", "Basic YTo="),
    "letters beyond ASCII, as UTF-8": ("test:123£", "Basic dGVzdDoxMjPCow=="),
}


@pytest.mark.parametrize(("given", "header"), CREDENTIALS.values(), ids=CREDENTIALS)
def test_credentials_are_basic_authentication_and_never_shown(given: str, header: str) -> None:
    url = parse_url(f"http://{given}@host:1/path", "http")
    assert url.basic_auth == header
    assert str(url) == "http://host:1/path"
    assert "credentials" not in repr(url)
    assert parse_url(url.full, "http") == url
    assert Url("http", "host").basic_auth is None


def test_a_mistake_does_not_repeat_the_credentials() -> None:
    for rest in ("host:0", "a..b", "host/#x", "ho\nst", "host\\"):
        with pytest.raises(ValueError) as caught:
            parse_url(f"http://alice:pa55@{rest}", "http")
        assert "pa55" not in str(caught.value)
