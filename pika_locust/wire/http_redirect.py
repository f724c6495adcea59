"""Where a redirect leads (RFC 9110, section 15.4), as far as a load generator may go."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from pika_locust.wire.http_origin import Origin
from pika_locust.wire.http_response import Response

_AS_GET = frozenset((301, 302))
_AS_IT_WAS = frozenset((307, 308))
_SEE_OTHER = 303


def redirect(origin: Origin, target: str, method: str, response: Response) -> tuple[str, str] | None:
    """Method and target of the request that a redirect asks for, or None.

    None is also the answer to a redirect that leaves the origin: whoever started a test named the host to be loaded,
    and no other. 303 turns every method but HEAD into GET, and 301 and 302 do so to POST, as browsers do.
    """
    status = response.status
    if status != _SEE_OTHER and status not in _AS_GET and status not in _AS_IT_WAS:
        return None
    location = response.headers.get_all("location")
    if len(location) != 1:
        return None
    try:
        there = urlsplit(urljoin(f"{origin.scheme}://{origin.authority}{target}", location[0]))
        elsewhere = Origin(f"{there.scheme}://{there.netloc}")
    except ValueError:
        return None
    if (elsewhere.scheme, elsewhere.host, elsewhere.port) != (origin.scheme, origin.host, origin.port):
        return None
    path = there.path or "/"
    if not (path.isascii() and path.isprintable()) or " " in path or " " in there.query:
        return None
    if (status == _SEE_OTHER and method != "HEAD") or (status in _AS_GET and method == "POST"):
        method = "GET"
    return method, f"{path}?{there.query}" if there.query else path
