from __future__ import annotations

import pytest

from pika_locust.judge.audit import at_least, balance
from pika_locust.judge.expressions import OPERATORS, parse
from pika_locust.judge.report import AuditResult, Status, ThresholdResult
from pika_locust.judge.verdict import further_failures, resolving_power


def share(expression: str, passes: int, samples: int, status: Status = "pass", **more: float) -> ThresholdResult:
    return ThresholdResult("checks", expression, passes / samples, samples, status, kind="rate", **more)


@pytest.mark.parametrize(
    ("expression", "passes", "samples", "wanted"),
    [
        pytest.param("rate>0.99", 1_000, 1_000, 10, id="990 of 1,000 is not above 99 %"),
        pytest.param("rate>=0.99", 1_000, 1_000, 11, id="989 of 1,000 is below 99 %"),
        pytest.param("rate>0.99", 995, 1_000, 5, id="five have failed already"),
        pytest.param("rate<0.01", 0, 1_000, 10, id="10 of 1,000 is not below 1 %"),
        pytest.param("rate<0.01", 9, 1_000, 1, id="one more is one too many"),
        pytest.param("rate<=0.01", 0, 1_000, 11, id="11 of 1,000 is above 1 %"),
        pytest.param("rate==1", 50, 50, 1, id="every single one counts"),
        pytest.param("rate===0", 0, 50, 1, id="every single one counts, the other way"),
        pytest.param("rate>0.5", 3, 3, 2, id="few samples"),
        pytest.param("rate>=0", 10, 10, None, id="a floor of nothing never fails"),
        pytest.param("rate<=1", 0, 10, None, id="a ceiling of all never fails"),
        pytest.param("rate!=0.5", 10, 10, None, id="no direction"),
        pytest.param("rate==0.5", 5, 10, None, id="no direction in the middle"),
    ],
)
def test_how_many_further_failures_turn_it_red(expression: str, passes: int, samples: int, wanted: int | None) -> None:
    assert further_failures(parse(expression), passes / samples, samples) == wanted


@pytest.mark.parametrize("operator", [operator for operator in OPERATORS if operator[0] in "<>"])
@pytest.mark.parametrize("limit", ["0.1", "0.333", "0.5", "0.9"])
@pytest.mark.parametrize("samples", [1, 7, 100])
def test_the_number_is_the_smallest_that_breaks_it(operator: str, limit: str, samples: int) -> None:
    expression = parse(f"rate{operator}{limit}")
    step = -1 if operator[0] == ">" else 1
    for passes in range(samples + 1):
        if not expression.holds(passes / samples):
            continue
        worse = [k for k in range(1, samples + 1) if 0 <= passes + step * k <= samples]
        broken = [k for k in worse if not expression.holds((passes + step * k) / samples)]
        assert further_failures(expression, passes / samples, samples) == min(broken, default=None)


def test_the_sentences() -> None:
    assert resolving_power(
        [
            share("rate>0.95", 4_000, 4_000),
            share("rate==1", 30, 30),
            share("rate<=1", 0, 4_000),
            share("rate>0.9", 100, 100, window_s=30.0),
        ],
        [
            balance("tokens conserved", 4_000, 4_000, 0),
            balance("bookings held", 4_000, 4_002, 5),
            balance("no double booking", 0, 0, 0),
        ],
    ) == [
        "checks rate>0.95: 200 further failures among the 4,000 samples (5 %) would have failed it",
        "checks rate==1: 1 further failure among the 30 samples (3.33 %) would have failed it",
        "checks rate<=1: no number of failures among the 4,000 samples could have failed it",
        "checks rate>0.9: 10 further failures among the 100 samples of its worst window (10 %) would have failed it",
        "tokens conserved: one lost or doubled item of 4,000 would have failed it",
        "bookings held: 3 items lost or 4 items doubled of 4,000 (5 stayed unanswered) would have failed it",
        "no double booking: one item too many would have failed it",
    ]


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(share("rate>0.95", 10, 100, "fail"), id="a failed threshold has shown its power"),
        pytest.param(
            ThresholdResult("checks", "rate>0.9", None, 0, "pass", kind="rate"), id="one that was allowed empty"
        ),
        pytest.param(ThresholdResult("errors", "rate<5", 1.0, 10, "pass", kind="counter"), id="a rate per second"),
        pytest.param(ThresholdResult("latency", "p(95)<5", 1.0, 10, "pass", kind="trend"), id="a percentile"),
    ],
)
def test_thresholds_that_have_none(result: ThresholdResult) -> None:
    assert resolving_power([result]) == []


@pytest.mark.parametrize(
    "audit",
    [
        pytest.param(balance("b", 10, 9, 0), id="a failed audit has shown its power"),
        pytest.param(balance("b", 10, None, 0), id="one that was not made has none"),
        pytest.param(AuditResult("b", "pass", None, None), id="one without figures says nothing"),
    ],
)
def test_audits_that_have_none(audit: AuditResult) -> None:
    assert resolving_power([], [audit]) == []


OTHERS_SEND = {
    5: "one item lost of 5 would have failed it, doubled ones would not: others send to the same place",
    7: "3 items lost of 5 would have failed it, doubled ones would not: others send to the same place",
    70: "no loss would have failed it: others sent 65, this run 5",
}


@pytest.mark.parametrize(("held", "sentence"), OTHERS_SEND.items())
def test_where_others_send_too_less_is_seen(held: int, sentence: str) -> None:
    assert resolving_power((), [at_least("likes", 5, held, 0)]) == [f"likes: {sentence}"]
