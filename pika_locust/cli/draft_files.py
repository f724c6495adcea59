"""Writes a draft of a load test as Python: the locustfile, a stand-in for the server, and a test of both."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pika_locust.cli.draft import (
    HOLE,
    Arrivals,
    Draft,
    EnvNumber,
    EnvText,
    Message,
    Pause,
    Request,
    Step,
    Unknown,
)
from pika_locust.load.durations import parse_duration
from pika_locust.metrics.builtin import BASE_METRICS, HTTP_METRICS, TARGET_METRICS, WEBSOCKET_METRICS

_WIDTH = 120
_ACTORS = {"http": "HttpActor", "websocket": "WebSocketActor", "socketio": "SocketIoActor"}
_USUAL_TARGET = {"http": "BASE_URL", "websocket": "WS_URL", "socketio": "BASE_URL"}
_THERE_ANYWAY = frozenset(
    {"SCENARIO", "USERS", "RAMP_UP", "HOLD", "RAMP_DOWN", "ITERATIONS", "THINK_TIME_MIN", "THINK_TIME_MAX"}
)
"""Settings that every scenario has."""
_SECRET = re.compile("SECRET|TOKEN|PASSWORD|API_KEY")


def files_of(drafts: Sequence[Draft], world: str) -> dict[str, str]:
    """File name -> text: a locustfile of each draft, one stand-in called `world` for all of them, and one test."""
    # In docstrings as well, where a quote or a backslash would end it.
    drafts = [replace(draft, source=re.sub(r"[^\w .()+-]", "_", draft.source)) for draft in drafts]
    texts = {f"{draft.name}.py": _locustfile(draft, world) for draft in drafts}
    return {**texts, f"{world}_world.py": _world(drafts, world), f"test_{world}.py": _test(drafts, world)}


def unmeasured(draft: Draft) -> list[str]:
    """Thresholds that stand as comments, because nothing is measured for them yet."""
    return list(dict.fromkeys(metric for metric, _ in draft.thresholds if not draft.is_judged(metric)))


def _class_name(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _locustfile(draft: Draft, world: str) -> str:
    actor = f"{_class_name(draft.name)}User"
    body = [*_actor(draft, actor), *_arrival_rate(draft), "", "", *_install(draft, actor, world)]
    text = "\n".join(body)
    return "\n".join([*_head(draft, text), "", "", text, ""])


def _head(draft: Draft, text: str) -> Iterator[str]:
    yield f'"""The load test {draft.name}, made of {draft.source}: load, thresholds and requests are its own."""'
    yield ""
    yield "from __future__ import annotations"
    yield ""
    if "partial(" in text:
        yield "from functools import partial"
    if ": Any" in text or "[str, Any]" in text:
        yield "from typing import Any"
    if "partial(" in text or "Any" in text:
        yield ""
    yield "import pika_locust"
    kit = [_ACTORS[draft.protocol], "scenario"]
    kit += [name for name in ("counter", "gauge", "on", "rate", "trend") if _uses(name, text)]
    yield f"from pika_locust.kit import {', '.join(sorted(kit, key=_isort))}"
    targets = [name for name in ("http_side", "http_url", "socketio_url", "websocket_url") if name in text]
    if targets:
        yield f"from pika_locust.kit.targets import {', '.join(targets)}"
    rates = [name for name in ("ArrivalStage", "ConstantArrivalRate", "RampingArrivalRate") if name in text]
    if rates:
        yield f"from pika_locust.load.arrivals import {', '.join(rates)}"
        yield "from pika_locust.runtime.arrivals import OpenActor"
    names = ("Setting", "Settings", "duration", "number", "one_of", "text", "url")
    if parsers := [name for name in names if _is_read(name, text)]:
        yield f"from pika_locust.settings import {', '.join(parsers)}"


def _isort(name: str) -> tuple[bool, str]:
    return name[0].islower(), name


def _uses(name: str, text: str) -> bool:
    return re.search(rf"(: |@){name}\(", text) is not None


def _is_read(name: str, text: str) -> bool:
    pattern = {"Setting": r"Setting\(", "Settings": r": Settings\b", "text": r", text,"}.get(name, rf", {name}[(,]")
    return re.search(pattern, text) is not None


def _actor(draft: Draft, actor: str) -> Iterator[str]:
    bases = _ACTORS[draft.protocol] if draft.arrivals is None else f"{_ACTORS[draft.protocol]}, OpenActor"
    yield f"class {actor}({bases}):"
    yield '    """One user. `act` is called again and again until the user is told to finish."""'
    yield ""
    own = {name: kind for name, kind in draft.meters.items() if name not in _builtin(draft)}
    if own:
        yield "    meters = {"
        yield from (f'        "{name}": {kind}("as in {draft.source}"),' for name, kind in own.items())
        yield "    }"
    if draft.connect_rate:
        yield f'    connect_rate = "{draft.connect_rate}"'
    if draft.connect_trend:
        yield f'    upgrade_trend = "{draft.connect_trend}"'
    if own or draft.connect_rate or draft.connect_trend:
        yield ""
    if draft.socket_query:
        yield "    def url(self) -> str:"
        yield '        """Where to connect to."""'
        yield f'        return f"{{super().url()}}?{_filled("X", draft.socket_query)}"'
        yield ""
    yield "    def act(self) -> None:"
    yield f'        """One iteration, as far as it stands in {draft.source}."""'
    yield from (f"        {line}" for line in _act(draft))
    for kind in draft.hears:
        yield ""
        yield f'    @on("{kind}")'
        yield f"    def on_{re.sub(r'[^a-z0-9]', '_', kind.lower())}(self, message: Any, at_ns: int) -> None:"
        yield '        """The source reacts to this. Called in the event loop, for every user: it must not wait."""'


def _builtin(draft: Draft) -> frozenset[str]:
    """Names that the client has metrics for already."""
    own = {"http": HTTP_METRICS, "websocket": WEBSOCKET_METRICS, "socketio": ()}[draft.protocol]
    return frozenset(metric.name for metric in (*BASE_METRICS, *TARGET_METRICS, *own))


def _act(draft: Draft) -> Iterator[str]:
    if draft.protocol == "http":
        for step in draft.steps:
            yield from _step(step)
        if not any(isinstance(step, Request) for step in draft.steps):
            yield 'self.call("GET", "/", name="GET /")'
            yield "self.think()"
        return
    yield "if not self.connect():"
    yield "    return"
    for step in draft.steps:
        yield from _step(step, draft.protocol)
    wait = "self.stay" if draft.protocol == "socketio" else "self.wait_closed"
    yield "self.think()" if draft.hold_s is None else f"{wait}({draft.hold_s:g})"
    yield "self.disconnect()"


def _step(step: Step, protocol: str = "http") -> Iterator[str]:
    if isinstance(step, Pause):
        yield "self.think()" if step.seconds is None else f"self.think({step.seconds:g})"
    elif isinstance(step, Message):
        if protocol == "socketio":
            values = step.value if isinstance(step.value, list) else [step.value]
            yield from _call("self.emit", [_quoted(step.kind), *map(_code, values)])
        elif protocol == "websocket":
            yield from _call("self.send_json", [_code(step.value)])
    elif protocol == "http":
        yield from _request(step)


def _request(step: Request) -> Iterator[str]:
    arguments = [_quoted(step.method), _path(step.path)]
    if isinstance(step.body, dict | list):
        arguments.append(_code(step.body))
    elif step.body is not None and step.method != "GET":
        arguments.append("{}")
    arguments.append(f"name={_quoted(step.name)}")
    if step.check:
        arguments.append(f"check={_quoted(step.check)}")
    if step.statuses:
        arguments.append(f"ok={step.statuses!r}")
    if step.trend:
        arguments.append(f"trend={_quoted(step.trend)}")
    kept = "answer = " if step.rates or step.counters else ""
    yield from _call(f"{kept}self.call", arguments)
    for name in step.rates:
        yield f"self.meters.{name}.add(answer.ok)"
    for name in step.counters:
        yield f"self.meters.{name}.add(int(answer.ok))"


def _path(path: str) -> str:
    hole = r"\{\w+\}"
    return f'f"{_filled(hole, path)}"' if re.search(hole, path) else _quoted(path)


def _filled(hole: str, text: str) -> str:
    """The inside of an f-string, with a new id in place of each hole."""
    known = (re.sub("[{}]", r"\g<0>\g<0>", _escaped(part)) for part in re.split(hole, text))
    return "{self.new_id()}".join(known)


def _call(function: str, arguments: Sequence[str], indent: int = 8) -> Iterator[str]:
    """A call in one line, or with an argument a line."""
    line = f"{function}({', '.join(arguments)})"
    if len(line) + indent <= _WIDTH and "\n" not in line:
        yield line
        return
    yield f"{function}("
    for argument in arguments:
        yield from (f"    {part}" for part in f"{argument},".split("\n"))
    yield ")"


def _quoted(text: str) -> str:
    return repr(text) if '"' in text and "'" not in text else f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """The inside of a string between double quotes."""
    body = repr(text)[1:-1]
    return re.sub(r"""\\'|"|\\.""", lambda found: {"\\'": "'", '"': '\\"'}.get(found[0], found[0]), body)


