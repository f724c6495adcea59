"""Reads a k6 script into drafts of load tests: load, thresholds, environment, metrics, and what its users send.

Each scenario of `options.scenarios` is a draft of its own. What users do is read from the requests and messages that
stand in the script, in their order; what depends on answers is for the reader to fill in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from pika_locust.cli.draft import (
    HOLE,
    Arrivals,
    Draft,
    EnvText,
    Kind,
    Message,
    Pause,
    Protocol,
    Request,
    Step,
    Unknown,
)
from pika_locust.cli.javascript import (
    Function,
    Scope,
    arguments,
    children,
    declarations,
    descendants,
    functions,
    parse,
    source_of,
    unreadable_lines,
)
from pika_locust.errors import ConfigurationError
from pika_locust.format import cut
from pika_locust.load.durations import format_duration, parse_duration

if TYPE_CHECKING:
    from tree_sitter import Node

_METHODS = {name: name.upper() for name in ("get", "post", "put", "patch", "head", "options")} | {
    "del": "DELETE",
    "delete": "DELETE",
}
_KINDS: Mapping[str, Kind] = {"Trend": "trend", "Rate": "rate", "Counter": "counter", "Gauge": "gauge"}
_DEFAULT_MAX_VUS = 200
_DEEPEST = 6
"""How deep functions of the script are followed."""
_SENT_ANYWAY = frozenset({"content-type", "accept", "user-agent", "content-length"})
_TARGETS = ("BASE_URL", "API_URL", "SERVER_URL", "WS_URL", "HOST", "URL", "TARGET")


def read_k6_script(script: str, name: str, source: str) -> list[Draft]:
    """The drafts of a script; of one with several scenarios, one for each, called `<name>_<scenario>`.

    Raises ConfigurationError for what is no k6 script, and where the parser is not installed.
    """
    try:
        return _drafts(parse(script), name, source)
    except RecursionError as error:
        raise ConfigurationError(f"{source}: an expression is nested too deeply to be read") from error


def _drafts(program: Node, name: str, source: str) -> list[Draft]:
    found = functions(program)
    scope = Scope(expressions=declarations(program, everywhere=False))
    options = scope.value("options")
    options = options if isinstance(options, dict) else {}
    if "default" not in found and not options:
        why = "".join(f"; {one}" for one in _unreadable(program))
        raise ConfigurationError(
            f"{source}: this is no k6 script: it exports neither options nor a default function{why}"
        )
    reader = _Script(program, found, scope, name, source)
    scenarios = options.get("scenarios")
    if not isinstance(scenarios, dict) or not scenarios:
        return [reader.draft(name, {**options, "exec": "default"}, options)]
    return [
        reader.draft(called, settings if isinstance(settings, dict) else {}, options)
        for called, settings in zip(_names(name, list(scenarios)), scenarios.values(), strict=True)
    ]


def _names(name: str, scenarios: Sequence[str]) -> list[str]:
    """What the load tests of a script are called. Equal names of files or classes are numbered, whatever case a file
    system knows; those of the stand-in and of the test are not taken."""
    if len(scenarios) == 1:
        return [name]
    taken = {_key(f"{name}_world"), _key(f"test_{name}")}
    names: list[str] = []
    for scenario in scenarios:
        stem = f"{name}_{re.sub('[^A-Za-z0-9]', '_', scenario)}"
        numbered = chain([stem], (f"{stem}_{number}" for number in count(2)))
        names.append(next(one for one in numbered if _key(one) not in taken))
        taken.add(_key(names[-1]))
    return names


def _key(name: str) -> str:
    return name.replace("_", "").lower()


def _unreadable(program: Node) -> Iterator[str]:
    """Which lines are no JavaScript, in words."""
    lines = unreadable_lines(program)
    if lines:
        more = f" and {len(lines) - 5} more" if len(lines) > 5 else ""
        yield f"what cannot be read as JavaScript, in line {', '.join(map(str, lines[:5]))}{more}"


@dataclass
class _Found:
    """What is met on the way through a function."""

    steps: list[Step] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)
    hold_s: float | None = None
    headers: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """Messages whose kind is not known, as they stand in the script."""


class _Script:
    """One script."""

    def __init__(
        self,
        program: Node,
        found: Mapping[str, Function],
        scope: Scope,
        name: str,
        source: str,
    ) -> None:
        self._program = program
        self._functions = found
        self._scope = scope
        self._name = name
        self._source = source
        self._strings = [node for node in descendants(program) if node.type == "string"]
        self._http = set(self._imported("k6/http")) or {"http"}
        self._sockets = set(self._imported("k6/ws")) or {"ws"}
        self._meters = dict(self._declared_meters())

    def _declared_meters(self) -> Iterator[tuple[str, tuple[str, Kind]]]:
        """Variable -> name and kind of the metric."""
        for variable, expression in declarations(self._program, everywhere=False).items():
            kind = _KINDS.get(source_of(expression.child_by_field_name("constructor")))
            given = arguments(expression)
            metric = self._scope.evaluate(given[0]) if kind is not None and given else None
            if kind is not None and isinstance(metric, str) and metric.isidentifier():
                yield variable, (metric, kind)

    def _imported(self, module: str) -> Iterator[str]:
        """Names under which a module is imported."""
        for text in self._strings:
            if self._scope.evaluate(text) == module and text.parent is not None:
                for clause in children(text.parent):
                    # `import http` and `import * as http`, but not single functions in braces.
                    for name in children(clause):
                        yield source_of(children(name)[0] if name.type == "namespace_import" else name)

    def draft(self, name: str, scenario: Mapping[str, Any], options: Mapping[str, Any]) -> Draft:
        """One scenario of the script."""
        notes: list[str] = []
        found = _Found()
        started = scenario.get("exec") if isinstance(scenario.get("exec"), str) else "default"
        self._walk(str(started), {}, self._scope, found, ())
        protocol = self._protocol(found)
        addresses = found.sockets if protocol != "http" else found.urls
        setting, base = self._target(addresses)
        steps = [_without(step, base) for step in found.steps]
        profiles, arrivals = _load(scenario, notes)
        if profiles and "executor" not in scenario:
            profiles = self._named_profiles(profiles)
        thresholds = list(_thresholds(options, notes))
        path, query = _socket_place(addresses) if protocol == "websocket" else ("", "")
        start = scenario.get("startTime")
        if start not in (None, "0s", 0.0):
            notes.append(f"startTime {start}: scenarios that are run together begin together")
        notes += self._left_out(found, [one for one in steps if not isinstance(one, Pause)])
        environment = {key: value for key, value in self._scope.environment.items() if key != setting}
        draft = Draft(
            name=name,
            source=self._source,
            protocol=protocol,
            steps=steps,
            profiles=profiles,
            arrivals=arrivals,
            thresholds=thresholds,
            meters=dict(self._meters.values()),
            settings=environment,
            target_setting=setting,
            socket_path=path,
            socket_query=query,
            hears=self._heard(protocol),
            hold_s=found.hold_s,
            notes=notes,
        )
        return _fed_by_connections(draft) if protocol == "socketio" else draft

    def _left_out(self, found: _Found, sent: Sequence[Step]) -> Iterator[str]:
        """What the script does besides, a sentence each."""
        if not sent:
            yield "no request and no message was found: put in what users send"
        if found.unread:
            words = ", ".join(cut(one, 60) for one in dict.fromkeys(found.unread))
            yield f"messages that are no JSON object with a type: {words}"
        if headers := list(dict.fromkeys(found.headers)):
            yield f"headers of requests: {', '.join(headers)}"
        texts = {self._scope.evaluate(text) for text in self._strings}
        for module in ("k6/browser", "k6/net/grpc", "k6/experimental/browser"):
            if module in texts:
                yield f"what is done by {module}"
        for name, place in (("setup", "the scenario's set_up"), ("teardown", "the scenario's audit")):
            if name in self._functions:
                yield f"{name}(): its place is {place}"
        if any(_member(node) == "batch" for node in descendants(self._program)):
            yield "http.batch(): call each request, or let more users do it"
        yield from _unreadable(self._program)

    def _protocol(self, found: _Found) -> Protocol:
        if not found.sockets:
            return "http"
        is_socketio = any("socket.io" in url or "EIO=" in url for url in found.sockets)
        return "socketio" if is_socketio else "websocket"

    def _target(self, addresses: Sequence[str]) -> tuple[str, str]:
        """The variable that names the target, and what stands before the paths."""
        url = next(iter(addresses), "")
        for name, default in self._scope.environment.items():
            if isinstance(default, str) and len(default) > 3 and url.startswith(default):
                return name, default.rstrip("/")
        known = [name for name in _TARGETS if name in self._scope.environment]
        if match := re.match(HOLE.pattern, url):
            return (next(iter(known), ""), match[0])
        parts = _address(url)
        return next(iter(known), ""), f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""

    def _named_profiles(self, profiles: dict[str, str]) -> dict[str, str]:
        """The loads by name that the script chooses from, the one that it takes by itself first."""
        (chosen,) = profiles.values()
        named: dict[str, str] = {}
        for variable in declarations(self._program, everywhere=False):
            value = self._scope.value(variable)
            if not isinstance(value, dict) or len(value) < 2:
                continue
            found = {
                key: stages
                for key, one in value.items()
                if isinstance(one, dict) and (stages := _stages(one.get("stages"), 0))
            }
            if chosen in found.values():
                named |= found
        first = next((key for key, stages in named.items() if stages == chosen), None)
        return {first: chosen, **named} if first is not None else profiles

    def _heard(self, protocol: Protocol) -> list[str]:
        """Kinds of messages that the script looks for."""
        if protocol == "http":
            return []
        heard: list[str] = []
        for node in self._strings:
            text, around = self._scope.evaluate(node).strip('"'), node.parent
            if around is None:
                continue
            if protocol == "socketio":
                called = around.parent.child_by_field_name("function") if around.parent is not None else None
                is_kind = _member(called) == "includes" and re.fullmatch(r"[\w.-]+(:[\w.-]+)+", text) is not None
            else:
                left = around.child_by_field_name("left")
                is_equal = source_of(around.child_by_field_name("operator")) in ("===", "==")
                compared = is_equal and (_member(left) or source_of(left)) in ("type", "kind")
                is_kind = (around.type == "switch_case" or compared) and re.fullmatch(r"\w[\w.:-]*", text) is not None
            if is_kind:
                heard.append(text)
        return list(dict.fromkeys(heard))

    def _walk(self, name: str, given: Mapping[str, Any], outer: Scope, found: _Found, above: tuple[str, ...]) -> None:
        """Go through a function, and through those that it calls, in the order of the text."""
        if name not in self._functions or name in above or len(above) > _DEEPEST:
            return
        body = self._functions[name].body
        scope = self._scope.inner(given, declarations(body, everywhere=True))
        self._steps(body, scope, found, (*above, name))

    def _steps(self, body: Node, scope: Scope, found: _Found, above: tuple[str, ...]) -> None:
        calls = [node for node in descendants(body) if node.type in ("call_expression", "new_expression")]
        # What stands in a call's arguments comes before the call.
        for call in sorted(calls, key=lambda one: one.end_byte):
            function, given = call.child_by_field_name("function"), arguments(call)
            if function is None:
                if source_of(call.child_by_field_name("constructor")) == "WebSocket" and given:
                    found.sockets.append(_text(scope.evaluate(given[0])))
            elif name := _member(function):
                self._method(source_of(function.child_by_field_name("object")), name, given, scope, found)
            else:
                self._call(source_of(function), given, scope, found, above)

    def _method(self, owner: str, name: str, given: Sequence[Node], scope: Scope, found: _Found) -> None:
        if owner in self._http and (name in _METHODS or name == "request"):
            self._request(name, given, scope, found)
        elif owner in self._meters and name == "add":
            _feed(found.steps, *self._meters[owner])
        elif owner in self._sockets and name == "connect" and given:
            found.sockets.append(_text(scope.evaluate(given[0])))
        elif name == "send" and given:
            # Of Socket.IO, behind the packet's type.
            value = scope.evaluate(_stringified(given[0]) or given[0])
            if (message := _message(value)) is not None:
                found.steps.append(message)
            elif not re.match(r"\d", _text(value)):  # Engine.IO's own packets are the client's.
                found.unread.append(source_of(given[0]).strip("'\""))
        elif name in ("setTimeout", "setInterval"):
            self._timer(given, scope, found)

    def _call(self, name: str, given: Sequence[Node], scope: Scope, found: _Found, above: tuple[str, ...]) -> None:
        if name == "sleep":
            seconds = scope.evaluate(given[0]) if given else None
            found.steps.append(Pause(float(seconds) if isinstance(seconds, float) else None))
        elif name == "check" and len(given) > 1:
            _name_check(found.steps, scope.evaluate(given[1]))
        elif name in ("setTimeout", "setInterval"):
            self._timer(given, scope, found)
        elif name in self._functions:
            values = zip(self._functions[name].parameters, map(scope.evaluate, given), strict=False)
            self._walk(name, dict(values), scope, found, above)

    def _timer(self, given: Sequence[Node], scope: Scope, found: _Found) -> None:
        after_ms = scope.evaluate(given[-1]) if len(given) > 1 else None
        if isinstance(after_ms, float):
            found.hold_s = max(found.hold_s or 0.0, after_ms / 1000)

    def _request(self, name: str, given: Sequence[Node], scope: Scope, found: _Found) -> None:
        values = [scope.evaluate(part) for part in given]
        method = _METHODS.get(name, "GET")
        if name == "request" and values:
            method = values.pop(0)
            method = method.upper() if isinstance(method, str) else "GET"
        if not values:
            return
        has_body = name not in ("get", "head")
        body = values[1] if has_body and len(values) > 1 else None
        place = 2 if has_body else 1
        parameters = values[place] if len(values) > place else {}
        tags = parameters.get("tags") if isinstance(parameters, dict) else None
        headers = parameters.get("headers") if isinstance(parameters, dict) else None
        if isinstance(headers, dict):
            found.headers += [one for one in headers if one.lower() not in _SENT_ANYWAY]
        url = _text(values[0])
        named = tags.get("name") if isinstance(tags, dict) else None
        found.urls.append(url)
        found.steps.append(Request(method, url, named if isinstance(named, str) else "", body))


def _address(url: str) -> SplitResult:
    """The parts of a URL; where it has none, such as without a part that is not known, all of it is the path."""
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", url, "", "")


def _member(node: Node | None) -> str:
    """The name behind the point of `object.name`; empty for whatever else."""
    return "" if node is None else source_of(node.child_by_field_name("property"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else value.hole if isinstance(value, Unknown) else ""


def _stringified(expression: Node) -> Node | None:
    """What is made JSON somewhere in an expression."""
    for node in descendants(expression):
        if _member(node.child_by_field_name("function")) == "stringify":
            return next(iter(arguments(node)), None)
    return None


def _feed(steps: list[Step], metric: str, kind: Kind) -> None:
    """A metric gets something after a request: a time its round trip, a rate whether it succeeded."""
    at = next((at for at in reversed(range(len(steps))) if isinstance(steps[at], Request)), None)
    if at is None:
        return
    request = steps[at]
    assert isinstance(request, Request)
    if kind == "trend" and not request.trend:
        steps[at] = replace(request, trend=metric)
    elif kind == "rate" and metric not in request.rates and not re.search("fail|error", metric):
        steps[at] = replace(request, rates=(*request.rates, metric))
    elif kind == "counter" and metric not in request.counters and not re.search("fail|error", metric):
        steps[at] = replace(request, counters=(*request.counters, metric))


def _name_check(steps: list[Step], checks: Any) -> None:
    """The outcome of a request is the first check that is made of it."""
    if steps and isinstance(checks, dict) and checks:
        request = steps[-1]
        if isinstance(request, Request) and not request.check:
            steps[-1] = replace(request, check=HOLE.sub(r"\1", next(iter(checks))))


def _message(value: Any) -> Message | None:
    """A message whose kind is known: an object with a type, or an event of Socket.IO."""
    if isinstance(value, dict):
        kind = value.get("type", value.get("event", value.get("action")))
        return Message(kind, value) if isinstance(kind, str) and not HOLE.search(kind) else None
    if isinstance(value, list) and value and isinstance(value[0], str):
        return Message(value[0], value[1:])
    if isinstance(value, str) and (event := re.match(r'42(?:/\w+,)?\["([^"]+)"', value)):
        return Message(event[1], [])
    return None


def _without(step: Step, base: str) -> Step:
    """A request with its path alone, and a name."""
    if not isinstance(step, Request):
        return step
    path = step.path.removeprefix(base)
    if _address(path).netloc:
        parts = _address(path)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
    path = HOLE.sub(lambda hole: "{" + (re.sub(r"\W", "_", hole[1]) or "part") + "}", path) or "/"
    path = path if path.startswith("/") else f"/{path}"
    return replace(step, path=path, name=step.name or f"{step.method} {path.partition('?')[0]}")


def _socket_place(addresses: Sequence[str]) -> tuple[str, str]:
    """Path and query of the WebSocket; the default of the variable may have the path in it."""
    parts = _address(HOLE.sub("X", next(iter(addresses), "")))
    return parts.path if parts.path not in ("", "/") else "/ws", parts.query


def _fed_by_connections(draft: Draft) -> Draft:
    """Socket.IO: metrics of connections are counted by the client, under the script's own names."""
    rate = next((name for name, kind in draft.meters.items() if kind == "rate" and "connect" in name), "")
    trend = next((name for name, kind in draft.meters.items() if kind == "trend" and "connect" in name), "")
    return replace(draft, connect_rate=rate, connect_trend=trend)


