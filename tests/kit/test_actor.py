from __future__ import annotations

from typing import Any

from pika_locust.kit.actor import PlatformActor, handlers_of, on


class Listener(PlatformActor):
    abstract = True

    @on("opened", "closed", fields={"id": str})
    def note(self, data: Any, at_ns: int) -> str:
        return "first"

    @on("told")
    def hear(self, data: Any, at_ns: int) -> str:
        return "first"


class Other(Listener):
    abstract = True

    def note(self, data: Any, at_ns: int) -> str:
        return "second"

    @on("told", "é")
    def tell(self, data: Any, at_ns: int) -> str:
        return "second"


def test_a_marked_method_is_the_handler_of_all_its_names() -> None:
    handlers = handlers_of(Listener)
    assert set(handlers) == {b"opened", b"closed", b"told"}
    assert handlers[b"opened"] == handlers[b"closed"] == (Listener.note, (("id", str),))
    assert handlers[b"told"] == (Listener.hear, ())


def test_a_subclass_has_the_last_word() -> None:
    handlers = handlers_of(Other)
    assert handlers[b"opened"] == (Other.note, (("id", str),))
    assert handlers[b"told"] == handlers["é".encode()] == (Other.tell, ())
