"""What a real WWMAA backend and its clients said to each other, and what is different in it every time."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt

from pika_locust.platforms.wwmaa.world import PLATFORM
from pika_locust.platforms.wwmaa.world_accounts import user_id
from pika_locust.testing.transcripts import Ids, Transcript, WorldReplay, masking, read_transcripts

TRANSCRIPTS = read_transcripts(Path(__file__).parents[2] / "transcripts" / "wwmaa")
SECRET = "replayed: a secret of at least thirty-two bytes"
JWT = r"eyJ[\w-]+\.[\w-]+\.[\w-]+"
_MASK = masking(
    (JWT, "<token>"),
    (r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>"),
    (r'"csrf_token":"[\w-]{43}"', '"csrf_token":"<token>"'),
    (r'"(event_date|rsvp_date)":"[^"]*"', r'"\1":"<time>"'),
    (r'"qr_code":"[^"]*"', '"qr_code":"<picture>"'),
    (r'"(processing_time_seconds|latency_ms|refund_amount)":[\d.]+', r'"\1":<n>'),
    # What the stand-in for the model and for the data store had to say.
    (r'"answer":"(?:[^"\\]|\\.)*"', '"answer":"<words>"'),
    (r'"related_queries":\[[^\]]*\]', '"related_queries":[]'),
    (r'"title":"[^"]*","url":"[^"]*"', '"title":"<one>","url":"<one>"'),
)


def normalise(text: str) -> str:
    """What is wrong with a body is compared by where it is wrong; the words are a library's own."""
    masked = _MASK(text)
    if '"detail":[' not in masked:
        return masked
    wrong = [["body", "<position>" if isinstance(one["loc"][1], int) else one["loc"][1]] for one in _details(text)]
    return json.dumps(wrong)


def _details(text: str) -> list[Any]:
    # The recorder shortens long inputs.
    return [{"loc": json.loads(found)} for found in re.findall(r'"loc":(\[[^\]]*\])', text)]


class WwmaaIds(Ids):
    """Tokens; those that the recorder minted itself are minted here as well."""

    def __init__(self) -> None:
        super().__init__(JWT)
        self._set: dict[str, list[str]] = {}

    def ours(self, recorded: str) -> str | None:
        found = super().ours(recorded)
        return self._minted(recorded) if found is None else found

    def _minted(self, token: str) -> str:
        claims = claims_of(token)
        known = claims.get("email") is not None and "nobody" not in claims["email"]
        is_member = known and claims.get("sub") == claims.get("user_id")
        subject = {"sub": user_id(claims["email"]) if is_member else claims["sub"]} if "sub" in claims else {}
        return jwt.encode({**claims, **subject}, SECRET, "HS256")

    def learn_cookie(self, header: str) -> str:
        """A cookie that is set to what it is already is not a further one."""
        name, _, rest = header.partition("=")
        value, known = rest.partition(";")[0], self._set.setdefault(name, [])
        if value in known:
            return name
        known.append(value)
        return super().learn_cookie(header)


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, whoever signed it."""
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def began_s(transcript: Transcript) -> float:
    """When a conversation began, by the first time that is in it: of a token, or of a signature."""
    for event in transcript.events:
        words = json.dumps(event.data)
        stamp = re.search(r"t=(\d{10}),", words)
        token = re.search(JWT, words)
        if stamp is not None and event.by_client:
            return float(stamp[1]) - event.at_ms / 1000
        if token is not None:
            return float(claims_of(token[0])["iat"]) - event.at_ms / 1000 + 0.5
    return 1_795_230_000.0


def until(transcript: Transcript, path: str) -> Transcript:
    """What came before the first request for a path that ends so."""
    ends = (one.at_ms for one in transcript.events if one.by_client and one.data["path"].endswith(path))
    end_ms = next(ends, float("inf"))
    return replace(transcript, events=tuple(one for one in transcript.events if one.at_ms < end_ms))


class WwmaaReplay(WorldReplay):
    """One server as it was shipped, started afresh."""

    def __init__(self, transcript: Transcript, *faults: str, **settings: str) -> None:
        super().__init__(
            PLATFORM,
            transcript,
            *faults,
            normalise=normalise,
            ids=WwmaaIds(),
            settings={"CONTRACT": "server", "JWT_SECRET": SECRET, "SEARCH_MS": "1", **settings},
            began_s=began_s(transcript),
        )

    def run(self, until_ms: float = float("inf")) -> Any:
        """With what was still on its way when the recording ended."""
        self.play(until_ms)
        self.driver.wait(1.0)
        return self.seen
