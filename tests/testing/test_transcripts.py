"""Transcripts: read, gone through, and played to a world whose ids, times and cookies are its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pika_locust.sandbox import app
from pika_locust.sandbox.app import App, Call, Socket, message, route
from pika_locust.sandbox.faults import Cover
from pika_locust.sandbox.world import Answer, Request
from pika_locust.testing import transcripts
from pika_locust.testing.transcripts import (
    Event,
    Ids,
    Transcript,
    TranscriptReplay,
    WorldReplay,
    masking,
    normalised,
    read_transcripts,
)
from pika_locust.testing.world_driver import START_S
from tests.testing.examples import run_example


def written(*events: tuple[float, str, str, str, Any], flow: str = "flow") -> str:
    """A transcript's text."""
    header = {"server": "s", "flow": flow, "about": "something happens"}
    rows = [dict(zip(("t_ms", "who", "dir", "kind", "data"), event, strict=True)) for event in events]
    return "\n".join(json.dumps(line) for line in (header, *rows))


def made(*events: tuple[float, str, str, str, Any]) -> Transcript:
    return Transcript.parse(written(*events))


def test_the_example_of_the_module_holds() -> None:
    names = {name: getattr(app, name) for name in ("App", "Socket", "message")}
    tests = run_example(transcripts, names)
    assert tests == ["test_the_world_says_what_the_server_said", "test_a_user_understands_what_the_server_said"]


# Reading


TALK = made(
    (1.0, "a", ">", "text", "one"),
    (2.0, "b", ">", "http", {"path": "/x"}),
    (3.0, "a", "<", "text", "two"),
    (1500.0, "b", "<", "http", {"status": 200, "body": '{"at":"2026-11-21T03:10:25.500Z"}'}),
    (1600.0, "a", "<", "text", "2030-01-01T00:00:00.000Z"),
)


def test_a_transcript_is_read_with_all_it_has(tmp_path: Path) -> None:
    for flow in ("second", "first"):
        (tmp_path / f"{flow}.jsonl").write_text(written((1.5, "a", "<", "text", "é"), flow=flow), encoding="utf-8")
    (tmp_path / "README.md").write_text("no transcript")
    found = read_transcripts(tmp_path)
    assert list(found) == ["first", "second"]
    assert (found["second"].flow, found["second"].about) == ("second", "something happens")
    (event,) = found["first"].events
    assert (event.at_ms, event.who, event.by_client, event.kind, event.data) == (1.5, "a", False, "text", "é")


def test_what_is_in_a_transcript_by_client_and_side() -> None:
    assert TALK.clients == ["a", "b"]
    assert TALK.sent() == ["one"]
    assert TALK.sent("http") == [{"path": "/x"}]
    assert TALK.of("b").received() == []
    assert TALK.of("a").received() == ["two", "2030-01-01T00:00:00.000Z"]
    assert TALK.of("b").clients == ["b"]


def test_requests_that_nobody_makes_are_left_out_with_their_answers() -> None:
    def http(who: str, by_client: bool, data: Any) -> Event:
        return Event(0.0, who, by_client, "http", data)

    asks = {path: {"method": "GET", "path": path} for path in ("/a", "/b")}
    events = (
        http("x", True, asks["/a"]),
        http("y", True, asks["/b"]),
        Event(0.0, "y", False, "text", "news"),
        http("x", False, {"status": 200}),
        http("y", False, {"status": 404}),
        http("y", True, asks["/a"]),
        http("y", False, {"status": 201}),
    )
    kept = Transcript("flow", "", events).asked(lambda method, path: (method, path) == ("GET", "/a"))
    assert kept.events == tuple(events[number] for number in (0, 2, 3, 5, 6))


def test_it_began_when_the_server_s_first_time_says() -> None:
    assert TALK.began_s() == pytest.approx(1795230624.0)
    with pytest.raises(ValueError, match="wrote no time in flow"):
        made((1, "a", ">", "text", "2026-11-21T03:10:25.500Z")).began_s()


@pytest.mark.parametrize(("direction", "kind"), [(">", "telepathy"), ("=", "text")])
def test_an_event_of_no_known_kind_is_refused(direction: str, kind: str) -> None:
    with pytest.raises(ValueError, match=f"event 3 is of the unknown kind {direction} {kind}"):
        made((1, "a", ">", "text", "x"), (2, "a", direction, kind, "x"))


# Going through


class Noting(TranscriptReplay):
    def __init__(self, transcript: Transcript) -> None:
        super().__init__(transcript)
        self.noted: list[Any] = []

    def sent_text(self, who: str, data: str) -> None:
        self.noted.append((self.at_ms, who, ">", data))

    def received_text(self, who: str, data: str) -> None:
        self.noted.append((self.at_ms, who, "<", data))


