"""Takes secrets out of what Locust itself prints, writes and shows: log, statistics, exceptions, web page, HTML report.

A target may say in its errors what it was told: the token of a URL, a password. From Locust's statistics that would go
to its CSV files, its HTML report, the web page and the terminal. Our own outputs redact for themselves.
"""

from __future__ import annotations

import copy
import functools
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, TextIO

import locust.web
from flask import Response, jsonify, request
from gevent import get_hub
from locust.rpc import Message
from locust.runners import Runner, WorkerRunner
from locust.stats import StatsError
from werkzeug.datastructures import MultiDict

from pika_locust.outputs import redact
from pika_locust.outputs.targets import read_headers
from pika_locust.runtime.target_settings import headers_in, observe_headers
from pika_locust.settings import Settings

_LOGGERS = ("", "locust", "locust.stats_logger")
"""Those that Locust gives handlers of their own."""
LONGEST_SCHEME = len("SCRAM-SHA-256")
"""Of those that may stand before a credential in `Authorization`."""


def attach(environment: Any) -> None:
    """Redact in this process, before anything happens in it; the web page is for `attach_to_page`."""
    _redact_logs()
    get_hub().exception_stream = _RedactedStream(sys.stderr)
    _redact_statistics(environment.stats)
    _redact_exceptions(environment)
    _redact_html_report()


def attach_to_page(environment: Any) -> None:
    """Redact what the web page shows; called after all who have to do with its form."""
    web_ui = environment.web_ui
    update = web_ui.update_template_args

    def updated() -> None:
        update()
        web_ui.template_args["host"] = redact.text(web_ui.template_args["host"])

    def file_name_redacted(response: Response) -> Response:
        if name := response.headers.get("Content-Disposition"):
            response.headers["Content-Disposition"] = redact.text(name)
        return response

    web_ui.update_template_args = updated
    web_ui.app.after_request(file_name_redacted)
    start = web_ui.app.view_functions["locust.swarm"]

    @functools.wraps(start)
    def started() -> Any:
        if environment.host and request.form.get("host") == redact.text(environment.host):
            # What the form was given to show has come back: it means the target that it stands for.
            form = MultiDict(request.form)
            form["host"] = environment.host
            request.form = form  # type: ignore[assignment]
        answer = start()
        said = answer.get_json(silent=True) if isinstance(answer, Response) else None
        if not isinstance(said, dict) or not said.get("host"):
            return answer
        return jsonify({**said, "host": redact.text(said["host"])})

    web_ui.app.view_functions["locust.swarm"] = started


def conceal(settings: Settings, target: str) -> None:
    """From now on, hide the values of secret settings, and passwords and tokens in the URLs of the target and the
    settings, wherever they turn up."""
    texts = {name: value for name, value in settings.items() if isinstance(value, str)}
    redact.conceal(value for name, value in texts.items() if name in settings.secret_names)
    redact.conceal(redact.secrets_in_urls("\n".join([target, *texts.values()])))
    for value in _secret_headers(texts):
        # The scheme before a credential, and the name before a cookie's value, are no secrets.
        words = re.split(r"[\s;=]+", value)
        redact.conceal([value, *(word for word in words if not word.isalpha() or len(word) > LONGEST_SCHEME)])


def _secret_headers(settings: Mapping[str, str]) -> Iterator[str]:
    """What headers say that nobody is to see. A target may need others, too; who reads a page, or delivers results,
    adds one for a key, whatever its name."""
    if extra := settings.get("EXTRA_HEADERS"):
        yield from (value for name, value in headers_in(extra).items() if redact.is_secret(name))
    yield from observe_headers(settings).values()
    yield from read_headers(settings.get("OTLP_HEADERS", "")).values()


class _RedactedFormatter(logging.Formatter):
    """A handler's own formatter, and what it makes of a record without secrets."""

    def __init__(self, formatter: logging.Formatter) -> None:
        super().__init__()
        self._formatter = formatter

    def format(self, record: logging.LogRecord) -> str:
        return redact.text(self._formatter.format(record))


def _redact_logs() -> None:
    for name in _LOGGERS:
        for handler in logging.getLogger(name).handlers:
            if not isinstance(handler.formatter, _RedactedFormatter):
                handler.setFormatter(_RedactedFormatter(handler.formatter or logging.Formatter()))


class _RedactedStream:
    """Where gevent prints exceptions that nobody handled."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, words: str) -> int:
        return self._stream.write(redact.text(words))

    def flush(self) -> None:
        self._stream.flush()


def _redact_statistics(stats: Any) -> None:
    log_request, log_error = stats.log_request, stats.log_error

    def request_logged(method: str, name: str, *measured: Any) -> None:
        log_request(method, redact.name(name), *measured)

    def error_logged(method: str, name: str, error: Any) -> None:
        # As Locust itself would write it.
        log_error(method, redact.name(name), redact.text(StatsError.parse_error(error)))

    stats.log_request, stats.log_error = request_logged, error_logged


def _redact_exceptions(environment: Any) -> None:
    """Locust counts the exceptions of users, here or in the master, by what they say and where."""
    runner, handlers = environment.runner, environment.events.user_error._handlers

    def heard(user_instance: Any, exception: BaseException, tb: TracebackType, **_: Any) -> None:
        # The lines of the program may hold secrets, too.
        said, trace = redact.text(str(exception)), redact.text("".join(traceback.format_tb(tb)))
        if isinstance(runner, WorkerRunner):
            runner.client.send(Message("exception", {"msg": said, "traceback": trace}, runner.client_id))
        else:
            runner.log_exception("local", said, trace)

    handlers[:] = [heard if listener.__module__ == Runner.__module__ else listener for listener in handlers]


def _redact_html_report() -> None:
    """Its head names the target."""
    report = locust.web.get_html_report
    if hasattr(report, "__wrapped__"):
        return

    @functools.wraps(report)
    def redacted(environment: Any, *arguments: Any, **named: Any) -> str:
        shown = copy.copy(environment)
        hosts = {user.host for user in environment.user_classes}
        host = environment.host or (hosts.pop() if len(hosts) == 1 else None)
        shown.host = redact.text(host) if host else None
        return str(report(shown, *arguments, **named))

    # Both have imported it by its name.
    for name in ("locust.web", "locust.main"):
        if name in sys.modules:
            setattr(sys.modules[name], report.__name__, redacted)
