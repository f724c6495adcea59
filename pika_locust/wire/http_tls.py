"""TLS over memory buffers, without a socket."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache

from pika_locust.wire.http_models import ErrorKind, TransportError

Trust = bool | str | ssl.SSLContext
_PIECE = 65536


@lru_cache(maxsize=16)
def client_context(verify: bool | str) -> ssl.SSLContext:
    """A context that trusts the system's authorities (True), those of a file or directory (its path), or all (False).

    Loading the authorities takes 10 ms and half a megabyte, so each of these is made once per process.
    Raises ValueError when the path holds no certificates.
    """
    if verify is False:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif verify is True:
        context = ssl.create_default_context()
    else:
        directory = os.path.isdir(verify)
        try:
            context = ssl.create_default_context(
                cafile=None if directory else verify, capath=verify if directory else None
            )
        except OSError as error:
            raise ValueError(f"verify={verify!r}: no certificates to trust there ({error})") from None
    context.set_alpn_protocols(["http/1.1"])
    return context


class TlsLayer:
    """The client's half of one TLS connection; `hostname` is checked against the certificate, and sent (SNI).

    First `handshake` until it is done, sending what it returns; then `encrypt` and `decrypt`.
    """

    __slots__ = ("_incoming", "_object", "_outgoing", "ended")

    def __init__(self, context: ssl.SSLContext, hostname: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        self.ended = False
        """The peer has said that nothing more will come."""

    def handshake(self, received: bytes) -> tuple[bytes, bool]:
        """Take what was received (at first nothing); what to send now, and whether that completes the handshake.

        Raises TransportError (tls).
        """
        self._incoming.write(received)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return self._outgoing.read(), False
        except ssl.SSLError as error:
            raise _tls_error(error) from None
        return self._outgoing.read(), True

    def encrypt(self, data: bytes) -> bytes:
        """What to send for `data`."""
        try:
            self._object.write(data)
        except ssl.SSLError as error:
            raise _tls_error(error) from None
        return self._outgoing.read()

    def decrypt(self, received: bytes) -> bytes:
        """The data in what was received; may be empty, as TLS has messages of its own. Raises TransportError (tls)."""
        self._incoming.write(received)
        plain = b""
        try:
            while piece := self._object.read(_PIECE):
                plain += piece
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            raise _tls_error(error) from None
        return plain


def _tls_error(error: ssl.SSLError) -> TransportError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return TransportError(ErrorKind.TLS, f"the certificate is not trusted: {error.verify_message}")
    return TransportError(ErrorKind.TLS, (error.reason or str(error)).lower().replace("_", " "))
