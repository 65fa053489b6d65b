"""The bytes of a request head."""

import pytest

from gateway.core.errors import BAD_REQUEST, GatewayError
from gateway.upstream.wire import body_framing, chunk, request_head

HOST = (b"Host", b"api.example")


def test_everything_is_written_as_given():
    """P10, P11: order, case, duplicates, latin-1 and the target's bytes survive."""
    headers = [HOST, (b"x-a", b"1"), (b"Cookie", b"\xe9=\xff"), (b"X-A", b"2"), (b"x-empty", b""), (b"t", b"a\tb")]
    head = request_head(b"GET", b"/a/../b/%2e%2e//{}[]?q=%41&\xc3\xa9", headers)
    assert head == (
        b"GET /a/../b/%2e%2e//{}[]?q=%41&\xc3\xa9 HTTP/1.1\r\nHost: api.example\r\nx-a: 1\r\n"
        b"Cookie: \xe9=\xff\r\nX-A: 2\r\nx-empty: \r\nt: a\tb\r\n\r\n"
    )


def test_no_field_is_added_and_framing_comes_last():
    """P11: no Accept, no User-Agent; only the framing, which is ours to write."""
    assert request_head(b"OPTIONS", b"*", []) == b"OPTIONS * HTTP/1.1\r\n\r\n"
    assert request_head(b"PUT", b"/", [], body_framing(0)) == b"PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    assert request_head(b"PUT", b"/", [HOST], body_framing(None)).endswith(
        b"example\r\nTransfer-Encoding: chunked\r\n\r\n"
    )


def test_a_chunk_says_its_size_in_hexadecimal():
    assert b"".join(chunk(b"x" * 26)) == b"1a\r\n" + b"x" * 26 + b"\r\n"


INJECTIONS = {
    "method CRLF": (b"GET\r\n", b"/", []),
    "method space": (b"GET /x", b"/", []),
    "method empty": (b"", b"/", []),
    "target CRLF": (b"GET", b"/\r\nX: y", []),
    "target LF": (b"GET", b"/\nX: y", []),
    "target space": (b"GET", b"/a b", []),
    "target tab": (b"GET", b"/a\tb", []),
    "target NUL": (b"GET", b"/\0", []),
    "target DEL": (b"GET", b"/\x7f", []),
    "target empty": (b"GET", b"", []),
    "value CRLF": (b"GET", b"/", [(b"x", b"a\r\nAuthorization: Bearer b")]),
    "value CR": (b"GET", b"/", [(b"x", b"a\rb"), HOST]),
    "value LF": (b"GET", b"/", [HOST, (b"x", b"a\nb")]),
    "value ends in CRLF": (b"GET", b"/", [(b"x", b"a\r\n")]),
    "value NUL": (b"GET", b"/", [(b"x", b"a\0b")]),
    "value ESC": (b"GET", b"/", [(b"x", b"\x1b[2J")]),
    "two halves of CRLF": (b"GET", b"/", [(b"x", b"a\r"), (b"y", b"\nb")]),
    "name CRLF": (b"GET", b"/", [(b"x\r\ny", b"a")]),
    "name colon": (b"GET", b"/", [(b"x: y", b"a")]),
    "name bare colon": (b"GET", b"/", [(b"x:", b"a")]),
    "name space": (b"GET", b"/", [(b"x ", b"a")]),
    "name latin-1": (b"GET", b"/", [(b"\xe9", b"a")]),
    "name empty": (b"GET", b"/", [(b"", b"a")]),
    "names with colons that add up": (b"GET", b"/", [(b"x:", b"a"), (b"", b"b")]),
    "own length": (b"POST", b"/", [(b"Content-Length", b"3")]),
    "own coding": (b"POST", b"/", [HOST, (b"TRANSFER-ENCODING", b"chunked")]),
}


@pytest.mark.parametrize("parts", INJECTIONS.values(), ids=INJECTIONS)
def test_what_could_be_read_as_two_requests_is_refused(parts):
    """P17"""
    with pytest.raises(GatewayError) as refused:
        request_head(*parts)
    assert refused.value.problem is BAD_REQUEST


def test_a_name_that_only_resembles_framing_passes():
    assert b"x-content-length: 3" in request_head(b"GET", b"/", [(b"x-content-length", b"3")])
