"""`StreamingUser`: text and audio chunks on a WebSocket, and their results; in the server's or the suite's protocol."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pika_locust.clock import monotonic_ns
from pika_locust.kit import WebSocketActor, on, on_raw
from pika_locust.kit.meters import named
from pika_locust.kit.websocket_actor import ConnectionMetrics
from pika_locust.load.pauses import Backoff
from pika_locust.platforms.pixelated.audio import LARGEST_BYTES, MEBIBYTE, Audio, Chunk, Turn
from pika_locust.platforms.pixelated.audits import EXTRA_RESULTS
from pika_locust.platforms.pixelated.scenarios import STREAMING_METRICS
from pika_locust.platforms.pixelated.texts import CORPUS, has_words, is_foreign, marked, reported_us
from pika_locust.wire.websocket import Close, Limits

ACK_WITHIN_S = 5.0
"""For the greeting, and for what says that something has come."""
LARGE_WITHIN_S = 15.0
TOO_LARGE = 1009
CHUNK_ACK = b'{"type":"status","status":"chunk_received","bytes":'
MOST_DIGITS = 15
"""Of a number of bytes."""
MALFORMED = (b"not json {", b"null", b'{"type":"nonsense"}')
COMPLETE = b'{"type":"complete"}'


class StreamingUser(WebSocketActor):
    """One iteration is one connection, with several turns: text, audio, complete, and the result."""

    meters: Any = named(STREAMING_METRICS)
    ledgers = ("chunks", "results")
    confirmed_by_upgrade = False
    backoff = Backoff(first_s=1.0, jitter_s=1.0, factor=2.0, cap_s=15.0)
    limits = Limits(connect_s=10.0, max_unsent_bytes=4 * MEBIBYTE)

    __slots__ = (
        "_audio",
        "_completed_ns",
        "_errors_due",
        "_expects_too_large",
        "_is_announced",
        "_is_suite",
        "_item",
        "_mark",
        "_pieces_from_ns",
        "_session",
        "_text_sent_ns",
        "_turn",
        "_turns",
    )

    @classmethod
    def connection_metrics(cls, meters: Any) -> ConnectionMetrics:
        # A user has one connection after another; what counts is which of them come after one that went wrong.
        return replace(super().connection_metrics(meters), reconnects=None)

    def begin(self) -> None:
        super().begin()
        self._is_suite = self.worker.settings["CONTRACT"] == "suite"
        self._audio = self.worker.shared(Audio)
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._session = self.new_id()
        self._turn = Turn()
        self._turns = 0
        self._mark = self._item = ""
        self._text_sent_ns = self._completed_ns = self._pieces_from_ns = 0
        self._errors_due = 0
        self._expects_too_large = self._is_announced = False

    # One connection, in the user's greenlet

    def url(self) -> str:
        target = super().url()
        return f"{target}{'&' if '?' in target else '?'}sessionId={self._session}"

    def act(self) -> None:
        if not self.back_off():
            return
        if self.failures:
            self.meters.reconnection_attempts.add()
        self._start_afresh()
        if not self.dial():
            return
        if self._is_greeted():
            self._talk()
        self.disconnect()

    def opened(self) -> None:
        self.meters.active_connections.add(1)
        if self._is_suite:
            self.confirm()

    def _is_greeted(self) -> bool:
        if not self.wait_for(lambda: self.confirmed, ACK_WITHIN_S) and self.is_open:
            self.worker.error("connect", f"no greeting within {ACK_WITHIN_S:g} s")
        return self.confirmed

    def _talk(self) -> None:
        settings, dice = self.worker.settings, self.dice
        if dice.chance(settings["MALFORMED"]):
            self._send_malformed()
        if not self._is_suite and dice.chance(settings["LARGE_AUDIO"]):
            self._send_too_much()
            return
        say = self._ask_in_pieces if self._is_suite else self._say
        for number in range(settings["TURNS"]):
            if number:
                self.think()
            if not self._goes_on() or not say():
                return

    def _goes_on(self) -> bool:
        return self.is_open and not self.released.is_set()

    # The server's dialect

    def _say(self) -> bool:
        """One turn; whether there can be another one."""
        self._turn = Turn()
        self._turns += 1
        return self._send_text() and self._send_audio() and self._complete()

    def _send_text(self) -> bool:
        self._mark = f"{self._session}-{self._turns}"
        words = marked(self.dice.choice(CORPUS).words, self._mark)
        text = {"type": "text", "text": words, "contextType": "therapeutic", "sessionId": self._session}
        self._text_sent_ns = monotonic_ns()
        if not self.send_json(text):
            return False
        if not self.wait_for(lambda: not self._text_sent_ns, ACK_WITHIN_S):
            if self.is_open:
                self.worker.error("text", f"not acknowledged within {ACK_WITHIN_S:g} s")
                # The turn ends here, and with it the connection: there will be no result.
                self.meters.result_rate.add(False)
            return False
        return True

    def _send_audio(self) -> bool:
        settings = self.worker.settings
        for number in range(settings["CHUNKS"]):
            if number and settings["CHUNK_PAUSE"]:
                self.pause(settings["CHUNK_PAUSE"])
            if not self._goes_on():
                return False
            self._send_chunk(*self._audio.chunk(number))
        turn = self._turn
        self.wait_for(lambda: not turn.waiting, ACK_WITHIN_S)
        for chunk in turn.waiting:
            self._lose_chunk(chunk)
        turn.waiting.clear()
        return self._goes_on()

    def _send_chunk(self, size: int, frame: bytes) -> None:
        sent_ns = monotonic_ns()
        if self.send(frame):
            item = f"{self._mark}-{sent_ns}"
            self.worker.ledgers["chunks"].sent(item)
            self._turn.send(item, size, sent_ns)
            self.unanswered += 1

    def _complete(self) -> bool:
        self._expect_result(self._mark)
        return self.send(COMPLETE) and self._wait_for_result()

    def _expect_result(self, item: str) -> None:
        self._item, self._completed_ns, self._pieces_from_ns = item, monotonic_ns(), 0
        self._is_announced = False
        self.worker.ledgers["results"].sent(item)
        self.unanswered += 1

    def _wait_for_result(self) -> bool:
        within_s = self.worker.settings["RESULT_WITHIN"]
        item = self._item
        if self.wait_for(lambda: self._item != item, within_s):
            # After an error the server keeps the audio of the turn.
            return self._completed_ns == 0 and self.is_open
        if self._item == item and self.is_open:
            # Results are told apart by their order alone: what comes on this connection now cannot be told any more.
            self.worker.ledgers["results"].timed_out(item)
            self._fail(f"no result within {within_s:g} s")
        return False

    def _fail(self, why: str) -> None:
        """What was completed has come to nothing."""
        waited_ms = (monotonic_ns() - self._completed_ns) / 1e6
        self._item = ""
        self.unanswered -= 1
        self.meters.result_rate.add(False)
        self.worker.error("complete", why)
        self.worker.request("WS", "complete", waited_ms, 0, RuntimeError(why))
        self.notify()

    def _send_malformed(self) -> None:
        """What is no message, and one of no kind: each is answered by an error, and the connection stays."""
        for frame in MALFORMED:
            self._errors_due = 1
            answered = self.send(frame) and self.wait_for(lambda: not self._errors_due, ACK_WITHIN_S)
            self._errors_due = 0
            self.meters.malformed_refused.add(answered and self.is_open)
            if not self._goes_on():
                return

    def _send_too_much(self) -> None:
        """Audio up to the limit, which is taken, and a byte more, which ends the connection."""
        self._turn = turn = Turn()
        self._mark = f"{self._session}-large"
        for _ in range(LARGEST_BYTES // MEBIBYTE):
            self._send_chunk(MEBIBYTE, self._audio.mebibyte)
            if not self.wait_for(lambda: not turn.waiting, LARGE_WITHIN_S) or not self._goes_on():
                break
        else:
            self._expects_too_large, self._errors_due = True, 1
            self.send(self._audio.frame(1))
            self.wait_for(lambda: not self.is_open, LARGE_WITHIN_S)
            self.meters.large_audio_refused.add(not self.is_open and not self._expects_too_large)
        for chunk in turn.waiting:
            self._lose_chunk(chunk)
        turn.waiting.clear()

    def _lose_chunk(self, chunk: Chunk) -> None:
        self.unanswered -= 1
        self.meters.chunk_acknowledged.add(False)
        self.worker.ledgers["chunks"].timed_out(chunk.item)
        self.worker.error("chunk", "not acknowledged")

    # What arrives, in the event loop

    @on_raw("status")
    def on_status(self, payload: bytes, at_ns: int) -> None:
        if payload.startswith(CHUNK_ACK):
            digits = payload[len(CHUNK_ACK) : payload.find(b",", len(CHUNK_ACK))]
            if digits.isdigit() and len(digits) <= MOST_DIGITS:
                self._on_chunk_ack(int(digits), at_ns)
                return
        message = self.spelling.parse(payload) or {}
        match message.get("status"):
            case "connected":
                self.confirm()
            case "text_received" if self._text_sent_ns:
                self.meters.text_ack_time.add((at_ns - self._text_sent_ns) // 1000)
                self._text_sent_ns = 0
            case "processing" if self._item:
                self.meters.processing_time.add((at_ns - self._completed_ns) // 1000)
                # The server names the session that it takes this connection for.
                self._is_announced = message.get("sessionId", self._session) == self._session
            case "chunk_received" if isinstance(message.get("bytes"), int) and message["bytes"] < 10**MOST_DIGITS:
                self._on_chunk_ack(message["bytes"], at_ns)
            case "text_received" | "processing":
                pass  # of what was given up
            case other:
                self.misread(f"the unknown status {str(other)[:40]}")
        self.notify()

    def _on_chunk_ack(self, total: int, at_ns: int) -> None:
        meters, told = self.meters, self._turn.acknowledge(total)
        for lost in told.lost:
            self._lose_chunk(lost)
        chunk = told.chunk
        if chunk is None:
            meters.chunk_totals_correct.add(False)
            self.worker.error("chunk", "acknowledged again, or too late")
            return
        self.unanswered -= 1
        latency_us = (at_ns - chunk.sent_ns) // 1000
        meters.ws_chunk_latency.add(latency_us)
        meters.chunks_received.add()
        meters.chunk_acknowledged.add(True)
        meters.chunk_totals_correct.add(total == chunk.total)
        if told.is_first and self._turns > 1:
            meters.buffer_reset.add(total == chunk.size)
        self.worker.ledgers["chunks"].acked(chunk.item)
        self.worker.request("WS", "chunk", latency_us / 1000, chunk.size)
        if not self._turn.waiting:
            self.notify()

    @on("result", fields={"data": dict})
    def on_result(self, message: Any, at_ns: int) -> None:
        data = message["data"]
        ok = isinstance(data.get("fused_emotion"), dict)
        ok = self.checked("result has emotions", ok) and ok
        heard = isinstance(data.get("transcription"), str)
        ok &= self.checked("result has a transcription where there was audio", heard == self._turn.has_audio)
        ok &= self.checked("result was announced, for our session", self._is_announced or not self._item)
        latency_us = reported_us(data.get("latency_ms"))
        if latency_us is not None:
            self.meters.model_latency.add(latency_us)
        self._on_answer(data.get("response"), ok, at_ns)

    def _on_answer(self, response: Any, ok: bool, at_ns: int) -> None:
        """A result, of either dialect."""
        if not self._item:
            facts = self.worker.facts
            facts[EXTRA_RESULTS] = facts.get(EXTRA_RESULTS, 0) + 1
            self.meters.extra_results.add()
            self.worker.error("complete", "a result that nobody waits for")
            return
        ok &= self.checked("result has a response", has_words(response))
        ok &= self.checked("result is our own", not is_foreign(str(response), self._mark))
        meters, latency_us = self.meters, (at_ns - self._completed_ns) // 1000
        self.worker.ledgers["results"].acked(self._item)
        self._item, self._completed_ns = "", 0
        self.unanswered -= 1
        meters.ws_message_latency.add(latency_us)
        meters.successful_messages.add()
        meters.result_rate.add(True)
        meters.answers_correct.add(ok)
        self.worker.request("WS", "complete", latency_us / 1000, 0)
        self.notify()

    @on("error", fields={"message": str})
    def on_error(self, message: Any, at_ns: int) -> None:
        self._on_failure(message["message"])

    def _on_failure(self, why: str) -> None:
        if self._errors_due:
            self._errors_due -= 1
        elif self._item:
            self.worker.ledgers["results"].refused(self._item, why)
            self._fail(why[:80])
        else:
            self.worker.error("error", why[:80])
        self.notify()

    # The suite's dialect: a text is answered in pieces, told apart by `status` alone

    def _ask_in_pieces(self) -> bool:
        self._turns += 1
        self._mark = f"{self._session}-{self._turns}"
        words = marked(self.dice.choice(CORPUS).words, self._mark)
        self._expect_result(self._mark)
        return self.send_json({"type": "text", "text": words, "contextType": "therapeutic"}) and self._wait_for_result()

    def on_unknown(self, payload: bytes, at_ns: int) -> None:
        message = self.spelling.parse(payload) if self._is_suite else None
        if message is None or "type" in message:
            super().on_unknown(payload, at_ns)
            return
        match message.get("status"):
            case "buffering" if self._item:
                self._pieces_from_ns = at_ns
                self.meters.processing_time.add((at_ns - self._completed_ns) // 1000)
            case "chunk" | "streaming" if self._pieces_from_ns:
                self.meters.ws_chunk_latency.add((at_ns - self._pieces_from_ns) // 1000)
                self.meters.chunks_received.add()
                self._is_announced = True
            case "complete":
                ok = self.checked("result has emotions", isinstance(message.get("emotions"), dict))
                ok &= self.checked("result came in pieces before", self._is_announced or not self._item)
                self._on_answer(message.get("response"), ok, at_ns)
            case "error":
                self._on_failure(str(message.get("error")))
            case other:
                self.misread(f"the unknown status {str(other)[:40]}")

    # The end

    def on_close(self, close: Close) -> None:
        self.meters.ws_closes.tagged(code=str(close.code)).add()
        if self._expects_too_large and close.code == TOO_LARGE:
            self._expects_too_large = False
            close = replace(close, by_us=True, error="")
        super().on_close(close)

    def closed(self, kept: bool) -> None:
        """Nothing that was sent will be answered any more."""
        self.meters.active_connections.add(-1)
        counts = not self.worker.cuts_at_once
        for chunk in self._turn.waiting:
            self.worker.ledgers["chunks"].uncertain(chunk.item)
            if counts:
                self.meters.chunk_acknowledged.add(False)
        self._turn.waiting.clear()
        if self._item:
            self.worker.ledgers["results"].uncertain(self._item)
            self._item = ""
            if counts:
                self.meters.result_rate.add(False)
        self.unanswered = 0