def _load(scenario: Mapping[str, Any], notes: list[str]) -> tuple[dict[str, str], Arrivals | None]:
    """The profiles of a scenario, or its arrivals."""
    executor = scenario.get("executor")
    if executor is None:
        executor = "ramping-vus" if scenario.get("stages") else "constant-vus"
    vus = int(_amount(scenario.get("vus"), 1))
    if executor in ("constant-arrival-rate", "ramping-arrival-rate"):
        return {}, _arrivals(scenario)
    if executor in ("shared-iterations", "per-vu-iterations"):
        times = int(_amount(scenario.get("iterations"), 1))
        each = "/user" if executor == "per-vu-iterations" else ""
        notes.append(f"{executor}: run it with ITERATIONS={times}{each} and -u {vus}")
        return {"standard": f"0s:{vus},{_duration(scenario.get('maxDuration'), 600)}:{vus}"}, None
    if executor == "ramping-vus" and (stages := _stages(scenario.get("stages"), _amount(scenario.get("startVUs"), 0))):
        return {"standard": stages}, None
    if executor == "externally-controlled":
        notes.append("externally-controlled: the web page changes the number of users while a test runs")
    if scenario.get("iterations") is not None and scenario.get("duration") is None:
        notes.append(f"iterations: run it with ITERATIONS={int(_amount(scenario.get('iterations'), 1))} and -u {vus}")
    return {"standard": f"0s:{vus},{_duration(scenario.get('duration'), 60)}:{vus}"}, None


