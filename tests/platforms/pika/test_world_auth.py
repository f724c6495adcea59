from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pika_locust.platforms.pika.world_http import client_key
from pika_locust.sandbox.world import Request
from tests.platforms.pika.world_room import Room

MILA = {"email": "mila@example.org", "password": "long enough", "displayName": "DJ Mila!"}
WEB = {"x_pika_client": "pika-web"}
LOGIN = {**WEB, "x_requested_with": "Pika"}


@pytest.fixture
def room() -> Room:
    return Room()


def said(room: Room, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    answer = room.ask("POST", f"/api/auth/{path}", body, **headers)
    return answer.status, json.loads(answer.body)


def test_an_account_is_made_and_known_again(room: Room) -> None:
    status, made = said(room, "register", MILA, **WEB)
    assert status == 201
    assert list(made) == ["success", "user", "token"]
    assert made["user"] == {"id": 1, "email": "mila@example.org", "displayName": "DJ Mila!", "slug": "dj-mila"}
    assert re.fullmatch(r"pk_dj_[0-9a-f]{32}", made["token"])
    assert said(room, "login", MILA, **LOGIN) == (200, made)
    assert room.get("/api/auth/me", authorization=f"Bearer {made['token']}")["user"] == made["user"]
    assert room.get("/api/dj/dj-mila")["displayName"] == "DJ Mila!"


def test_a_new_token_replaces_the_old_one(room: Room) -> None:
    old = said(room, "register", MILA, **WEB)[1]["token"]
    status, answer = said(room, "regenerate-token", None, authorization=f"Bearer {old}", **WEB)
    assert (status, answer["success"], answer["token"] != old) == (200, True, True)
    assert room.ask("GET", "/api/auth/me", authorization=f"Bearer {old}").status == 401
    assert room.ask("GET", "/api/auth/me", authorization=f"Bearer {answer['token']}").status == 200


def test_two_of_the_same_name_get_addresses_of_their_own(room: Room) -> None:
    said(room, "register", MILA, **WEB)
    assert said(room, "register", {**MILA, "email": "other@example.org"}, **WEB)[1]["user"]["slug"] == "dj-mila-2"


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        pytest.param("register", {}, {}, 403, id="no client named"),
        pytest.param("register", {}, {"x_pika_client": "pika-load-test"}, 403, id="an unknown client"),
        pytest.param("register", {}, WEB, 400, id="nothing given"),
        pytest.param("register", {**MILA, "password": "short"}, WEB, 400, id="a short password"),
        pytest.param("register", {**MILA, "password": "x" * 129}, WEB, 400, id="a long password"),
        pytest.param("register", {**MILA, "email": 5}, WEB, 400, id="no text"),
        pytest.param("login", MILA, WEB, 403, id="without X-Requested-With"),
        pytest.param("login", MILA, LOGIN, 401, id="an unknown account"),
        pytest.param("regenerate-token", None, {**WEB, "authorization": "Bearer x"}, 401, id="an unknown token"),
        pytest.param("nothing", None, WEB, 404, id="an unknown route"),
    ],
)
def test_refusals(room: Room, path: str, body: Any, headers: dict[str, str], status: int) -> None:
    assert room.ask("POST", f"/api/auth/{path}", body, **headers).status == status


def test_an_address_in_use_is_refused(room: Room) -> None:
    said(room, "register", MILA, **WEB)
    assert said(room, "register", MILA, **WEB)[0] == 409


def test_five_requests_in_a_quarter_of_an_hour_then_429_with_the_limit_in_headers(room: Room) -> None:
    for n in range(5):
        headers = dict(room.ask("POST", "/api/auth/login", MILA, **LOGIN).headers)
        assert headers["ratelimit-remaining"] == str(4 - n)
        room.ask("POST", "/api/auth/login", MILA)
        room.ask("GET", "/api/auth/me")
    room.wait(100)
    answer = room.ask("POST", "/api/auth/login", MILA, **LOGIN)
    headers = dict(answer.headers)
    assert (answer.status, headers["retry-after"], headers["ratelimit-reset"]) == (429, "900", "800")
    assert headers["ratelimit-policy"] == "5;w=900"
    assert room.ask("POST", "/api/auth/login", MILA, **LOGIN, x_forwarded_for="10.1.1.1").status == 401
    room.wait(800)
    assert room.ask("POST", "/api/auth/login", MILA, **LOGIN).status == 401


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        pytest.param({}, "unknown", id="all who come directly are one"),
        pytest.param({"x-forwarded-for": "1.1.1.1, 2.2.2.2"}, "1.1.1.1", id="the first of a chain"),
        pytest.param(
            {"x-forwarded-for": "1.1.1.1", "cf-connecting-ip": "3.3.3.3"}, "3.3.3.3", id="the edge knows best"
        ),
    ],
)
def test_whom_a_request_is_counted_for(headers: dict[str, str], key: str) -> None:
    assert client_key(Request("GET", "/", "", headers, peer="127.0.0.1")) == key
