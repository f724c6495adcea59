from __future__ import annotations

import gzip
import zlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.wire.http_models import ErrorKind, TransportError
from pika_locust.wire.http_protocol import ResponseParser, decode_content
from tests.wire.http_servers import content

TEXT = b"the quick brown fox " * 40


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


DECODED = {
    "gzip": (gzip.compress(TEXT), ["gzip"]),
    "gzip by its old name": (gzip.compress(TEXT), ["x-gzip"]),
    "gzip in two members": (gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:]), ["gzip"]),
    "deflate as the standard has it": (zlib.compress(TEXT), ["deflate"]),
    "deflate without its wrapper": (bare(TEXT), ["deflate"]),
    "both, the last one applied last": (gzip.compress(zlib.compress(TEXT)), ["deflate", "gzip"]),
    "identity": (TEXT, ["identity"]),
    "an empty element": (gzip.compress(TEXT), ["", "gzip"]),
    "a coding that only its asker can undo": (TEXT, ["br"]),
}


@pytest.mark.parametrize(("body", "codings"), DECODED.values(), ids=DECODED)
def test_codings_are_undone(body: bytes, codings: list[str]) -> None:
    assert decode_content(body, codings, len(TEXT)) == TEXT


REFUSED = {
    "text that is called gzip": (TEXT, ["gzip"], ErrorKind.PROTOCOL),
    "text that is called deflate": (b"\xff" + TEXT, ["deflate"], ErrorKind.PROTOCOL),
    "gzip that ends too early": (gzip.compress(TEXT)[:-9], ["gzip"], ErrorKind.PROTOCOL),
    "gzip with a wrong checksum": (gzip.compress(TEXT)[:-8] + b"\0" * 8, ["gzip"], ErrorKind.PROTOCOL),
    "something after the gzip data": (gzip.compress(TEXT) + b"more", ["gzip"], ErrorKind.PROTOCOL),
    "one byte over the bound": (gzip.compress(TEXT + b"."), ["gzip"], ErrorKind.TOO_LARGE),
    "one byte over the bound in the second member": (
        gzip.compress(TEXT) + gzip.compress(b"."),
        ["gzip"],
        ErrorKind.TOO_LARGE,
    ),
    "a bomb": (gzip.compress(b"\0" * 10_000_000), ["gzip"], ErrorKind.TOO_LARGE),
    "a bomb in a bomb": (gzip.compress(gzip.compress(b"\0" * 10_000_000)), ["gzip", "gzip"], ErrorKind.TOO_LARGE),
    "codings without end": (TEXT, ["gzip"] * 5, ErrorKind.PROTOCOL),
}


@pytest.mark.parametrize(("body", "codings", "kind"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_unpacked_within_the_bound_is_an_error(body: bytes, codings: list[str], kind: ErrorKind) -> None:
    with pytest.raises(TransportError) as caught:
        decode_content(body, codings, len(TEXT))
    assert caught.value.kind is kind


MUCH = {
    "packed a thousandfold": (gzip.compress(b"\0" * ((1 << 24) - 1)), (1 << 24) - 1),
    "thousands of members": (gzip.compress(b"") * 9_999, 0),
}


@pytest.mark.parametrize(("packed", "size"), MUCH.values(), ids=MUCH)
def test_others_get_their_turn_while_there_is_much_to_unpack(packed: bytes, size: int) -> None:
    turns = []
    parser = ResponseParser(1 << 24, lambda: turns.append(1))
    answer = parser.feed(content(packed, "200 OK", "Content-Encoding: gzip"))
    assert answer is not None
    assert len(answer[2]) == size
    assert len(turns) >= 5


@given(st.lists(st.integers(0, 60_000), max_size=6), st.randoms(use_true_random=False))
def test_members_of_any_length_are_undone_in_steps(sizes: list[int], dice: Random) -> None:
    parts = [dice.randbytes(size) for size in sizes]
    assert decode_content(b"".join(map(gzip.compress, parts)), ["gzip"], 1 << 20) == b"".join(parts)
