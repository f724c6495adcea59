"""Which worker runs which users: as Locust does it, but nobody is moved.

When a worker joins or is lost, Locust works the distribution out anew, from nothing, and users change workers: those
here are killed, others start there. For a DJ, whose connection is the session, that ends the night. Here everybody
stays; a new worker gets users as more are started.
"""

from __future__ import annotations

import itertools
from typing import Any

from locust.dispatch import UsersDispatcher


class SteadyDispatcher(UsersDispatcher):  # type: ignore[misc]
    """A dispatcher that leaves running users where they are."""

    _users_on_workers: dict[str, dict[str, int]]
    _active_users: list[tuple[Any, str]]

    def _prepare_rebalance(self) -> None:
        alive = {worker.id for worker in self._worker_nodes}
        nobody = {user.__name__: 0 for user in self._original_user_classes}
        self._users_on_workers = {
            worker.id: self._users_on_workers.get(worker.id, dict(nobody)) for worker in self._worker_nodes
        }
        self._active_users = [(worker, user) for worker, user in self._active_users if worker.id in alive]
        self._current_user_count = self.get_current_user_count()
        self._worker_node_generator = itertools.cycle(self._worker_nodes)
        # Supporters of a lost worker are started again elsewhere, before anybody else.
        self._try_dispatch_fixed = True
