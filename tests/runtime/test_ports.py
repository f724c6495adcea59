from __future__ import annotations

import argparse
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from pika_locust.runtime.ports import connect_workers_there, port_problems


def arguments(port: int, host: str = "*", **changed: Any) -> Any:
    chosen = {
        "worker": False,
        "master": False,
        "processes": None,
        "master_port": 5557,
        "headless": True,
        "headful": False,
        "list_commands": False,
        "show_task_ratio": False,
        "show_task_ratio_json": False,
        **changed,
    }
    return SimpleNamespace(master_bind_host=host, master_bind_port=port, **chosen)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another run's master has, opened as Locust does it."""
    context = zmq.Context()
    master = context.socket(zmq.ROUTER)
    if socket.has_dualstack_ipv6():
        master.setsockopt(zmq.IPV6, 1)
    yield master.bind_to_random_port("tcp://*")
    context.destroy(linger=0)


@pytest.mark.parametrize("mode", [{"processes": 2}, {"master": True}], ids=["forks workers", "a master"])
@pytest.mark.parametrize("host", ["*", "127.0.0.1"])
def test_a_port_that_another_run_has_is_told_with_what_to_do(mode: dict[str, Any], host: str, taken: int) -> None:
    (problem,) = port_problems(arguments(taken, host, **mode))
    assert problem.startswith(f"the master's port {taken if host == '*' else f'{host}:{taken}'} cannot be opened (")
    assert "choose another port with --master-bind-port" in problem


@pytest.fixture
def page() -> Iterator[int]:
    """A port that another Locust's web page has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("host", ["", "*", "127.0.0.1"])
@pytest.mark.parametrize("mode", [{}, {"processes": 2}, {"headless": True, "headful": True}])
def test_a_port_that_another_web_page_has_is_told_with_what_to_do(host: str, mode: dict[str, Any], page: int) -> None:
    asked = {"headless": False, "web_host": host, "web_port": page, **mode}
    (problem,) = port_problems(arguments(0, **asked))
    assert problem.startswith(f"the web page's port {f'127.0.0.1:{page}' if '.' in host else page} cannot be opened (")
    assert "choose another port with --web-port" in problem
    for nothing in ({"worker": True}, {"headless": True, "headful": False}, {"show_task_ratio": True}):
        assert port_problems(arguments(0, **{**asked, **nothing})) == []


def test_a_host_that_is_not_of_this_machine_is_told_too() -> None:
    (problem,) = port_problems(arguments(0, headless=False, web_host="203.0.113.1", web_port=8089))
    assert problem.startswith("the web page's port 203.0.113.1:8089 cannot be opened (")


@pytest.mark.parametrize("mode", [{}, {"worker": True}, {"worker": True, "processes": 2}])
def test_who_opens_no_port_has_no_problem_with_it(mode: dict[str, Any], taken: int) -> None:
    assert port_problems(arguments(taken, **mode)) == []


def test_a_free_port_is_left_free() -> None:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port = opened.getsockname()[1]
    for _ in range(2):
        assert port_problems(arguments(port, processes=2)) == []


@pytest.mark.parametrize(
    ("mode", "port"),
    [
        ({"processes": 2}, 6000),
        ({"processes": 2, "master_port": 7000}, 5557),
        ({"worker": True, "processes": 2}, 5557),
        ({}, 5557),
    ],
    ids=["forked workers", "another port was named", "workers of a master elsewhere", "no workers"],
)
def test_forked_workers_connect_where_their_master_listens(mode: dict[str, Any], port: int) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--master-port", type=int, default=5557)
    connect_workers_there(parser, arguments(6000, **mode))
    assert parser.parse_args([]).master_port == port
