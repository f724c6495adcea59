"""A chat over WebSocket: members say things and hear each other, and what was acknowledged must be kept at the end.

locust --headless -f examples/chat.py                                    # against the world in chat_world.py
locust --headless -f examples/chat.py --sandbox-fault lose-write=0.05    # 5 of 100 messages are lost: exit code 99
locust --headless -f examples/chat.py -H ws://127.0.0.1:3000/ws          # against a server of one's own
"""

import pika_locust
from pika_locust.judge.audit import balance
from pika_locust.kit import WebSocketActor, on, rate, scenario
from pika_locust.kit.targets import http_side
from pika_locust.observe.target import read_json


class Member(WebSocketActor):
    meters = {"own_message_heard": rate("messages that came back to the member who said them")}
    ledgers = ("messages",)
    reply_names = ("SAY",)
    think_s = (0.5, 1.5)
    words = ""

    def act(self):
        """One stay in the chat, until the member is told to finish or the connection is lost."""
        if not self.connect():
            return
        while self.is_open and not self.released.is_set():
            self.words, self.is_heard = self.new_id(), False
            # Waits for ACK or NACK; the ledger holds what was sent, and what became of it.
            reply = self.ask("SAY", {"type": "SAY", "text": self.words}, ledger="messages")
            self.think()
            # Who was told to finish meanwhile may have closed the connection before the message came back.
            if reply.ok and self.is_open and not self.released.is_set():
                self.meters.own_message_heard.add(self.is_heard)
        self.disconnect()

    @on("SAID", fields={"by": str, "text": str})
    def on_said(self, message, at_ns):
        """Somebody said something; called in the event loop."""
        if message["text"] == self.words:
            self.is_heard = True


def audit(context):
    """On the master, after the last answer: what the server keeps of this run against what the members were told."""
    held = read_json(f"{http_side(context.target)}/messages/count?run={context.run_id}")["count"]
    expected = context.ledgers["messages"].expect()
    return [balance("messages", expected.acknowledged, held, expected.unanswered)]


CHAT = scenario(
    "chat",
    Member,
    target="ws",
    world="chat_world:PLATFORM",
    profiles={"standard": "10s:20,30s:20,5s:0", "stress": "30s:200,2m:200,10s:0"},
    thresholds={
        "ack_latency{kind:SAY}": "p(95)<200",
        "ack_success{kind:SAY}": "rate>0.99",
        "own_message_heard": "rate>0.99",
        "ws_connection_success": "rate>0.99",
        "ws_connection_kept": "rate>0.99",
    },
    audit=audit,
)
pika_locust.install(CHAT)
