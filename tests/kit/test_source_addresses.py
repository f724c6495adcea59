from __future__ import annotations

from typing import Any

import pytest

from pika_locust.kit.source_addresses import TargetClients
from pika_locust.wire.http import Timeouts
from tests.wire.http_servers import content, serving


@pytest.mark.parametrize(
    ("settings", "addresses"),
    [
        ({}, ["127.0.0.1"] * 3),
        ({"SOURCE_ADDRESSES": None}, ["127.0.0.1"] * 3),
        ({"SOURCE_ADDRESSES": "127.0.9.1-127.0.9.2"}, ["127.0.9.1", "127.0.9.2", "127.0.9.1"]),
    ],
)
def test_set_ups_and_audits_ask_from_the_addresses_that_users_have(
    settings: dict[str, Any], addresses: list[str]
) -> None:
    seen: list[str] = []

    def script(peer: Any) -> None:
        seen.append(peer.address[0])
        peer.request()
        peer.send(content(b"{}"))

    with serving(script, script, script) as server:
        clients = TargetClients(server.url, settings, Timeouts(total_s=5.0))
        for number in range(3):
            with clients.client(number) as http:
                assert http.get("/").status == 200
    assert seen == addresses
    assert clients.keep == (len(set(addresses)) == 1)
