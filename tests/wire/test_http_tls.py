from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from pika_locust.wire.http_models import ErrorKind, TransportError
from pika_locust.wire.http_tls import TlsLayer, client_context
from tests.wire.http_servers import Certificates


class ServerHalf:
    """The other half, in memory too."""

    def __init__(self, certificates: Certificates) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.chain, certificates.key)
        context.set_alpn_protocols(["http/1.1"])
        context.sni_callback = lambda _object, name, _context: self.names.append(name)
        self.names: list[str | None] = []
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self.incoming, self.outgoing, server_side=True)

    def handshake(self, received: bytes) -> bytes:
        self.incoming.write(received)
        try:
            self.object.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()


def shake_hands(layer: TlsLayer, server: ServerHalf) -> bytes:
    """Returns what the server sends once it is done: tickets for later sessions."""
    flight, done = layer.handshake(b"")
    while not done:
        flight, done = layer.handshake(server.handshake(flight))
    return server.handshake(flight)


def test_data_goes_through_both_ways_until_the_end(certificates: Certificates) -> None:
    layer, server = TlsLayer(client_context(certificates.authority), "localhost"), ServerHalf(certificates)
    tickets = shake_hands(layer, server)
    assert server.names == ["localhost"]
    assert server.object.selected_alpn_protocol() == "http/1.1"

    sent = layer.encrypt(b"question")
    assert b"question" not in sent
    server.incoming.write(sent)
    assert server.object.read() == b"question"

    assert tickets
    assert layer.decrypt(tickets) == b"", "they are no data"
    server.object.write(b"answer")
    received = server.outgoing.read()
    assert layer.decrypt(received[:7]) == b""
    assert layer.decrypt(received[7:]) == b"answer"
    server.object.write(b"x" * 200_000)
    assert layer.decrypt(server.outgoing.read()) == b"x" * 200_000
    assert not layer.ended

    with pytest.raises(ssl.SSLWantReadError):
        server.object.unwrap()
    assert layer.decrypt(server.outgoing.read()) == b""
    assert layer.ended


NOT_TRUSTED = {
    "an authority that nobody knows": (True, "localhost", "unable to get local issuer certificate"),
    "another host's certificate": (None, "example.test", "not valid for 'example.test'"),
    "another address's certificate": (None, "127.0.0.2", "127.0.0.2"),
}


@pytest.mark.parametrize(("verify", "host", "words"), NOT_TRUSTED.values(), ids=NOT_TRUSTED)
def test_a_certificate_is_verified(certificates: Certificates, verify: bool | None, host: str, words: str) -> None:
    trust = certificates.authority if verify is None else verify
    with pytest.raises(TransportError) as caught:
        shake_hands(TlsLayer(client_context(trust), host), ServerHalf(certificates))
    assert caught.value.kind is ErrorKind.TLS
    assert caught.value.text.startswith("the certificate is not trusted: ")
    assert words in caught.value.text


@pytest.mark.parametrize("host", ["localhost", "example.test", "127.0.0.2"])
def test_it_need_not_be(certificates: Certificates, host: str) -> None:
    shake_hands(TlsLayer(client_context(False), host), ServerHalf(certificates))


def test_an_address_is_verified_and_not_sent(certificates: Certificates) -> None:
    server = ServerHalf(certificates)
    shake_hands(TlsLayer(client_context(certificates.authority), "127.0.0.1"), server)
    assert server.names == [None]


def test_garbage_is_an_error_in_the_handshake_and_after_it(certificates: Certificates) -> None:
    layer = TlsLayer(client_context(False), "localhost")
    layer.handshake(b"")
    with pytest.raises(TransportError) as caught:
        layer.handshake(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert caught.value.kind is ErrorKind.TLS
    assert caught.value.text in ("wrong version number", "packet length too long")

    layer = TlsLayer(client_context(False), "localhost")
    layer.decrypt(shake_hands(layer, ServerHalf(certificates)))
    with pytest.raises(TransportError) as caught:
        layer.decrypt(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert caught.value.kind is ErrorKind.TLS


def test_a_context_is_made_once() -> None:
    assert client_context(True) is client_context(True)
    assert client_context(True) is not client_context(False)


def test_a_directory_of_authorities_is_taken_too(certificates: Certificates) -> None:
    assert client_context(str(Path(certificates.authority).parent)).verify_mode is ssl.CERT_REQUIRED


def test_a_path_without_certificates_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for path in (str(tmp_path / "missing.pem"), str(empty)):
        with pytest.raises(ValueError, match="no certificates to trust"):
            client_context(path)
