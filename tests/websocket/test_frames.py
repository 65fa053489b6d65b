"""Frames, one by one: what is refused, and that what passes is what was said."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import Opcode

from gateway.websocket.frames import WHOLE, Close, Frame, FrameReader, FrameWriter, Violation

from .wire import bounded_memory, frame

TEXT, BINARY, MORE = Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION


def read(*pieces, masked=True, max_message=0):
    """Everything that a reader gives for these bytes."""
    reader = FrameReader(masked=masked, max_message=max_message)
    found = []
    for piece in pieces:
        reader.feed(piece)
        while (one := reader.next()) is not None:
            found.append(one)
    return found


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200_000])
def test_a_frame_is_read_as_it_was_written(masked, size):
    sent = Frame(BINARY, os.urandom(size))
    assert read(FrameWriter(masked=masked).write(sent), masked=masked) == [sent]


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_lengths_are_written_in_their_shortest_form(size):
    """RFC 6455 §5.2."""
    assert FrameWriter(masked=False).write(Frame(BINARY, b"x" * size)) == frame(BINARY, b"x" * size, mask=None)


def test_each_frame_to_an_upstream_has_a_mask_of_its_own():
    """RFC 6455 §5.3: no page may choose what stands on the wire."""
    writer = FrameWriter(masked=True)
    masks = {writer.write(Frame(BINARY, b"x" * 10))[2:6] for _ in range(50)}
    assert len(masks) == 50


def test_a_frame_that_drips_costs_no_more_than_its_size():
    """D4: a frame in pieces of eight bytes is held as bytes, not as pieces."""
    reader = FrameReader(masked=False)
    payload = os.urandom(WHOLE - 8)
    wire = frame(BINARY, payload, mask=None, length=WHOLE)
    with bounded_memory(4 * WHOLE):
        for at in range(0, len(wire), 8):
            reader.feed(wire[at : at + 8])
            assert reader.next() is None
    reader.feed(b"12345678")
    assert reader.next() == Frame(BINARY, payload + b"12345678")


FRAGMENTS = [Frame(TEXT, "é".encode()[:1], False), Frame(MORE, "é".encode()[1:], False), Frame(MORE, b"")]


def test_fragments_stay_as_they_are_cut_also_within_a_character():
    wire = b"".join(frame(f.opcode, f.payload, fin=f.fin) for f in FRAGMENTS)
    assert read(wire) == FRAGMENTS


def test_a_ping_between_fragments_keeps_its_place():
    pieces = [frame(TEXT, b"a", fin=False), frame(Opcode.PING, b"?"), frame(MORE, b"b")]
    assert read(*pieces) == [Frame(TEXT, b"a", False), Frame(Opcode.PING, b"?"), Frame(MORE, b"b")]


def test_a_frame_that_tcp_cut_is_held_until_it_is_whole():
    wire = frame(BINARY, b"x" * WHOLE)
    halves = (wire[: len(wire) // 2], wire[len(wire) // 2 :])
    assert read(*halves) == [Frame(BINARY, b"x" * WHOLE)]


def test_a_frame_without_end_goes_on_in_fragments():
    """D4: 1 GB announced costs what has come and not been passed on."""
    reader = FrameReader(masked=False)
    reader.feed(frame(TEXT, b"", mask=None, length=1 << 30))
    sizes = []
    for _ in range(64):
        reader.feed(b"x" * 16384)
        while (one := reader.next()) is not None:
            assert (one.opcode, one.fin) == (MORE if sizes else TEXT, False)
            sizes.append(len(one.payload))
    assert sum(sizes) == 1 << 20
    assert set(sizes) == {WHOLE}


def test_the_end_of_a_long_frame_is_the_end_of_its_message():
    wire = frame(BINARY, b"x" * (WHOLE + 10))
    first, last = read(wire[: WHOLE + 14], wire[WHOLE + 14 :])
    assert (first.fin, last.opcode, last.fin) == (False, MORE, True)
    assert first.payload + last.payload == b"x" * (WHOLE + 10)


BROKEN = {
    "reserved opcode": frame(3, b""),
    "reserved control opcode": frame(0xB, b""),
    "reserved bit 1": frame(TEXT, b"", bits=0x40),
    "reserved bit 2": frame(TEXT, b"", bits=0x20),
    "reserved bit 3": frame(TEXT, b"", bits=0x10),
    "client without mask": frame(TEXT, b"x", mask=None),
    "control frame of 126 bytes": frame(Opcode.PING, b"x" * 126),
    "fragmented control frame": frame(Opcode.PING, b"", fin=False),
    "continuation of nothing": frame(MORE, b"x"),
    "new message within one": frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
    "length not in its shortest form": frame(BINARY, b"x" * 5, form=126),
    "long length not in its shortest form": frame(BINARY, b"x" * 200, form=127),
    "length beyond 63 bits": b"\x82\xff\xff" + b"\xff" * 7 + b"mask",
    "half a close code": frame(Opcode.CLOSE, b"\x03"),
}


@pytest.mark.parametrize("wire", BROKEN.values(), ids=BROKEN)
def test_what_breaks_the_protocol_is_refused(wire):
    with pytest.raises(Violation) as broken:
        [Close.read(one.payload) for one in read(wire)]
    assert broken.value.close.code == 1002


def test_a_server_must_not_mask():
    with pytest.raises(Violation) as broken:
        read(frame(TEXT, b"x"), masked=False)
    assert broken.value.close.code == 1002


INVALID = {
    "no UTF-8": [frame(TEXT, b"\xff")],
    "overlong": [frame(TEXT, b"\xc0\xaf")],
    "surrogate": [frame(TEXT, b"\xed\xa0\x80")],
    "half a character at the end": [frame(TEXT, "é".encode()[:1])],
    "cut and wrong in the next fragment": [frame(TEXT, "é".encode()[:1], fin=False), frame(MORE, b"x")],
}


@pytest.mark.parametrize("pieces", INVALID.values(), ids=INVALID)
def test_text_is_utf8(pieces):
    with pytest.raises(Violation) as broken:
        read(*pieces)
    assert broken.value.close.code == 1007


def test_binary_is_not_looked_at():
    assert read(frame(BINARY, b"\xff\xfe")) == [Frame(BINARY, b"\xff\xfe")]


def test_wrong_text_is_refused_before_its_frame_is_complete():
    with pytest.raises(Violation):
        read(frame(TEXT, b"\xff" + b"x" * 1000)[:500])


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]
)
def test_a_code_that_may_be_sent_passes_with_its_reason(code):
    payload = code.to_bytes(2, "big") + "grüß".encode()
    assert Close.read(payload).payload == payload


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_a_code_that_must_not_be_sent_is_refused(code):
    """RFC 6455 §7.4."""
    with pytest.raises(Violation) as broken:
        Close.read(code.to_bytes(2, "big"))
    assert broken.value.close.code == 1002


def test_a_reason_is_utf8():
    with pytest.raises(Violation) as broken:
        Close.read(b"\x03\xe8\xff")
    assert broken.value.close.code == 1007


def test_an_absent_code_stays_absent():
    assert Close.read(b"") == Close()
    assert Close().payload == b""


def test_a_message_of_the_limit_passes_and_a_larger_one_does_not():
    whole = [frame(BINARY, b"x" * 6, fin=False), frame(MORE, b"x" * 4)]
    assert len(read(*whole, *whole, max_message=10)) == 4
    with pytest.raises(Violation) as broken:
        read(frame(BINARY, b"x" * 6, fin=False), frame(MORE, b"x" * 5), max_message=10)
    assert broken.value.close.code == 1009


def test_an_announced_length_above_the_limit_is_refused_before_any_of_it_passes():
    with pytest.raises(Violation) as broken:
        read(frame(BINARY, b"x", length=1 << 40), max_message=1 << 20)
    assert broken.value.close.code == 1009


@given(st.data())
def test_however_tcp_cuts_it_the_same_is_read(data):
    """Frames of up to 64 KiB, in pieces as they may come."""
    payloads = st.binary(max_size=300)
    frames = [Frame(BINARY, data.draw(payloads), True) for _ in range(data.draw(st.integers(1, 5)))]
    wire = b"".join(frame(f.opcode, f.payload) for f in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert read(*pieces) == frames
