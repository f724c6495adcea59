"""How targets are reached: whose certificates are trusted, and what headers go with everything.

One table for the process, by host and port: whatever connects to a target, over HTTP or WebSocket, for a user, an audit
or a probe, does so in the same way, and no other host is sent a target's headers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pika_locust.url import parse_url


@dataclass(frozen=True, slots=True)
class Access:
    """How a target is reached.

    `verify` is True (the system's authorities), the path of a file or directory of authorities, or False (anybody).
    `headers` go with every request and with the upgrade to a WebSocket, unless those who ask give another value.
    """

    verify: bool | str = True
    headers: Mapping[str, str] = field(default_factory=dict)

    def trust(self, own: Any) -> Any:
        """Whom to trust where a client says `own`: a choice of its own (a file, a context) stays, a mere yes or no
        gives way to what was set."""
        return self.verify if isinstance(own, bool) and self.verify is not True else own


_AS_USUAL = Access()
_targets: dict[tuple[str, int], Access] = {}


def set_access(urls: Iterable[str], access: Access) -> None:
    """Connections to these targets are made like that from now on, and to all others as usual. What is no URL of a
    server is passed over."""
    _targets.clear()
    for url in urls:
        try:
            target = parse_url(url, "http", "https", "ws", "wss")
        except ValueError:
            continue
        _targets[target.host, target.port_number] = access


def access_to(host: str, port: int) -> Access:
    """How to connect to a server."""
    return _targets.get((host, port), _AS_USUAL)
