"""The server that `chat.py` is tried on: it keeps what is said and tells everybody, and has faults to switch on."""

from pika_locust.sandbox.app import App, Call, Socket, message, route
from pika_locust.sandbox.faults import Cover
from pika_locust.sandbox.schema import text


class Chat(App):
    name, about = "chat", "a chat that keeps what is said, and tells everybody"
    covers = (
        Cover("lose-write", "lose-write=0.05", "chat", "messages"),
        Cover("double", "double=0.05", "chat", "messages"),
        Cover("lose-fanout", "lose-fanout=0.05", "chat", "own_message_heard"),
        Cover("drop", "drop=0.05", "chat", "ack_success"),
        Cover("refuse", "refuse=0.3", "chat", "ws_connection_success"),
        Cover("close-after", "close-after=2", "chat", "ws_connection_kept"),
        Cover("latency", "latency=400", "chat", "ack_latency"),
    )

    def start(self) -> None:
        self.messages: list[str] = []

    @message("SAY", body={"messageId": text(1, 80), "text": text(1, 200)})
    def say(self, socket: Socket, body: dict[str, str]) -> None:
        self.messages += [body["text"]] * self.copies("message")
        socket.send({"type": "ACK", "messageId": body["messageId"]})
        self.broadcast({"type": "SAID", "by": str(socket.id), "text": body["text"]}, kind="SAID")

    def refused_message(self, socket: Socket, kind: str, problems: list[str]) -> None:
        socket.send({"type": "NACK", "messageId": "", "error": "; ".join(problems)})

    @route("GET", "/messages/count", exempt=True)
    def count(self, call: Call) -> dict[str, int]:
        """Those of one run, `?run=…`, or all."""
        run = call.query.get("run", "")
        return {"count": sum(words.startswith(run) for words in self.messages)}


PLATFORM = Chat.platform()
