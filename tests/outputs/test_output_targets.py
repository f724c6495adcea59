"""How `--out` is written, and what is told before the load when it is wrong."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pika_locust.outputs import targets
from pika_locust.outputs.influxdb import influxdb_address
from pika_locust.outputs.sinks import HttpSink
from pika_locust.outputs.targets import EXAMPLES, OUTPUT_SETTINGS, OutputTarget, make_output, output_targets
from pika_locust.settings import Settings, read_settings
from pika_locust.url import parse_url

V1 = "http://127.0.0.1:8086/k6"


def settings(**environ: str) -> Settings:
    found, problems = read_settings(OUTPUT_SETTINGS, environ, "pika")
    assert problems == []
    return found


def problems_of(*options: str, **environ: str) -> list[str]:
    problems: list[str] = []
    output_targets(options, settings(**environ), problems)
    return problems


def test_every_kind_can_be_given_and_all_of_them_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    problems: list[str] = []
    found = output_targets(list(EXAMPLES.values()), settings(), problems)
    assert problems == []
    assert [str(target) for target in found] == list(EXAMPLES.values())
    assert list(tmp_path.iterdir()) == [], "nothing is written before the run"


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("jsn=a", "there is no output 'jsn'; write json=points.json.gz"),
        ("run.json", "there is no output 'run.json'"),
        ("json", "it does not say where to; write json="),
        ("json=", "it does not say where to"),
        ("csv=.", "there is a directory at that name"),
        ("json=/proc/no/such/place", "No such file or directory"),
        ("influxdb=127.0.0.1:8086/k6", "not a URL that begins with http:// or https://"),
        ("influxdb=http://127.0.0.1:8086", "it names no database and no bucket"),
        ("influxdb=http://127.0.0.1:8086/api/v2/write", "it names no bucket"),
        ("otlp=127.0.0.1:4318", "not a URL that begins with http:// or https://"),
        ("prometheus=here", "write HOST:PORT or :PORT"),
        ("prometheus=:99999", "write HOST:PORT or :PORT"),
        ("prometheus=192.0.2.1:9646", "this cannot be listened on (Cannot assign requested address)"),
    ],
)
def test_what_is_wrong_is_told(option: str, told: str) -> None:
    (problem,) = problems_of(option)
    assert problem.startswith(f"--out {option}: {told}")


def test_a_port_that_somebody_has_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (problem,) = problems_of(f"prometheus=127.0.0.1:{port}")
    assert problem.endswith("this cannot be listened on (Address already in use)")
    assert problems_of(f"prometheus=127.0.0.1:{port}") == []


def test_two_outputs_do_not_write_to_one_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "points")
    (problem,) = problems_of(f"json={tmp_path}/points", f"csv={tmp_path}/link", f"csv={tmp_path}/other")
    assert problem == f"--out csv={tmp_path}/link: two outputs would write there"


def test_scrapes_are_answered_at_one_address() -> None:
    (problem,) = problems_of("prometheus=127.0.0.3:9646", "prometheus=127.0.0.3:9647")
    assert problem == "--out prometheus=127.0.0.3:9647: scrapes are answered at one address, 127.0.0.3:9646"


@pytest.mark.parametrize("kind", ["prometheus", "otlp"])
def test_a_package_that_is_missing_is_named(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "find_spec", lambda name: None)
    (problem,) = problems_of(EXAMPLES[kind])
    assert problem.endswith(f"it needs a package that is not installed: pip install 'pika-locust[{kind}]'")
    assert problems_of(f"influxdb={V1}") == []


def test_credentials_are_in_no_problem_and_no_name() -> None:
    (problem,) = problems_of("influxdb=http://me:hunter2222@127.0.0.1:8086")
    assert "hunter2222" not in problem
    assert str(OutputTarget("influxdb", "http://me:hunter2222@a/k6")) == "influxdb=http://REDACTED@a/k6"


def test_every_test_of_a_process_has_files_of_its_own() -> None:
    def second(kind: str, where: str) -> str:
        return OutputTarget(kind, where).numbered(2).where

    assert second("json", "a/points.json.gz") == "a/points-2.json.gz"
    assert second("csv", "points.csv") == "points-2.csv"
    assert second("influxdb", V1) == V1
    assert OutputTarget("json", "points.json.gz").numbered(1).where == "points.json.gz"


@pytest.mark.parametrize(
    ("url", "environ", "write", "create", "authorization"),
    [
        (V1, {}, f"{V1[:-3]}/write?db=k6&precision=ms", True, None),
        (f"{V1[:-3]}/write?db=k6&rp=week", {}, f"{V1[:-3]}/write?db=k6&precision=ms&rp=week", True, None),
        ("http://me:x%40y@h/k6", {}, "http://h/write?db=k6&precision=ms", True, "Basic bWU6eEB5"),
        (
            "http://h/k6",
            {"INFLUXDB_USERNAME": "me", "INFLUXDB_PASSWORD": "x@y:z"},
            "http://h/write?db=k6&precision=ms",
            True,
            "Basic bWU6eEB5Ono=",
        ),
        (
            "https://h?org=o&bucket=b c",
            {"INFLUXDB_TOKEN": "t0ken"},
            "https://h/api/v2/write?org=o&bucket=b+c&precision=ms",
            False,
            "Token t0ken",
        ),
        (
            "http://h:8086/",
            {"INFLUXDB_BUCKET": "b", "INFLUXDB_ORG": "o"},
            "http://h:8086/api/v2/write?org=o&bucket=b&precision=ms",
            False,
            None,
        ),
        ("http://h/p/api/v2/write?bucket=b", {}, "http://h/p/api/v2/write?bucket=b&precision=ms", False, None),
    ],
)
def test_the_url_says_which_influxdb_it_is(
    url: str, environ: dict[str, str], write: str, create: bool, authorization: str | None
) -> None:
    address = influxdb_address(parse_url(url, "http", "https"), settings(**environ))
    assert address.write == write
    assert (address.create is not None) is create
    assert address.headers.get("Authorization") == authorization


@pytest.mark.parametrize(
    ("where", "url"),
    [
        ("http://h:4318", "http://h:4318/v1/metrics"),
        ("http://h:4318/", "http://h:4318/v1/metrics"),
        ("https://h/otlp/v1/metrics", "https://h/otlp/v1/metrics"),
        ("https://h/otlp?tenant=a", "https://h/otlp/v1/metrics?tenant=a"),
    ],
)
def test_otlp_goes_where_its_protocol_has_metrics(where: str, url: str) -> None:
    made = make_output(OutputTarget("otlp", where), settings(OTLP_HEADERS="x-key=s3cret, b = c"), {}, {"run_id": "r"})
    assert made is not None
    sink = made[1]
    assert isinstance(sink, HttpSink)
    assert sink._url == url
    assert sink._headers == {"Content-Type": "application/x-protobuf", "x-key": "s3cret", "b": "c"}


def test_settings_that_cannot_travel_in_a_header_are_refused_without_their_value() -> None:
    environ = {"INFLUXDB_TOKEN": "Token abcdef", "OTLP_HEADERS": "x-key: abcdef"}
    _, problems = read_settings(OUTPUT_SETTINGS, environ, "pika")
    assert [problem.partition(":")[0] for problem in problems] == ["INFLUXDB_TOKEN", "OTLP_HEADERS"]
    assert not [problem for problem in problems if "abcdef" in problem]