def test_each_event_goes_to_the_method_for_it_and_others_are_passed_over() -> None:
    replay = Noting(TALK)
    replay.play()
    assert replay.noted == [
        (1.0, "a", ">", "one"),
        (3.0, "a", "<", "two"),
        (1600.0, "a", "<", "2030-01-01T00:00:00.000Z"),
    ]
    replay = Noting(TALK)
    replay.play(until_ms=3.0)
    assert replay.noted == [(1.0, "a", ">", "one")]


# What is different every time


def test_masks_hide_what_is_different_every_time_and_nothing_else() -> None:
    normalise = masking((r"\d+", "<n>"), ("<n> apples", "<apples>"))
    assert normalise("3 apples, 4 pears") == "<apples>, <n> pears"
    assert normalised("3", normalise) == "<n>"
    told = {"status": 200, "headers": {"a": "1"}, "body": "1"}
    assert normalised(told, normalise) == {"status": 200, "headers": {"a": "1"}, "body": "<n>"}
    assert normalised({"code": 1006, "reason": "x"}, normalise) == {"code": 1006}
    assert normalised({"code": 1000, "reason": "x"}, normalise) == {"code": 1000, "reason": "x"}


def test_ids_stand_for_what_they_stood_for_first() -> None:
    ids = Ids(r"id-\d+", r"key-\w+")
    ids.learn("id-7 and id-8 with key-a", "id-1 and id-2 with key-z")
    ids.learn("id-7", "id-3")
    ids.learn("id-9, id-9", "id-4")
    assert ids.to_ours("id-8 key-a id-7 id-9") == "id-2 key-z id-1 id-9"
    assert ids.to_recorded("id-2 key-z id-1 id-4") == "id-8 key-a id-7 id-4"
    # What came later for id-7 is not taken for it.
    assert ids.to_recorded("id-3") == "id-7"
    assert (ids.ours("id-8"), ids.ours("id-9")) == ("id-2", None)


def test_cookies_are_numbered_as_they_were_set() -> None:
    ids = Ids()
    assert [ids.learn_cookie(header) for header in ("a=1; Path=/", "b=x", "a=2")] == ["a", "b", "a"]
    assert ids.to_ours("a=<a#2>; b=<b#1>; a=<a#1>") == "a=2; b=x; a=1"


# Played to a world


class Club(App):
    """Says hello to everybody, rings every two seconds, and knows its members by numbers that it counts up."""

    name = "club"
    covers = (Cover("lose-write", "lose-write=1", "club", "club"),)

    def start(self) -> None:
        self.requests: list[Request] = []
        self.binary: list[Any] = []
        self.members = 0
        self.every(2.0, self.broadcast, "ring")

    def accept(self, request: Request) -> Answer | None:
        return Answer.text("full", 503) if len(self.sockets) >= 2 else None

    def on_open(self, socket: Socket) -> None:
        socket.send(f"hello, {socket.request.peer}")

    def on_unknown(self, socket: Socket, data: str | bytes) -> None:
        self.binary.append(data)
        socket.ping()

    def on_shutdown(self) -> None:
        self.broadcast("good night")

    @message("leave")
    def leave(self, socket: Socket, body: dict[str, Any]) -> None:
        socket.close(4000, "as you like") if body["politely"] else socket.close(None)

    @route("POST", "/members")
    def join(self, call: Call) -> Answer:
        self.requests.append(call.request)
        self.members += self.copies("member")
        headers = (("content-type", "text/x"), ("x-limit", "9"), ("x-other", "1"), ("set-cookie", f"s=c{self.members}"))
        return Answer(201, f"member-{self.members}".encode(), headers)

    @route("GET", "/members/{id}")
    def member(self, call: Call) -> None:
        self.requests.append(call.request)
        self.after(0.5, call.answer, Answer.text(f"{call.params['id']}, {self.settings.get('CITY')}"))


PLAIN = {"content-type": "text/plain; charset=UTF-8"}
JSON = {"content-type": "application/json"}


def replayed(*events: tuple[float, str, str, str, Any], **options: Any) -> WorldReplay:
    replay = WorldReplay(Club.platform(), made(*events), ids=Ids(r"member-\d+"), **options)
    replay.run()
    return replay


def open_at(at_ms: float, who: str) -> tuple[float, str, str, str, Any]:
    return (at_ms, who, ">", "open", {"path": "/ws?a=1", "headers": {"x-y": "z"}})


