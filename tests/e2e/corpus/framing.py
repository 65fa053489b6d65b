"""P1, P2: where a body ends. Each row would hide a request from one of two readers (RFC 9112 §6)."""

from tests.e2e.corpus.case import CHUNKED, Case, Seen, chunks, passed, post, refused

_BODY = b"5\r\nhello\r\n0\r\n\r\n"
_SIX = b"Content-Length: 6"


def _coding(value: bytes) -> bytes:
    """A body in chunks under that Transfer-Encoding."""
    return post(b"Transfer-Encoding:" + value, body=_BODY)


def _length(value: bytes) -> bytes:
    return post(b"Content-Length:" + value, body=b"hello")


BOTH = refused(
    "P1",
    [
        ("CL.TE: a length, then chunks", post(_SIX, CHUNKED, body=b"0\r\n\r\nG")),
        ("TE.CL: chunks, then a length", post(CHUNKED, b"Content-Length: 4", body=b"5e\r\nGPOST")),
        ("CL.0 with chunks", post(b"Content-Length: 0", CHUNKED, body=_BODY)),
        ("the same length and chunks", post(CHUNKED, b"Content-Length: %d" % len(_BODY), body=_BODY)),
        ("a length that counts the chunk", post(b"Content-Length: 5", CHUNKED, body=_BODY)),
        ("other case, other order", post(b"tRANSFER-eNCODING: chunked", b"cONTENT-lENGTH: 3", body=_BODY)),
        ("a field between them", post(_SIX, b"X-A: b", CHUNKED, body=_BODY)),
        ("an odd coding and a length", post(_SIX, b"Transfer-Encoding: xchunked", body=b"0\r\n\r\nG")),
        ("identity and a length", post(_SIX, b"Transfer-Encoding: identity", body=b"hello!")),
        ("an empty coding and a length", post(_SIX, b"Transfer-Encoding:", body=b"hello!")),
        ("on a GET", post(_SIX, CHUNKED, line=b"GET /x HTTP/1.1", body=b"0\r\n\r\nG")),
        ("on HTTP/1.0", post(_SIX, CHUNKED, line=b"POST /x HTTP/1.0", body=b"0\r\n\r\nG")),
        ("named away by Connection", post(b"Connection: content-length", _SIX, CHUNKED, body=b"0\r\n\r\nG")),
    ],
)

