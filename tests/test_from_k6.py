"""k6 scripts as drafts of load tests: what is read of them, and that what is written is in order."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from pika_locust.cli.draft import HOLE, Draft, Message, Pause, Request, Unknown
from pika_locust.cli.draft_files import files_of
from pika_locust.cli.javascript import Scope, children, declarations, parse
from pika_locust.cli.k6_script import read_k6_script
from pika_locust.cli.main import main
from pika_locust.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "tests" / "k6").glob("*.js"))
"""A script of the shape of each suite."""


def drafts(suite: str) -> list[Draft]:
    return read_k6_script((ROOT / "tests" / "k6" / f"{suite}.js").read_text(), "mine", f"{suite}.js")


def requests(draft: Draft) -> list[Request]:
    return [step for step in draft.steps if isinstance(step, Request)]


def value(expression: str, script: str = "") -> object:
    (statement,) = children(parse(f"({expression})"))
    return Scope(expressions=declarations(parse(script), everywhere=False)).evaluate(children(statement)[0])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 / 4", 2.5),
        ("'a' + 1", "a1"),
        ("`a${1 + 1}b`", "a2b"),
        ("`${`x${1}`}`", "x1"),
        ("'it\\'s'", "it's"),
        ("'\\ud83d\\ude00'", "\N{GRINNING FACE}"),
        ("'\\u{110000}'", "\N{REPLACEMENT CHARACTER}"),
        ("{ a: 1, 'b-c': [true, null], ...{ d: 2 } }", {"a": 1, "b-c": [True, None], "d": 2}),
        ("[1, ...[2, 3]][2]", 3),
        ("{ a: { b: 'x' } }.a.b", "x"),
        ("true ? 'yes' : 'no'", "yes"),
        ("__ENV.RATE || '10'", "10"),
        ("__ENV.RATE ? parseInt(__ENV.RATE) : 10", 10),
        ("parseInt(__ENV.RATE || '10', 10)", 10),
        ("__ENV.MODE === 'shared' ? 1 : 2", 2),
        ("Math.ceil(10 / 4)", 3),
        ("/[/]x`/.test('a') || 5", "?"),
        ("BASE + '/x'", "http://h/x"),
        ("LOADS[NAME].stages", [1]),
        ("-1_000", -1000),
        ("0x10", 16),
        ("!false", True),
        ("someFunction()", "?"),
        ("(() => 1)", "?"),
    ],
)
def test_constant_expressions_have_their_values(expression: str, expected: object) -> None:
    script = "const BASE = 'http://h'; const NAME = 'a'\nconst LOADS = { a: { stages: [1] } } // !\nlet x"
    found = value(expression, script)
    assert "?" if isinstance(found, Unknown) else found == expected
    assert isinstance(found, Unknown) == (expected == "?")


def test_a_part_of_a_text_that_is_not_known_is_a_hole_with_a_name() -> None:
    found = value("`${BASE}/events/${event.id}/x`", "const BASE = __ENV.BASE_URL || 'http://h'")
    assert isinstance(found, str)
    assert HOLE.sub(r"{\1}", found) == "http://h/events/{id}/x"


def test_an_expression_ends_where_the_next_statement_begins() -> None:
    assert set(declarations(parse("const a = new Map([[1, 2]])\nconst b = 2"), everywhere=False)) == {"a", "b"}


def test_a_constant_that_is_made_of_itself_is_not_known() -> None:
    assert isinstance(value("A", "const A = B; const B = A;"), Unknown)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("\nconst a = `never", "exports neither .* cannot be read as JavaScript, in line 2"),
        ("console.log(1)", "exports neither options nor a default function$"),
        ("", "exports neither options nor a default function$"),
        (f"export const options = {{ vus: {'(' * 3000}1{')' * 3000} }}", "nested too deeply to be read"),
    ],
)
def test_what_is_no_k6_script_is_refused(script: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        read_k6_script(script, "mine", "x.js")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_half_a_script_is_a_draft_or_is_refused(script: Path) -> None:
    text = script.read_text()
    for at in range(0, len(text), 89):
        for half in (text[:at], text[at:]):
            try:
                found = read_k6_script(half, "mine", script.name)
            except ConfigurationError:
                continue
            for file, written in files_of(found, "mine").items():
                compile(written, file, "exec")


def test_what_is_no_javascript_is_left_out_and_told() -> None:
    script = """
import http from "k6/http";
interface Order { item: string }
export default function (): void {
  http.get("http://h/a");
}
"""
    (draft,) = read_k6_script(script, "mine", "x.ts")
    assert [one.path for one in requests(draft)] == ["/a"]
    assert draft.notes == ["what cannot be read as JavaScript, in line 3, 4"]


def test_what_stands_in_the_arguments_of_a_call_comes_before_it() -> None:
    script = """