def _stages(stages: Any, start_vus: float) -> str:
    """k6's stages as `30s:10,1m:50`; empty where there are none that are known."""
    if not isinstance(stages, list) or not stages:
        return ""
    found = [f"0s:{int(start_vus)}"] if start_vus > 1 else []
    for stage in stages:
        if not isinstance(stage, dict):
            return ""
        found.append(f"{_duration(stage.get('duration'), 60)}:{int(_amount(stage.get('target'), 1))}")
    return ",".join(found)


def _arrivals(scenario: Mapping[str, Any]) -> Arrivals:
    prepared = max(1, int(_amount(scenario.get("preAllocatedVUs"), _amount(scenario.get("maxVUs"), _DEFAULT_MAX_VUS))))
    most = max(prepared, int(_amount(scenario.get("maxVUs"), prepared)))
    unit_s = _seconds(scenario.get("timeUnit"), 1.0)
    if scenario.get("executor") == "constant-arrival-rate":
        duration = scenario.get("duration")
        return Arrivals(unit_s, prepared, most, rate=_amount(scenario.get("rate"), 1), duration_s=_length(duration))
    stages = [stage for stage in scenario.get("stages") or [] if isinstance(stage, dict)]
    return Arrivals(
        unit_s,
        prepared,
        most,
        start_rate=_amount(scenario.get("startRate"), 0),
        stages=tuple((_length(stage.get("duration")), _amount(stage.get("target"), 1)) for stage in stages),
    )


