"""Kinds of HTTP requests: what makes one, and how many there are at most."""

from __future__ import annotations

import pytest

from pika_locust.sandbox.faults import MOST_KINDS, RequestKinds


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        pytest.param("/health", "/health", id="a fixed path"),
        pytest.param("/api/session/room-7/recap", "/api/session/*/recap", id="an id in the middle"),
        pytest.param("/api/client/client_1_a/likes", "/api/client/*/likes", id="a client id"),
        pytest.param("/", "/", id="the root"),
    ],
)
def test_ids_make_no_kinds_of_their_own(path: str, kind: str) -> None:
    assert RequestKinds().of(path) == kind


def test_the_number_of_kinds_is_limited() -> None:
    kinds = RequestKinds()
    first = [kinds.of("/" + "x" * n) for n in range(1, MOST_KINDS + 1)]
    assert len(set(first)) == MOST_KINDS
    assert [kinds.of("/more"), kinds.of("/and/more"), kinds.of("/x")] == ["other", "other", "/x"]
