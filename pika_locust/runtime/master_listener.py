"""Keeps Locust's master listening: a message that it cannot read costs that message, and not all workers.

Locust's master reads all messages in one greenlet. What that raises ends it: the master receives nothing from then on,
every worker is taken for missing, and whoever can reach the port could end a run with a few bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from locust.exception import RPCError, RPCReceiveError

logger = logging.getLogger(__name__)


def keep_listening(runner: Any, on_unreadable: Callable[[str, str], None]) -> None:
    """Have a master's runner survive messages that it cannot read. `on_unreadable` is told of those whose sender is
    known: the sender, and what was wrong."""
    handle, reset_connection = runner.handle_message, runner.reset_connection

    def handle_message(client_id: str, msg: Any) -> None:
        try:
            handle(client_id, msg)
        except Exception as error:
            logger.exception("A message of worker %s could not be handled", client_id)
            on_unreadable(client_id, f"{msg.type}: {type(error).__name__}: {error}")

    def reset() -> None:
        reset_connection()
        _survive_garbage(runner.server)

    runner.handle_message, runner.reset_connection = handle_message, reset
    _survive_garbage(runner.server)


def _survive_garbage(server: Any) -> None:
    receive = server.recv_from_client

    def recv_from_client() -> tuple[str, Any]:
        try:
            found: tuple[str, Any] = receive()
        except RPCError:
            raise
        except Exception as error:
            # Locust knows what to do with this one: it logs it, and goes on.
            raise RPCReceiveError(f"not a message ({type(error).__name__}: {error})") from error
        return found

    server.recv_from_client = recv_from_client
