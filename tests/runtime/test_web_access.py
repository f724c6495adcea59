"""Who may ask Locust's web page for what: over real HTTP, as browsers, proxies and programs ask."""

from __future__ import annotations

import http.client
import json
import socket
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import gevent
import pytest
from gevent.socket import create_connection
from locust import User
from locust.env import Environment

from pika_locust.runtime.web_access import web_access
from pika_locust.settings import host_names

FORM = "user_count=3&spawn_rate=1&host=http://attacker.example"
PROXY = "load.example.com, tools.example.com:8443"


class Nobody(User):
    abstract = False


class Page:
    """Locust's web page, listening; what it was asked to do is noted down instead of done."""

    def __init__(self) -> None:
        options = SimpleNamespace(
            num_users=None,
            spawn_rate=None,
            run_time=None,
            host=None,
            stats_history_enabled=False,
            web_host="127.0.0.1",
            web_host_display_name="http://shown.example:8089/locust",
        )
        self.environment = Environment(user_classes=[Nobody], host="http://before", parsed_options=options)
        self.runner = self.environment.create_local_runner()
        self.done: list[str] = []
        self.runner.start = lambda users, rate: self.done.append("start")
        self.runner.stop = lambda: self.done.append("stop")
        self.environment.events.reset_stats.add_listener(lambda: self.done.append("reset"))
        self.web_ui = self.environment.create_web_ui("127.0.0.1", 0, delayed_start=True)
        self.web_ui.app.add_url_rule("/own", "own", lambda: self.done.append("own") or "own")
        web_access(options, host_names(PROXY)).guard(self.web_ui.app)
        self.web_ui.start()
        gevent.sleep(0)
        while not self.web_ui.server.started:
            gevent.sleep(0.01)
        self.port = self.web_ui.server.server_port

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: str | None = None, **headers: str | None) -> tuple[int, str]:
        """Status and body. Headers are written with _ for -; one that is None is left out, Host as well."""
        named = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.sock = create_connection(("127.0.0.1", self.port), 10)
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in named.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Type", "application/x-www-form-urlencoded")
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body.encode() if body is not None else None)
        answer = connection.getresponse()
        said = answer.read().decode()
        connection.close()
        greenlet = self.web_ui._swarm_greenlet
        if greenlet is not None:
            greenlet.join()
        return answer.status, said

    def close(self) -> None:
        self.web_ui.stop()
        self.runner.greenlet.kill()


@pytest.fixture(scope="module")
def listening() -> Iterator[Page]:
    with pytest.MonkeyPatch.context() as patched:
        # Locust's page parses the command line again.
        patched.setattr(sys, "argv", ["locust"])
        opened = Page()
        yield opened
        opened.close()


@pytest.fixture
def page(listening: Page) -> Page:
    listening.done.clear()
    listening.environment.host = "http://before"
    return listening