def _code(value: Any) -> str:
    """A value as Python, over several lines when it is long."""
    if isinstance(value, EnvNumber | EnvText) and value.env not in _THERE_ANYWAY:
        return f'self.worker.settings["{value.env}"]'
    if isinstance(value, Unknown) or (isinstance(value, str) and HOLE.search(value)):
        return "self.new_id()"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(float(value))
    if isinstance(value, dict):
        return _bracketed("{}", [f"{_quoted(str(name))}: {_code(one)}" for name, one in value.items()])
    if isinstance(value, list):
        return _bracketed("[]", [_code(one) for one in value])
    return repr(value)


def _bracketed(brackets: str, items: Sequence[str]) -> str:
    line = f"{brackets[0]}{', '.join(items)}{brackets[1]}"
    if len(line) <= _WIDTH - 44 and "\n" not in line:
        return line
    return f"{brackets[0]}\n{textwrap.indent(''.join(f'{item},' + chr(10) for item in items), '    ')}{brackets[1]}"


def _arrival_rate(draft: Draft) -> Iterator[str]:
    if draft.arrivals is None:
        return
    arrivals = draft.arrivals
    kind = "RampingArrivalRate" if arrivals.stages else "ConstantArrivalRate"
    yield ""
    yield ""
    yield f"def arrival_rate(settings: Settings) -> {kind}:"
    yield '    """Iterations begin at this rate, however long they take."""'
    yield f"    return {kind}("
    yield from (f"        {line}" for line in _rate_arguments(arrivals))
    yield "    )"


