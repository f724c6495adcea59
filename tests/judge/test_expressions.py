from __future__ import annotations

import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.judge.expressions import AGGREGATIONS, OPERATORS, ExpressionError, parse
from pika_locust.metrics.metric import Kind


@pytest.mark.parametrize(
    ("text", "aggregation", "quantile", "operator", "limit"),
    [
        pytest.param("count==0", "count", None, "==", 0.0, id="a counter's count"),
        pytest.param("rate > 0.99", "rate", None, ">", 0.99, id="blanks around the operator"),
        pytest.param("\tvalue<=  512 ", "value", None, "<=", 512.0, id="tabs and outer blanks"),
        pytest.param("avg<200", "avg", None, "<", 200.0, id="a trend's average"),
        pytest.param("min>=1", "min", None, ">=", 1.0, id="a trend's minimum"),
        pytest.param("max!=0", "max", None, "!=", 0.0, id="a trend's maximum, unequal"),
        pytest.param("med===12.5", "med", 0.5, "===", 12.5, id="the median is the 0.5 quantile; three equal signs"),
        pytest.param("p(95)<500", "p(95)", 0.95, "<", 500.0, id="a percentile"),
        pytest.param(
            "p(99.9)<500", "p(99.9)", 0.999, "<", 500.0, id="a percentile with decimals, without rounding noise"
        ),
        pytest.param("p(095.50)<007", "p(95.5)", 0.955, "<", 7.0, id="zeros that mean nothing"),
        pytest.param("p(0)>1", "p(0)", 0.0, ">", 1.0, id="the lowest percentile"),
        pytest.param("p(100)<1", "p(100)", 1.0, "<", 1.0, id="the highest percentile"),
    ],
)
def test_what_the_grammar_allows(
    text: str, aggregation: str, quantile: float | None, operator: str, limit: float
) -> None:
    expression = parse(text)

    got = (expression.aggregation, expression.quantile, expression.operator, expression.limit)
    assert got == (aggregation, quantile, operator, limit)
    assert expression.text == text.strip()


@pytest.mark.parametrize(
    ("text", "taught"),
    [
        pytest.param("", "an empty threshold", id="nothing at all"),
        pytest.param("p(95)", "no operator", id="no operator and no number"),
        pytest.param("p(95) 500", "no operator", id="a forgotten operator"),
        pytest.param("p(95)<", "'' in 'p(95)<' is not a number", id="no number"),
        pytest.param("<500", "lacks an aggregation", id="no aggregation"),
        pytest.param("rate<NaN", "'NaN' in 'rate<NaN' is not a number", id="NaN, which k6 lets through"),
        pytest.param("count>-Inf", "'-Inf'", id="minus infinity, which k6 lets through"),
        pytest.param("rate<inf", "'inf'", id="infinity"),
        pytest.param("rate<1e3", "'1e3'", id="an exponent"),
        pytest.param("rate<1_000", "'1_000'", id="an underscore, which Python reads"),
        pytest.param("rate<-1", "'-1'", id="a sign"),
        pytest.param("rate<+1", "'+1'", id="a plus sign"),
        pytest.param("rate<.5", "'.5'", id="no digit before the point"),
        pytest.param("rate<5.", "'5.'", id="no digit after the point"),
        pytest.param("rate<1.2.3", "'1.2.3'", id="two points"),
        pytest.param("rate<٣", "is not a number", id="digits of another script"),
        pytest.param("p(95)<500ms", "no unit", id="a unit"),
        pytest.param("p(95)<500\n", "is not a number", id="a line break at the end"),
        pytest.param(
            "p(95)=500", "'=' in 'p(95)=500' is not an operator; legal are > >= < <=", id="a single equal sign"
        ),
        pytest.param("p(95)=<500", "'=<'", id="an operator the wrong way round"),
        pytest.param("p(95)<>500", "'<>'", id="another language's operator"),
        pytest.param("p(101)<5", "from p(0) to p(100)", id="a percentile beyond 100"),
        pytest.param("p(100.1)<5", "from p(0) to p(100)", id="a percentile just beyond 100"),
        pytest.param("p95<5", "write it like p(95)", id="a percentile without brackets"),
        pytest.param("p()<5", "write it like p(95)", id="a percentile of nothing"),
        pytest.param("p(N)<5", "is not an aggregation", id="the placeholder itself"),
        pytest.param("p(-1)<5", "is not an aggregation", id="a negative percentile"),
        pytest.param(
            "mean<5", "legal are count, rate, value, avg, min, max, med, p(N)", id="an aggregation nobody has"
        ),
        pytest.param("medd<5", "did you mean med?", id="a slip of the finger"),
        pytest.param("rate<" + "9" * 400, "no more than 30 digits", id="beyond any number"),
        pytest.param(f"p({'9' * 5000})<1", "is not a percentile", id="a percentile beyond any number"),
        pytest.param("rate<0.5,rate>0.1", "is not a number", id="two expressions in one"),
    ],
)
def test_what_it_refuses_teaches(text: str, taught: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)

    assert taught in str(caught.value)


