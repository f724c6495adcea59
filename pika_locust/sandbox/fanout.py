"""Broadcasts: each frame is serialised once and written once per socket and loop turn.

With N sockets every message that is published becomes N frames, so this is the hot path of the sandbox. What is
published during one turn of the loop is joined once; every socket is handed the same bytes object. Sockets with
something of their own (an answer between two broadcasts, a broadcast they must not get) are cut out of the joined
bytes by offsets, so that their cost follows what is their own and not what is common.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Protocol

SLOW_LIMIT_BYTES = 8 * 1024 * 1024
"""A client that lets more than this wait is not reading; its connection is cut, so that it cannot eat the memory."""


class Member(Protocol):
    """An open socket that takes part in broadcasts."""

    id: int

    def write(self, data: bytes) -> None:
        """Hands bytes to the transport."""

    def waiting_bytes(self) -> int:
        """What the transport has not yet been able to write."""

    def drop(self) -> None:
        """Cuts the connection because its client is too slow."""


class Fanout:
    """The members of one world, in the order they joined, and what is to be written to them in this turn.

    `defer` runs a callback at the end of the turn of the loop. `published` counts broadcast frames; a member has got
    `published - published at join - missed` of them.
    """

    def __init__(self, defer: Callable[[Callable[[], None]], object]) -> None:
        self._defer = defer
        self._members: dict[int, Member] = {}
        self._writers: dict[int, Callable[[bytes], None]] = {}
        self._slow: set[int] = set()
        self._frames: list[bytes] = []
        self._own: dict[int, list[tuple[int, bytes | None]]] = {}
        self._scheduled = False
        self._fast: tuple[tuple[int, Callable[[bytes], None]], ...] | None = None
        self.published = 0

    def __len__(self) -> int:
        return len(self._members)

    def join(self, member: Member) -> None:
        """From now on the member gets what is published."""
        self.flush()
        self._members[member.id] = member
        self._writers[member.id] = member.write
        self._fast = None

    def leave(self, member: Member) -> None:
        """Nothing is written to the member any more."""
        self.flush()
        self._members.pop(member.id, None)
        self._writers.pop(member.id, None)
        self._slow.discard(member.id)
        self._fast = None

    def pause(self, member: Member, paused: bool) -> None:
        """The member's transport says that it cannot keep up, or that it can again."""
        if member.id not in self._members:
            return
        self._fast = None
        if paused:
            self._slow.add(member.id)
            self._writers.pop(member.id, None)
        else:
            self._slow.discard(member.id)
            self._writers[member.id] = member.write

    def ids(self) -> list[int]:
        """Members in the order they joined."""
        return list(self._members)

    def publish(self, frame: bytes, without: int | None) -> None:
        """One frame to every member except one."""
        if not self._scheduled:
            self._schedule()
        if without is not None and without in self._members:
            self._own.setdefault(without, []).append((len(self._frames), None))
        self._frames.append(frame)
        self.published += 1

    def withhold(self, member_id: int) -> None:
        """Keeps the frame published last from one member more."""
        self._own.setdefault(member_id, []).append((len(self._frames) - 1, None))

    def send(self, member_id: int, frame: bytes) -> None:
        """One frame to one member, in order with the broadcasts."""
        if not self._scheduled:
            self._schedule()
        self._own.setdefault(member_id, []).append((len(self._frames), frame))

    def flush(self) -> None:
        """Hands everything to the transports now."""
        self._scheduled = False
        frames, own = self._frames, self._own
        if not frames and not own:
            return
        self._frames, self._own = [], {}
        joined = b"".join(frames)
        if own:
            offsets = list(accumulate(map(len, frames), initial=0))
            for member_id, cuts in own.items():
                if (member := self._members.get(member_id)) is not None:
                    self._write(member, _cut(joined, offsets, cuts))
        if joined:
            if self._fast is None:
                self._fast = tuple(self._writers.items())
            slow = self._slow.difference(own)
            # a transport may report that it is full, or end, in the middle of the write: `_writers` is not walked
            for member_id, write in self._fast:
                if member_id not in own:
                    write(joined)
            for member_id in slow:
                if (member := self._members.get(member_id)) is not None:
                    self._write(member, joined)

    def _write(self, member: Member, data: bytes) -> None:
        if member.id in self._slow and member.waiting_bytes() > SLOW_LIMIT_BYTES:
            member.drop()
        elif data:
            member.write(data)

    def _schedule(self) -> None:
        self._scheduled = True
        self._defer(self.flush)


def _cut(joined: bytes, offsets: list[int], cuts: list[tuple[int, bytes | None]]) -> bytes:
    """The joined frames with a member's own: at each index a frame to insert before, or (None) to leave out."""
    pieces: list[bytes] = []
    start = 0
    for index, frame in cuts:
        pieces.append(joined[start : offsets[index]])
        start = offsets[index]
        if frame is None:
            start = offsets[index + 1]
        else:
            pieces.append(frame)
    pieces.append(joined[start:])
    return b"".join(pieces)
