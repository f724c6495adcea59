from __future__ import annotations

from pika_locust.wire.socketio_protocol import PendingAcks


def nobody(payload: bytes | None, at_ns: int) -> None:
    raise AssertionError("not called here")


def somebody(payload: bytes | None, at_ns: int) -> None:
    raise AssertionError("not called here")


def test_an_acknowledgement_is_taken_once_and_only_in_its_namespace() -> None:
    acks = PendingAcks()
    assert not acks
    assert [acks.expect("/", nobody), acks.expect("/queue", somebody)] == [0, 1]
    assert len(acks) == 2
    assert acks.take("/", 1) is None, "another namespace's"
    assert acks.take("/queue", 2) is None, "an id that was never given"
    assert acks.take("/queue", None) is None, "no id at all"
    assert acks.take("/queue", 1) is somebody
    assert acks.take("/queue", 1) is None, "a second time"
    assert acks.expect("/queue", somebody) == 2, "ids are not used again"


def test_a_namespace_that_ends_takes_its_own_with_it() -> None:
    acks = PendingAcks()
    for namespace, on_ack in (("/", nobody), ("/queue", somebody), ("/", somebody)):
        acks.expect(namespace, on_ack)
    assert acks.lose("/") == [nobody, somebody]
    assert len(acks) == 1
    assert acks.lose(None) == [somebody]
    assert acks.lose(None) == []
