"""The ports of a master and of its web page: whether they are free, told before anything is started.

Locust forks its workers first and opens the ports afterwards. Where another run has the master's, the master ends and
its workers take part in that other run. Where the web page has none, Locust ends with a traceback and no reason.
"""

from __future__ import annotations

import socket
from typing import Any


def port_problems(arguments: Any) -> list[str]:
    """What is wrong with the ports of the master and of the web page that these arguments ask for, a sentence each."""
    return [*_master_problems(arguments), *_web_problems(arguments)]


def _web_problems(arguments: Any) -> list[str]:
    asked = arguments.list_commands or arguments.show_task_ratio or arguments.show_task_ratio_json
    headless = arguments.headless and not arguments.headful
    if arguments.worker or headless or asked or arguments.web_port == 0:
        return []
    host = "" if arguments.web_host == "*" else arguments.web_host
    try:
        _open(host or "0.0.0.0", arguments.web_port)
    except OSError as error:
        where = f"{host}:{arguments.web_port}" if host else str(arguments.web_port)
        problem = f"the web page's port {where} cannot be opened ({error.strerror}); another Locust may have it"
        return [f"{problem}: end that one, choose another port with --web-port, or run without a page (--headless)"]
    return []


def _master_problems(arguments: Any) -> list[str]:
    host, port = arguments.master_bind_host, arguments.master_bind_port
    if arguments.worker or not (arguments.master or arguments.processes) or port == 0:
        return []
    try:
        _open(host, port)
    except OSError as error:
        where = str(port) if host == "*" else f"{host}:{port}"
        ports = "--master-bind-port" if arguments.processes else "--master-bind-port, and --master-port for its workers"
        problem = (
            f"the master's port {where} cannot be opened ({error.strerror}); another run on this machine may have it"
        )
        return [f"{problem}: wait for its end, or choose another port with {ports}"]
    return []


def _open(host: str, port: int) -> None:
    """Open a port as ZeroMQ and gevent do it, and close it again. Raises OSError where that cannot be done."""
    any_host = host == "*"
    both = any_host and socket.has_dualstack_ipv6()
    place = ("::" if both else "0.0.0.0") if any_host else host
    family, kind, protocol, _, address = socket.getaddrinfo(place, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if both:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        opened.bind(address)
        opened.listen(1)


def connect_workers_there(parser: Any, arguments: Any) -> None:
    """Have forked workers connect to the port that their master opens, where nobody said otherwise: Locust knows two
    options for it, each with a default of its own, and they would wait at the other port for ever."""
    if arguments.processes and not arguments.worker and arguments.master_port == parser.get_default("master_port"):
        parser.set_defaults(master_port=arguments.master_bind_port)
