"""`python -m pika_locust.sandbox`: what `start_sandbox` starts. People use `pika-locust sandbox`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping

from pika_locust.catalogue import find_platform
from pika_locust.errors import ConfigurationError, ExitCode
from pika_locust.process import raise_open_file_limit
from pika_locust.sandbox.faults import Fault, parse_faults
from pika_locust.sandbox.process import LOOPBACK
from pika_locust.sandbox.server import Sandbox, legal_faults
from pika_locust.sandbox.world import Platform


def serve(
    platforms: Iterable[Platform],
    faults: Iterable[Fault],
    settings: Mapping[str, str],
    port: int,
    announce: Callable[[int], None],
    until_stdin_closes: bool = False,
    host: str = LOOPBACK,
) -> None:
    """Serves until SIGTERM or SIGINT (with the worlds' last notices) or until stdin closes (at once).

    `announce` is called with the port as soon as connections are accepted. Raises `OSError` when the port is taken, or
    `host` is no address of this machine.
    """
    raise_open_file_limit()
    main = _serve(Sandbox(platforms, faults, settings), host, port, announce, until_stdin_closes)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    if sys.platform == "win32":
        return asyncio.new_event_loop
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(
    sandbox: Sandbox, host: str, port: int, announce: Callable[[int], None], until_stdin_closes: bool
) -> None:
    loop = asyncio.get_running_loop()
    told_to_stop, starter_gone = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, told_to_stop.set)
    if until_stdin_closes:
        _watch_stdin(lambda: loop.call_soon_threadsafe(starter_gone.set))
    announce(await sandbox.start(port, host))
    # the long-lived objects are made: collections need not look at them again, and short-lived ones are not in cycles
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    stops = [asyncio.create_task(event.wait()) for event in (told_to_stop, starter_gone)]
    await asyncio.wait(stops, return_when=asyncio.FIRST_COMPLETED)
    for task in stops:
        task.cancel()
    if not starter_gone.is_set():
        await sandbox.shut_down()


def _watch_stdin(closed: Callable[[], object]) -> None:
    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):
            closed()

    threading.Thread(target=watch, name="starter", daemon=True).start()


def main() -> int:
    """Serves, after one line of JSON on stdout with the port and the process id; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pika_locust.sandbox", description=__doc__)
    parser.add_argument(
        "--platform", action="append", required=True, help="whose world to serve, by name or as module:NAME"
    )
    parser.add_argument("--path", action="append", default=[], help="a folder with modules of worlds; may be repeated")
    parser.add_argument("--host", default=LOOPBACK, help="an address of this machine")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME[=VALUE]", help="may be repeated")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when the starter's pipe closes")
    options = parser.parse_args()
    try:
        sys.path += [folder for folder in options.path if folder not in sys.path]
        platforms = [find_platform(name) for name in dict.fromkeys(options.platform)]
        faults = parse_faults(options.fault, legal_faults(platforms))
        serve(platforms, faults, os.environ, options.port, _announce, options.until_stdin_closes, options.host)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return ExitCode.CONFIG
    except OSError as error:
        print(f"the sandbox cannot listen on port {options.port}: {error}", file=sys.stderr)
        return ExitCode.SETUP
    return ExitCode.PASS


def _announce(port: int) -> None:
    print(json.dumps({"port": port, "pid": os.getpid()}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