import http, { file } from "k6/http";
export default function main() {
  http.get("http://h/a");
  check(http.post("http://h/b", "{}"), { "b is there": (r) => r.status === 200 });
}
"""
    (draft,) = read_k6_script(script, "mine", "x.js")
    assert [(one.path, one.check) for one in requests(draft)] == [("/a", ""), ("/b", "b is there")]


def test_numbers_and_addresses_that_are_none_are_left_open() -> None:
    script = """
import http from "k6/http";
export const options = { vus: 1e999, duration: -1e999 };
export default function () { http.get("http://[" + __ENV.HOST + "]/a"); }
"""
    (draft,) = read_k6_script(script, "mine", "x.js")
    assert draft.profiles == {"standard": "0s:1,1m:1"}
    assert [one.method for one in requests(draft)] == ["GET"]


def test_a_parser_that_is_not_installed_is_104(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tree_sitter_javascript", None)
    with chdir(tmp_path):
        assert main(["new", "mine", "--from-k6", str(SCRIPTS[0])]) == 104
    assert "pip install 'pika-locust[k6]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_pika_plain_stages_that_a_variable_chooses_are_profiles() -> None:
    (draft,) = drafts("pika")
    assert draft.protocol == "websocket"
    assert draft.profiles == {"standard": "2m:100,8m:100,1m:0", "stress": "5m:500,10m:500,2m:0"}
    messages = [step.kind for step in draft.steps if isinstance(step, Message)]
    assert messages == ["SUBSCRIBE", "SEND_LIKE", "VOTE_ON_POLL"]
    assert draft.hears == ["NOW_PLAYING", "POLL_STARTED"]
    assert (draft.socket_path, draft.target_setting, draft.hold_s) == ("/ws", "WS_URL", 660)
    assert draft.settings["SESSION_ID"] == "load-test-session"
    assert list(draft.thresholds) == [("ws_message_latency", "p(95)<500"), ("ws_connection_success", "rate>0.99")]


def test_verity_stages_from_the_environment_thresholds_that_abort_and_functions_in_between() -> None:
    (draft,) = drafts("verity")
    assert draft.profiles == {"standard": "5m:10000,5m:10000,2m:0"}
    assert [(one.method, one.path, one.name, one.check) for one in requests(draft)] == [
        ("POST", "/auth/signup-anonymous", "POST /auth/signup-anonymous", ""),
        ("POST", "/queue/join", "join", "join succeeded"),
        ("DELETE", "/queue/leave/{json}", "leave", "leave succeeded"),
    ]
    assert requests(draft)[1].trend == "queue_join_latency"
    abort = {"threshold": "p(99)<3000", "abort_on_fail": True, "delay_abort_eval": "30s"}
    assert ("queue_join_latency", abort) in draft.thresholds
    assert draft.is_judged("http_req_duration{name:join}")
    assert not draft.is_judged("error_rate")
    assert {"USERS": "10000", "RAMP_UP": "5m"}.items() <= draft.settings.items()


def test_greeter_a_constant_arrival_rate_over_socketio() -> None:
    (draft,) = drafts("greeter")
    assert draft.protocol == "socketio"
    assert draft.arrivals is not None
    assert (draft.arrivals.rate, draft.arrivals.duration_s) == (10, "2m")
    assert (draft.arrivals.pre_allocated_vus, draft.arrivals.max_vus) == (50, 200)
    assert [step.kind for step in draft.steps if isinstance(step, Message)] == ["visitor:join", "call:request"]
    assert draft.hears == ["agent:assigned", "call:accepted"]
    assert draft.connect_rate == "ws_connection_success_rate"
    assert draft.is_judged("ws_connection_success_rate")
    assert not draft.is_judged("calls_requested")


def test_pixelated_one_request_with_its_body_and_pause() -> None:
    (draft,) = drafts("pixelated")
    assert draft.profiles == {"standard": "30s:10,1m:25,2m:50,1m:100,30s:0"}
    (infer,) = requests(draft)
    assert (infer.method, infer.path, infer.trend) == ("POST", "/api/ai/infer", "inference_latency")
    assert infer.body["contextType"] == "therapeutic"
    assert infer.counters == ("successful_inferences",)
    assert draft.steps[-1] == Pause(None)
    assert ("http_req_duration", "p(50)<200") in draft.thresholds


def test_wwmaa_each_scenario_is_a_load_test_of_its_own() -> None:
    auth, events, pages, once = drafts("wwmaa")
    assert [draft.name for draft in (auth, events, pages, once)] == [
        *("mine_auth_load", "mine_events_load", "mine_pages", "mine_once"),
    ]
    assert auth.arrivals is not None
    assert (auth.arrivals.rate, auth.arrivals.duration_s, auth.arrivals.max_vus) == (10, 300, 100)
    assert [one.name for one in requests(auth)] == ["login", "GET /auth/me"]
    assert events.arrivals is not None
    assert events.arrivals.stages == ((120, 125), (480, 31))
    assert events.arrivals.time_unit_s == 60
    assert [one.path for one in requests(events)] == ["/events?limit=20&page=1", "/events/{id}"]
    assert events.notes == ["startTime 30s: scenarios that are run together begin together"]
    assert auth.notes == ["headers of requests: Authorization"]
    assert pages.profiles == {"standard": "0s:5,30s:5"}
    assert once.notes == ["per-vu-iterations: run it with ITERATIONS=10/user and -u 4"]


def test_scenarios_whose_names_are_alike_in_files_are_numbered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("a-b", "a_b", "aB", "вход", "меню", "каталог", "world", "test")
    scenarios = {name: {"executor": "constant-vus", "vus": n + 1} for n, name in enumerate(names)}
    script = f"export const options = {json.dumps({'scenarios': scenarios}, ensure_ascii=False)};"
    (tmp_path / "shop.js").write_text(f"{script}\nexport default function () {{ http.get('http://h/'); }}")
    with chdir(tmp_path):
        assert main(["new", "shop", "--from-k6", "shop.js"]) == 0
    told = re.findall(r"wrote (\w+\.py)", capsys.readouterr().out)
    assert told[:7] == [
        *("shop_a_b.py", "shop_a_b_2.py", "shop_aB_3.py", "shop_____.py", "shop______2.py", "shop_________3.py"),
        "shop_world_2.py",
    ]
    assert sorted(told) == sorted(path.name for path in tmp_path.glob("*.py"))
    classes = [one for path in tmp_path.glob("*.py") for one in re.findall(r"^class (\w+User)", path.read_text(), re.M)]
    assert len(set(classes)) == len(classes) == len(names)


RATES = """
import http from 'k6/http';
const failed = new Rate('failed'), took = new Trend('took', true);
const RATE = Number(__ENV.SPIKE_RATE || 400);
export const options = { scenarios: { spike: {
  executor: 'ramping-arrival-rate', startRate: 20, preAllocatedVUs: RATE * 2, maxVUs: RATE * 3,
  stages: [
    { target: RATE, duration: __ENV.RAMP_UP || '1m' },
    { target: RATE, duration: __ENV.SPIKE_HOLD || '2m' },
  ],
} } };
export function setup() {}
export default function () { http.batch([['GET', 'http://h/a']]); }
"""


def test_rates_and_lengths_of_the_environment_become_settings() -> None:
    (draft,) = read_k6_script(RATES, "mine", "x.js")
    text = files_of([draft], "mine")["mine.py"]
    assert 'ArrivalStage(60, settings["SPIKE_RATE"]),' in text
    assert 'ArrivalStage(settings["SPIKE_HOLD"], settings["SPIKE_RATE"]),' in text
    assert 'Setting("SPIKE_HOLD", duration, 120, "as in x.js"),' in text
    assert "pre_allocated_vus=800," in text
    assert dict(draft.meters) == {"failed": "rate", "took": "trend"}


def test_what_cannot_be_taken_over_is_told() -> None:
    (draft,) = read_k6_script(RATES, "mine", "x.js")
    assert draft.notes == [
        "no request and no message was found: put in what users send",
        "setup(): its place is the scenario's set_up",
        "http.batch(): call each request, or let more users do it",
    ]


def test_messages_that_cannot_be_read_are_told() -> None:
    script = """
