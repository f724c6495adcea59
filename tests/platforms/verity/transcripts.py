"""What a real Verity server and its clients said to each other, and what is different in it every time."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt

from pika_locust.platforms.verity.world import PLATFORM
from pika_locust.testing.transcripts import Ids, Transcript, WorldReplay, masking, read_transcripts
from tests.platforms.verity.world_driver import signed

TRANSCRIPTS = read_transcripts(Path(__file__).parents[2] / "transcripts" / "verity")
SECRETS = {"STRIPE_WEBHOOK_SECRET": "whsec_test", "JWT_ACCESS_SECRET": "replay"}
KEPT_HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after", "content-type")

ROW = r"(?<![a-z0-9])c[a-z0-9]{24}(?![a-z0-9])"
JWT = r"eyJ[\w-]+\.[\w-]+\.[\w-]+"

normalise = masking(
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "<time>"),
    (JWT, "<access token>"),
    (r"anon_[0-9a-f]{12}", "<anonymous>"),
    (r'"sid":"[\w-]{20}"', '"sid":"<sid>"'),
    (r'"token":"007[\w+/=]+"', '"token":"<media token>"'),
    (r'"uid":\d+', '"uid":<uid>'),
    (r'"uptimeSeconds":\d+', '"uptimeSeconds":<n>'),
)


class VerityIds(Ids):
    """Of users, sessions and the like, and access tokens; those that the recorder made itself are made here as well."""

    def __init__(self) -> None:
        super().__init__(JWT, ROW)

    def ours(self, recorded: str) -> str | None:
        found = super().ours(recorded)
        return self._forged(recorded) if found is None and recorded.startswith("eyJ") else found

    def _forged(self, token: str) -> str:
        """The same claims under the secret of the replay."""
        part = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return jwt.encode({**claims, "sub": self.to_ours(claims["sub"])}, SECRETS["JWT_ACCESS_SECRET"])


class VerityReplay(WorldReplay):
    """Every client calls from its own address, and the limits are those of the real server."""

    def __init__(self, transcript: Transcript, tick_ms: float, *faults: str) -> None:
        """`tick_ms` is an instant at which the matching worker began to work."""
        super().__init__(
            PLATFORM,
            transcript,
            "throttle=120/60s",
            *faults,
            normalise=normalise,
            ids=VerityIds(),
            kept_headers=KEPT_HEADERS,
            settings=SECRETS,
            began_s=transcript.began_s(),
            born_ms=tick_ms % 500 - 500,
            own_addresses=True,
        )

    def request_headers(self, headers: Mapping[str, str], recorded_body: str, body: str) -> dict[str, str]:
        translated = super().request_headers(headers, recorded_body, body)
        if "stripe-signature" in translated:
            # The body may have other ids in it; what did not sign the recorded one stays wrong.
            header, secret = headers["stripe-signature"], SECRETS["STRIPE_WEBHOOK_SECRET"]
            at_s = int(header.partition(",")[0].removeprefix("t=")) if header.startswith("t=") else 0
            over = (signed(text.encode(), at_s, secret).partition("v1=")[2] for text in (recorded_body, body))
            translated["stripe-signature"] = header.replace(*over)
        return translated


def decoded(data: dict[str, Any]) -> tuple[int, Any]:
    """Status and parsed body of an answer."""
    return data["status"], json.loads(data["body"])