NUMBERS = st.from_regex(r"[0-9]{1,9}(\.[0-9]{1,6})?", fullmatch=True).filter(str.isascii)
BLANKS = st.text(" \t", max_size=3)


@given(
    st.sampled_from([name for name in AGGREGATIONS if name != "p(N)"])
    | st.decimals(0, 100, places=2).map(lambda percent: f"p({percent})"),
    BLANKS,
    st.sampled_from(sorted(OPERATORS)),
    BLANKS,
    NUMBERS,
)
def test_everything_the_grammar_produces_is_read_back(
    aggregation: str, before: str, operator: str, after: str, number: str
) -> None:
    expression = parse(f"{aggregation}{before}{operator}{after}{number}")

    assert (expression.operator, expression.limit) == (operator, float(number))
    assert expression.family in AGGREGATIONS
    assert parse(f"{expression.aggregation}{operator}{number}") == expression
    assert parse(expression.text) == expression


@given(st.text(string.ascii_lowercase + string.digits + "()<>=!. \tN-+_", max_size=20))
def test_any_other_text_is_refused_with_the_one_error(text: str) -> None:
    try:
        expression = parse(text)
    except ExpressionError:
        return
    assert math.isfinite(expression.limit)


@pytest.mark.parametrize(
    ("operator", "below", "equal", "above"),
    [
        ("<", True, False, False),
        ("<=", True, True, False),
        (">", False, False, True),
        (">=", False, True, True),
        ("==", False, True, False),
        ("===", False, True, False),
        ("!=", True, False, True),
    ],
)
def test_each_operator_on_both_sides_of_the_limit(operator: str, below: bool, equal: bool, above: bool) -> None:
    expression = parse(f"value{operator}10")

    assert [expression.holds(9.99), expression.holds(10), expression.holds(10.01)] == [below, equal, above]


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_what_is_not_a_number_satisfies_no_operator(operator: str) -> None:
    assert not parse(f"value{operator}10").holds(math.nan)


@pytest.mark.parametrize(
    ("text", "worse", "better"),
    [
        pytest.param("p(95)<500", 600, 400, id="high is bad for a ceiling"),
        pytest.param("p(95)<=500", 600, 400, id="high is bad for a ceiling that may be touched"),
        pytest.param("rate>0.9", 0.5, 0.95, id="low is bad for a floor"),
        pytest.param("rate>=0.9", 0.5, 0.95, id="low is bad for a floor that may be touched"),
        pytest.param("count==0", 3, 1, id="far is bad for an exact value"),
        pytest.param("value!=7", 7, 9, id="near is bad for a forbidden value"),
    ],
)
def test_excess_orders_values_by_how_bad_they_are(text: str, worse: float, better: float) -> None:
    assert parse(text).excess(worse) > parse(text).excess(better)


@pytest.mark.parametrize(
    ("kind", "legal"),
    [
        (Kind.COUNTER, {"count", "rate"}),
        (Kind.GAUGE, {"value", "min", "max"}),
        (Kind.RATE, {"rate"}),
        (Kind.TREND, {"avg", "min", "max", "med", "p(95)"}),
    ],
)
def test_each_kind_has_its_aggregations_and_no_others(kind: Kind, legal: set[str]) -> None:
    everything = {"count", "rate", "value", "avg", "min", "max", "med", "p(95)"}

    assert {name for name in everything if parse(f"{name}<1").legal_for(kind)} == legal


def test_two_spellings_of_one_meaning_are_equal() -> None:
    assert parse("p(95) < 500.0") == parse("p(95.0)<500")
    assert parse("p(95)<500") != parse("p(95)<=500")
