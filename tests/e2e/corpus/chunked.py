"""P4, P5: chunks, their extensions and their trailers (RFC 9112 §7.1), with the "funky chunks" of 2025 among them."""

from tests.e2e.corpus.case import AUTH, CHUNKED, HOST, Case, Seen, chunks, passed, post, refused

_LAST = b"0\r\n\r\n"
_INNER = b"GET /off/smuggled HTTP/1.1\r\n%b\r\n\r\n" % HOST
"""On a route that asks for no credential."""
_HELLO = Seen(method=b"POST", body=b"hello")


def _chunked(body: bytes) -> bytes:
    return post(CHUNKED, body=body)


def _size(line: bytes) -> bytes:
    """A chunk of five bytes under that size line."""
    return _chunked(line + b"\r\nhello\r\n" + _LAST)


def _trailer(lines: bytes) -> bytes:
    return _chunked(b"5\r\nhello\r\n0\r\n" + lines + b"\r\n")


SIZES = refused(
    "P4",
    [
        ("a size with 0x", _size(b"0x5")),
        ("a plus", _size(b"+5")),
        ("a minus", _size(b"-5")),
        ("an underscore", _size(b"0_5")),
        ("a space before", _size(b" 5")),
        ("a tab before", _size(b"\t5")),
        ("a blank within", _size(b"0 5")),
        ("a vertical tab behind", _size(b"5\x0b")),
        ("a NUL behind", _size(b"5\x00")),
        ("no digit", _size(b"g")),
        ("nothing", _size(b"")),
        ("only an extension", _size(b";a=b")),
        ("quotes", _size(b'"5"')),
        ("a fraction", _size(b"5.0")),
        ("Arabic digits", _size(b"\xd9\xa5")),
        ("2^64 + 5", _size(b"10000000000000005")),
        ("seventeen digits of f", _size(b"f" * 17)),
        ("a thousand digits", _size(b"5" * 1000)),
        ("negative by overflow", _size(b"fffffffffffffffffffb")),
    ],
)

ENDS = refused(
    "P4, P3",
    [
        ("TERM.EXT: LF ends the size line", _chunked(b"5\nhello\r\n" + _LAST)),
        ("LF in an extension", _chunked(b"5;\nxx\r\nhello\r\n" + _LAST)),
        ("EXT.TERM: an extension with a size line", _chunked(b"2;\n00\r\n31\r\n" + _LAST + _INNER)),
        ("CR in an extension", _chunked(b"5;a\rb\r\nhello\r\n" + _LAST)),
        ("CR ends the size line", _chunked(b"5\rhello\r\n" + _LAST)),
        ("CR X ends the size line", _chunked(b"5\rXhello\r\n" + _LAST)),
        ("CR CR LF ends the size line", _chunked(b"5\r\r\nhello\r\n" + _LAST)),
        ("NUL in an extension", _chunked(b"5;a\x00b\r\nhello\r\n" + _LAST)),
        ("a control byte in an extension", _chunked(b"5;a\x01\r\nhello\r\n" + _LAST)),
        ("an extension that quotes a line end", _chunked(b'5;a="b\r\n"\r\nhello\r\n' + _LAST)),
        ("a quotation without an end", _chunked(b'5;a="b\r\nhello\r\n' + _LAST)),
        ("SPILL: the data are longer", _chunked(b"5\r\nhelloXX\r\n" + _LAST)),
        ("the data are longer by one byte for each line end", _chunked(b"5\r\nhelloXX0\r\n\r\n")),
        ("the data are shorter", _chunked(b"5\r\nhel\r\n" + _LAST)),
        ("LF ends the data", _chunked(b"5\r\nhello\n" + _LAST)),
        ("CR ends the data", _chunked(b"5\r\nhello\r" + _LAST)),
        ("CR CR ends the data", _chunked(b"5\r\nhello\r\r" + _LAST)),
        ("LF CR ends the data", _chunked(b"5\r\nhello\n\r" + _LAST)),
        ("nothing ends the data", _chunked(b"5\r\nhello" + _LAST)),
        ("an empty line behind the data", _chunked(b"5\r\nhello\r\n\r\n" + _LAST)),
        ("LF ends the last size line", _chunked(b"5\r\nhello\r\n0\n\r\n")),
        ("LF ends the body", _chunked(b"5\r\nhello\r\n0\r\n\n")),
        ("LF twice ends the body", _chunked(b"5\r\nhello\r\n0\n\n")),
        ("CR ends the body", _chunked(b"5\r\nhello\r\n0\r\n\rX")),
        ("the last chunk is not one", _chunked(b"5\r\nhello\r\n0x0\r\n\r\n")),
        ("a byte behind the last size line", _chunked(b"5\r\nhello\r\n0\r\nX\r\n\r\n")),
    ],
)

