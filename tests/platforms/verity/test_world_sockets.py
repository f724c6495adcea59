from __future__ import annotations

import json
import re

import pytest

from pika_locust.sandbox.world import Request
from tests.platforms.verity.world_club import Club

SID = re.compile(r'\{"sid":"[\w-]{20}"\}')


@pytest.fixture
def club() -> Club:
    return Club()


def connected(club: Club, packet: str, **headers: str) -> list[str]:
    """What a fresh connection hears after it said one thing, ids aside."""
    heard: list[str] = []
    socket = club.open(heard, **headers)
    heard.clear()
    club.say(socket, packet)
    return [SID.sub("<sid>", said) for said in heard]


def test_the_handshake_offers_no_upgrade_and_a_heartbeat_of_25_seconds(club: Club) -> None:
    heard: list[str] = []
    club.open(heard)
    (opened,) = heard
    assert opened.startswith("0")
    offer = json.loads(opened[1:])
    assert re.fullmatch(r"[\w-]{20}", offer.pop("sid"))
    assert offer == {"upgrades": [], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1000000}


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/socket.io/", "EIO=3&transport=websocket", 400),
        ("/socket.io/", "EIO=4&transport=polling", 400),
        ("/socket.io/", "", 400),
        ("/ws", "EIO=4&transport=websocket", 404),
    ],
)
def test_other_upgrades_are_refused(club: Club, path: str, query: str, status: int) -> None:
    refusal = club.world.upgrade(Request("GET", path, query, {}), club.now)
    assert refusal is not None
    assert refusal.status == status


@pytest.mark.parametrize("namespace", ["/queue", "/video", "/chat"])
def test_a_good_token_is_accepted_in_each_namespace(club: Club, namespace: str) -> None:
    token = club.member().token
    assert connected(club, f'40{namespace},{{"token":"{token}"}}') == [f"40{namespace},<sid>"]
    assert connected(club, f"40{namespace},", authorization=f"Bearer {token}") == [f"40{namespace},<sid>"]
    assert club.closed == []


@pytest.mark.parametrize("auth", ['{"token":"bad"}', "", "{}", "[]", "{", '{"token":5}'])
def test_a_bad_token_is_accepted_first_and_then_kicked(club: Club, auth: str) -> None:
    assert connected(club, f"40/queue,{auth}") == ["40/queue,<sid>", "41/queue,"]
    assert [code for _, code in club.closed] == [1005]


def test_a_kick_takes_all_namespaces_of_the_connection(club: Club) -> None:
    member = club.member(1)
    socket = member.listen("/video")
    club.say(socket, "40")
    club.say(socket, '40/queue,{"token":"bad"}')
    assert [SID.sub("<sid>", said) for said in member.heard] == [
        "40<sid>",
        "40/queue,<sid>",
        "41/video,",
        "41",
        "41/queue,",
    ]
    assert club.closed == [(socket, 1005)]


def test_the_default_namespace_asks_for_nothing_and_others_do_not_exist(club: Club) -> None:
    assert connected(club, "40") == ["40<sid>"]
    assert connected(club, '40{"token":"bad"}') == ["40<sid>"]
    assert connected(club, "40/nope,") == ['44/nope,{"message":"Invalid namespace"}']
    assert club.closed == []


@pytest.mark.parametrize("packet", ['42/queue,["made:up",{"x":1}]', "431/queue,[]", "6", "41/video,", "41/nope,"])
def test_what_means_nothing_to_the_server_is_ignored(club: Club, packet: str) -> None:
    assert connected(club, packet) == []
    assert club.closed == []


@pytest.mark.parametrize("packet", ["1", "", "hello", "5", "49", b"\x04"])
def test_a_wish_to_close_and_whatever_is_no_packet_end_the_connection(club: Club, packet: str | bytes) -> None:
    socket = club.open([])
    club.say(socket, packet)
    assert club.closed == [(socket, 1005)]


def test_a_packet_beyond_a_million_ends_the_connection(club: Club) -> None:
    socket = club.open([])
    club.say(socket, "4" + "2" * 1_000_000)
    assert club.closed == [(socket, 1009)]


def test_a_namespace_can_be_joined_once(club: Club) -> None:
    member = club.member()
    socket = member.listen("/queue")
    club.say(socket, f'40/queue,{{"token":"{member.token}"}}')
    assert club.closed == [(socket, 1005)]


def test_pings_come_25_seconds_after_the_last_pong() -> None:
    club = Club(answers_pings=False)
    heard: list[str] = []
    socket = club.open(heard)
    heard.clear()
    club.wait(24.9)
    assert heard == []
    club.wait(0.2)
    assert heard == ["2"]
    club.wait(4.9)
    club.say(socket, "3")
    club.wait(24.9)
    assert heard == ["2"]
    club.wait(0.2)
    assert heard == ["2", "2"]


def test_who_does_not_answer_a_ping_for_20_seconds_is_closed() -> None:
    club = Club(answers_pings=False)
    member = club.member(1)
    socket = member.listen("/queue")
    member.join()
    club.wait(44.9)
    assert club.closed == []
    club.wait(0.2)
    assert club.closed == [(socket, 1005)]
    assert member.balance() == 1


def test_an_event_reaches_every_socket_of_its_user_in_its_namespace_only(club: Club) -> None:
    member, other = club.member(1), club.member(1)
    member.listen("/queue"), other.listen("/queue")
    second: list[str] = []
    socket = club.open(second)
    for namespace in ("/queue", "/chat"):
        club.say(socket, f'40{namespace},{{"token":"{member.token}"}}')
    second.clear()
    member.join()
    club.wait(0.01)
    assert second == member.heard == ['42/queue,["queue:status",{"usersSearching":1}]']
    assert other.heard == []