def _rate_arguments(arrivals: Arrivals) -> Iterator[str]:
    if arrivals.stages:
        yield f"start_rate={_setting(arrivals.start_rate)},"
        yield "stages=("
        yield from (f"    ArrivalStage({_setting(length)}, {_setting(rate)})," for length, rate in arrivals.stages)
        yield "),"
    else:
        yield f"rate={_setting(arrivals.rate)},"
        yield f"duration_s={_setting(arrivals.duration_s)},"
    if arrivals.time_unit_s != 1:
        yield f"time_unit_s={arrivals.time_unit_s:g},"
    yield f"pre_allocated_vus={arrivals.pre_allocated_vus},"
    yield f"max_vus={arrivals.max_vus},"


def _setting(value: Any) -> str:
    if isinstance(value, EnvNumber | EnvText) and value.env not in _THERE_ANYWAY:
        return f'settings["{value.env}"]'
    return f"{parse_duration(value) if isinstance(value, str) else value:g}"


def _install(draft: Draft, actor: str, world: str) -> Iterator[str]:
    yield "pika_locust.install("
    yield "    scenario("
    yield f'        "{draft.name}",'
    yield f"        {actor},"
    yield f'        about="made of {draft.source}",'
    yield from (f"        {line}" for line in _target(draft))
    yield f'        world="{world}_world:PLATFORM",'
    if draft.arrivals is not None:
        yield "        profiles={},"
        yield '        default_profile="constant",'
        yield "        arrivals=arrival_rate,"
    elif len(draft.profiles) == 1:
        ((name, stages),) = draft.profiles.items()
        yield f'        profiles={{{_quoted(name)}: "{stages}"}},'
    else:
        yield "        profiles={"
        yield from (f'            {_quoted(name)}: "{stages}",' for name, stages in draft.profiles.items())
        yield "        },"
    yield from (f"        {line}" for line in _thresholds(draft))
    settings = list(_settings(draft))
    if settings:
        yield "        settings=["
        yield from (f"            {line}," for line in settings)
        yield "        ],"
    yield "    )"
    yield ")"