EXTENSIONS = passed(
    "P4",
    [
        ("an extension", _size(b"5;a=b"), _HELLO),
        ("an extension without a value", _size(b"5;a"), _HELLO),
        ("a quoted extension", _size(b'5;a="b c;d"'), _HELLO),
        ("two extensions", _size(b"5;a=b;c=d"), _HELLO),
        ("an extension of the last chunk", _chunked(b"5\r\nhello\r\n0;a=b\r\n\r\n"), _HELLO),
        ("an extension without a name, which llhttp and nginx take", _size(b"5;=b"), _HELLO),
        ("zeros before the size", _size(b"005"), _HELLO),
        ("zeros for the last chunk", _chunked(b"5\r\nhello\r\n000\r\n\r\n"), _HELLO),
        (
            "digits in both cases",
            _chunked(b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
            Seen(method=b"POST", body=b"0123456789" * 2),
        ),
        ("no data at all", _chunked(_LAST), Seen(method=b"POST")),
        ("one byte each", _chunked(chunks(*(b"%c" % c for c in b"hello"))), _HELLO),
        ("line ends in the data", _chunked(chunks(b"\r\n0\r\n\r\n")), Seen(method=b"POST", body=b"\r\n0\r\n\r\n")),
    ],
)

_GONE = Seen(
    method=b"POST",
    body=b"hello",
    has=((b"x-user", b"ada"),),
    lacks=(b"x-late", b"trailer", b"te", b"x-refresh-token"),
)
_OWN = (b"authorization", AUTH.partition(b": ")[2])

TRAILERS = [
    *passed(
        "P5",
        [
            ("a trailer", _trailer(b"X-Late: 1\r\n"), _GONE),
            (
                "an announced trailer",
                post(
                    b"Trailer: X-Late", b"TE: trailers", CHUNKED, body=chunks(b"hello", trailers=b"X-Late: 1\r\n")
                ),
                _GONE,
            ),
            ("two trailers", _trailer(b"X-Late: 1\r\nX-Late: 2\r\n"), _GONE),
            (
                "a credential as a trailer",
                _trailer(b"Authorization: Bearer evil\r\n"),
                Seen(method=b"POST", body=b"hello", has=(_OWN,)),
            ),
            ("a refresh token as a trailer", _trailer(b"X-Refresh-Token: evil\r\n"), _GONE),
            (
                "a host as a trailer",
                _trailer(b"Host: evil.example\r\n"),
                Seen(method=b"POST", body=b"hello", has=((b"host", b"gateway.example"),)),
            ),
            (
                "an address as a trailer",
                _trailer(b"X-Forwarded-For: 10.1.1.1\r\n"),
                Seen(method=b"POST", body=b"hello", has=((b"x-forwarded-for", b"127.0.0.1"),)),
            ),
            ("an identity as a trailer", _trailer(b"X-User: root\r\n"), _GONE),
            ("an expectation as a trailer", _trailer(b"Expect: 100-continue\r\n"), _HELLO),
            ("a trailer behind an extension", _chunked(b"5;a\r\nhello\r\n0;b\r\nX-Late: 1\r\n\r\n"), _GONE),
        ],
    ),
    *refused(
        "P5, P3",
        [
            ("a trailer without a colon", _trailer(b"X-Late\r\n")),
            ("a trailer without a name", _trailer(b": 1\r\n")),
            ("a trailer with a space before the colon", _trailer(b"X-Late : 1\r\n")),
            ("a trailer with a NUL", _trailer(b"X-Late: a\x00b\r\n")),
            ("a trailer with a bare CR", _trailer(b"X-Late: a\rb\r\n")),
            ("a trailer that ends in LF", _trailer(b"X-Late: 1\n")),
            ("a folded trailer", _trailer(b"X-Late: 1\r\n 2\r\n")),
            ("a length as a trailer", _trailer(b"Content-Length: 44\r\n")),
            ("a coding as a trailer", _trailer(b"Transfer-Encoding: chunked\r\n")),
            ("close as a trailer", _trailer(b"Connection: close\r\n")),
            ("an upgrade as a trailer", _trailer(b"Connection: upgrade\r\nUpgrade: h2c\r\n")),
            ("a request as a trailer", _trailer(b"GET /smuggled HTTP/1.1\r\n")),
        ],
    ),
    *refused("P5, D1", [("trailers without end", _trailer(b"X-Late: %b\r\n" % (b"x" * 1000) * 400))], status=431),
]

CASES: list[Case] = [*SIZES, *ENDS, *EXTENSIONS, *TRAILERS]
