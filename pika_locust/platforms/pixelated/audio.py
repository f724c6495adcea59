"""Audio in chunks: the frames that all users of a process send, and one turn's account of what was acknowledged."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from pika_locust.load.rng import SeededRandom
from pika_locust.runtime.context import WorkerContext

LARGEST_BYTES = 25 * 1024 * 1024
MEBIBYTE = 1024 * 1024
SIZES = 97
"""So many sizes of chunks follow on each other before the first one comes again."""


class Audio:
    """The chunks' frames, made once in a process: `worker.shared(Audio)`.

    Each chunk of a turn is a byte smaller than the one before: an acknowledgement tells only how many bytes there are
    by now, and so by how many these have grown tells whose it is.
    """

    def __init__(self, worker: WorkerContext) -> None:
        dice = SeededRandom(1)
        noise = b"".join(dice.bits().to_bytes(8, "big") for _ in range(512))
        self._noise = noise * (MEBIBYTE // len(noise) + 1)
        self._chunk_bytes: int = worker.settings["CHUNK_BYTES"]
        self._frames: dict[int, bytes] = {}

    def chunk(self, number: int) -> tuple[int, bytes]:
        """The bytes, and the frame, of a turn's chunk (from 0)."""
        size = self._chunk_bytes - number % SIZES
        frame = self._frames.get(size)
        if frame is None:
            frame = self._frames[size] = self.frame(size)
        return size, frame

    def frame(self, size: int) -> bytes:
        """A frame with a chunk of so many bytes, at most a mebibyte."""
        return b'{"type":"chunk","chunk":"%b","mimeType":"audio/webm"}' % b64encode(self._noise[:size])

    @property
    def mebibyte(self) -> bytes:
        """A frame with a mebibyte of audio."""
        frame = self._frames.get(MEBIBYTE)
        if frame is None:
            frame = self._frames[MEBIBYTE] = self.frame(MEBIBYTE)
        return frame


@dataclass(slots=True)
class Chunk:
    """A chunk that was sent, and is not acknowledged."""

    item: str
    size: int
    total: int
    """What the server must have by then."""
    sent_ns: int


@dataclass(slots=True)
class Acknowledged:
    """What an acknowledgement says: `chunk` was taken; those in `lost`, which were sent before it, never were."""

    chunk: Chunk | None
    lost: list[Chunk]
    is_first: bool


class Turn:
    """The chunks of one turn. Acknowledgements come in the order of the chunks."""

    __slots__ = ("_acknowledged", "_held", "_sent", "waiting")

    def __init__(self) -> None:
        # A list: there are few, and an empty deque takes 700 bytes more of each user.
        self.waiting: list[Chunk] = []
        """Chunks without an acknowledgement, oldest first."""
        self._sent = self._held = self._acknowledged = 0

    @property
    def has_audio(self) -> bool:
        """Whether the server has said that it has some of it."""
        return self._acknowledged > 0

    def send(self, item: str, size: int, at_ns: int) -> None:
        """A chunk goes out."""
        self._sent += size
        self.waiting.append(Chunk(item, size, self._sent, at_ns))

    def acknowledge(self, total: int) -> Acknowledged:
        """The server has so many bytes by now."""
        grown, self._held = total - self._held, total
        first, self._acknowledged = self._acknowledged == 0, self._acknowledged + 1
        waiting = self.waiting
        lost: list[Chunk] = []
        if any(chunk.size == grown for chunk in waiting):
            while waiting[0].size != grown:
                lost.append(waiting.pop(0))
        # A total that fits none is wrong, and still an answer to the oldest.
        return Acknowledged(waiting.pop(0) if waiting else None, lost, first)
