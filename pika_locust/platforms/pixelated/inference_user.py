"""Somebody who asks the model over REST, under an identity of its own, and looks at what it says."""

from __future__ import annotations

from typing import Any

from pika_locust.kit import HttpActor
from pika_locust.kit.meters import named
from pika_locust.platforms.pixelated.scenarios import INFERENCE_METRICS
from pika_locust.platforms.pixelated.texts import CORPUS, has_words, is_foreign, marked, reported_us
from pika_locust.runtime.arrivals import OpenActor
from pika_locust.wire.http import Timeouts

PATH = "/api/ai/pixel/infer"
TIMEOUT_S = 30.0
"""The suite's own."""
BIAS_ABOVE = 0.5


class InferenceUser(HttpActor, OpenActor):
    """One iteration is one question, and what follows from its answer."""

    meters: Any = named(INFERENCE_METRICS)
    timeouts = Timeouts(total_s=TIMEOUT_S, read_s=TIMEOUT_S)

    def begin(self) -> None:
        super().begin()
        settings = self.worker.settings
        self._contract: str = settings["CONTRACT"]
        begin, number = self.worker.begin, self.worker.global_number(self.number)
        self._identity = f"{begin.run_id}-{number}"
        token: str | None = settings["API_TOKEN"]
        if token:
            self.http.set_headers({"authorization": f"Bearer {token.replace('{user}', self._identity)}"})
        self._asked = 0

    def act(self) -> None:
        self._ask()
        if self.worker.arrivals is None:
            self.think()

    def _ask(self) -> None:
        self._asked += 1
        text, session = self.dice.choice(CORPUS), f"{self._identity}-{self._asked}"
        response = self.call("POST", PATH, self._body(marked(text.words, session), session), name="infer", ok=(200,))
        answer = response.json_object() if response.status == 200 else {}
        if not answer:
            if response.status == 200:
                self.checked("answer is a JSON object", False)
            self.meters.errors.add(True)
            return
        latency_us = reported_us(answer.get("latency" if self._contract == "suite" else "inference_time_ms"))
        ok = self.checked("answer has a response", has_words(answer.get("response")))
        ok &= self.checked("answer has the model's latency", latency_us is not None)
        # The real service may say null, where it was not to look at emotions.
        ok &= self.checked("answer has emotions", ("emotions" if self._contract == "suite" else "eq_scores") in answer)
        ok &= self.checked("answer is our own", not is_foreign(str(answer.get("response")), session))
        self.meters.errors.add(not ok)
        if ok and latency_us is not None:
            self.meters.successful_inferences.add()
            self.meters.inference_latency.add(latency_us)
        self._look_for_detections(answer, text.should_raise(self._contract))

    def _body(self, words: str, session: str) -> dict[str, Any]:
        if self._contract == "suite":
            return {"text": words, "sessionId": session, "contextType": "therapeutic", "streaming": False}
        who = {"user_id": self._identity, "session_id": session}
        return {"user_query": words, "context_type": "therapeutic", **who}

    def _look_for_detections(self, answer: dict[str, Any], expected: tuple[bool, bool]) -> None:
        if self._contract == "suite":
            crisis, score = bool(answer.get("crisis")), answer.get("biasScore")
        else:
            about = answer.get("conversation_metadata")
            about = about if isinstance(about, dict) else {}
            crisis, score = bool(about.get("crisis_signals")), about.get("bias_score")
        bias = isinstance(score, int | float) and score > BIAS_ABOVE
        if crisis:
            self.meters.crisis_detections.add()
        if bias:
            self.meters.bias_detections.add()
        as_sent = self.checked("crisis detected where there is one", crisis == expected[0])
        as_sent &= self.checked("bias detected where there is one", bias == expected[1])
        self.meters.detections_correct.add(as_sent)
