"""What stands behind Pixelated Empathy's server: the model's answers in both dialects, and how requests are read."""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from python_multipart import parse_form
from python_multipart.exceptions import FormParserError

from pika_locust.sandbox.schema import parse_json

LARGEST_AUDIO_BYTES = 25 * 1024 * 1024
THERAPEUTIC = "therapeutic"
RESPONSE = "That's an interesting question."
CRISIS, CRISIS_AT_MOST = ("hurt",), ("hurt", "giving up")
"""By which words the real model sees a crisis, and those that the suite takes for one."""
BIAS = "more emotional than"
SLOW_MS = 200

# Inference


def inference(query: str, context: str | None, took_ms: int, response: str, sees_crisis: bool = True) -> dict[str, Any]:
    """What the real service answers to a `user_query`."""
    crisis = sees_crisis and any(word in query for word in CRISIS)
    words = query.lower()
    return {
        "response": response,
        "inference_time_ms": took_ms,
        "eq_scores": {
            "emotional_awareness": 0.1,
            "empathy_recognition": 0.2,
            "emotional_regulation": 0.3,
            "social_cognition": 0.4,
            "interpersonal_skills": 0.5,
            "overall_eq": 0.3,
        },
        "conversation_metadata": {
            "detected_techniques": [name.upper() for name in ("cbt", "dbt") if name in words],
            "technique_consistency": 0.85,
            "bias_score": 0.05,
            "safety_score": 0.95,
            "crisis_signals": ["immediate_harm"] if crisis else None,
            "therapeutic_effectiveness_score": 0.88,
        },
        "persona_mode": "therapy" if context in (None, "clinical", "crisis") else "assistant",
        "confidence": 0.92,
        "warning": f"Inference took longer than {SLOW_MS} ms" if took_ms > SLOW_MS else None,
    }


def suite_inference(words: str, took_ms: int, response: str, sees_crisis: bool = True) -> dict[str, Any]:
    """What the suite assumes as the answer to a `text`."""
    return {
        "response": response,
        "latency": took_ms,
        "emotions": {"sadness": 0.4, "anxiety": 0.5},
        "crisis": sees_crisis and any(word in words for word in CRISIS_AT_MOST),
        "biasScore": 0.8 if BIAS in words else 0.1,
    }


def multimodal(has_audio: bool, took_ms: int, response: str) -> dict[str, Any]:
    """What the real service is expected to answer to text and audio."""
    return {
        "response": response,
        "transcription": "hello" if has_audio else None,
        "text_emotion": {"eq_scores": [0.5] * 5, "overall_eq": 0.5},
        "fused_emotion": {"eq_scores": [0.5] * 5, "overall_eq": 0.5, "conflict_score": 0.1},
        "conflict_detected": False,
        "latency_ms": took_ms,
    }


# Bodies

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "number": (int, float),
    "array": list,
    "object": dict,
}
_FIELDS = {
    "conversation_history": "array",
    "context_type": "string",
    "user_id": "string",
    "session_id": "string",
    "use_eq_awareness": "boolean",
    "include_metrics": "boolean",
    "max_tokens": "number",
}
_SCORES = ("plutchik_scores", "ocean_scores")


def problems_of(body: Any) -> dict[str, str]:
    """What is wrong with the body of a request for inference, by field, as the server words it."""
    if not isinstance(body, dict):
        return {"": _expected("object", body)}
    problems = {}
    for name, kind in {"user_query": "string", **_FIELDS}.items():
        if (name in body or name == "user_query") and not _is(kind, body.get(name)):
            problems[name] = _expected(kind, body[name]) if name in body else _expected(kind)
    for name in _SCORES:
        scores = body.get(name, {})
        if not isinstance(scores, dict):
            problems[name] = _expected("record", scores)
            continue
        problems |= {f"{name}.{one}": _expected("number", v) for one, v in scores.items() if not _is("number", v)}
    return problems


def _is(kind: str, value: Any) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _expected(kind: str, *given: Any) -> str:
    return f"Invalid input: expected {kind}, received {_kind_of(given[0]) if given else 'undefined'}"


def _kind_of(value: Any) -> str:
    return "null" if value is None else next(kind for kind in _TYPES if _is(kind, value))


def json_problem(data: str | bytes) -> str | None:
    """Why a text is no JSON, in words much like JavaScript's; None when it is."""
    try:
        parse_json(data)
    except ValueError as error:
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        where = getattr(error, "pos", 0)
        if where >= len(text):
            return "Unexpected end of JSON input"
        return f"Unexpected token '{text[where]}', {json.dumps(text[:40], ensure_ascii=False)} is not valid JSON"
    return None


_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/_-]")


def decoded_bytes(base64: str) -> int:
    """How many bytes Node.js decodes of a text in base64; what does not belong in one is passed over."""
    try:
        return len(binascii.a2b_base64(base64, strict_mode=True))
    except ValueError:
        return len(_NOT_BASE64.sub("", base64)) * 3 // 4


_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


@dataclass(slots=True)
class Upload:
    """What a form with text and audio holds."""

    text: str = ""
    audio_bytes: int | None = None
    """None: no file."""
    audio_type: str = ""
    audio_field: bool = False
    """Whether audio came as a plain field."""

    @classmethod
    def read(cls, content_type: str, body: bytes) -> Upload:
        """Raises ValueError for a body that is no form."""
        if not content_type.startswith(_FORMS):
            raise ValueError("no form")
        upload = cls()

        def on_field(field: Any) -> None:
            name, value = (field.field_name or b"").decode(), (field.value or b"").decode("utf-8", "replace")
            if name == "text":
                upload.text = value.strip()
            elif name == "audio":
                upload.audio_field = True

        def on_file(file: Any) -> None:
            if file.field_name == b"audio":
                upload.audio_bytes = file.size
                upload.audio_type = file.content_type or ""
            file.close()

        try:
            parse_form({"Content-Type": content_type.encode()}, _Whole(body), on_field, on_file)
        except FormParserError as error:
            raise ValueError(str(error)) from None
        return upload

    def problem(self) -> tuple[int, str] | None:
        """Status and words with which it is refused; None when it is not."""
        if self.audio_field:
            return 400, "Invalid audio payload"
        if self.audio_bytes is None:
            return None if self.text else (400, "Text or audio is required")
        if not self.audio_type.startswith("audio/"):
            return 400, "Audio must be an audio/* mime type"
        return (413, "Audio file too large (max 25MB)") if self.audio_bytes > LARGEST_AUDIO_BYTES else None


class _Whole:
    """A body as a stream."""

    def __init__(self, body: bytes) -> None:
        self._left = memoryview(body)

    def read(self, size: int) -> bytes:
        piece, self._left = bytes(self._left[:size]), self._left[size:]
        return piece


def another(texts: Iterable[tuple[Any, str]], session: Any) -> str | None:
    """The latest text of another session; None where there was none."""
    return next((text for owner, text in reversed(list(texts)) if owner != session), None)