def _target(draft: Draft) -> Iterator[str]:
    kind = "ws" if draft.protocol == "websocket" else "http"
    own = draft.target_setting not in ("", _USUAL_TARGET[draft.protocol])
    if not own:
        yield f'target="{kind}",'
    else:
        schemes = {"http": '"http", "https"', "websocket": '"ws", "wss", "http", "https"'}
        read = schemes.get(draft.protocol, '"ws", "wss", "http", "https"')
        yield f'target=Setting("{draft.target_setting}", url({read}), None, "the target"),'
    if draft.protocol == "websocket":
        if own:
            yield f"normalise_target=partial(websocket_url, path={_quoted(draft.socket_path)}),"
            yield f"http_base=partial(http_side, path={_quoted(draft.socket_path)}),"
        elif draft.socket_path != "/ws":
            yield f"path={_quoted(draft.socket_path)},"
    elif draft.protocol == "socketio":
        yield "normalise_target=socketio_url,"
    elif own:
        yield "normalise_target=http_url,"


def _thresholds(draft: Draft) -> Iterator[str]:
    """Those that are measured, and as comments those that are not yet."""
    by_metric: dict[str, list[str]] = {}
    for metric, expression in draft.thresholds:
        by_metric.setdefault(metric, []).append(_code(expression))
    judged = {metric: given for metric, given in by_metric.items() if draft.is_judged(metric)}
    if not by_metric:
        return
    yield "thresholds={"
    for metric, given in judged.items():
        expressions = given[0] if len(given) == 1 else _bracketed("[]", given)
        yield from textwrap.indent(f"{_quoted(metric)}: {expressions},", "    ").split("\n")
    if len(judged) < len(by_metric):
        yield "    # Without a sample, a threshold fails. Take these in as soon as users measure what they are about:"
    for metric, given in by_metric.items():
        if metric not in judged:
            expressions = given[0] if len(given) == 1 else f"[{', '.join(given)}]"
            yield from (f"    # {line}" for line in f"{_quoted(metric)}: {expressions},".split("\n"))
    yield "},"


def _settings(draft: Draft) -> Iterator[str]:
    durations = {one.env for one in _lengths(draft) if isinstance(one, EnvText)}
    for name, default in draft.settings.items():
        if name in _THERE_ANYWAY:
            continue
        secret = ", secret=True" if _SECRET.search(name) else ""
        about = _quoted(f"as in {draft.source}")
        if name in durations:
            yield f'Setting("{name}", duration, {parse_duration(default):g}, {about}{secret})'
        elif re.fullmatch(r"\d+(\.\d+)?", default_text := _text_of(default)):
            yield f'Setting("{name}", number(0), {float(default_text):g}, {about}{secret})'
        else:
            known = isinstance(default, str) and default and not HOLE.search(default)
            yield f'Setting("{name}", text, {_quoted(default) if known else None}, {about}{secret})'
    if draft.arrivals is not None:
        about = '"uniform: evenly spaced; poisson: at random"'
        yield f'Setting("ARRIVALS", one_of("uniform", "poisson"), "uniform", {about})'


def _text_of(default: Any) -> str:
    return f"{default:g}" if isinstance(default, float) else default if isinstance(default, str) else ""


def _lengths(draft: Draft) -> Iterable[Any]:
    arrivals = draft.arrivals
    return () if arrivals is None else (arrivals.duration_s, *(length for length, _ in arrivals.stages))


