"""Servers that do exactly what a test says, byte by byte, on loopback."""

from __future__ import annotations

import ssl
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
from gevent import socket as gsocket
from gevent.ssl import SSLContext


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: gsocket.socket, address: tuple) -> None:
        self.socket = sock
        self.address = address
        self.requests: list[bytes] = []
        self._unread = b""

    def request(self) -> bytes:
        """Read one request, its body too; b"" when the client has closed."""
        while b"\r\n\r\n" not in self._unread:
            data = self.socket.recv(65536)
            if not data:
                return b""
            self._unread += data
        head, _, rest = self._unread.partition(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = bytearray(rest)
        while len(body) < length:
            body += self.socket.recv(1 << 20)
        request = head + b"\r\n\r\n" + bytes(body[:length])
        self._unread = bytes(body[length:])
        self.requests.append(request)
        return request

    def send(self, *pieces: bytes, pause_s: float = 0.0) -> None:
        for piece in pieces:
            self.socket.sendall(piece)
            gevent.sleep(pause_s)

    def answer(self, *pieces: bytes, pause_s: float = 0.0) -> None:
        self.request()
        self.send(*pieces, pause_s=pause_s)

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        self.socket.setsockopt(gsocket.SOL_SOCKET, gsocket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def wait_for_end(self) -> None:
        """Until the client has closed."""
        while self.socket.recv(65536):
            pass


Script = Callable[[Peer], None]


class Server:
    def __init__(self, url: str, port: int) -> None:
        self.url = url
        self.port = port
        self.peers: list[Peer] = []
        self.failures: list[BaseException] = []
        self.stop_listening: Callable[[], None] = lambda: None
        """From now on nobody can connect; what is connected stays."""

    @property
    def requests(self) -> list[bytes]:
        return [request for peer in self.peers for request in peer.requests]


@contextmanager
def serving(*scripts: Script, host: str = "127.0.0.1", tls: SSLContext | None = None) -> Iterator[Server]:
    """Connection number n gets script number n, the last one again and again; afterwards it is closed."""
    family = gsocket.AF_INET6 if ":" in host else gsocket.AF_INET
    listener = gsocket.socket(family, gsocket.SOCK_STREAM)
    listener.setsockopt(gsocket.SOL_SOCKET, gsocket.SO_REUSEADDR, 1)
    listener.bind((host, 0))
    listener.listen(64)
    port = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    server = Server(f"{'https' if tls else 'http'}://{shown}:{port}", port)
    greenlets = []

    def run(script: Script, sock: gsocket.socket, address: tuple) -> None:
        try:
            if tls is not None:
                sock = tls.wrap_socket(sock, server_side=True)
            peer = Peer(sock, address)
            server.peers.append(peer)
            script(peer)
        except (OSError, ssl.SSLError) as error:
            server.failures.append(error)
        finally:
            sock.close()

    def accept() -> None:
        while True:
            sock, address = listener.accept()
            script = scripts[min(len(greenlets), len(scripts) - 1)]
            greenlets.append(gevent.spawn(run, script, sock, address))

    acceptor = gevent.spawn(accept)

    def stop_listening() -> None:
        acceptor.kill()
        listener.close()

    server.stop_listening = stop_listening
    try:
        yield server
    finally:
        gevent.killall([acceptor, *greenlets])
        listener.close()


def content(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An answer with a length."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def chunked(*chunks: bytes, headers: tuple[str, ...] = ()) -> bytes:
    lines = ["HTTP/1.1 200 OK", *headers, "Transfer-Encoding: chunked", "", ""]
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return "\r\n".join(lines).encode("latin-1") + body + b"0\r\n\r\n"


def echo(peer: Peer) -> None:
    """Answer every request with its own body."""
    while request := peer.request():
        peer.send(content(request.partition(b"\r\n\r\n")[2]))


class Certificates:
    """An authority of our own, and a certificate from it for localhost and 127.0.0.1; made by the openssl command."""

    def __init__(self, directory: Path) -> None:
        self.authority = str(directory / "authority.pem")
        self.chain = str(directory / "server.pem")
        self.key = str(directory / "server.key")
        authority_key = str(directory / "authority.key")
        request = str(directory / "server.csr")
        extensions = directory / "extensions"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        authority = ["-CA", self.authority, "-CAkey", authority_key, "-CAcreateserial", "-extfile", str(extensions)]
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        for command in (
            [
                "req",
                "-x509",
                *curve,
                "-keyout",
                authority_key,
                "-out",
                self.authority,
                "-days",
                "2",
                "-subj",
                "/CN=test",
            ],
            ["req", *curve, "-keyout", self.key, "-out", request, "-subj", "/CN=localhost"],
            ["x509", "-req", "-in", request, "-days", "2", "-out", self.chain, *authority],
        ):
            subprocess.run(["openssl", *command], check=True, capture_output=True, timeout=30)

    def server_context(self) -> SSLContext:
        context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context
