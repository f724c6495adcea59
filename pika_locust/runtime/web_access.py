"""Which requests Locust's web page answers: those of its own pages, under names that are this machine's.

Whoever opens a foreign page in a browser that reaches the web page would else let that page start a load, at a host of
its choice: by a form or a script that posts here, or from a name that its owner turns into an address of this machine
while the page is open (DNS rebinding). Programs, which send no Origin, are let in under the same names.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterable, Set
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from flask import Response, request
from werkzeug.datastructures import Headers

from pika_locust.outputs import redact
from pika_locust.settings import split_names

logger = logging.getLogger(__name__)

_CHANGING = frozenset({"locust.swarm", "locust.stop", "locust.reset_stats", "locust.update_user"})
"""Locust's routes that change the run, by whatever method they are asked."""
_READING = frozenset({"GET", "HEAD"})
_OWN = frozenset({"same-origin", "none"})
"""Sec-Fetch-Site of the page itself, and of what was typed by the user."""
_AUTHORITY = re.compile(r"(?P<name>\[[0-9a-f:.%]+\]|[a-z0-9_.-]+)(?::(?P<port>\d{1,5}))?", re.IGNORECASE)
_DEFAULT_PORTS = (None, "80", "443")


class WebAccess:
    """Knows the names of one web page."""

    def __init__(self, own: Iterable[str], allowed: Iterable[str]) -> None:
        """Both are names, with a port or without, beside this machine's (addresses, `localhost` and the host name,
        which no stranger can have point here): `own` are its others, `allowed` those that a proxy may replace."""
        self._own = {*own, "localhost", socket.gethostname().lower()}
        self._allowed = frozenset(allowed)

    def guard(self, app: Any) -> None:
        """Have a Flask application refuse all others, before anything else looks at their requests."""
        app.before_request_funcs.setdefault(None, []).insert(0, self._refusal)

    def _refusal(self) -> Response | None:
        problem = self.problem(request.method, request.endpoint, request.headers)
        if problem is None:
            return None
        problem = redact.one_line(problem)
        logger.warning("The web page refused %s %s: %s", request.method, redact.one_line(request.path), problem)
        return Response(f"{problem}\n", 403, mimetype="text/plain")

    def problem(self, method: str, endpoint: str | None, headers: Headers) -> str | None:
        """Why a request is refused, as a sentence; None for one that is answered."""
        host, origin, site = headers.get("Host"), headers.get("Origin"), headers.get("Sec-Fetch-Site")
        # Every browser sends a Host.
        if host is not None and not self._is_name_of_ours(host):
            return f"{host} is none of this web page's names; if it is, add it to WEB_ALLOWED_HOSTS"
        if origin is not None and not self._is_origin_of_ours(origin, host):
            return f"the request comes from a page at {origin}; if that is this web page, add it to WEB_ALLOWED_HOSTS"
        if site is None or site in _OWN:
            return None
        is_link = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
        if is_link and method in _READING and endpoint not in _CHANGING:
            return None
        return f"the request comes from a page elsewhere (Sec-Fetch-Site: {site})"

    def _is_name_of_ours(self, host: str) -> bool:
        name, _ = _name_and_port(host)
        return _is_address(name) or name.endswith(".localhost") or _is_in(self._own | self._allowed, host)

    def _is_origin_of_ours(self, origin: str, host: str | None) -> bool:
        """Whether it is the page itself, or a name of it that a proxy has replaced in Host."""
        authority = urlsplit(origin).netloc
        is_itself = host is not None and _name_and_port(authority) == _name_and_port(host)
        return is_itself or _is_in(self._allowed, authority)


def _is_in(names: Set[str], authority: str) -> bool:
    name, port = _name_and_port(authority)
    return name in names or f"{name}:{port}" in names


def web_access(options: Any, setting: str | None) -> WebAccess:
    """The access to the web page that Locust's options and the setting `WEB_ALLOWED_HOSTS` describe."""
    shown = urlsplit(options.web_host_display_name or "").netloc
    return WebAccess([*split_names(options.web_host), *split_names(shown)], split_names(setting))


def _name_and_port(authority: str) -> tuple[str, str | None]:
    """In one form each; a default port is none, whichever end of a proxy it belongs to."""
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        return "", None
    port = found["port"]
    return found["name"].lower().removesuffix("."), None if port in _DEFAULT_PORTS else port


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
