"""Settings that say how a target is reached: trusted certificates, Origin, headers of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from pika_locust.settings import Setting, Settings, one_of, share
from pika_locust.url import parse_url
from pika_locust.wire.access import Access, set_access

_OURS = frozenset(("connection", "content-length", "origin", "transfer-encoding", "upgrade"))
"""Headers that follow from the request, or have a setting of their own."""


def _authorities(value: str) -> str:
    # Loads OpenSSL, which only those need who set this.
    from pika_locust.wire.http_tls import client_context

    try:
        client_context(value)
    except ValueError:
        raise ValueError("no certificates to trust there: it must be a file in PEM form, or a directory") from None
    return value


def _origin(value: str) -> str:
    url = parse_url(value, "http", "https")
    if url.path.strip("/") or url.query or url.credentials is not None:
        raise ValueError("an origin is scheme, host and port alone, such as https://app.example.com")
    return f"{url.scheme}://{url.authority}"


def headers_in(value: str) -> dict[str, str]:
    """`Name: value`, or any number of headers as a JSON object. Raises ValueError for what cannot be sent."""
    # Loads the HTTP parser, which only those need who set this.
    from pika_locust.wire.http_protocol import header_line

    if value.lstrip().startswith("{"):
        try:
            given = json.loads(value)
        except ValueError as error:
            raise ValueError(f"no JSON object: {error}") from None
        if not all(isinstance(text, str) for text in given.values()):
            raise ValueError("the values of headers are texts")
    else:
        name, colon, text = value.partition(":")
        if not colon:
            raise ValueError("write 'Name: value', or a JSON object for several headers")
        given = {name.strip(): text.strip()}
    for name, text in given.items():
        header_line(name, text)
        if name.lower() in _OURS or name.lower().startswith("sec-websocket-"):
            raise ValueError(f"{name} is not one that can be added")
    return dict(given)


def _extra_headers(value: str) -> str:
    headers_in(value)
    return value


TARGET_SETTINGS = (
    Setting("CA_FILE", _authorities, None, "whose certificates the target may have: a PEM file or a directory"),
    Setting("INSECURE_SKIP_TLS_VERIFY", one_of("true", "false", "1", "0"), "false", "true: any certificate is good"),
    Setting("ORIGIN", _origin, None, "the Origin that requests and WebSockets are sent with"),
    Setting(
        "EXTRA_HEADERS",
        _extra_headers,
        None,
        "headers for all that the target is sent: 'Name: value', or a JSON object",
        secret=True,
    ),
)


TRACE_SHARE = Setting(
    "TRACE_SHARE",
    share,
    0.0,
    "the share of HTTP requests and WebSocket handshakes that carry a traceparent (W3C), so that the target's tracing "
    "finds them; 0: none",
)

OBSERVE_SETTINGS = (
    TRACE_SHARE,
    Setting(
        "OBSERVE_HEADERS",
        _extra_headers,
        None,
        "headers for the pages that --observe reads, such as a key: 'Name: value', or a JSON object",
        secret=True,
    ),
)


def observe_headers(settings: Mapping[str, str | None]) -> dict[str, str]:
    """What pages are asked with that `--observe` reads."""
    return headers_in(settings.get("OBSERVE_HEADERS") or "{}")


def access_of(settings: Mapping[str, str | None]) -> Access:
    """How the settings say that the target is reached."""
    headers = headers_in(settings.get("EXTRA_HEADERS") or "{}")
    if origin := settings.get("ORIGIN"):
        headers["Origin"] = origin
    if settings.get("INSECURE_SKIP_TLS_VERIFY") in ("true", "1"):
        return Access(False, headers)
    return Access(settings.get("CA_FILE") or True, headers)


def reach(targets: Iterable[str], settings: Settings) -> None:
    """Whatever connects to these targets from now on does it as the settings say."""
    set_access(targets, access_of(settings))


def target_setting_problems(settings: Settings, target: str | None) -> Iterator[str]:
    """What of these settings has no effect, or contradicts another."""
    said = [setting.name for setting in TARGET_SETTINGS if settings.sources[setting.name] != "default"]
    if said and target is None:
        yield f"{', '.join(said)}: no target is named, and the sandbox needs none of it"
    if settings["CA_FILE"] and settings["INSECURE_SKIP_TLS_VERIFY"] in ("true", "1"):
        yield "CA_FILE and INSECURE_SKIP_TLS_VERIFY: either some certificates are good or all; keep one"


def unaffected_users(settings: Settings, users: Iterable[type]) -> tuple[str, ...]:
    """That users whose clients are not of this package are not reached by these settings: a sentence, or none."""
    said = [setting.name for setting in TARGET_SETTINGS if settings.sources[setting.name] != "default"]
    unaffected = [user for user in users if not getattr(user, "obeys_target_settings", False)]
    if not said or not unaffected:
        return ()
    names = ", ".join(user.__name__ for user in unaffected)
    return (f"{', '.join(said)} changes nothing for {names}: pika_locust's own users and audits do as it says",)
