from __future__ import annotations

from pathlib import Path

import pytest

from pika_locust.runtime.target_settings import TARGET_SETTINGS, access_of, headers_in, target_setting_problems
from pika_locust.settings import Settings, read_settings
from pika_locust.wire.access import Access
from tests.wire.http_servers import Certificates


def read(**environ: str) -> tuple[Settings, list[str]]:
    return read_settings(TARGET_SETTINGS, environ, "shop")


def access(**environ: str) -> Access:
    settings, problems = read(**environ)
    assert problems == []
    assert list(target_setting_problems(settings, "https://shop.test")) == []
    return access_of(settings)


def test_by_default_a_target_is_reached_as_usual() -> None:
    assert access() == Access(True, {})


def test_settings_say_how_a_target_is_reached(tmp_path: Path) -> None:
    authority = Certificates(tmp_path).authority
    assert access(CA_FILE=authority) == Access(authority)
    assert access(SHOP_CA_FILE=str(tmp_path)) == Access(str(tmp_path))
    assert access(INSECURE_SKIP_TLS_VERIFY="true") == access(INSECURE_SKIP_TLS_VERIFY="1") == Access(False)
    assert access(INSECURE_SKIP_TLS_VERIFY="false") == Access(True)
    assert access(ORIGIN="https://app.test:8443/").headers == {"Origin": "https://app.test:8443"}
    assert access(EXTRA_HEADERS="X-Api-Key: a: b").headers == {"X-Api-Key": "a: b"}
    both = access(EXTRA_HEADERS='{"X-A": "1", "Cookie": "a=b; c=d"}', ORIGIN="http://app.test")
    assert both.headers == {"X-A": "1", "Cookie": "a=b; c=d", "Origin": "http://app.test"}


WRONG = {
    "no such file": ("CA_FILE", "/nowhere/ca.pem", "no certificates to trust there"),
    "no certificate": ("CA_FILE", __file__, "no certificates to trust there"),
    "a word": ("INSECURE_SKIP_TLS_VERIFY", "yes please", "must be one of"),
    "an origin with a path": ("ORIGIN", "https://app.test/live", "scheme, host and port alone"),
    "an origin with a user": ("ORIGIN", "https://u:p@app.test", "scheme, host and port alone"),
    "no origin": ("ORIGIN", "app.test", ""),
    "no colon": ("EXTRA_HEADERS", "sesame", "write 'Name: value'"),
    "no name": ("EXTRA_HEADERS", ": sesame", "cannot be the name of a header"),
    "a broken object": ("EXTRA_HEADERS", '{"X-A": sesame', "no JSON object"),
    "a number": ("EXTRA_HEADERS", '{"X-A": 1}', "are texts"),
    "two lines": ("EXTRA_HEADERS", '{"X-A": "sesame\\nX-B: 2"}', "line break"),
    "the request's own": ("EXTRA_HEADERS", "Content-Length: 3", "not one that can be added"),
    "the upgrade's own": ("EXTRA_HEADERS", "Sec-WebSocket-Key: 3", "not one that can be added"),
    "one with a setting": ("EXTRA_HEADERS", "Origin: https://app.test", "not one that can be added"),
}


@pytest.mark.parametrize(("name", "value", "words"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_used_is_a_problem_that_shows_no_secret(name: str, value: str, words: str) -> None:
    settings, (problem,) = read(**{name: value})
    assert words in problem
    assert "sesame" not in problem
    assert settings[name] == read()[0][name]


def test_a_header_is_a_secret_that_stays_where_it_was_read() -> None:
    settings, _ = read(EXTRA_HEADERS="X-Api-Key: sesame")
    assert "EXTRA_HEADERS" not in settings.public()
    assert "sesame" not in str(settings.given)


def test_settings_without_effect_and_those_that_contradict_are_problems(tmp_path: Path) -> None:
    settings, _ = read(ORIGIN="http://app.test", EXTRA_HEADERS="X-A: 1")
    (problem,) = target_setting_problems(settings, None)
    assert problem.startswith("ORIGIN, EXTRA_HEADERS: no target is named")
    settings, _ = read(CA_FILE=Certificates(tmp_path).authority, INSECURE_SKIP_TLS_VERIFY="1")
    (problem,) = target_setting_problems(settings, "https://shop.test")
    assert "keep one" in problem


def test_headers_are_read_as_one_or_as_an_object() -> None:
    assert headers_in("X-A:1") == headers_in('{"X-A": "1"}') == {"X-A": "1"}
    assert headers_in("{}") == {}
