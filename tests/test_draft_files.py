"""Drafts as Python: what a script or a recording says is written as text, and never as code."""

from __future__ import annotations

import ast

import pytest

from pika_locust.cli.draft import Draft, Message, Protocol, Request, Step
from pika_locust.cli.draft_files import files_of

HOSTILE = '"+breakout()+"\'\\{breakout()}'


@pytest.mark.parametrize(
    ("protocol", "step"),
    [
        ("http", Request("GET", f"/{{id}}/{HOSTILE}", HOSTILE, {HOSTILE: HOSTILE}, check=HOSTILE)),
        ("http", Request(HOSTILE, f"/{HOSTILE}", HOSTILE)),
        ("websocket", Message(HOSTILE, {"type": HOSTILE})),
        ("socketio", Message(HOSTILE, [HOSTILE])),
    ],
)
def test_quotes_and_braces_of_the_source_stay_text(protocol: Protocol, step: Step) -> None:
    draft = Draft(
        "mine",
        f"{HOSTILE}.js",
        protocol,
        [step],
        profiles={HOSTILE: "1s:1", "other": "2s:2"},
        thresholds=[(f"http_req_duration{{name:{HOSTILE}}}", HOSTILE)],
        target_setting="OWN_URL",
        socket_path=f"/{HOSTILE}",
        socket_query=f"session=X&other={HOSTILE}",
    )
    for file, text in files_of([draft], "mine").items():
        tree = ast.parse(text, file)
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert "breakout" not in names, text
        texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        assert file == "test_mine.py" or any(HOSTILE in one for one in texts if isinstance(one, str)), text
