"""A run against a target with a certificate of its own authority: users, set-up, probes and audits reach it alike."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from pika_locust.sandbox import start_sandbox
from tests.e2e.support import run
from tests.wire.http_servers import Certificates

pytestmark = pytest.mark.e2e

LOAD = {"BASE_RATE": "10", "SPIKE_RATE": "10", "RAMP_UP": "1s", "SPIKE_HOLD": "1s", "SEED_USER_COUNT": "5"}


@contextmanager
def terminating(port: int, context: ssl.SSLContext, requests: list[bytes]) -> Iterator[int]:
    """A proxy with TLS before a server without; `requests` get the first bytes of every connection."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        if first := await reader.read(65536):
            requests.append(first)
        outer.write(first)
        await asyncio.gather(pipe(reader, outer), pipe(inner, writer), return_exceptions=True)

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5.0)
        server.close()


def test_everything_that_a_run_asks_goes_with_the_targets_trust_and_headers(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    certificates = Certificates(tmp_path / "ca")
    requests: list[bytes] = []
    secret = {"STRIPE_WEBHOOK_SECRET": "whsec_test_secret", "EXTRA_HEADERS": "X-Api-Key: sesame"}
    with (
        start_sandbox(["verity"], env={}) as sandbox,
        terminating(sandbox.port, certificates.server_context(), requests) as port,
    ):
        env = {**LOAD, **secret, "BASE_URL": f"https://127.0.0.1:{port}", "CA_FILE": certificates.authority}
        finished = run(["--headless", "-f", "locustfiles/tokens.py", "-t", "3s", "--processes", "2"], tmp_path, env)
        credited = sandbox.state()["webhooks"]["credited"]
    assert finished.exit_code == 0, finished.output
    assert finished.audit("webhooks")["detail"] == "balances looked up: 5 of 5 members"
    assert credited == finished.metric("http_reqs")["count"] > 20
    assert {b"GET /health", b"POST /auth/signup-anonymous", b"POST /webhooks/stripe", b"GET /tokens/balance"} <= {
        b" ".join(request.split(b" ")[:2]) for request in requests
    }
    assert all(b"\r\nX-Api-Key: sesame\r\n" in request for request in requests)
    assert "sesame" not in finished.output
    assert "sesame" not in str(finished.summary)
