"""The head of an answer to the client, and how its body ends."""

import pytest

from gateway.core.answers import AnswerHead, Framing, Written, answer_fields, answer_head, written_head
from gateway.core.wire import UnwritableFields

LENGTH = (b"Content-Length", b"5")


def head(*fields, status=200, method="GET", version="1.1", keep_alive=True) -> AnswerHead:
    return answer_head(status, list(fields), method=method, version=version, keep_alive=keep_alive)


def test_fields_keep_their_case_and_order():
    """P10."""
    found = head((b"X-B", b"1"), (b"x-a", b"2"), (b"X-B", b"3"), LENGTH)
    assert found.data == b"HTTP/1.1 200 OK\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("status", "method", "version", "fields", "framing", "length"),
    [
        (200, "GET", "1.1", [LENGTH], Framing.LENGTH, 5),
        (200, "GET", "1.1", [(b"content-length", b"0")], Framing.LENGTH, 0),
        (200, "GET", "1.1", [], Framing.CHUNKED, 0),
        (200, "GET", "1.0", [LENGTH], Framing.LENGTH, 5),
        (200, "GET", "1.0", [], Framing.CLOSE, 0),
        (200, "HEAD", "1.1", [LENGTH], Framing.NONE, 0),
        (200, "HEAD", "1.1", [], Framing.NONE, 0),
        (204, "GET", "1.1", [], Framing.NONE, 0),
        (304, "GET", "1.1", [LENGTH], Framing.NONE, 0),
        (304, "GET", "1.0", [], Framing.NONE, 0),
    ],
)
def test_how_a_body_ends(status, method, version, fields, framing, length):  # noqa: PLR0917  # a table's row
    """P12; RFC 9112 §6.3. HTTP/1.0 knows no chunks."""
    found = head(*fields, status=status, method=method, version=version)
    assert (found.framing, found.length) == (framing, length)
    assert (b"transfer-encoding: chunked\r\n" in found.data) == (framing is Framing.CHUNKED)


def test_a_connection_that_ends_is_told_so():
    """RFC 9112 §9.6: once, whoever wants it."""
    for found in (
        head(LENGTH, keep_alive=False),
        head(LENGTH, (b"Connection", b"Close")),
        head((b"connection", b"close"), LENGTH, keep_alive=False),
        head(version="1.0"),
    ):
        assert not found.keep_alive
        assert found.data.lower().count(b"connection: close\r\n") == 1


def test_a_connection_that_stays_says_so_only_to_an_old_client():
    """RFC 9112 §9.3: HTTP/1.1 stays by itself."""
    assert b"onnection" not in head(LENGTH).data
    assert b"connection: keep-alive\r\n" in head(LENGTH, version="1.0").data
    assert head(LENGTH).keep_alive
    assert head(LENGTH, version="1.0").keep_alive
    assert head((b"Connection", b"X-Other"), LENGTH).keep_alive


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 600])
def test_only_a_final_status_is_an_answer(status):
    with pytest.raises(ValueError, match=str(status)):
        head(status=status)


def test_an_unknown_status_has_no_reason():
    assert head(LENGTH, status=299).data.startswith(b"HTTP/1.1 299 \r\n")


def test_what_cannot_be_written_as_a_field_is_refused():
    """P17."""
    with pytest.raises(UnwritableFields):
        head((b"X", b"a\r\nSet-Cookie: b"))


def test_fields_that_are_written_already_are_written_once():
    """What they say of the end counts as if they were read again."""
    fields = [(b"X", b"1"), (b"Content-Length", b"5"), (b"Connection", b"Close")]
    written = answer_fields(fields)
    assert written.lines == b"X: 1\r\nContent-Length: 5\r\nConnection: Close\r\n"
    assert (written.length, written.closes) == (5, True)
    nothing = answer_fields([])
    assert (nothing.lines, nothing.length, nothing.closes) == (b"", None, False)
    assert written_head(200, written, method="GET", version="1.1", keep_alive=True) == head(*fields)


def test_what_is_written_reads_as_asgi_has_it():
    """For whoever stands between: pairs, in their order."""
    fields = [(b"X-A", b"1: 2"), (b"x-empty", b""), (b"X-A", b"\xe9")]
    assert list(Written(answer_fields(fields))) == fields