FOREIGN: dict[str, dict[str, str]] = {
    "a page elsewhere": {"Origin": "http://attacker.example"},
    "one at another port": {"Origin": "http://127.0.0.1:1"},
    "one in a sandboxed frame": {"Origin": "null"},
    "one that begins like us": {"Origin": "http://127.0.0.1.attacker.example"},
    "one that ends like a proxy": {"Origin": "https://evil-load.example.com"},
    "one of a proxy's other ports": {"Origin": "https://tools.example.com:9"},
    "a browser that tells no Origin": {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
    "another port, by Sec-Fetch-Site": {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"},
    "a form that is sent off": {
        "Sec_Fetch_Site": "cross-site",
        "Sec_Fetch_Mode": "navigate",
        "Sec_Fetch_Dest": "document",
    },
    "a name that was bent to this machine": {"Host": "attacker.example:8089"},
    "the same, of the same origin": {
        "Host": "attacker.example:8089",
        "Origin": "http://attacker.example:8089",
        "Sec_Fetch_Site": "same-origin",
    },
    "no name at all": {"Host": ""},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/swarm", FORM),
        ("POST", "/stop", ""),
        ("POST", "/stats/reset", ""),
        ("GET", "/stop", None),
        ("GET", "/stats/reset", None),
        ("POST", "/user", json.dumps({"user_class_name": "Nobody", "weight": 3})),
    ],
)
def test_no_foreign_page_changes_the_run(
    page: Page, headers: dict[str, str], method: str, path: str, body: str | None
) -> None:
    status, said = page.ask(method, path, body, **headers)
    if not (method == "GET" and status == 405):
        assert status == 403, said
        assert "WEB_ALLOWED_HOSTS" in said or "Sec-Fetch-Site" in said
    assert page.done == []
    assert page.environment.host == "http://before"
    assert Nobody.weight == 1


@pytest.mark.parametrize("path", ["/", "/stats/requests", "/logs", "/exceptions", "/own"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example:8089"},
        {"Origin": "http://attacker.example"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
    ],
)
def test_no_foreign_page_reads_or_asks_anything(page: Page, path: str, headers: dict[str, str]) -> None:
    assert page.ask("GET", path, **headers)[0] == 403
    assert page.done == []


def test_a_link_from_elsewhere_opens_the_page_and_stops_nothing(page: Page) -> None:
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert page.ask("GET", "/", **link)[0] == 200
    # Locusts before 2.x stopped a run by GET; one that does so again is guarded.
    rule = next(rule for rule in page.web_ui.app.url_map.iter_rules() if rule.rule == "/stop")
    rule.methods.add("GET")
    try:
        assert page.ask("GET", "/stop", **link)[0] == 403
    finally:
        rule.methods.discard("GET")
    assert page.done == []


OWN: dict[str, Callable[[Page], dict[str, str | None]]] = {
    "the page itself": lambda page: {"Origin": page.origin, "Sec_Fetch_Site": "same-origin"},
    "a program": lambda page: {},
    "a program of HTTP/1.0, without a Host": lambda page: {"Host": None},
    "typed by the user": lambda page: {"Sec_Fetch_Site": "none"},
    "localhost": lambda page: {"Host": "localhost:8089", "Origin": "http://localhost:8089"},
    "its name in capitals": lambda page: {"Host": "LocalHost:8089", "Origin": "http://localhost:8089"},
    "an address": lambda page: {"Host": "192.168.1.7:8089", "Origin": "http://192.168.1.7:8089"},
    "an IPv6 address": lambda page: {"Host": "[::1]:8089", "Origin": "http://[::1]:8089"},
    "this machine's name": lambda page: {
        "Host": f"{socket.gethostname()}:8089",
        "Origin": f"http://{socket.gethostname()}:8089",
    },
    "the name that Locust shows": lambda page: {"Host": "shown.example:8089", "Origin": "http://shown.example:8089"},
    "a proxy that keeps Host": lambda page: {"Host": "load.example.com", "Origin": "https://load.example.com"},
    "a proxy with a port": lambda page: {
        "Host": "tools.example.com:8443",
        "Origin": "https://tools.example.com:8443",
    },
    "a proxy that replaces Host": lambda page: {
        "Host": f"127.0.0.1:{page.port}",
        "Origin": "https://load.example.com",
        "Sec_Fetch_Site": "same-origin",
    },
}


@pytest.mark.parametrize("of", OWN.values(), ids=OWN)
def test_the_page_itself_and_programs_are_answered(page: Page, of: Callable[[Page], dict[str, str | None]]) -> None:
    headers = of(page)
    status, said = page.ask("POST", "/swarm", FORM, **headers)
    assert (status, json.loads(said)["success"]) == (200, True)
    assert page.environment.host == "http://attacker.example"
    assert page.ask("POST", "/stop", "", **headers)[0] == 200
    assert page.ask("POST", "/stats/reset", "", **headers)[0] == 200
    assert page.ask("GET", "/stats/requests", **headers)[0] == 200
    assert page.done == ["start", "stop", "reset"]


@pytest.mark.parametrize("value", ["https://load.example.com", "a b", "load.example.com/locust", "*"])
def test_names_that_are_none(value: str) -> None:
    with pytest.raises(ValueError, match="names of hosts"):
        host_names(value)
