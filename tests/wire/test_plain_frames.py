"""The short way of frames, held against the library reading every byte."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.utilities import RemoteProtocolError

from kalshi_daemon.wire.plain_frames import PlainFrames

LIMIT = 70_000
TEXTS = st.text(max_size=200) | st.sampled_from(["x" * 125, "x" * 126, "y" * 65_535, "z" * 65_536, "ü" * 63])
EVENTS = (
    TEXTS.map(lambda text: TextMessage(data=text))
    | st.binary(max_size=5).map(lambda payload: Ping(payload=payload))
    | st.binary(max_size=5).map(lambda payload: Pong(payload=payload))
)
OTHERS = (
    st.binary(max_size=200).map(lambda data: BytesMessage(data=data))
    | TEXTS.map(lambda text: TextMessage(data=text, message_finished=False))
    | st.just(CloseConnection(code=1_001, reason="maintenance"))
)
GARBAGE = st.tuples(st.sampled_from([b"", b"\x81", b"\x89", b"\x8a"]), st.binary(min_size=2, max_size=40)).map(b"".join)
Heard = tuple[list[str | bytes], list[Event], str]


def sent(events: list[Event]) -> bytes:
    """As a server writes them; nothing after a close."""
    server = Connection(ConnectionType.SERVER)
    data = b""
    for event in events:
        data += server.send(event)
        if isinstance(event, CloseConnection):
            break
    return data


def heard(chunks: list[bytes], plain: PlainFrames | None) -> Heard:
    """Messages, what else happened, and the fault in the end, if any."""
    client = Connection(ConnectionType.CLIENT)
    messages: list[str | bytes] = []
    parts: list[str] = []
    happened: list[Event] = []
    try:
        for chunk in chunks:
            texts, others = ([], chunk) if plain is None else plain.split(chunk)
            messages += texts
            client.receive_data(others)
            for event in client.events():
                if isinstance(event, TextMessage):
                    parts.append(event.data)
                    if event.message_finished:
                        messages.append("".join(parts))
                        parts = []
                elif isinstance(event, BytesMessage):
                    messages.append(bytes(event.data))
                else:
                    happened.append(event)
    except RemoteProtocolError as error:
        return messages, happened, str(error)
    return messages, happened, ""


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False) if begin < end]


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, max_size=8), st.lists(OTHERS, max_size=1), st.lists(EVENTS, max_size=3), st.data())
def test_nothing_is_heard_otherwise(
    first: list[Event], other: list[Event], then: list[Event], data: st.DataObject
) -> None:
    """However the bytes are cut, messages, pings and closes are those that the library hears alone, in order."""
    written = sent([*first, *other, *then])
    chunks = cut(written, data.draw(st.lists(st.integers(0, 1_000_000), max_size=6)))
    assert heard(chunks, PlainFrames(LIMIT)) == heard(chunks, None)


@settings(max_examples=500, deadline=None)
@given(st.lists(EVENTS, max_size=2), GARBAGE, st.lists(st.integers(0, 1_000), max_size=4))
def test_a_fault_is_the_librarys_to_say(events: list[Event], garbage: bytes, places: list[int]) -> None:
    """What breaks the protocol is heard as the same fault, after the same messages; unless it is inside of a text that
    is not whole: of that nothing is said before.
    """
    chunks, plain = cut(sent(events) + garbage, places), PlainFrames(LIMIT)
    short, long = heard(chunks, plain), heard(chunks, None)
    assert (short[0], short[2]) == (long[0], long[2])
    if plain.plain:
        assert short[1] == [each for each in long[1] if not isinstance(each, CloseConnection)]
    else:
        assert list(map(without_place, short[1])) == list(map(without_place, long[1]))


def without_place(event: Event) -> Event:
    """Where in a text a byte is wrong depends on how much of it was read at a time."""
    return replace(event, reason=None) if isinstance(event, CloseConnection) else event


@pytest.mark.parametrize("begun", [b"\x03~", b"\x03", b"\x88", b"\x89~", b"\x8a\xff", b"\xc1"])
def test_what_cannot_become_plain_is_not_waited_for(begun: bytes) -> None:
    """Its first bytes are enough to say so."""
    plain = PlainFrames(LIMIT)
    assert plain.split(begun) == ([], begun)
    assert not plain.plain


def test_whole_texts_are_taken_and_the_rest_is_handed_on() -> None:
    plain = PlainFrames(LIMIT)
    ping = sent([Ping(payload=b"heartbeat")])
    assert plain.split(sent([TextMessage(data="one")]) + ping + sent([TextMessage(data="two")])) == (
        ["one", "two"],
        ping,
    )
    assert plain.plain


@pytest.mark.parametrize(
    "frame",
    [
        b"\x88\x00",  # a close
        b"\x82\x01x",  # bytes
        b"\x01\x01x",  # a part
        b"\x80\x00",  # the end of parts
        b"\xc1\x01x",  # a reserved bit
        b"\x81\x81maskx",  # masked
        b"\x81\x7e\x00\x7d",  # a length that has a shorter way to be written
        b"\x81\x7f" + (0xFFFF).to_bytes(8, "big"),
        b"\x81\x7f" + (LIMIT + 1).to_bytes(8, "big"),  # over the limit: not waited for
        b"\x89\x7e\x00\x7e",  # a ping is never so long
        b"\x81\x02\xc3\x28",  # not UTF-8
    ],
)
def test_anything_else_is_the_librarys_for_good(frame: bytes) -> None:
    """Also a text that comes after it, which would overtake it otherwise."""
    plain = PlainFrames(LIMIT)
    text = sent([TextMessage(data="after")])
    assert plain.split(frame + text) == ([], frame + text)
    assert not plain.plain
    assert plain.split(text) == ([], text)


def test_no_more_is_kept_than_one_frame() -> None:
    """A text byte by byte is whole with its last one, and nothing is left of it."""
    plain = PlainFrames(LIMIT)
    written = sent([TextMessage(data="x" * 300)])
    found = [texts for byte in written if (texts := plain.split(bytes([byte]))[0])]
    assert found == [["x" * 300]]
    assert plain.split(b"") == ([], b"")
