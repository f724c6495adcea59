"""Verity's sockets: whose token lets them into which namespace, and what a lost one does to the queue."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pika_locust.testing.world_driver import Closed
from tests.platforms.verity.world_driver import VerityDriver

SID = re.compile(r'\{"sid":"[\w-]{20}"\}')
KICKED = Closed(1005, "")


@pytest.fixture
def driver() -> VerityDriver:
    return VerityDriver()


def entering(driver: VerityDriver, packet: str, **headers: str) -> list[Any]:
    """What a fresh connection is sent after one packet, ids aside."""
    packets = driver.send(driver.open(**headers), packet)
    return [SID.sub("<sid>", one) if isinstance(one, str) else one for one in packets]


@pytest.mark.parametrize("namespace", ["/queue", "/video", "/chat"])
def test_a_good_token_is_accepted_in_each_namespace(driver: VerityDriver, namespace: str) -> None:
    token = driver.member().token
    assert entering(driver, f'40{namespace},{{"token":"{token}"}}') == [f"40{namespace},<sid>"]
    assert entering(driver, f"40{namespace},", authorization=f"Bearer {token}") == [f"40{namespace},<sid>"]


@pytest.mark.parametrize("auth", ['{"token":"bad"}', "", "{}", "[]", "{", '{"token":5}'])
def test_a_bad_token_is_accepted_first_and_then_kicked(driver: VerityDriver, auth: str) -> None:
    assert entering(driver, f"40/queue,{auth}") == ["40/queue,<sid>", "41/queue,", KICKED]


def test_a_kick_takes_all_namespaces_of_the_connection(driver: VerityDriver) -> None:
    member = driver.member(1)
    socket = member.listen("/video")
    driver.send(socket, "40")
    driver.send(socket, '40/queue,{"token":"bad"}')
    told = [SID.sub("<sid>", packet) for packet in member.packets[:-1]]
    assert told == ["40<sid>", "40/queue,<sid>", "41/video,", "41", "41/queue,"]
    assert member.packets[-1:] == [KICKED]


def test_the_main_namespace_asks_for_nothing_and_others_do_not_exist(driver: VerityDriver) -> None:
    assert entering(driver, "40") == ["40<sid>"]
    assert entering(driver, '40{"token":"bad"}') == ["40<sid>"]
    assert entering(driver, "40/nope,") == ['44/nope,{"message":"Invalid namespace"}']


def test_no_event_of_a_client_means_anything(driver: VerityDriver) -> None:
    member = driver.member()
    socket = member.listen("/queue")
    assert driver.emit(socket, "/queue", "made:up", {"x": 1}, ack=3) == []
    assert driver.sockets == [socket]


def test_throttle_does_not_count_sockets(driver: VerityDriver) -> None:
    driver.switch("throttle=1/60s")
    assert [driver.refusal("/socket.io/?EIO=4&transport=websocket") for _ in range(3)] == [None] * 3


def test_who_does_not_answer_a_ping_for_20_seconds_has_left_the_queue() -> None:
    driver = VerityDriver(answers_pings=False)
    member = driver.member(1)
    socket = member.listen("/queue")
    member.join()
    driver.wait(44.9)
    assert driver.sockets == [socket]
    driver.wait(0.2)
    assert driver.sockets == []
    assert member.balance() == 1


def test_an_event_reaches_every_socket_of_its_user_in_its_namespace_only(driver: VerityDriver) -> None:
    member, other = driver.member(1), driver.member(1)
    member.listen("/queue"), other.listen("/queue")
    second = driver.open()
    for namespace in ("/queue", "/chat"):
        driver.join(second, namespace, {"token": member.token})
    driver.take(second)
    member.join()
    driver.wait(0.01)
    assert driver.take(second) == member.packets == ['42/queue,["queue:status",{"usersSearching":1}]']
    assert other.packets == []