def _length(value: Any) -> Any:
    """Seconds; the default of a variable stays one, if it is a duration."""
    return value if isinstance(value, EnvText) and _seconds(value, -1.0) >= 0 else _seconds(value, 60.0)


def _amount(value: Any, default: float) -> float:
    """A number; the default of a variable stays one."""
    return value if isinstance(value, float) and math.isfinite(value) else float(default)


def _seconds(value: Any, default_s: float) -> float:
    try:
        return parse_duration(value) if isinstance(value, str) else _amount(value, default_s * 1000) / 1000
    except ValueError:
        return default_s


def _duration(value: Any, default_s: float) -> str:
    return format_duration(_seconds(value, default_s))


def _thresholds(options: Mapping[str, Any], notes: list[str]) -> Iterator[tuple[str, Any]]:
    thresholds = options.get("thresholds")
    for metric, given in (thresholds if isinstance(thresholds, dict) else {}).items():
        for one in given if isinstance(given, list) else [given]:
            if isinstance(one, str) and not HOLE.search(one):
                yield metric, one
            elif isinstance(one, dict) and isinstance(one.get("threshold"), str):
                expression: dict[str, Any] = {"threshold": one["threshold"]}
                if one.get("abortOnFail") is True:
                    expression["abort_on_fail"] = True
                if isinstance(one.get("delayAbortEval"), str):
                    expression["delay_abort_eval"] = one["delayAbortEval"]
                yield metric, expression
            else:
                notes.append(f"a threshold on {metric} that is not known without running the script")
