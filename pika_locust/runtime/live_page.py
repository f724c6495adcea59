"""The live page: the verdict so far in Locust's own web page, as a tab of it and at `/verdict` by itself.

The page asks once a second for what is new. That is worked out when somebody asks for it, and once for each evaluation
of the thresholds, however many look. What a browser without scripts shows is in the page as it is sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from typing import Any

import orjson
from flask import Blueprint, Response, abort, request
from gevent import get_hub

from pika_locust.clock import monotonic
from pika_locust.judge import ErrorCount, Report, WorkerReport
from pika_locust.metrics import GaugeValue
from pika_locust.outputs import document_html, document_markdown, live, redact, summary
from pika_locust.outputs.assets import CHART_SCRIPTS, CHART_STYLES, asset
from pika_locust.outputs.document import Document
from pika_locust.outputs.live import LiveAudit, LiveTest, LiveWorker
from pika_locust.outputs.run_report import run_report
from pika_locust.runtime.collector import WorkerRecord
from pika_locust.runtime.coordinator import Coordinator
from pika_locust.runtime.run import Run
from pika_locust.scenario import Scenario

TAB = "verdict"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".md": "text/markdown"}
_STYLES = (*CHART_STYLES, "live.css")
_SCRIPTS = (*CHART_SCRIPTS, "live.js")
_DOWNLOADS = (
    {"title": "JSON", "path": "summary.json"},
    {"title": "HTML", "path": "report.html"},
    {"title": "Markdown", "path": "report.md"},
)
_INDEX, _STATS = "locust.index", "locust.request_stats"
_POLICY = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'"
"""Nothing in the page by itself comes from elsewhere, or runs but its own scripts."""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Verdict</title><link rel="icon" href="data:,"><noscript><meta http-equiv="refresh" content="5"></noscript>
{styles}</head>
<body class="pika-page"><main id="pika-page">{content}</main>
{scripts}</body></html>
"""