def test_sockets_hear_what_was_recorded_and_in_that_order() -> None:
    replay = replayed(
        open_at(0, "a"),
        (1, "a", "<", "open", {"status": 101}),
        (1, "a", "<", "text", "hello, 127.0.0.1"),
        open_at(2, "b"),
        (3, "b", "<", "open", {"status": 101}),
        (3, "b", "<", "text", "hello, 127.0.0.1"),
        open_at(4, "c"),
        (
            5,
            "c",
            "<",
            "open",
            {"status": 503, "headers": PLAIN, "body": "full"},
        ),
        (6, "a", ">", "ping", "x"),
        (7, "a", "<", "pong", "x"),
        (8, "a", ">", "binary", {"base64": "//4="}),
        (9, "a", "<", "ping", ""),
        (10, "a", ">", "pong", ""),
        (1500, "a", "<", "text", "ring"),
        (1500, "b", "<", "text", "ring"),
        (1600, "a", ">", "text", '{"type":"leave","politely":true}'),
        (1601, "a", "<", "close", {"code": 4000, "reason": "as you like"}),
        (1602, "a", ">", "close", {"code": 4000, "reason": ""}),
        (1700, "b", ">", "close", {"code": 1000, "reason": ""}),
        (1701, "b", "<", "close", {"code": 1000, "reason": ""}),
        open_at(1800, "d"),
        (1801, "d", "<", "open", {"status": 101}),
        (1801, "d", "<", "text", "hello, 127.0.0.1"),
        (1802, "d", ">", "text", '{"type":"leave","politely":false}'),
        (1803, "d", "<", "close", {"code": 1006, "reason": ""}),
        open_at(1900, "e"),
        (1901, "e", "<", "open", {"status": 101}),
        (1901, "e", "<", "text", "hello, 127.0.0.1"),
        (1902, "e", ">", "close", {"code": 1006, "reason": ""}),
        born_ms=-500,
    )
    assert replay.seen == replay.recorded()
    assert replay.driver.world.binary == [b"\xff\xfe"]
    assert replay.driver.sockets == []
    assert replay.driver.now == START_S + 1.902


def test_requests_go_with_ids_and_cookies_of_this_world() -> None:
    told = {"status": 201, "headers": {"content-type": "text/x", "x-limit": "9", "set-cookie": ["s"]}}
    replay = replayed(
        (0, "a", ">", "http", {"method": "POST", "path": "/members?b=2", "headers": {"k": "v"}, "body": "{}"}),
        (1, "a", "<", "http", {**told, "body": "member-77"}),
        (2, "a", ">", "http", {"method": "GET", "path": "/members/member-77", "headers": {"c": "<s#1>"}, "body": None}),
        (3, "b", ">", "http", {"method": "HEAD", "path": "/members/member-78", "body": None}),
        (502, "a", "<", "http", {"status": 200, "headers": PLAIN, "body": "member-77, Paris"}),
        (503, "b", "<", "http", {"status": 200, "headers": PLAIN, "body": ""}),
        (9999, "b", ">", "http", {"method": "POST", "path": "/nowhere", "body": "member-77"}),
        (9999, "b", "<", "http", {"status": 404, "headers": JSON, "body": '{"error":"not found"}'}),
        kept_headers=("content-type", "x-limit"),
        settings={"CITY": "Paris"},
        own_addresses=True,
    )
    assert replay.seen == replay.recorded()
    assert replay.driver.world.requests == [
        Request("POST", "/members", "b=2", {"k": "v"}, b"{}", "a"),
        Request("GET", "/members/member-1", "", {"c": "c1"}, b"", "a"),
        Request("HEAD", "/members/member-78", "", {}, b"", "b"),
    ]


def test_what_the_world_says_otherwise_is_seen() -> None:
    events = [
        (0.0, "a", ">", "http", {"method": "POST", "path": "/members", "body": None}),
        (1.0, "a", "<", "http", {"status": 201, "headers": {"set-cookie": ["s"]}, "body": "member-5"}),
        (2.0, "a", ">", "http", {"method": "POST", "path": "/members", "body": None}),
        (3.0, "a", "<", "http", {"status": 201, "headers": {"set-cookie": ["s"]}, "body": "member-6"}),
    ]
    healthy = replayed(*events, kept_headers=())
    assert healthy.seen == healthy.recorded()
    # Two members have one number: it stands for the first of the recorded ones, and never for the second.
    broken = WorldReplay(Club.platform(), made(*events), "lose-write=1", ids=Ids(r"member-\d+"), kept_headers=())
    assert broken.run() != broken.recorded()


def test_a_body_s_headers_may_depend_on_what_was_made_of_it() -> None:
    class Signed(WorldReplay):
        def request_headers(self, headers: Mapping[str, str], recorded_body: str, body: str) -> dict[str, str]:
            return {**super().request_headers(headers, recorded_body, body), "signature": f"{recorded_body} {body}"}

    post = {"method": "POST", "path": "/members"}
    replay = Signed(
        Club.platform(),
        made(
            (0, "a", ">", "http", {**post, "body": None}),
            (1, "a", "<", "http", {"status": 201, "body": "member-5"}),
            (2, "a", ">", "http", {**post, "headers": {"k": "member-5"}, "body": "member-5"}),
        ),
        ids=Ids(r"member-\d+"),
    )
    replay.run()
    assert replay.driver.world.requests[1].headers == {"k": "member-1", "signature": "member-5 member-1"}


def test_a_server_that_is_told_to_stop_says_its_last_and_is_gone() -> None:
    replay = replayed(open_at(0, "a"))
    assert replay.shutdown(1000.0)["a"][2:] == [("text", "good night"), ("close", {"code": 1006})]
    assert replay.driver.now == START_S + 1.0
