"""Header fields as bytes: the last place that sees them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.wire import UnwritableFields, field_lines, request_lines

HOST = (b"Host", b"api.example")
names = st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}", fullmatch=True)
values = st.binary(max_size=30).map(lambda v: bytes(b for b in v if (b >= 32 and b != 127) or b == 9))


def test_no_fields_are_no_bytes():
    assert field_lines([]) == b""


@given(st.lists(st.tuples(names, values), min_size=1, max_size=8))
def test_fields_are_written_as_they_are(fields):
    """P10: order, case, duplicates and bytes above 127."""
    lines = field_lines(fields)
    assert lines.endswith(b"\r\n")
    split = [tuple(line.split(b": ", 1)) for line in lines[:-2].split(b"\r\n")]
    assert split == fields


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"a\0", b"\xe9", b"a(", b":a"])
def test_a_name_that_is_no_token_is_refused(name):
    """P17, P3: alone, and among others."""
    for fields in ([(name, b"x")], [(b"a", b"x"), (name, b"x"), (b"b", b"x")]):
        with pytest.raises(UnwritableFields):
            field_lines(fields)


@pytest.mark.parametrize("byte", [b"\r", b"\n", b"\0", b"\r\n", b"\x0b", b"\x1b", b"\x7f", b"\r\nx: y"])
def test_a_value_with_a_control_character_is_refused(byte):
    """P17: at its beginning, in its middle, at its end."""
    for value in (byte + b"a", b"a" + byte + b"b", b"a" + byte):
        with pytest.raises(UnwritableFields) as caught:
            field_lines([(b"a", b"x"), (b"secret", value)])
        assert str(caught.value) == ""


UNWRITABLE = {
    "value CRLF": [(b"x", b"a\r\nAuthorization: Bearer b")],
    "value CR": [(b"x", b"a\rb"), HOST],
    "value LF": [HOST, (b"x", b"a\nb")],
    "value ends in CRLF": [(b"x", b"a\r\n")],
    "value NUL": [(b"x", b"a\0b")],
    "value ESC": [(b"x", b"\x1b[2J")],
    "two halves of CRLF": [(b"x", b"a\r"), (b"y", b"\nb")],
    "name CRLF": [(b"x\r\ny", b"a")],
    "name colon": [(b"x: y", b"a")],
    "name bare colon": [(b"x:", b"a")],
    "name space": [(b"x ", b"a")],
    "name latin-1": [(b"\xe9", b"a")],
    "name empty": [(b"", b"a")],
    "names with colons that add up": [(b"x:", b"a"), (b"", b"b")],
    "own length": [(b"Content-Length", b"3")],
    "own coding": [HOST, (b"TRANSFER-ENCODING", b"chunked")],
}


@pytest.mark.parametrize("fields", UNWRITABLE.values(), ids=UNWRITABLE)
def test_what_could_be_read_as_two_requests_is_refused(fields):
    """P17: nor may a request's fields say where its body ends."""
    with pytest.raises(UnwritableFields) as caught:
        request_lines(fields)
    assert str(caught.value) == ""


def test_a_requests_fields_are_written_as_they_are():
    """P10, P11: order, case, duplicates, latin-1. What only resembles framing passes."""
    fields = [
        HOST,
        (b"Cookie", b"\xe9=\xff"),
        (b"X-A", b"2"),
        (b"x-a", b""),
        (b"x-content-length", b"3"),
        (b"t", b"a\tb"),
    ]
    assert request_lines(fields) == (
        b"Host: api.example\r\nCookie: \xe9=\xff\r\nX-A: 2\r\nx-a: \r\nx-content-length: 3\r\nt: a\tb\r\n"
    )
