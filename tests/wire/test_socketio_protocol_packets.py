from __future__ import annotations

import json
from contextlib import suppress

import pytest
from engineio.packet import Packet as EnginePacket
from hypothesis import given
from hypothesis import strategies as st
from socketio.packet import Packet as OraclePacket

from pika_locust.wire import socketio_protocol as codec
from pika_locust.wire.socketio_protocol import Opening, Packet, PacketError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMESPACES = st.just("/") | st.from_regex(r"/[a-z0-9_-]{1,20}", fullmatch=True)


@pytest.mark.parametrize(
    ("message", "packet"),
    [
        pytest.param(b'0{"sid":"a"}', Packet(0, "/", None, b'{"sid":"a"}'), id="the default namespace has no path"),
        pytest.param(b"0", Packet(0, "/", None, b""), id="a CONNECT without content"),
        pytest.param(b'0/queue,{"sid":"a"}', Packet(0, "/queue", None, b'{"sid":"a"}'), id="a namespace has a comma"),
        pytest.param(b"0/queue", Packet(0, "/queue", None, b""), id="with nothing behind it the comma may be missing"),
        pytest.param(b"0/,", Packet(0, "/", None, b""), id="the default namespace, spelt out"),
        pytest.param(b"0/admin?token=1234&uid=a,", Packet(0, "/admin", None, b""), id="a query is cut off"),
        pytest.param(b"1/queue,", Packet(1, "/queue", None, b""), id="a kick"),
        pytest.param(b"1", Packet(1, "/", None, b""), id="a kick out of the default namespace"),
        pytest.param(b'2["a"]', Packet(2, "/", None, b'["a"]'), id="an event"),
        pytest.param(b'2/queue,["a,b"]', Packet(2, "/queue", None, b'["a,b"]'), id="an event with a comma inside"),
        pytest.param(b'212["a"]', Packet(2, "/", 12, b'["a"]'), id="an event to be acknowledged"),
        pytest.param(b'2/queue,0["a"]', Packet(2, "/queue", 0, b'["a"]'), id="the same in a namespace, its id 0"),
        pytest.param(b"312[]", Packet(3, "/", 12, b"[]"), id="an acknowledgement without arguments"),
        pytest.param(b"3/queue,1[2]", Packet(3, "/queue", 1, b"[2]"), id="an acknowledgement in a namespace"),
        pytest.param(
            b'4/x,{"message":"Invalid namespace"}',
            Packet(4, "/x", None, b'{"message":"Invalid namespace"}'),
            id="a refused namespace",
        ),
        pytest.param(b'4"no"', Packet(4, "/", None, b'"no"'), id="a refusal that is only a text"),
        pytest.param(
            b'51-["a",{"_placeholder":true,"num":0}]',
            Packet(5, "/", None, b'["a",{"_placeholder":true,"num":0}]', 1),
            id="a binary event",
        ),
        pytest.param(b"62-/queue,7[]", Packet(6, "/queue", 7, b"[]", 2), id="a binary acknowledgement"),
        pytest.param('2/köln,["é"]'.encode(), Packet(2, "/köln", None, '["é"]'.encode()), id="letters beyond ASCII"),
        pytest.param(b'2["a\n"]', Packet(2, "/", None, b'["a\n"]'), id="a line end is nothing special"),
    ],
)
def test_packets(message: bytes, packet: Packet) -> None:
    assert codec.decode(message) == packet


@pytest.mark.parametrize(
    ("message", "words"),
    [
        pytest.param(b"", "a packet of an unknown kind", id="nothing"),
        pytest.param(b"7", "a packet of an unknown kind", id="a kind that does not exist"),
        pytest.param(b"x", "a packet of an unknown kind", id="a letter"),
        pytest.param(b"2", "an event that is not a JSON array", id="an event without content"),
        pytest.param(b"2notjson", "an event that is not a JSON array", id="an event that is no JSON"),
        pytest.param(b'2{"a":1}', "an event that is not a JSON array", id="an event that is an object"),
        pytest.param(b'2-1["a"]', "an event that is not a JSON array", id="a negative id"),
        pytest.param(b"2%b[]" % (b"9" * 21), "an event that is not a JSON array", id="an id of 21 digits"),
        pytest.param(b"3[1]", "an acknowledgement without an id", id="an acknowledgement of nothing"),
        pytest.param(b"31", "an acknowledgement that is not a JSON array", id="an acknowledgement without content"),
        pytest.param(b'0"a"', "a CONNECT whose content is not a JSON object", id="a CONNECT with a text"),
        pytest.param(b"1{}", "a DISCONNECT with content", id="a DISCONNECT that says something"),
        pytest.param(b'5["a"]', "a binary packet that does not say how many attachments it has", id="no attachments"),
        pytest.param(b"5", "a binary packet that does not say how many attachments it has", id="a binary stump"),
    ],
)
def test_what_is_no_packet_is_said_in_words(message: bytes, words: str) -> None:
    with pytest.raises(PacketError) as caught:
        codec.decode(message)
    assert str(caught.value) == words


