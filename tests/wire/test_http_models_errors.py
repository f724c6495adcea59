from __future__ import annotations

from pika_locust.errors import PikaLocustError
from pika_locust.wire.http_models import ErrorKind, TransportError


def test_an_error_is_a_value_with_a_kind_and_words() -> None:
    error = TransportError(ErrorKind.CONNECT_REFUSED, "127.0.0.1:1 refused the connection")
    assert (error.kind, error.text) == ("connect_refused", "127.0.0.1:1 refused the connection")
    assert str(error) == "connect_refused: 127.0.0.1:1 refused the connection"
    assert isinstance(error, PikaLocustError)


def test_a_kind_is_its_text() -> None:
    assert {kind.name.lower() for kind in ErrorKind} == {str(kind) for kind in ErrorKind}