def _world(drafts: Sequence[Draft], world: str) -> str:
    """The stand-in: it says yes to everything that the users send."""
    name = f"{_class_name(world)}World"
    is_socketio = any(draft.protocol == "socketio" for draft in drafts)
    base = "SocketIoApp" if is_socketio else "App"
    handlers = list(_handlers(drafts))
    text = "\n".join(handlers)
    names = [*(["App"] if not is_socketio else []), *(["Call"] if "call: Call" in text else [])]
    marks = {"Socket": "socket: Socket", "message": "@message(", "route": "@route("}
    names += [name for name, mark in marks.items() if mark in text]
    lines = [
        f'"""A stand-in for the server of {world}, which says yes to all that users send; put your own answers in."""',
        "",
        "from __future__ import annotations",
        "",
        *(["from typing import Any", ""] if "Any" in text else []),
        *([f"from pika_locust.sandbox.app import {', '.join(names)}"] if names else []),
        *(["from pika_locust.sandbox.socketio import Client, SocketIoApp, event"] if "@event(" in text else []),
        *(["from pika_locust.sandbox.socketio import SocketIoApp"] if is_socketio and "@event(" not in text else []),
        "",
        "",
        f"class {name}({base}):",
        '    """Handlers answer now or later, but nothing blocks, sleeps or reads a clock."""',
        "",
        f'    name, about = "{world}", "says yes to all that users send"',
        *_socket_paths(drafts),
        *handlers,
        "",
        "",
        f"PLATFORM = {name}.platform()",
        "",
    ]
    return "\n".join(lines)


def _socket_paths(drafts: Sequence[Draft]) -> Iterator[str]:
    path = next((draft.socket_path for draft in drafts if draft.protocol == "websocket"), "/ws")
    if path != "/ws":
        yield f"    socket_path = {_quoted(path)}"


def _handlers(drafts: Sequence[Draft]) -> Iterator[str]:
    steps = [(draft.protocol, step) for draft in drafts for step in draft.steps]
    routes = {(step.method, step.path.partition("?")[0]) for _, step in steps if isinstance(step, Request)}
    if any(draft.protocol == "http" and not any(isinstance(one, Request) for one in draft.steps) for draft in drafts):
        routes.add(("GET", "/"))
    number = 0
    for method, path in sorted(routes):
        number += 1
        if (method, path) == ("GET", "/health"):
            continue
        yield from ("", f"    @route({_quoted(method)}, {_quoted(path)})")
        yield f"    def {_method_name(f'{method}_{path}', number)}(self, call: Call) -> Any:"
        yield '        """Put the answer here."""'
        yield "        return {}"
    said = {(protocol, step.kind) for protocol, step in steps if isinstance(step, Message) and protocol != "http"}
    for protocol, kind in sorted(said):
        number += 1
        word = _method_name(kind, number)
        if protocol == "socketio":
            yield from ("", f"    @event({_quoted(kind)})")
            yield f"    def {word}(self, client: Client, *values: Any) -> Any:"
            yield '        """Put the answer here, and what others are told."""'
            yield '        return {"ok": True}'
        else:
            yield from ("", f"    @message({_quoted(kind)})")
            yield f"    def {word}(self, socket: Socket, body: Any) -> None:"
            yield '        """Put here what the server does: `socket.send(...)`, `self.broadcast(...)`."""'


def _method_name(text: str, number: int) -> str:
    word = re.sub("[^a-z0-9]+", "_", text.lower()).strip("_")
    return f"{word}_{number}" if word[:1].isalpha() else f"on_{word}_{number}"


def _test(drafts: Sequence[Draft], world: str) -> str:
    cases = ", ".join(_quoted(draft.name) for draft in drafts)
    return f'''"""The load tests of {world} on their stand-in: a short run of each ends green."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pika_locust.errors import ExitCode

FOLDER = Path(__file__).resolve().parent


@pytest.mark.parametrize("name", [{cases}])
def test_a_short_run_passes(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "locust", "--headless", "-f", f"{{name}}.py", "-u", "5", "-t", "8s"]
    words = [*command, "--summary-json", str(tmp_path / "summary.json")]
    # Five users, also where the load is a rate.
    environ = {{**os.environ, "USE_SIMPLE": "1"}}
    done = subprocess.run(words, cwd=FOLDER, env=environ, capture_output=True, text=True, timeout=120)
    assert (tmp_path / "summary.json").exists(), done.stdout + done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    why = "\\n".join(reason["text"] for reason in summary["reasons"])
    if done.returncode == ExitCode.GENERATOR:
        pytest.skip(f"this machine was too slow to tell anything: {{why}}")
    assert done.returncode == 0, why
    assert summary["load"]["iterations"] > 0
'''
