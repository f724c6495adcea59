"""What a real Ghost Greeter server and its clients said to each other, and what is different in it every time."""

from __future__ import annotations

from pathlib import Path

from pika_locust.platforms.greeter.world import PLATFORM
from pika_locust.testing.transcripts import Ids, Transcript, WorldReplay, masking, read_transcripts

TRANSCRIPTS = read_transcripts(Path(__file__).parents[2] / "transcripts" / "greeter")

MADE_UP = r"\b(?:call|active|visitor)_\d{13}_[a-z0-9]{7}\b"

normalise = masking(
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "<time>"),
    (r'"(sid|socketId)":"[\w-]{20}"', r'"\1":"<sid>"'),
    (r'"(timestamp|connectedAt|lastActivityAt|requestedAt|startedAt|visitorConnectedAt)":\d+', r'"\1":<ms>'),
    (MADE_UP, "<id>"),
    (r'"memory":\{"heapUsed":\d+,"heapTotal":\d+,"rss":\d+,"external":\d+\}', '"memory":<bytes>'),
    (r'"details":\{[^}]*\}', '"details":<memory>'),
    (r'"(uptime|latency)":\d+', r'"\1":<n>'),
)


class GreeterReplay(WorldReplay):
    """One server, started afresh."""

    def __init__(self, transcript: Transcript, *faults: str, **settings: str) -> None:
        super().__init__(
            PLATFORM,
            transcript,
            *faults,
            normalise=normalise,
            ids=Ids(MADE_UP),
            settings=settings,
        )
