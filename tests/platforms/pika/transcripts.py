"""What real Pika! servers and their clients said to each other, and what is different in it every time."""

from __future__ import annotations

from pathlib import Path

from pika_locust.testing.transcripts import Ids, masking, read_transcripts

TRANSCRIPTS = read_transcripts(Path(__file__).parents[2] / "transcripts" / "pika")

MADE_ID = r"session_\d{13}"
POLL_ID = r'"pollId":\d+'

normalise = masking(
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "<time>"), (r'"id":\d+', '"id":<n>'), (MADE_ID, "<made id>")
)


def ids() -> Ids:
    """Of polls, and of sessions that were registered without one."""
    return Ids(MADE_ID, POLL_ID)


def received() -> list[tuple[str, str]]:
    """Every text frame that clients got, with its flow."""
    return [(flow, text) for flow, transcript in TRANSCRIPTS.items() for text in transcript.received()]
