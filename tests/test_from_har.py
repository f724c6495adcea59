"""Recorded visits as drafts of load tests: whose requests, in which order, with which pauses, and what is left out."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pika_locust.cli.draft import Pause, Request, Unknown
from pika_locust.cli.har import read_har
from pika_locust.cli.main import main
from pika_locust.errors import ConfigurationError

SHOP = "https://shop.example.org"


def entry(second: float, method: str, url: str, body: Any = None, status: int = 200) -> dict[str, Any]:
    request: dict[str, Any] = {"method": method, "url": url}
    if body is not None:
        request["postData"] = {"mimeType": "application/json", "text": json.dumps(body)}
    at = f"2026-01-02T03:04:{second:06.3f}Z"
    return {"startedDateTime": at, "time": 100, "request": request, "response": {"status": status}}


def deep(levels: int) -> dict[str, Any]:
    sent = entry(0, "POST", SHOP)
    return {**sent, "request": {**sent["request"], "postData": {"text": "[" * levels + "]" * levels}}}


VISIT = [
    entry(0, "GET", f"{SHOP}/"),
    entry(0.1, "GET", f"{SHOP}/static/app.js?v=1"),
    entry(0.2, "GET", f"{SHOP}/api/products?page=1"),
    entry(9.0, "POST", f"{SHOP}/api/orders/4711/items", {"product": 7, "gift": True}, 201),
    entry(3.3, "POST", f"{SHOP}/login", {"email": "a@example.org", "password": "hunter2"}, 302),
    entry(0.3, "GET", "https://tracker.example.com/pixel"),
]


def har(entries: list[dict[str, Any]]) -> str:
    return json.dumps({"log": {"version": "1.2", "entries": entries}})


def test_requests_come_in_the_order_of_time_with_the_visitor_s_pauses() -> None:
    draft = read_har(har(VISIT), "visit", "visit.har")
    assert [(step.method, step.path) if isinstance(step, Request) else step for step in draft.steps] == [
        ("GET", "/"),
        ("GET", "/api/products?page=1"),
        Pause(3.0),
        ("POST", "/login"),
        Pause(5.6),
        ("POST", "/api/orders/4711/items"),
    ]
    assert draft.notes == ["1 requests to tracker.example.com", "1 scripts, styles, images and fonts"]


def test_names_have_no_ids_and_statuses_are_those_that_were_seen() -> None:
    requests = [step for step in read_har(har(VISIT), "visit", "v.har").steps if isinstance(step, Request)]
    assert [request.name for request in requests][-1] == "POST /api/orders/{id}/items"
    assert [request.statuses for request in requests] == [(), (), (302,), ()]
    assert requests[-1].body == {"product": 7, "gift": True}


def test_secrets_are_not_taken_over(tmp_path: Path) -> None:
    requests = [step for step in read_har(har(VISIT), "visit", "v.har").steps if isinstance(step, Request)]
    assert isinstance(requests[2].body["password"], Unknown)
    signed = entry(12, "GET", f"{SHOP}/api/orders?page=2&access_token=hunter2&apiKey=hunter2&debug")
    (tmp_path / "visit.har").write_text(har([*VISIT, signed]))
    with chdir(tmp_path):
        assert main(["new", "visit", "--from-har", "visit.har"]) == 0
    assert "hunter2" not in "".join(path.read_text() for path in tmp_path.glob("*.py"))
    asked = 'f"/api/orders?page=2&access_token={self.new_id()}&apiKey={self.new_id()}&debug"'
    assert asked in (tmp_path / "visit.py").read_text()


SECRET_NAMES = (
    *("passwd", "pwd", "passphrase", "pass", "userPass", "user[pin]", "cvv", "otp", "access_key", "apikey"),
    *("sessionid", "PHPSESSID", "connect.sid", "cookie", "auth", "oauthCode", "authorization", "jwt", "bearer"),
    *("csrfmiddleware", "X-Amz-Signature"),
)
PLAIN_NAMES = ("author", "keyword", "passenger", "pinned", "president", "side", "shipping", "page", "message", "signal")


@pytest.mark.parametrize(("names", "hidden"), [(SECRET_NAMES, True), (PLAIN_NAMES, False)])
def test_what_is_secret_is_told_by_names(names: tuple[str, ...], hidden: bool) -> None:
    """As much is hidden in a draft, which is kept and shared, as in what a run prints, and what people log in with."""
    for name in names:
        sent = entry(0, "POST", f"{SHOP}/x?page=1&{quote(name)}=hunter2", {name: "hunter2"})
        (step,) = read_har(har([sent]), "visit", "v.har").steps
        assert isinstance(step, Request)
        assert ("hunter2" not in step.path, isinstance(step.body[name], Unknown)) == (hidden, hidden), name


def test_all_that_is_inside_of_a_secret_is_secret() -> None:
    body = {
        "tokens": ["t1", {"of": "t2"}],
        "card": {"number": "4111", "expires": [1, 2]},
        "items": [{"id": 1, "pin": 2}],
    }
    (step,) = read_har(har([entry(0, "POST", f"{SHOP}/pay", body)]), "visit", "v.har").steps
    assert isinstance(step, Request)
    assert json.loads(json.dumps(step.body, default=lambda unknown: f"<{unknown.name}>")) == {
        "tokens": ["<tokens>", {"of": "<tokens>"}],
        "card": {"number": "<card>", "expires": ["<card>", "<card>"]},
        "items": [{"id": 1, "pin": "<pin>"}],
    }


def test_numbers_are_sent_as_they_were(tmp_path: Path) -> None:
    nested: Any = json.loads(deep(90)["request"]["postData"]["text"])
    body = {"id": 1234567890123456789, "price": 9.5, "gift": True, "huge": 10**400, "nested": nested}
    (tmp_path / "visit.har").write_text(har([entry(0, "POST", f"{SHOP}/orders", body)]))
    with chdir(tmp_path):
        assert main(["new", "visit", "--from-har", "visit.har"]) == 0
    written = (tmp_path / "visit.py").read_text()
    assert '"id": 1234567890123456789,' in written
    assert '"price": 9.5,' in written
    assert f'"huge": {10**400},' in written
    compile(written, "visit.py", "exec")


def test_websockets_are_left_out_and_counted() -> None:
    opened = [
        entry(1, "GET", f"{SHOP.replace('https', 'wss')}/ws", status=101),
        entry(2, "GET", f"{SHOP}/socket?id=7", status=101),
    ]
    draft = read_har(har([*VISIT, *opened]), "visit", "v.har")
    assert not any(isinstance(step, Request) and "socket" in step.path for step in draft.steps)
    assert len([step for step in draft.steps if isinstance(step, Request)]) == 4
    assert draft.notes[-1] == "2 WebSocket connections"
    with pytest.raises(ConfigurationError, match="there are no requests to any host, but to: none"):
        read_har(har(opened), "visit", "v.har")


def test_another_host_can_be_asked_for() -> None:
    draft = read_har(har(VISIT), "visit", "v.har", "tracker.example.com")
    assert [step.path for step in draft.steps if isinstance(step, Request)] == ["/pixel"]


def test_options_that_contradict_each_other_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with chdir(tmp_path):
        assert main(["new", "visit", "--host", "shop.example.org"]) == 104
        with pytest.raises(SystemExit):
            main(["new", "visit", "--websocket", "--from-har", "visit.har"])
    said = capsys.readouterr().err
    assert "--host says whose requests to take of --from-har, which is not given" in said
    assert "not allowed with argument --websocket" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "this is no HAR file"),
        ('{"log": {}}', "this is no HAR file"),
        (har([]), "there are no requests to any host, but to: none"),
        (har([{"request": {"url": "x"}}]), "this is no HAR file"),
        (har([{**entry(0, "GET", SHOP), "time": "long"}]), "this is no HAR file: ValueError: could not convert"),
        (har([{**entry(0, "GET", SHOP), "response": [200]}]), "this is no HAR file: AttributeError"),
        (har([{**entry(0, "GET", SHOP), "time": 10**400}]), "this is no HAR file: OverflowError"),
        ('{"log":' + "[" * 100_000, "v.har: it is nested too deeply to be read"),
        (har([deep(90_000)]), "v.har: it is nested too deeply to be read"),
        (har([deep(150)]), "v.har: it is nested too deeply to be read"),
    ],
)
def test_what_is_no_recorded_visit_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        read_har(text, "visit", "v.har")
