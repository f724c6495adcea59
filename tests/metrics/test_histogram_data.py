from __future__ import annotations

import itertools
from typing import Any

import msgpack
import pytest

from pika_locust.metrics.histogram import HIGHEST, HistogramData, bucket_index

NOTHING = HistogramData({}, 0, None, None)
EARLIER = HistogramData({5: 2, bucket_index(2050): 1}, 2060, 5, 2050)


def later(minimum: int, maximum: int, *added: int) -> HistogramData:
    """EARLIER, and what was added since."""
    buckets = dict(EARLIER.buckets)
    for value in added:
        buckets[bucket_index(value)] = buckets.get(bucket_index(value), 0) + 1
    return HistogramData(
        buckets, EARLIER.total + sum(added), minimum, maximum, underflow=sum(value < 1 for value in added)
    )


WINDOWS = {
    "nothing came": (later(5, 2050), NOTHING),
    "between the extremes, the middles of buckets": (
        later(5, 2050, 9, 1029),
        HistogramData({9: 1, bucket_index(1029): 1}, 1038, 9, 1028),
    ),
    "the same as the extremes, no further than them": (
        later(5, 2050, 5, 2050),
        HistogramData({5: 1, bucket_index(2050): 1}, 2055, 5, 2049),
    ),
    "beyond them, exactly": (
        later(-3, 4001, -3, 4001),
        HistogramData({-3: 1, bucket_index(4001): 1}, 3998, -3, 4001, 1),
    ),
}


@pytest.mark.parametrize(("whole", "window"), WINDOWS.values(), ids=WINDOWS)
def test_what_came_later(whole: HistogramData, window: HistogramData) -> None:
    assert whole.minus(EARLIER) == window
    assert whole.minus(NOTHING) == whole
    assert HistogramData.from_wire(window.to_wire()) == window


@pytest.mark.parametrize("buckets", [{5: 1}, {5: 3, bucket_index(2050): 1}], ids=["a bucket less", "fewer in one"])
def test_what_is_no_earlier_copy_cannot_be_subtracted(buckets: dict[int, int]) -> None:
    larger = HistogramData({5: 3, bucket_index(2050): 2}, 4115, 5, 2050)
    with pytest.raises(ValueError, match="the earlier histogram holds samples that the later one lacks"):
        HistogramData(buckets, 2060, 5, 2050).minus(larger)


# The wire


WIRES = {
    "small numbers as they are": (EARLIER, {"b": [5, 2, 1531, 1], "t": 2060, "l": 5, "h": 2050}),
    "what is outside of the range, only where there is something": (
        HistogramData({-3: 1}, -3, -3, -3, 1, 2),
        {"b": [-3, 1], "t": -3, "l": -3, "h": -3, "u": 1, "o": 2},
    ),
    "a number beyond 64 bits as text": (
        HistogramData({bucket_index(10**30): 1}, 10**30, 10**30, 10**30),
        {"b": [bucket_index(10**30), 1], **dict.fromkeys("tlh", "1" + "0" * 30)},
    ),
    "nothing as nothing": (NOTHING, {}),
}


@pytest.mark.parametrize(("contents", "wire"), WIRES.values(), ids=WIRES)
def test_the_wire_form_and_back(contents: HistogramData, wire: dict[str, Any]) -> None:
    assert contents.to_wire() == wire
    assert HistogramData.from_wire(msgpack.unpackb(msgpack.packb(wire))) == contents


@pytest.mark.parametrize("count", [1, 1_000, 4_000_000_000], ids="{} samples each".format)
def test_two_thousand_buckets_take_less_than_21_kilobytes(count: int) -> None:
    spread = dict.fromkeys(itertools.islice(range(1_100, 12_000, 5), 2_000), count)
    assert len(spread) == 2_000
    assert len(msgpack.packb(HistogramData(spread, count * 10**10, 1_200, HIGHEST).to_wire())) < 21_000


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param({"b": [1, 1, 2], "t": 1, "l": 1, "h": 1}, id="a list cut short"),
        pytest.param({"b": [1, 1]}, id="parts are missing"),
        pytest.param({"b": 5, "t": 1, "l": 1, "h": 1}, id="no list"),
        pytest.param([1, 2], id="no mapping"),
        pytest.param([], id="an empty list"),
        pytest.param({"b": [1, -1], "t": -1, "l": 1, "h": 1}, id="fewer samples than none"),
        pytest.param({"b": [1, 1, 0, 1], "t": 2, "l": 1, "h": 1}, id="a bucket twice"),
        pytest.param({"b": [], "t": 0, "l": 1, "h": 1}, id="no bucket"),
        pytest.param({"b": [5, 1], "t": 5, "l": 4, "h": 5}, id="a minimum without a bucket"),
        pytest.param({"b": [5, 1], "t": 5, "l": 5, "h": 600}, id="a maximum without a bucket"),
        pytest.param({"b": [5, 2], "t": 11, "l": 5, "h": 5}, id="a sum that they cannot have"),
        pytest.param({"b": [5, 1], "t": 5, "l": 5, "h": 5, "u": -1}, id="an underflow below zero"),
        pytest.param({"b": [5, 1], "t": "x", "l": 5, "h": 5}, id="a text that is no number"),
    ],
)
def test_anything_else_on_the_wire_is_refused(wire: Any) -> None:
    with pytest.raises(ValueError, match="not a histogram's wire form"):
        HistogramData.from_wire(wire)