LENGTHS = refused(
    "P2",
    [
        ("two lengths that differ", post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!")),
        ("two lengths that agree", post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello")),
        ("two lengths, nothing and a body", post(b"Content-Length: 0", b"content-length: 44", body=b"")),
        ("a list of lengths", _length(b" 5, 5")),
        ("a list of lengths that differ", _length(b" 5,6")),
        ("a plus", _length(b" +5")),
        ("a minus", _length(b" -5")),
        ("minus nothing", _length(b" -0")),
        ("hexadecimal", _length(b" 0x5")),
        ("octal, as Python writes it", _length(b" 0o5")),
        ("an underscore", _length(b" 0_5")),
        ("an exponent", _length(b" 5e0")),
        ("a fraction", _length(b" 5.0")),
        ("two numbers", _length(b" 5 5")),
        ("a blank within", _length(b" 0 5")),
        ("text behind", _length(b" 5a")),
        ("a parameter", _length(b" 5;a=b")),
        ("quotes", _length(b' "5"')),
        ("nothing", _length(b"")),
        ("only blanks", _length(b" \t ")),
        ("a word", _length(b" five")),
        ("a vertical tab", _length(b" \x0b5")),
        ("a form feed behind", _length(b" 5\x0c")),
        ("a no-break space", _length(b" \xa05")),
        ("next line behind", _length(b" 5\x85")),
        ("Arabic digits", _length(b" \xd9\xa5")),
        ("full-width digits", _length(b" \xef\xbc\x95")),
        ("2^64", _length(b" 18446744073709551616")),
        ("2^64 + 5", _length(b" 18446744073709551621")),
        ("a hundred digits", _length(b" " + b"9" * 100)),
        ("folded", _length(b"\r\n 5")),
    ],
)

CODINGS = refused(
    "P2",
    [
        ("xchunked", _coding(b" xchunked")),
        ("chunkedx", _coding(b" chunkedx")),
        ("chunked in quotes", _coding(b' "chunked"')),
        ("chunked in apostrophes", _coding(b" 'chunked'")),
        ("chunked with a parameter", _coding(b" chunked;q=1")),
        ("chunked with an empty parameter", _coding(b" chunked;")),
        ("chunked = true", _coding(b" chunked=true")),
        ("a vertical tab before", _coding(b" \x0bchunked")),
        ("a vertical tab behind", _coding(b" chunked\x0b")),
        ("a no-break space", _coding(b" \xa0chunked")),
        ("a NUL behind", _coding(b" chunked\x00")),
        ("a tab behind, which llhttp takes for a part of it", _coding(b" chunked\t")),
        ("a colon behind the colon", _coding(b": chunked")),
        ("chunked, identity", _coding(b" chunked, identity")),
        ("identity, chunked", _coding(b" identity, chunked")),
        ("chunked, chunked", _coding(b" chunked, chunked")),
        ("chunked chunked", _coding(b" chunked chunked")),
        ("gzip, chunked", _coding(b" gzip, chunked")),
        ("chunked, gzip", _coding(b" chunked, gzip")),
        ("gzip alone", _coding(b" gzip")),
        ("identity alone", _coding(b" identity")),
        ("an unknown coding alone", _coding(b" cow")),
        ("nothing", _coding(b"")),
        ("an empty member before", _coding(b" ,chunked")),
        ("an empty member behind", _coding(b" chunked,")),
        ("folded", _coding(b"\r\n chunked")),
        ("twice", post(CHUNKED, CHUNKED, body=_BODY)),
        ("chunked, then cow", post(CHUNKED, b"Transfer-Encoding: cow", body=_BODY)),
        ("cow, then chunked", post(b"Transfer-Encoding: cow", CHUNKED, body=_BODY)),
        ("identity, then chunked, on two lines", post(b"Transfer-Encoding: identity", CHUNKED, body=_BODY)),
        ("empty, then chunked", post(b"Transfer-Encoding:", CHUNKED, body=_BODY)),
        ("a space before the colon", post(b"Transfer-Encoding : chunked", body=_BODY)),
        ("a tab before the colon", post(b"Transfer-Encoding\t: chunked", body=_BODY)),
        ("a space before the name", post(b" Transfer-Encoding: chunked", body=_BODY)),
        ("behind a bare LF", post(b"X: X\nTransfer-Encoding: chunked", body=_BODY)),
        ("behind a bare CR", post(b"X: X\rTransfer-Encoding: chunked", body=_BODY)),
        ("the name folded", post(b"Transfer-Encoding\r\n : chunked", body=_BODY)),
        ("a NUL in the name", post(b"Transfer\x00-Encoding: chunked", body=_BODY)),
        ("HTTP/1.0 with chunks", post(CHUNKED, line=b"POST /x HTTP/1.0", body=_BODY)),
        (
            "HTTP/1.0 with chunks, kept alive",
            post(b"Connection: keep-alive", CHUNKED, line=b"POST /x HTTP/1.0", body=_BODY),
        ),
    ],
)

_HELLO = Seen(method=b"POST", body=b"hello")

SOUND = passed(
    "P2, P11",
    [
        ("a length", _length(b" 5"), Seen(method=b"POST", body=b"hello", has=((b"content-length", b"5"),))),
        ("zeros before a length are its value", _length(b" 0005"), _HELLO),
        ("a length of nothing", post(b"Content-Length: 0"), Seen(method=b"POST", has=((b"content-length", b"0"),))),
        ("chunked", _coding(b" chunked"), _HELLO),
        ("chunked in capitals", _coding(b" CHUNKED"), _HELLO),
        ("a body on GET", post(b"Content-Length: 2", line=b"GET /x HTTP/1.1", body=b"hi"), Seen(body=b"hi")),
        (
            "chunks on DELETE",
            post(CHUNKED, line=b"DELETE /x HTTP/1.1", body=chunks(b"h", b"i")),
            Seen(method=b"DELETE", body=b"hi"),
        ),
        (
            "a request in a body is a body",
            post(b"Content-Length: 35", body=b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
            Seen(method=b"POST", body=b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
        ),
        (
            "a request in a chunk is a body",
            post(CHUNKED, body=chunks(b"GET /smuggled HTTP/1.1\r\n", b"Host: a\r\n\r\n")),
            Seen(method=b"POST", body=b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
        ),
        (
            "a post without any framing",
            post(),
            Seen(method=b"POST", lacks=(b"content-length", b"transfer-encoding")),
        ),
        (
            "Connection cannot name the length away",
            post(b"Connection: content-length", b"Content-Length: 5", body=b"hello"),
            Seen(method=b"POST", body=b"hello", has=((b"content-length", b"5"),)),
        ),
        (
            "Connection cannot name the chunks away",
            post(b"Connection: transfer-encoding", CHUNKED, body=_BODY),
            _HELLO,
        ),
        (
            "an underscore is another name",
            post(b"Content_Length: 44", b"Content-Length: 5", body=b"hello"),
            Seen(method=b"POST", body=b"hello", has=((b"content-length", b"5"),), lacks=(b"content_length",)),
        ),
        (
            "an underscore is no framing",
            post(b"Transfer_Encoding: chunked", b"Content-Length: 5", body=b"hello"),
            Seen(method=b"POST", body=b"hello", lacks=(b"transfer_encoding",)),
        ),
        (
            "a method in a field changes nothing",
            post(b"X-HTTP-Method-Override: DELETE", b"Content-Length: 5", body=b"hello"),
            Seen(method=b"POST", body=b"hello", has=((b"x-http-method-override", b"DELETE"),)),
        ),
    ],
)

BLANKS = passed(
    "P2, P11",
    [
        ("no blank, and blanks behind", _length(b"5 \t "), _HELLO),
        ("chunked behind a tab", _coding(b"\tchunked "), _HELLO),
    ],
    unlike=("nginx",),
)
"""RFC 9110 §5.5: blanks around a value are no part of it. nginx takes the tab for one."""

CASES: list[Case] = [*BOTH, *LENGTHS, *CODINGS, *SOUND, *BLANKS]
