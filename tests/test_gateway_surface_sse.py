from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionfactory.gateway.surface.sse import EventParser, EventTooLongError, event

ENDS = ["\n", "\r\n", "\r"]
WORDS = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
EVENTS = st.lists(st.lists(WORDS, min_size=1, max_size=3), max_size=6)
NOISE = st.sampled_from([": ping", ":", "id: 7", "event: message", "retry: 10", "whatever", "dat"])


def parsed(stream: bytes, cuts: list[int]) -> list[bytes]:
    parser, found, begin = EventParser(), [], 0
    for cut in sorted(cut % (len(stream) + 1) for cut in cuts):
        found += parser.feed(stream[begin:cut])
        begin = cut
    return found + parser.feed(stream[begin:]) + parser.end()


@given(EVENTS, st.lists(st.integers(0, 10_000)), st.data())
def test_events_are_found_however_they_are_cut_and_ended(
    events: list[list[str]], cuts: list[int], data: st.DataObject
) -> None:
    lines: list[str] = []
    for texts in events:
        lines += data.draw(st.lists(NOISE, max_size=2))
        lines += [f"data:{data.draw(st.sampled_from(['', ' ']))}{text}" for text in texts]
        lines.append("")
    # A text that begins with a space loses it to the colon, unless one more stands before it.
    expected = [
        "\n".join(line[5:].removeprefix(" ") for line in block if line.startswith("data:"))
        for block in blocks(lines)
    ]
    end = data.draw(st.sampled_from(ENDS))
    stream = "".join(line + end for line in lines)
    assert parsed(stream.encode(), cuts) == [text.encode() for text in expected]


def blocks(lines: list[str]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for line in lines:
        if line:
            found[-1].append(line)
        else:
            found.append([])
    return found[:-1]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_any_bytes_mean_the_same_however_they_are_cut(stream: bytes, cuts: list[int]) -> None:
    assert parsed(stream, cuts) == parsed(stream, [])


@given(st.lists(st.binary(max_size=40).filter(lambda b: b"\n" not in b and b"\r" not in b)))
def test_what_is_sent_is_what_is_read(payloads: list[bytes]) -> None:
    assert parsed(b"".join(map(event, payloads)), []) == payloads


def test_a_byte_order_mark_is_no_part_of_the_first_event() -> None:
    assert parsed(b"\xef\xbb\xbfdata: 1\n\ndata: 2\n\n", [1, 2]) == [b"1", b"2"]


def test_an_end_without_an_empty_line_still_ends_its_event() -> None:
    parser = EventParser()
    assert parser.feed(b"data: [DONE]") == []
    assert parser.end() == [b"[DONE]"]
    assert parser.end() == []


def test_a_carriage_return_cut_from_its_line_feed_ends_one_line() -> None:
    parser = EventParser()
    assert parser.feed(b"data: a\r") == []
    assert parser.feed(b"\ndata: b\r\n\r") == [b"a\nb"]
    assert parser.feed(b"\n") == []


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 100, b"data: xxxxxxxxx\n" * 20])
def test_an_endless_event_is_given_up(stream: bytes) -> None:
    with pytest.raises(EventTooLongError, match="longer than 64 bytes"):
        EventParser(longest=64).feed(stream)


def test_many_events_of_any_length_together_are_read() -> None:
    parser = EventParser(longest=64)
    assert parser.feed(b": a comment of some length\n" * 10 + b"data: xxxxxxxxxxx\n\n" * 50) == (
        [b"xxxxxxxxxxx"] * 50
    )


def test_an_event_may_have_a_type() -> None:
    assert event(b"{}", "response.created") == b"event: response.created\ndata: {}\n\n"