@given(st.binary(max_size=40) | st.from_regex(rb"[0-6]?(\d-)?(/[a-z?,]*)?\d*[\[{\"]?.*", fullmatch=True))
def test_no_message_ends_in_another_error(message: bytes) -> None:
    with suppress(PacketError):
        codec.event_name(codec.decode(message).data)


@pytest.mark.parametrize(
    ("array", "name"),
    [
        pytest.param(b'["match",{"a":1}]', b"match", id="a name and content"),
        pytest.param(b'["match"]', b"match", id="a name alone"),
        pytest.param(b'["session:start",[["x"]]]', b"session:start", id="brackets behind it"),
        pytest.param(b'[""]', b"", id="an empty name"),
        pytest.param(b'["a\\"b",1]', b'a"b', id="a quote in it"),
        pytest.param(b'["a\\\\",1]', b"a\\", id="a backslash at its end"),
        pytest.param(b'["\\u00e9"]', "é".encode(), id="an escaped letter"),
        pytest.param('["é"]'.encode(), "é".encode(), id="a letter as it is"),
        pytest.param(b' [ "match" , 1 ]', b"match", id="blanks"),
        pytest.param(b"[7,1]", b"7", id="a number, which the protocol allows"),
    ],
)
def test_the_name_of_an_event(array: bytes, name: bytes) -> None:
    assert codec.event_name(array) == name


@pytest.mark.parametrize(
    ("array", "words"),
    [
        pytest.param(b"[]", "an event without a name", id="nothing in it"),
        pytest.param(b"[null]", "an event without a name", id="null"),
        pytest.param(b"[true]", "an event without a name", id="a truth value"),
        pytest.param(b'[["a"]]', "an event without a name", id="a list"),
        pytest.param(b"{}", "an event without a name", id="an object"),
        pytest.param(b'["a', "an event that is not JSON", id="a name that does not end"),
        pytest.param(b"[" * 100_000, "an event that is not JSON", id="too many brackets"),
    ],
)
def test_what_has_no_name(array: bytes, words: str) -> None:
    with pytest.raises(PacketError, match=words):
        codec.event_name(array)


def test_arguments_are_parsed_when_asked_for() -> None:
    assert codec.arguments(b'["match",{"sessionId":"s"},2]') == [{"sessionId": "s"}, 2]
    assert codec.all_of(b'[{"success":true}]') == [{"success": True}]
    for array, words in ((b"[1", "not JSON"), (b"[" * 100_000, "not JSON"), (b"{}", "not a JSON array")):
        with pytest.raises(PacketError, match=words):
            codec.arguments(array)


@pytest.mark.parametrize(
    ("payload", "opening"),
    [
        pytest.param(
            b'{"sid":"C_5","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}',
            Opening("C_5", 25.0, 20.0),
            id="as both servers say it",
        ),
        pytest.param(
            b'{"sid":"a","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200}',
            Opening("a", 0.3, 0.2),
            id="with no more than is needed",
        ),
    ],
)
def test_open_packets(payload: bytes, opening: Opening) -> None:
    got = codec.decode_open(payload)
    assert got == opening
    assert got.silence_s == opening.ping_interval_s + opening.ping_timeout_s


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        pytest.param(b"", "without sid", id="nothing"),
        pytest.param(b"[]", "without sid", id="a list"),
        pytest.param(b'{"sid":"a"}', "without sid, pingInterval", id="no ping times"),
        pytest.param(b"[" * 100_000, "without sid", id="too many brackets"),
        pytest.param(b'{"sid":1,"pingInterval":1,"pingTimeout":1}', "whose sid is no text", id="a number as sid"),
        pytest.param(b'{"sid":"a","pingInterval":"1","pingTimeout":1}', "no whole numbers", id="a text as time"),
        pytest.param(b'{"sid":"a","pingInterval":true,"pingTimeout":1}', "no whole numbers", id="true as time"),
        pytest.param(b'{"sid":"a","pingInterval":-1,"pingTimeout":1}', "no whole numbers", id="a negative time"),
        pytest.param(
            b'{"sid":"a","pingInterval":1,"pingTimeout":2147483648}',
            "longer than 2147483647 ms",
            id="a time beyond all timers",
        ),
        pytest.param(
            b'{"sid":"a","pingInterval":1%b,"pingTimeout":1}' % (b"0" * 400),
            "longer than 2147483647 ms",
            id="a time beyond all floats",
        ),
    ],
)
def test_what_is_no_open_packet(payload: bytes, words: str) -> None:
    with pytest.raises(PacketError, match=words):
        codec.decode_open(payload)


