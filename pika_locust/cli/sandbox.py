"""`pika-locust sandbox`: serves the built-in test targets, with faults to switch on."""

from __future__ import annotations

import argparse
import signal
import socket
import textwrap
import time
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from pika_locust.catalogue import find_platform, known_platforms
from pika_locust.errors import ConfigurationError, ExitCode, SetupError
from pika_locust.sandbox.faults import FaultKind, parse_faults
from pika_locust.sandbox.process import LOOPBACK, SandboxProcess, start_sandbox
from pika_locust.sandbox.server import legal_faults
from pika_locust.sandbox.world import Platform

_POLL_S = 0.1
_LAST_PORT = 65535

_EPILOG = """\
examples:
  pika-locust sandbox                            every platform, on a free port
  pika-locust sandbox --platform pika --port 8700
  pika-locust sandbox --platform orders_world:PLATFORM      the world in ./orders_world.py
  pika-locust sandbox --host 0.0.0.0 --port 8700            for other containers and machines of a private network
  pika-locust sandbox --fault lose-write=0.02    2 of 100 likes and votes are acknowledged, but not kept
  pika-locust sandbox --fault latency=300 --fault drop=1%

while it runs (URL is what it prints; with several platforms also below URL/<platform>):
  curl URL/__sandbox/state                       what the target holds: the numbers that audits compare with
  curl URL/__sandbox/faults                      the faults that are on, and the legal ones
  curl -X PUT -d '{"drop": 0.01}' URL/__sandbox/faults      exactly these faults from now on
  curl -X DELETE URL/__sandbox/faults            no faults from now on
  curl -X POST URL/__sandbox/reset               an empty world, all sockets cut
  curl URL/metrics                               Prometheus text

A RATE is a share such as 0.02 or 2%, and is met exactly: of 100 likes, lose-write=0.02 loses 2.
"""


def run(argv: Sequence[str]) -> int:
    """Serves until Ctrl-C or SIGTERM; returns the exit code.

    Arguments:
        argv: what follows `pika-locust sandbox` on the command line.

    Raises ConfigurationError for what it cannot serve, and SetupError where it does not start, or ends by
    itself.
    """
    options = _parser().parse_args(argv)
    names = list(dict.fromkeys(options.platform or known_platforms()))
    here = [str(Path.cwd())]
    platforms = [find_platform(name, here) for name in names]
    legal = legal_faults(platforms)
    if options.list_faults:
        print(_fault_list(platforms, legal))
        return ExitCode.PASS
    parse_faults(options.fault, legal)
    if not 0 <= options.port <= _LAST_PORT:
        raise ConfigurationError(f"--port {options.port}: ports are 1 to {_LAST_PORT}; 0 takes a free one")
    if not options.allow_public and (public := public_addresses(options.host)):
        raise ConfigurationError(
            f"--host {options.host}: anybody could reach {', '.join(public)}, switch faults and read what is sent; "
            "name a private address, or say --allow-public"
        )
    process = start_sandbox(names, options.fault, options.port, path=here, host=options.host)
    return _stay(process, _welcome(process, platforms, options.fault))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pika-locust sandbox",
        description="Serves stand-ins of the platforms' servers, on 127.0.0.1 unless told, with faults you can plant.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--platform",
        action="append",
        metavar="NAME",
        help=f"serve this one ({', '.join(known_platforms())}, or a world of yours as MODULE:NAME, looked for in this "
        "folder); may be repeated; default: all. "
        "One platform is served at /, several each under /<name>",
    )
    parser.add_argument(
        "--host",
        default=LOOPBACK,
        metavar="ADDRESS",
        help="listen on this address, or 0.0.0.0 for all; default: %(default)s. "
        "Addresses that the internet can reach are refused",
    )
    parser.add_argument("--allow-public", action="store_true", help="listen on such an address all the same")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="default: a free one, which is printed")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="misbehave in this way from the start; may be repeated; see --list-faults",
    )
    parser.add_argument("--list-faults", action="store_true", help="say which faults there are, and end")
    return parser


def public_addresses(host: str) -> list[str]:
    """Those of the addresses that a host stands for which belong to the internet; of 0.0.0.0, this machine's own.

    Raises ConfigurationError for a host that stands for none.
    """
    try:
        found = [str(one[4][0]) for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except OSError as error:
        raise ConfigurationError(f"--host {host}: {error.strerror or error}") from error
    if any(ip_address(one).is_unspecified for one in found):
        found = [
            one.address.partition("%")[0] for ones in psutil.net_if_addrs().values() for one in ones if _is_ip(one)
        ]
    return sorted({one for one in found if ip_address(one.partition("%")[0]).is_global})


def _is_ip(address: Any) -> bool:
    return address.family in (socket.AF_INET, socket.AF_INET6)


def _welcome(process: SandboxProcess, platforms: Sequence[Platform], faults: Sequence[str]) -> str:
    where = [process.url] if len(platforms) == 1 else [f"{process.url}/{platform.name}" for platform in platforms]
    lines = [
        f"sandbox of {platform.name} at {url} (process {process.pid}); Ctrl-C ends it"
        for platform, url in zip(platforms, where, strict=True)
    ]
    lines += [f"with fault {fault}" for fault in faults]
    return "\n".join(lines)


def _fault_list(platforms: Iterable[Platform], legal: Iterable[FaultKind]) -> str:
    lines = []
    for kind in legal:
        names = ", ".join(platform.name for platform in platforms if kind.name in platform.supports)
        lines += textwrap.wrap(f"{kind.usage:<20} {kind.about} ({names})", 110, subsequent_indent=" " * 21)
    return "\n".join(lines)


def _stay(process: SandboxProcess, welcome: str) -> int:
    """Says that the sandbox is there and waits until it ends, or until this process is told to stop."""
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    before = [(number, signal.signal(number, stop)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        print(welcome, flush=True)
        while not stopped and process.exit_code is None:
            time.sleep(_POLL_S)
        if stopped:
            process.terminate()
            return ExitCode.PASS
        raise SetupError(f"the sandbox ended by itself, with code {process.exit_code}; {process.said()}")
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        process.stop()
