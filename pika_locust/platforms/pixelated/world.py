"""Pixelated Empathy's server as a pure state machine: what the sandbox serves in its place.

Written from what the real server was seen to do on the wire, in the dialect that it speaks; with CONTRACT=suite, in the
one that its own load test assumes. The model behind it takes as long as one says.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass
from math import ceil
from typing import Any

from pika_locust.platforms.pixelated.world_model import (
    LARGEST_AUDIO_BYTES,
    RESPONSE,
    THERAPEUTIC,
    Upload,
    another,
    decoded_bytes,
    inference,
    json_problem,
    multimodal,
    problems_of,
    suite_inference,
)
from pika_locust.sandbox.app import App, Call, Socket, message, route
from pika_locust.sandbox.faults import Cover, FaultKind, Form
from pika_locust.sandbox.javascript import iso
from pika_locust.sandbox.rate_limit import FixedWindow
from pika_locust.sandbox.schema import parse_json
from pika_locust.sandbox.world import Answer, Request

PORT = 8091
"""The one that the real server names, whatever it listens on."""
RETRIES_S = 7.0
"""A model that fails is asked three times more, after 1, 2 and 4 s."""
LIMITS = {"user": 40, "therapist": 40, "admin": 60}
LIMIT_OF_OTHERS = 30
"""Requests a minute, by role."""
SUITE_CHUNKS = 3
"""Pieces in which an answer comes in the suite's dialect."""
MODEL_DOWN = 'Pixel API error: 503 {"detail":"Model not loaded"}'
MULTIMODAL_DOWN = 'Pixel multimodal error: 503 {"detail":"Model not loaded"}'
_NO_FORM = 'Content-Type was not one of "multipart/form-data" or "application/x-www-form-urlencoded".'
_INFER = "/api/ai/pixel/infer"


@dataclass(slots=True, eq=False)
class Stream:
    """What the server keeps of a WebSocket between two messages."""

    audio_bytes: int = 0
    text: str = ""
    context: Any = THERAPEUTIC
    session: Any = None