class LivePage:
    """Answers the requests of the live page, for the tests of one coordinator."""

    def __init__(self, scenario: Scenario, coordinator: Coordinator) -> None:
        self._scenario = scenario
        self._coordinator = coordinator
        self._environment: Any = None
        self._process = secrets.token_hex(4)
        """What a page tells by that it talks to another process, which counts its tests anew."""
        self._shown: tuple[tuple[Any, ...], LiveTest] | None = None
        self._written: tuple[LiveTest, dict[str, Any], bytes] | None = None

    def attach(self, environment: Any) -> None:
        """Add the routes, the tab and the table to Locust's page."""
        self._environment, web_ui = environment, environment.web_ui
        base_path = getattr(environment.parsed_options, "web_base_path", None) or ""
        routes = Blueprint("pika_locust", __name__, url_prefix=f"{base_path}/verdict")
        protected = web_ui.auth_required_if_enabled
        routes.add_url_rule("", "page", protected(self._page))
        routes.add_url_rule("/data.json", "data", protected(self._data))
        routes.add_url_rule("/static/<name>", "static", protected(_static))
        routes.add_url_rule("/summary.json", "summary", protected(self._summary))
        for suffix, render in (("html", document_html.render), ("md", document_markdown.render)):
            written = partial(self._report_as, suffix, render)
            routes.add_url_rule(f"/report.{suffix}", f"report_{suffix}", protected(written))
        web_ui.app.register_blueprint(routes)
        self._extend_template(web_ui)
        self._extend_statistics(web_ui.app)
        web_ui.app.after_request(_with_scripts)

    # What Locust's own page shows of it: without a script of ours, a tab with a table of text

    def _extend_template(self, web_ui: Any) -> None:
        update = web_ui.update_template_args

        def updated() -> None:
            update()
            # Whatever a locustfile has put there meanwhile stays.
            for name, ours in (
                ("extended_tabs", {"title": "Verdict", "key": TAB}),
                ("extended_tables", {"key": TAB, "structure": [{"key": k, "title": t} for k, t in live.TABLE]}),
            ):
                theirs = [one for one in web_ui.template_args.get(name) or [] if one.get("key") != TAB]
                web_ui.template_args[name] = [*theirs, ours]

        web_ui.update_template_args = updated

    def _extend_statistics(self, app: Any) -> None:
        statistics: Callable[[], Any] = app.view_functions[_STATS]

        def extended() -> Any:
            answer = statistics()
            if not isinstance(answer, Response) or answer.mimetype != "application/json":
                return answer
            body = answer.get_data()
            end = body.rstrip()
            if not end.endswith(b"}") or b'"extended_stats"' in body:
                return answer
            # Locust keeps this answer for the next who asks, so that it must stay as it is.
            table = orjson.dumps([{"key": TAB, "data": self._rows()}])
            return Response(end[:-1] + b',"extended_stats":' + table + b"}", mimetype="application/json")

        app.view_functions[_STATS] = extended

    def _rows(self) -> list[dict[str, Any]]:
        test = self._test(None)
        rows = self._in_json(test)[0]["thresholds"] if test is not None else []
        return [{name: row[name] for name, _ in live.TABLE} for row in rows]

    def _in_json(self, test: LiveTest) -> tuple[dict[str, Any], orjson.Fragment]:
        """A test without its points, as values and as JSON; made once of each."""
        if self._written is None or self._written[0] is not test:
            found = live.to_json(test, self._coordinator.reports)
            self._written = test, found, orjson.dumps(found)
        return self._written[1], orjson.Fragment(self._written[2])

    # What is asked for

    def _page(self) -> Response:
        styles = "".join(f'<link rel="stylesheet" href="verdict/static/{name}">' for name in _STYLES)
        scripts = "".join(f'<script src="verdict/static/{name}"></script>' for name in _SCRIPTS)
        page = _PAGE.format(styles=styles, scripts=scripts, content=live.to_html(self._test(None)))
        return Response(page, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"})

    def _data(self) -> Response:
        """What is new since `stamp`; 204 where nothing is. `show` asks for an earlier test. `locust_state` is Locust's
        own word for what it does, which its page may have missed."""
        locust_state = self._environment.runner.state
        test = self._test(request.args.get("show", type=int))
        if test is None:
            ready = {"phase": "ready", "word": "READY"}
            return _json({"stamp": f"{self._process}.0", "locust_state": locust_state, "test": ready})
        points = len(test.timeline.times_s)
        state = f"{locust_state}-{test.phase}-{test.exit_code}-{len(test.reasons)}-{len(self._coordinator.reports)}"
        stamp = f"{self._process}.{test.number}.{state}.{test.thinned}.{points}"
        seen = request.args.get("stamp", "")
        if seen == stamp:
            return Response(status=204)
        since = int(seen.rsplit(".", 1)[1]) if _is_continued(seen, stamp) else 0
        return _json(
            {
                "stamp": stamp,
                "locust_state": locust_state,
                "downloads": _DOWNLOADS,
                "test": self._in_json(test)[1],
                "since": since,
                "points": live.points(test, since),
            }
        )

    def _summary(self) -> Response:
        report = self._report(request.args.get("run", type=int))
        return Response(
            orjson.dumps(summary.to_dict(report), option=orjson.OPT_INDENT_2),
            mimetype="application/json",
            headers={"Content-Disposition": f'attachment; filename="{_file_name(report)}.json"'},
        )

    def _report_as(self, suffix: str, render: Callable[[Document], str]) -> Response:
        report = self._report(request.args.get("run", type=int))

        def write() -> bytes:
            return render(run_report(summary.to_dict(report))).encode("utf-8", "replace")

        # Another test may be running, whose master must not stand still for it.
        return Response(
            get_hub().threadpool.apply(write),
            mimetype=_TYPES[f".{suffix}"],
            headers={"Content-Disposition": f'attachment; filename="{_file_name(report)}.{suffix}"'},
        )

    def _report(self, number: int | None) -> Report:
        reports = self._coordinator.reports
        if number is None or not 1 <= number <= len(reports):
            abort(404)
        return reports[number - 1]

    # What there is to show

    def _test(self, number: int | None) -> LiveTest | None:
        """The test that runs or ran last, or one that has ended; None before the first."""
        run, reports = self._coordinator.running, self._coordinator.reports
        if number is not None and 1 <= number <= len(reports):
            return self._ended(number)
        if run is None:
            return self._ended(len(reports)) if reports else None
        phase = "ending" if run.finishing else "running" if run.judge is not None else "starting"
        key = (run.facts.run_id, phase, run.latest.at_s if run.latest is not None else None)
        return self._kept(key, lambda: self._running(run, phase, len(reports) + 1))

    def _ended(self, number: int) -> LiveTest:
        report, reports = self._coordinator.reports[number - 1], self._coordinator.reports
        # What workers tell late may still change it.
        key = (number, len(reports), report.exit_code, len(report.reasons))
        return self._kept(key, lambda: live.ended(number, report))

    def _kept(self, key: tuple[Any, ...], make: Callable[[], LiveTest]) -> LiveTest:
        if self._shown is None or self._shown[0] != key:
            self._shown = key, make()
        return self._shown[1]

    def _running(self, run: Run, phase: Any, number: int) -> LiveTest:
        now_s = monotonic()
        elapsed_s, plan, latest = now_s - run.began_s, run.options.plan, run.latest
        workers = run.worker_reports()
        decision = run.decision_so_far(self._scenario, workers)
        stage = ""
        if phase == "ending":
            stage = "users finish, then the audits"
        elif phase == "starting":
            stage = "setting up"
        elif plan.stages:
            at, _ = plan.stage_at(elapsed_s)
            stage = plan.name + (f", stage {at} of {len(plan.stages)}" if len(plan.stages) > 1 else "")
        audits = []
        for name, ledger in run.collector.ledgers().items():
            audits.append(LiveAudit(name, ledger.count("acked"), unanswered=ledger.unanswered))
        return LiveTest(
            number=number,
            run_id=run.facts.run_id,
            scenario=self._scenario.title or self._scenario.name,
            target=run.facts.target,
            started_at=run.facts.started_at,
            phase=phase,
            elapsed_s=elapsed_s if phase != "starting" else 0.0,
            planned_s=plan.duration_s,
            stage=stage,
            outcome=decision.verdict if decision is not None else "pass",
            exit_code=int(decision.exit_code) if decision is not None else 0,
            reasons=[reason.text for reason in decision.reasons] if decision is not None else [],
            thresholds=latest.results if latest is not None else (),
            audits=audits,
            errors=[ErrorCount(*error) for error in run.collector.errors()],
            workers=[_worker(*pair) for pair in zip(run.collector.records(), workers, strict=True)],
            dropped_iterations=latest.snapshot.counted("dropped_iterations") if latest is not None else 0,
            users_peak=max(run.present, default=0),
            timeline=run.timeline.recorder.timeline,
            thinned=run.timeline.recorder.thinned,
        )


def _worker(record: WorkerRecord, report: WorkerReport) -> LiveWorker:
    users = record.snapshot.select("vus") if record.snapshot is not None else None
    is_lost = record.lost_at_s is not None
    return LiveWorker(
        record.index,
        report.host,
        "faulty" if record.problem else "lost" if is_lost else "left" if record.final else "reporting",
        users=int(users.value) if isinstance(users, GaugeValue) and not is_lost else None,
        lag_p95_ms=report.lag_ms.get("p(95)"),
        cpu_percent=record.cpu_percent,
        rss_mb=record.rss_mb_max,
    )


def _is_continued(seen: str, stamp: str) -> bool:
    """Whether a page that has seen the one only lacks points of the other. Its phase may have changed."""
    parts, now = seen.split("."), stamp.split(".")
    if len(parts) != len(now) or not parts[-1].isdecimal() or len(parts[-1]) > 9:
        return False
    return (parts[0], parts[1], parts[3]) == (now[0], now[1], now[3]) and int(parts[-1]) <= int(now[-1])


def _file_name(report: Report) -> str:
    name = "".join(c if c.isalnum() and c.isascii() else "-" for c in redact.text(report.scenario))
    return f"{name}-{report.run_id or 'unfinished'}"


def _json(found: dict[str, Any]) -> Response:
    return Response(orjson.dumps(found), mimetype="application/json", headers={"Cache-Control": "no-store"})


def _static(name: str) -> Response:
    if name not in (*_STYLES, *_SCRIPTS):
        abort(404)
    # Another version of this package may be there tomorrow, under the same address.
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    answer = Response(asset(name), mimetype=_TYPES[PurePath(name).suffix], headers=headers)
    answer.add_etag()
    answer.make_conditional(request)
    return answer


def _with_scripts(response: Response) -> Response:
    if request.endpoint == _INDEX and response.mimetype == "text/html":
        styles = "".join(f'<link rel="stylesheet" href="./verdict/static/{name}">' for name in _STYLES)
        scripts = "".join(f'<script defer src="./verdict/static/{name}"></script>' for name in _SCRIPTS)
        page = response.get_data(as_text=True)
        response.set_data(page.replace("</head>", f"{styles}{scripts}</head>", 1))
    return response