import ws from "k6/ws";
export default function () {
  ws.connect("ws://h/ws", {}, (socket) => {
    socket.send("hello");
    socket.send("3");
    socket.send(JSON.stringify({ type: "like" }));
  });
}
"""
    (draft,) = read_k6_script(script, "mine", "x.js")
    assert draft.notes == ["messages that are no JSON object with a type: hello"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_is_written_passes_the_linters_of_this_package(script: Path, tmp_path: Path) -> None:
    with chdir(tmp_path):
        assert main(["new", "mine", "--from-k6", str(script)]) == 0
    for command in (["check"], ["format", "--check"]):
        words = [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", str(ROOT / "pyproject.toml")]
        told = subprocess.run([*words, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
        assert told.returncode == 0, told.stdout + told.stderr


def test_what_was_left_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with chdir(tmp_path):
        main(["new", "mine", "--from-k6", str(ROOT / "tests" / "k6" / "wwmaa.js")])
    said = capsys.readouterr().out
    assert "left out: startTime 30s" in said
    assert "comments, until users measure what they are about: thresholds on http_req_duration{endpoint:auth}\n" in said
    assert "locust --headless -f mine_auth_load.py,mine_events_load.py,mine_pages.py,mine_once.py -t 20s" in said


def test_a_script_that_is_not_there_is_104(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with chdir(tmp_path):
        assert main(["new", "mine", "--from-k6", "none.js"]) == 104
    assert "none.js cannot be read: No such file or directory" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
