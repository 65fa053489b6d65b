"""The bytes of a request head."""

import pytest

from gateway.core.errors import BAD_REQUEST, GatewayError
from gateway.core.wire import request_lines
from gateway.upstream.wire import body_framing, chunk, request_head

HOST = b"Host: api.example\r\n"


def test_everything_is_written_as_given():
    """P10, P11: the target's bytes survive."""
    head = request_head(b"GET", b"/a/../b/%2e%2e//{}[]?q=%41&\xc3\xa9", request_lines([(b"x-A", b"\xe9")]))
    assert head == b"GET /a/../b/%2e%2e//{}[]?q=%41&\xc3\xa9 HTTP/1.1\r\nx-A: \xe9\r\n\r\n"


def test_no_field_is_added_and_framing_comes_last():
    """P11: no Accept, no User-Agent; only the framing, which is ours to write."""
    assert request_head(b"OPTIONS", b"*", b"") == b"OPTIONS * HTTP/1.1\r\n\r\n"
    assert request_head(b"PUT", b"/", b"", body_framing(0)) == b"PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    assert request_head(b"PUT", b"/", HOST, body_framing(None)).endswith(
        b"example\r\nTransfer-Encoding: chunked\r\n\r\n"
    )


def test_a_chunk_says_its_size_in_hexadecimal():
    assert b"".join(chunk(b"x" * 26)) == b"1a\r\n" + b"x" * 26 + b"\r\n"


INJECTIONS = {
    "method CRLF": (b"GET\r\n", b"/"),
    "method space": (b"GET /x", b"/"),
    "method empty": (b"", b"/"),
    "target CRLF": (b"GET", b"/\r\nX: y"),
    "target LF": (b"GET", b"/\nX: y"),
    "target space": (b"GET", b"/a b"),
    "target tab": (b"GET", b"/a\tb"),
    "target NUL": (b"GET", b"/\0"),
    "target DEL": (b"GET", b"/\x7f"),
    "target empty": (b"GET", b""),
}


@pytest.mark.parametrize("parts", INJECTIONS.values(), ids=INJECTIONS)
def test_what_could_be_read_as_two_requests_is_refused(parts):
    """P17"""
    with pytest.raises(GatewayError) as refused:
        request_head(*parts, HOST)
    assert refused.value.problem is BAD_REQUEST
