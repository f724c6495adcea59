"""`python -m pika_locust.sandbox`: what `start_sandbox` starts. People use `pika-locust sandbox`."""

from __future__ import annotations

import argparse
import json
import os
import sys

from pika_locust.errors import ConfigurationError, ExitCode
from pika_locust.sandbox.control import legal_faults
from pika_locust.sandbox.faults import parse_faults
from pika_locust.sandbox.lookup import find_platform
from pika_locust.sandbox.serve import serve


def main() -> int:
    """Serves, after one line of JSON on stdout with the port and the process id; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pika_locust.sandbox", description=__doc__)
    parser.add_argument("--platform", action="append", required=True, help="whose world to serve; may be repeated")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME[=VALUE]", help="may be repeated")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when the starter's pipe closes")
    options = parser.parse_args()
    try:
        platforms = [find_platform(name) for name in dict.fromkeys(options.platform)]
        faults = parse_faults(options.fault, legal_faults(platforms))
        serve(platforms, faults, os.environ, options.port, _announce, options.until_stdin_closes)
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
