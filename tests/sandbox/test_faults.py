"""Faults as they are written on a command line and in JSON."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pika_locust.errors import ConfigurationError
from pika_locust.sandbox.faults import COMMON, FaultSwitches, faults_from_json, parse_faults


@pytest.mark.parametrize(
    ("text", "value", "window_s"),
    [
        pytest.param("lose-write=0.02", Fraction(1, 50), 0, id="a rate as a share"),
        pytest.param("lose-write=2%", Fraction(1, 50), 0, id="the same rate in percent"),
        pytest.param("drop=.5", Fraction(1, 2), 0, id="a rate without a leading zero"),
        pytest.param("refuse=1", 1, 0, id="everything"),
        pytest.param("latency=250", 250, 0, id="milliseconds"),
        pytest.param("latency=250ms", 250, 0, id="milliseconds with their unit"),
        pytest.param("close-after=1.5s", Fraction(3, 2), 0, id="seconds"),
        pytest.param("throttle=120/60s", 120, 60, id="attempts per window"),
        pytest.param("leak=60MB/min", 60, 0, id="megabytes per minute"),
        pytest.param("max-sockets=137", 137, 0, id="a count"),
        pytest.param("dead-session", 1, 0, id="a flag"),
        pytest.param(" drop=0.1 ", Fraction(1, 10), 0, id="spaces around"),
    ],
)
def test_a_fault_is_read_exactly(text: str, value: Fraction, window_s: Fraction) -> None:
    (fault,) = parse_faults([text])
    assert (fault.value, fault.window_s) == (value, window_s)


@pytest.mark.parametrize(
    ("texts", "sentences"),
    [
        pytest.param(["drop=1.5"], ["drop cannot have the value '1.5': it takes a rate"], id="a rate above one"),
        pytest.param(["drop=0"], ["drop cannot have the value '0'"], id="a rate of nothing"),
        pytest.param(["drop"], ["drop cannot have the value '': it takes a rate"], id="a rate without a value"),
        pytest.param(["drop=nan"], ["drop cannot have the value 'nan'"], id="not a number"),
        pytest.param(["drop=1e-1"], ["drop cannot have the value '1e-1'"], id="an exponent"),
        pytest.param(["latency=" + "9" * 5000], ["latency cannot have the value"], id="beyond any number"),
        pytest.param(["dead-session=1"], ["dead-session cannot have the value '1': it takes no value"], id="a flag"),
        pytest.param(["max-sockets=1.5"], ["max-sockets cannot have the value '1.5': it takes a whole"], id="a part"),
        pytest.param(["max-sockets=0"], ["max-sockets cannot have the value '0'"], id="none at all"),
        pytest.param(["throttle=5"], ["throttle cannot have the value '5': it takes attempts"], id="no window"),
        pytest.param(["throttle=5/0s"], ["throttle cannot have"], id="an empty window"),
        pytest.param(["drop=0.1", "drop=0.2"], ["drop is given twice"], id="given twice"),
        pytest.param(
            ["typo", "latency=x"], ["'typo' is not known here; legal are", "latency cannot"], id="two at once"
        ),
    ],
)
def test_a_wrong_fault_is_refused_with_what_would_be_right(texts: list[str], sentences: list[str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_faults(texts)
    assert len(refused.value.problems) == len(sentences)
    for problem, sentence in zip(refused.value.problems, sentences, strict=True):
        assert sentence in problem


def test_an_unknown_fault_is_answered_with_all_legal_ones() -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_faults(["nope"])
    for kind in COMMON:
        assert kind.usage in str(refused.value)


@pytest.mark.parametrize(
    ("value", "on"),
    [
        pytest.param({"drop": 0.1, "dead-session": True}, {"drop": "0.1", "dead-session": True}, id="number and flag"),
        pytest.param({"drop": "10%"}, {"drop": "10%"}, id="text"),
        pytest.param({"drop": None, "dead-session": False}, {}, id="switched off"),
        pytest.param({}, {}, id="nothing"),
    ],
)
def test_faults_come_from_json_and_go_back(value: object, on: dict[str, object]) -> None:
    switches = FaultSwitches(faults=faults_from_json(value))
    assert switches.to_json() == on
    assert FaultSwitches(faults=faults_from_json(switches.to_json())).on == switches.on


@pytest.mark.parametrize("value", [None, [], "drop=0.1", {"drop": True}, {"drop": [1]}, {"x": 1}])
def test_json_that_means_no_faults_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError):
        faults_from_json(value)
