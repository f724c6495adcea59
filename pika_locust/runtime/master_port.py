"""The port of a master: whether it is free, told before workers are forked, and the same for these workers.

Locust forks its workers first and opens the port afterwards. Where another run has it, the master ends and its workers
take part in that other run.
"""

from __future__ import annotations

import socket
from typing import Any


def port_problems(arguments: Any) -> list[str]:
    """What is wrong with the port of the master that these arguments ask for, a sentence each; without one, nothing."""
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
    """Open a port as ZeroMQ does it, and close it again. Raises OSError where that cannot be done."""
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
