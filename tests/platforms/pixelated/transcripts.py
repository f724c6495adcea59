"""What a real Pixelated Empathy server and its clients said to each other, and what is different in it every time."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pika_locust.platforms.pixelated.world import PLATFORM
from pika_locust.testing.transcripts import Transcript, WorldReplay, masking, read_transcripts

TRANSCRIPTS = read_transcripts(Path(__file__).parents[2] / "transcripts" / "pixelated")

normalise = masking(
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "<time>"),
    (r'"uptime":\d+', '"uptime":<s>'),
    (r'"memory":\{"used":\d+,"total":\d+\}', '"memory":<megabytes>'),
    # The words of JavaScript's own parser, which differ between its versions.
    (r'"(message|body)":"[^\n]*(?:JSON|JSON input|at position \d+)"', r'"\1":"<no JSON>"'),
    # The recorded model was a stand-in, whose choice of a persona is not the service's.
    (r'"persona_mode":"\w+"', '"persona_mode":"<one>"'),
    # How the model failed.
    (r"Pixel (API|multimodal) error: \d+ \{[^}]*\}|fetch failed", "<model failed>"),
)
_SHORTENED = re.compile(r"(?s)(.*?)A*…\[(\d+) bytes\]")
MEBIBYTE = 1024 * 1024


class PixelatedReplay(WorldReplay):
    """One server, started afresh."""

    uploads: Mapping[str, int] = {"c1": MEBIBYTE, "c2": 25 * MEBIBYTE + 1, "c3": 25 * MEBIBYTE}
    """Bytes of the audio in messages that are shortened in the recording, by client."""

    def __init__(self, transcript: Transcript, fails_ms: tuple[float, float] | None = None, **settings: str) -> None:
        """`fails_ms` is when the model fails, from the first moment to the second."""
        self._fails_ms = fails_ms
        kept = ("content-type", "retry-after", "x-ratelimit-limit", "x-ratelimit-remaining")
        super().__init__(PLATFORM, transcript, normalise=normalise, kept_headers=kept, settings=settings)

    def run(self, until_ms: float = float("inf")) -> Any:
        """With what was still on its way when the recording ended."""
        self.play(until_ms)
        self.driver.wait(10.0)
        return self.seen

    def before(self, event: Any) -> None:
        super().before(event)
        if self._fails_ms is not None:
            begin_ms, end_ms = self._fails_ms
            self.driver.switch(*(["model-down"] if begin_ms <= event.at_ms < end_ms else []))

    def sent_text(self, who: str, data: str) -> None:
        if "…" in data:
            mime = ',"mimeType":"audio/webm"' if who == "c1" else ""
            data = f'{{"type":"chunk","chunk":"{b64encode(bytes(self.uploads[who])).decode()}"{mime}}}'
        super().sent_text(who, data)

    def sent_http(self, who: str, data: Mapping[str, Any]) -> None:
        body = data["body"] or ""
        if "…" in body:
            head = '------cassette1\r\nContent-Disposition: form-data; name="audio"; filename="big.webm"\r\n'
            audio = "A" * (25 * MEBIBYTE + 1)
            body = f"{head}Content-Type: audio/webm\r\n\r\n{audio}\r\n------cassette1--\r\n"
        super().sent_http(who, {**data, "body": body})

    def recorded(self) -> Any:
        """Without the header that tells a time."""
        seen = super().recorded()
        for events in seen.values():
            for _, data in events:
                if isinstance(data, dict) and "headers" in data:
                    data["headers"].pop("x-ratelimit-reset", None)
        return seen