@pytest.mark.parametrize(
    ("name", "path", "event_head"),
    [
        pytest.param("/", "/", b"42", id="the default namespace"),
        pytest.param("", "/", b"42", id="the default namespace without its slash"),
        pytest.param("/queue", "/queue", b"42/queue,", id="a namespace"),
        pytest.param("queue", "/queue", b"42/queue,", id="a namespace without its slash"),
    ],
)
def test_how_a_namespace_is_written(name: str, path: str, event_head: bytes) -> None:
    assert codec.namespace_path(name) == path
    assert codec.packet_head(codec.EVENT, path) == event_head


def test_a_namespace_with_a_comma_is_refused() -> None:
    with pytest.raises(ValueError, match="a namespace cannot have a comma: '/a,b'"):
        codec.namespace_path("/a,b")


def test_bytes_cannot_be_sent() -> None:
    with pytest.raises(TypeError):
        codec.as_json(["photo", b"\x00"])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_does_not_have_cannot_be_sent(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        codec.as_json(["price", {"eur": number}])


@given(NAMESPACES, NAMES, st.lists(JSON, max_size=3), st.none() | st.integers(0, 10**9))
def test_python_socketio_reads_what_we_write_and_we_read_what_it_writes(
    namespace: str, name: str, content: list, ack_id: int | None
) -> None:
    number = b"" if ack_id is None else b"%d" % ack_id
    ours = codec.packet_head(codec.EVENT, namespace) + number + codec.as_json([name, *content])
    theirs = OraclePacket(encoded_packet=EnginePacket(encoded_packet=ours.decode()).encode()[1:])
    assert (theirs.packet_type, theirs.namespace or "/", theirs.id) == (codec.EVENT, namespace, ack_id)
    assert theirs.data == [name, *content]

    encoded = EnginePacket(4, OraclePacket(2, [name, *content], namespace, ack_id).encode()).encode().encode()
    assert encoded[:1] == codec.MESSAGE
    packet = codec.decode(encoded[1:])
    assert packet[:3] == (codec.EVENT, namespace, ack_id)
    assert codec.event_name(packet.data) == name.encode()
    assert codec.arguments(packet.data) == content


@given(
    st.sampled_from([codec.CONNECT, codec.DISCONNECT, codec.ACK, codec.CONNECT_ERROR]),
    NAMESPACES,
    st.dictionaries(st.text(max_size=5), JSON, max_size=3),
    st.integers(0, 10**9),
)
def test_python_socketio_agrees_on_every_other_kind(kind: int, namespace: str, content: dict, ack_id: int) -> None:
    data = {codec.DISCONNECT: None, codec.ACK: [content]}.get(kind, content)
    number = ack_id if kind == codec.ACK else None
    packet = codec.decode(OraclePacket(kind, data, namespace, number).encode().encode())
    assert (packet.kind, packet.namespace, packet.ack_id) == (kind, namespace, number)
    assert (json.loads(packet.data) if packet.data else None) == data


@given(NAMESPACES, st.lists(st.binary(max_size=5), min_size=1, max_size=3))
def test_python_socketio_agrees_on_how_many_attachments_there_are(namespace: str, attachments: list[bytes]) -> None:
    text, *binary = OraclePacket(2, ["photos", *attachments], namespace).encode()
    packet = codec.decode(text.encode())
    assert (packet.kind, packet.namespace, packet.attachments) == (codec.BINARY_EVENT, namespace, len(binary))