class PixelatedWorld(App):
    """The world of one server. Its settings, besides CONTRACT (server, or suite):

    AUTH: 0 lets everybody in; without it a bearer token of the form `role:id` is needed, in the server's dialect.
    RATE_LIMITS: 1 has the limits that the real server means to have.
    MULTIMODAL_AUTH: `fixed` lets tokens through to infer-multimodal; as shipped it refuses all.
    GENERATION_MS, GENERATION_JITTER_MS: how long the model takes (40), and how much more at most (0).
    """

    name = "pixelated"
    about = "Pixelated Empathy: inference over REST, and streamed audio on a WebSocket"
    covers = (
        Cover("latency", "latency=1500", "inference", "http_req_duration", together="latency+miss-crisis"),
        Cover("think-time", "think-time=1500", "inference", "inference_latency", together="think-time+cross-talk"),
        Cover("error", "error=0.2", "inference", "errors"),
        Cover("model-down", "model-down", "inference", "http_req_failed"),
        Cover("expired-token", "expired-token=0.3", "inference", "http_req_failed"),
        Cover("cross-talk", "cross-talk=0.2", "inference", "errors", together="think-time+cross-talk"),
        Cover("crash-after", "crash-after=3", "inference", "http_req_failed"),
        Cover("miss-crisis", "miss-crisis=0.5", "inference", "detections_correct", together="latency+miss-crisis"),
        Cover("throttle", "throttle=20/60s", "inference", "http_req_failed"),
        Cover("latency", "latency=300", "streaming", "ws_chunk_latency", together="latency+cross-talk"),
        Cover("think-time", "think-time=800", "streaming", "ws_message_latency", together="think-time+two-results"),
        Cover("lose-chunk", "lose-chunk=0.05", "streaming", "chunks"),
        Cover("drop", "drop=0.05", "streaming", "chunks"),
        Cover("no-result", "no-result=0.2", "streaming", "results", together="keep-audio+no-result"),
        Cover("two-results", "two-results=0.2", "streaming", "results", together="think-time+two-results"),
        Cover("cross-talk", "cross-talk=0.2", "streaming", "answers_correct", together="latency+cross-talk"),
        Cover("keep-audio", "keep-audio=0.3", "streaming", "buffer_reset", together="keep-audio+no-result"),
        Cover("model-down", "model-down", "streaming", "result_rate"),
        Cover("refuse", "refuse=0.2", "streaming", "ws_connection_success"),
        Cover("throttle", "throttle=10/60s", "streaming", "ws_connection_success"),
        Cover("close-after", "close-after=2", "streaming", "ws_connection_kept", settings=(("TURNS", "30"),)),
        Cover("crash-after", "crash-after=3", "streaming", "ws_connection_kept"),
    )
    named = (
        FaultKind("think-time", Form.MILLISECONDS, "the model takes MS for an answer"),
        FaultKind("lose-chunk", Form.RATE, "audio chunks are neither kept nor acknowledged"),
        FaultKind("no-result", Form.RATE, "a complete is processed, but no result follows"),
        FaultKind("two-results", Form.RATE, "a complete is answered by its result twice"),
        FaultKind("cross-talk", Form.RATE, "an answer holds the text of another session"),
        FaultKind("keep-audio", Form.RATE, "the audio of a turn is kept for the next one"),
        FaultKind("miss-crisis", Form.RATE, "a text that tells of a crisis raises no signal"),
        FaultKind("expired-token", Form.RATE, "tokens that were good are refused with 401"),
        FaultKind("model-down", Form.FLAG, "the model answers 503 to everything"),
    )

    def start(self) -> None:
        self.is_suite = self.setting("CONTRACT", "server") == "suite"
        self._asks_who = self.setting("AUTH", not self.is_suite)
        self._limits = self.setting("RATE_LIMITS", False)
        self._multimodal_is_fixed = self.setting("MULTIMODAL_AUTH", "") == "fixed"
        self._generation_ms = self.setting("GENERATION_MS", 40.0)
        self._jitter_ms = self.setting("GENERATION_JITTER_MS", 0.0)
        self._started_at = self.now
        self._windows: dict[str, FixedWindow] = {}
        self._texts: deque[tuple[Any, str]] = deque(maxlen=16)
        self._dice = random.Random(1)
        self.ever: Counter[str] = Counter(dict.fromkeys(("inferences", "chunks", "completes", "results"), 0))

    def state(self, now: float) -> dict[str, Any]:
        """How much of what there was, and how many sockets are open."""
        return {"sockets": len(self.sockets), **self.ever}

    # The model

    def _takes_ms(self) -> int:
        base_ms = self._generation_ms
        if self.hit("think-time"):
            base_ms = self.faults.amount("think-time")
        return round(base_ms + self._dice.uniform(0.0, self._jitter_ms))

    def _response(self, session: Any, text: str, usual: str, kind: str) -> str:
        """What the model says; with `cross-talk`, what somebody else has said."""
        other = another(self._texts, session)
        self._texts.append((session, text))
        return f"You said: {other}" if other is not None and self.hit("cross-talk", kind) else usual

    # REST

    @route("GET", "/health", exempt=True)
    def health(self, call: Call) -> Answer:
        page = {
            "status": "healthy",
            "timestamp": iso(self.now),
            "uptime": int(self.now - self._started_at),
            "version": "1.0.0",
            "environment": "development",
            "memory": {"used": 12, "total": 17},
        }
        return Answer.json(page, headers=(("cache-control", "no-cache"),))

    def read_body(self, request: Request, schema: Any) -> dict[str, Any]:
        """Nothing: bodies are read when it is known who sends them."""
        return {}

    @route("POST", _INFER)
    def infer(self, call: Call) -> Answer | None:
        """Who calls, then how often, then what: in the server's order."""
        refusal = self._refused(call)
        if refusal is not None:
            return refusal
        words = json_problem(call.request.body)
        if words is not None:
            return Answer.json({"error": "Invalid request", "details": {"body": words}}, 400)
        body = parse_json(call.request.body)
        return self._infer_suite(call, body) if self.is_suite else self._infer(call, body)

    def _infer(self, call: Call, body: Any) -> Answer | None:
        problems = problems_of(body)
        if problems:
            return Answer.json({"error": "Invalid request", "details": problems}, 400)
        if self.hit("model-down"):
            self.after(RETRIES_S, call.answer, {"error": "Pixel inference failed", "message": MODEL_DOWN}, 500)
            return None
        query, took_ms = body["user_query"], self._takes_ms()
        response = self._response(body.get("session_id") or call.user, query, RESPONSE, "infer")
        sees = not ("hurt" in query and self.hit("miss-crisis"))
        answer = inference(query, body.get("context_type"), took_ms, response, sees)
        self.after(took_ms / 1000, self._answer, call, answer)
        return None

    def _infer_suite(self, call: Call, body: Any) -> Answer | None:
        words = body.get("text") if isinstance(body, dict) else None
        if not isinstance(words, str):
            return Answer.json({"error": "text is required"}, 400)
        if self.hit("model-down"):
            return Answer.json({"error": "model not loaded"}, 503)
        took_ms = self._takes_ms()
        response = self._response(body.get("sessionId"), words, RESPONSE, "infer")
        sees = not ("hurt" in words and self.hit("miss-crisis"))
        self.after(took_ms / 1000, self._answer, call, suite_inference(words, took_ms, response, sees))
        return None

    def _answer(self, call: Call, answer: dict[str, Any]) -> None:
        self.ever["inferences"] += 1
        call.answer(answer)

    @route("POST", "/api/ai/pixel/infer-multimodal")
    def infer_multimodal(self, call: Call) -> Answer | None:
        """As shipped, the real one looks for the user under a name that is never set, and refuses everybody."""
        if not self._multimodal_is_fixed:
            return self.unauthorized(call)
        refusal = self._refused(call)
        if refusal is not None:
            return refusal
        try:
            upload = Upload.read(call.request.headers.get("content-type", ""), call.request.body)
        except ValueError:
            return self._failed_multimodal(_NO_FORM)
        problem = upload.problem()
        if problem is not None:
            status, words = problem
            return Answer.json({"error": words}, status)
        took_ms = self._takes_ms()
        if self.hit("model-down"):
            self.after(took_ms / 1000, call.answer, self._failed_multimodal(MULTIMODAL_DOWN))
            return None
        response = self._response(call.user, upload.text, "ok", "infer-multimodal")
        self.after(took_ms / 1000, self._answer, call, multimodal(upload.audio_bytes is not None, took_ms, response))
        return None

    def _failed_multimodal(self, words: str) -> Answer:
        return Answer.json({"error": "Multimodal inference failed", "message": words}, 500)

    def _refused(self, call: Call) -> Answer | None:
        """Nobody who may call, or too often; fills in who calls."""
        token = call.bearer
        role, _, user = token.partition(":")
        if self._asks_who and (not role or not user or self.hit("expired-token")):
            return self.unauthorized(call)
        call.user = user or "anonymous"
        return self._over_limit(role, user, call.request) if self._limits else None

    def _over_limit(self, role: str, user: str, request: Request) -> Answer | None:
        most = LIMITS.get(role, LIMIT_OF_OTHERS)
        window = self._windows.setdefault(role, FixedWindow(most, 60.0))
        client = next((request.headers[n] for n in _CLIENT_IP if n in request.headers), "unknown")
        key = f"{client}:{user}"
        if window.take(key, self.now):
            return None
        left_s = window.resets_in(key, self.now)
        return _too_often(most, ceil(left_s), self.now + left_s)

    def unauthorized(self, call: Call) -> Answer:
        return Answer.json({"error": "Unauthorized"}, 401)

    def too_many(self, call: Call, retry_s: int) -> Answer:
        return _too_often(int(self.faults.amount("throttle")), retry_s, self.now + retry_s)

    # WebSockets

    def accept(self, request: Request) -> Answer | None:
        """Any path and query will do, and are ignored."""
        return None

    def on_open(self, socket: Socket) -> None:
        socket.data = Stream()
        if not self.is_suite:
            socket.send({"type": "status", "status": "connected", "port": PORT})

    @message("text")
    def text(self, socket: Socket, said: dict[str, Any]) -> None:
        if self.is_suite:
            self._stream_answer(socket, said)
            return
        stream: Stream = socket.data
        stream.text = said.get("text") or ""
        stream.context = said.get("contextType") or THERAPEUTIC
        stream.session = said.get("sessionId") or stream.session
        socket.send({"type": "status", "status": "text_received", "contextType": stream.context})

    @message("chunk")
    def chunk(self, socket: Socket, said: dict[str, Any]) -> None:
        base64 = said.get("chunk")
        if not base64 or self.is_suite:
            return
        if not isinstance(base64, str):
            socket.send({"type": "error", "message": _no_text(base64)})
            return
        if self.hit("lose-chunk"):
            return
        stream: Stream = socket.data
        stream.audio_bytes += decoded_bytes(base64)
        if stream.audio_bytes > LARGEST_AUDIO_BYTES:
            socket.send({"type": "error", "message": "Audio too large (max 25MB)"})
            socket.close(1009, "payload too large")
            return
        self.ever["chunks"] += 1
        mime = said.get("mimeType") or "audio/webm"
        socket.send({"type": "status", "status": "chunk_received", "bytes": stream.audio_bytes, "mimeType": mime})

    @message("complete")
    def complete(self, socket: Socket, said: dict[str, Any]) -> None:
        stream: Stream = socket.data
        session = said.get("sessionId") or stream.session
        told = {"type": "status", "status": "processing", "contextType": said.get("contextType") or stream.context}
        socket.send({**told, "sessionId": session} if session else told)
        self.ever["completes"] += 1
        took_ms = self._takes_ms()
        if self.hit("model-down"):
            self.after(took_ms / 1000, socket.send, {"type": "error", "message": MULTIMODAL_DOWN})
            return
        response = self._response(socket.id, str(said.get("text") or stream.text), "ok", "complete")
        answer = multimodal(stream.audio_bytes > 0, took_ms, response)
        self.after(took_ms / 1000, self._finish, socket, answer)

    def _finish(self, socket: Socket, answer: dict[str, Any]) -> None:
        """The result, and with it all that was kept for the turn goes: also what came while it was made."""
        stream: Stream = socket.data
        if not self.hit("keep-audio"):
            stream.audio_bytes = 0
        stream.text = ""
        if self.hit("no-result"):
            return
        for _ in range(2 if self.hit("two-results") else 1):
            self.ever["results"] += 1
            socket.send({"type": "result", "data": answer})

    def _stream_answer(self, socket: Socket, said: dict[str, Any]) -> None:
        """The suite's dialect: an answer in pieces."""
        took_ms = self._takes_ms()
        socket.send({"status": "buffering"})
        self.ever["completes"] += 1
        if self.hit("model-down"):
            self.after(took_ms / 1000, socket.send, {"status": "error", "error": "model not loaded"})
            return
        response = self._response(socket.id, str(said.get("text")), RESPONSE, "text")
        for number in range(1, SUITE_CHUNKS + 1):
            if not self.hit("lose-chunk"):
                self.after(took_ms / 1000 * number / (SUITE_CHUNKS + 1), socket.send, {"status": "chunk"})
        self.after(took_ms / 1000, self._finish_suite, socket, response)

    def _finish_suite(self, socket: Socket, response: str) -> None:
        if self.hit("no-result"):
            return
        for _ in range(2 if self.hit("two-results") else 1):
            self.ever["results"] += 1
            socket.send({"status": "complete", "response": response, "emotions": {"anxiety": 0.5}})

    def on_unknown(self, socket: Socket, data: str | bytes) -> None:
        words = json_problem(data)
        if words is None:
            is_null = parse_json(data) is None
            words = "Cannot read properties of null (reading 'type')" if is_null else "Unknown message type"
        socket.send({"status": "error", "error": words} if self.is_suite else {"type": "error", "message": words})


_CLIENT_IP = ("x-forwarded-for", "cf-connecting-ip", "x-real-ip")


def _too_often(most: int, retry_s: int, resets_at: float) -> Answer:
    headers = (
        ("content-type", "text/plain;charset=UTF-8"),
        ("retry-after", str(retry_s)),
        ("x-ratelimit-limit", str(most)),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", str(int(resets_at * 1000))),
    )
    return Answer(429, b'{"error":"Rate limit exceeded"}', headers)


def _no_text(value: Any) -> str:
    kind = "number" if isinstance(value, int | float) else type(value).__name__
    return (
        "The first argument must be of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like "
        f"Object. Received type {kind} ({value})"
    )


PLATFORM = PixelatedWorld.platform()
