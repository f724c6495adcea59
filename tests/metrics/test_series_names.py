from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pika_locust.metrics.metric import parse_series, series_text, tags_of

KEYS = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,10}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "name", "tags"),
    [
        pytest.param("checks", "checks", {}, id="a name alone"),
        pytest.param("  checks ", "checks", {}, id="blanks around a name"),
        pytest.param("latency{region:eu}", "latency", {"region": "eu"}, id="one tag"),
        pytest.param("latency {b:2, a:1 }", "latency", {"a": "1", "b": "2"}, id="two tags with blanks"),
        pytest.param("group_duration{group:::likes}", "group_duration", {"group": "::likes"}, id="k6's group names"),
        pytest.param("a{url:http://h:80/p?q=1}", "a", {"url": "http://h:80/p?q=1"}, id="colons in a value"),
        pytest.param("a{url:http://h/${id}/}", "a", {"url": "http://h/${id}/"}, id="braces, as in k6's names of URLs"),
        pytest.param("a{b:x}y,c:{}}", "a", {"b": "x}y", "c": "{}"}, id="the last brace ends it, as in k6"),
        pytest.param('a{name:"x, {y}: \\"z\\" \\\\"}', "a", {"name": 'x, {y}: "z" \\'}, id="a quoted value"),
        pytest.param("a{name:'x,\"y\"'}", "a", {"name": 'x,"y"'}, id="single quotes"),
        pytest.param("a{t:}", "a", {"t": ""}, id="an empty value"),
        pytest.param('a{t:"", u:" v "}', "a", {"t": "", "u": " v "}, id="quotes keep blanks"),
    ],
)
def test_the_text_of_a_series_is_read(text: str, name: str, tags: dict[str, str]) -> None:
    assert parse_series(text) == (name, tags)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "'' is no metric name; write name or name{tag:value,tag2:value}", id="nothing"),
        pytest.param("p(95)<300", "is no metric name", id="an expression instead of a metric"),
        pytest.param("a{b:1", "the closing brace is missing at the end", id="no closing brace"),
        pytest.param("a{b:1}x", "the closing brace is missing at the end", id="text after the brace"),
        pytest.param("a{ }", "no tag between the braces", id="empty braces"),
        pytest.param("a{b}", "cannot read a tag at 'b'", id="a tag without a value"),
        pytest.param("a{b:1,}", "cannot read a tag at ''", id="a comma too many"),
        pytest.param("a{b:1,c}", "cannot read a tag at 'c'", id="the second tag is broken"),
        pytest.param("a{n:/f?i=1,2}", """stands in quotes, such as n:"/f?i=1,2\"""", id="a comma without quotes"),
        pytest.param("a{b-c:1}", "'b-c' is no tag key", id="an illegal key"),
        pytest.param("a{b:1,b:2}", "tag 'b' is given twice", id="a tag given twice"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_series(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(repr(text))


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        pytest.param({}, "m", id="no tags"),
        pytest.param({"b": "2", "a": "1"}, "m{a:1,b:2}", id="tags in alphabetical order"),
        pytest.param({"a": "x,y"}, 'm{a:"x,y"}', id="a comma needs quotes"),
        pytest.param({"a": ""}, 'm{a:""}', id="so does nothing"),
        pytest.param({"a": "10:30 h"}, "m{a:10:30 h}", id="colons and inner blanks do not"),
    ],
)
def test_a_series_is_written(tags: dict[str, str], text: str) -> None:
    assert series_text("m", tags) == text
    assert series_text("m", tags_of(tags)) == text


@given(KEYS, st.dictionaries(KEYS, st.text(max_size=12), max_size=4))
def test_what_is_written_is_read_back(name: str, tags: dict[str, str]) -> None:
    assert parse_series(series_text(name, tags)) == (name, tags)


def test_tags_are_sorted_text() -> None:
    assert tags_of({"status": 200, "name": "x", "expected_response": True}) == (
        ("expected_response", "true"),
        ("name", "x"),
        ("status", "200"),
    )


def test_an_illegal_tag_key_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tag key 'http\.method' is not legal: letters, digits and underscores"):
        tags_of({"http.method": "GET"})
