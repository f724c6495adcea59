"""What real servers and their clients said to each other, from `tests/transcripts/pika`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "transcripts" / "pika"


def flows() -> list[str]:
    """Names of all recorded flows."""
    return sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def events(flow: str) -> list[dict[str, Any]]:
    """A flow's events, oldest first."""
    return [json.loads(line) for line in (FOLDER / f"{flow}.jsonl").read_text().splitlines()[1:]]


def texts(direction: str) -> list[tuple[str, str]]:
    """Every text frame of one direction, with its flow."""
    return [
        (flow, event["data"])
        for flow in flows()
        for event in events(flow)
        if event["dir"] == direction and event["kind"] == "text"
    ]


def sent(kind: str) -> list[str]:
    """The texts that clients sent of one type, those that are no JSON object aside."""
    return [text for _, text in texts(">") if text.startswith(f'{{"type":"{kind}"')]
