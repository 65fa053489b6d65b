"""P3, P7: lines and what is on them (RFC 9112 §2.2, §3, §5)."""

from tests.e2e.corpus.case import AUTH, HOST, Case, Seen, head, passed, refused


def _line(line: bytes) -> bytes:
    return head(line=line)


LINE_ENDS = refused(
    "P3",
    [
        ("LF ends every line", b"GET /x HTTP/1.1\n%b\n%b\n\n" % (HOST, AUTH)),
        ("LF ends the request line", b"GET /x HTTP/1.1\n%b\r\n%b\r\n\r\n" % (HOST, AUTH)),
        ("LF ends a field", head(b"X-A: b\nX-C: d")),
        ("LF ends the last field", b"GET /x HTTP/1.1\r\n%b\r\n%b\n\r\n" % (HOST, AUTH)),
        ("LF ends the head", b"GET /x HTTP/1.1\r\n%b\r\n%b\r\n\n" % (HOST, AUTH)),
        ("LF twice ends the head", b"GET /x HTTP/1.1\r\n%b\r\n%b\n\n" % (HOST, AUTH)),
        ("CR ends the request line", b"GET /x HTTP/1.1\r%b\r\n%b\r\n\r\n" % (HOST, AUTH)),
        ("CR ends a field", head(b"X-A: b\rX-C: d")),
        ("CR CR LF ends a field", head(b"X-A: b\r")),
        ("CR in a name", head(b"X\r-A: b")),
        ("LF CR ends a field", head(b"X-A: b\n\rX-C: d")),
        ("CR before the method", b"\r" + head()),
        ("LF before the method", b"\n" + head()),
        ("CR LF and LF before the method", b"\r\n\n" + head()),
        ("CR CR LF ends the head", b"GET /x HTTP/1.1\r\n%b\r\n%b\r\n\r\r\n" % (HOST, AUTH)),
    ],
)

FIELDS = refused(
    "P3",
    [
        ("a space before the colon", head(b"X-A : b")),
        ("a tab before the colon", head(b"X-A\t: b")),
        ("a fold", head(b"X-A: b", b" c")),
        ("a fold with a tab", head(b"X-A: b", b"\tc")),
        ("a fold of blanks", head(b"X-A: b", b"  ")),
        ("a fold of the first field", b"GET /x HTTP/1.1\r\n a: b\r\n%b\r\n%b\r\n\r\n" % (HOST, AUTH)),
        ("a fold of the credential", b"GET /x HTTP/1.1\r\n%b\r\nAuthorization:\r\n Bearer {token}\r\n\r\n" % HOST),
        ("NUL in a value", head(b"X-A: a\x00b")),
        ("NUL at a value's end", head(b"X-A: a\x00")),
        ("NUL in a name", head(b"X\x00-A: b")),
        ("a bell in a value", head(b"X-A: a\x07b")),
        ("a vertical tab in a value", head(b"X-A: a\x0bb")),
        ("DEL in a value", head(b"X-A: a\x7fb")),
        ("an escape in a value", head(b"X-A: \x1b[31m")),
        ("no colon", head(b"X-A")),
        ("no name", head(b": b")),
        ("a space in a name", head(b"X A: b")),
        ("a space before a name", head(b" X-A: b", line=b"GET /x HTTP/1.1")),
        ("a bracket in a name", head(b"X(A): b")),
        ("a slash in a name", head(b"X/A: b")),
        ("an at sign in a name", head(b"X@A: b")),
        ("quotes in a name", head(b'"X-A": b')),
        ("a byte above 127 in a name", head(b"X-\xe9: b")),
        ("UTF-8 in a name", head("X-é: b".encode())),
        ("braces in a name", head(b"X{A}: b")),
        ("a square bracket in a name", head(b"X[0]: b")),
        ("a request line among the fields", head(b"GET /smuggled HTTP/1.1")),
    ],
)

REQUEST_LINES = [
    *refused(
        "P3, P7",
        [
            ("two spaces before the target", _line(b"GET  /x HTTP/1.1")),
            ("two spaces before the version", _line(b"GET /x  HTTP/1.1")),
            ("a space behind the version", _line(b"GET /x HTTP/1.1 ")),
            ("a space before the method", _line(b" GET /x HTTP/1.1")),
            ("a tab between", _line(b"GET\t/x\tHTTP/1.1")),
            ("a tab before the version", _line(b"GET /x\tHTTP/1.1")),
            ("a form feed between", _line(b"GET\x0c/x HTTP/1.1")),
            ("a no-break space between", _line(b"GET\xa0/x HTTP/1.1")),
            ("a space in the target", _line(b"GET /x y HTTP/1.1")),
            ("two versions", _line(b"GET /x HTTP/1.1 HTTP/1.1")),
            ("a version in the target", _line(b"GET /x%20HTTP/1.1")),
            ("NUL in the target", _line(b"GET /x\x00y HTTP/1.1")),
            ("a control byte in the target", _line(b"GET /x\x01 HTTP/1.1")),
            ("DEL in the target", _line(b"GET /x\x7f HTTP/1.1")),
            ("a vertical tab in the target", _line(b"GET /x\x0by HTTP/1.1")),
            ("NUL in the method", _line(b"GE\x00T /x HTTP/1.1")),
            ("a byte above 127 in the method", _line(b"G\xc9T /x HTTP/1.1")),
            ("a bracket in the method", _line(b"GET(x) /x HTTP/1.1")),
            ("a colon in the method", _line(b"GET: /x HTTP/1.1")),
            ("no target", _line(b"GET HTTP/1.1")),
            ("no method", _line(b"/x HTTP/1.1")),
            ("only a method", _line(b"GET")),
            ("an empty line of blanks", _line(b"   ")),
            ("a byte order mark", _line(b"\xef\xbb\xbfGET /x HTTP/1.1")),
        ],
    ),
    *refused(
        "P7",
        [
            ("HTTP/0.9", b"GET /x\r\n"),
            ("HTTP/0.9 that says so", _line(b"GET /x HTTP/0.9")),
            ("HTTP/2.0", _line(b"GET /x HTTP/2.0")),
            ("HTTP/1.2", _line(b"GET /x HTTP/1.2")),
            ("HTTP/1.10", _line(b"GET /x HTTP/1.10")),
            ("HTTP/1.01", _line(b"GET /x HTTP/1.01")),
            ("HTTP/01.1", _line(b"GET /x HTTP/01.1")),
            ("HTTP/1", _line(b"GET /x HTTP/1")),
            ("HTTP/1.", _line(b"GET /x HTTP/1.")),
            ("HTTP/1,1", _line(b"GET /x HTTP/1,1")),
            ("HTTP/+1.1", _line(b"GET /x HTTP/+1.1")),
            ("HTTP/1.1x", _line(b"GET /x HTTP/1.1x")),
            ("HTTP 1.1", _line(b"GET /x HTTP 1.1")),
            ("http/1.1", _line(b"GET /x http/1.1")),
            ("HTTPS/1.1", _line(b"GET /x HTTPS/1.1")),
            ("RTSP", _line(b"GET /x RTSP/1.0")),
            ("ICE", _line(b"GET /x ICE/1.0")),
            ("ICE with its own method", _line(b"SOURCE /x ICE/1.0")),
            ("RTSP with its own method", _line(b"SETUP /x RTSP/1.0")),
            ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            (
                "TLS on the plain port",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) + b"\r\n\r\n",
            ),
            ("the PROXY protocol", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + head()),
            ("an answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ("nothing but bytes", bytes(range(128, 256)) + b"\r\n\r\n"),
        ],
    ),
    *refused(
        "P7",
        [
            ("CONNECT", _line(b"CONNECT gateway.example:443 HTTP/1.1")),
            ("CONNECT with a path", _line(b"CONNECT /x HTTP/1.1")),
            ("TRACE", _line(b"TRACE /x HTTP/1.1")),
        ],
        status=501,
    ),
    *refused(
        "P7",
        [
            ("an unknown method", _line(b"COW /x HTTP/1.1")),
            ("a method in lower case", _line(b"get /x HTTP/1.1")),
            ("a method with more behind", _line(b"GETX /x HTTP/1.1")),
            ("a long method", _line(b"X" * 300 + b" /x HTTP/1.1")),
        ],
    ),
]

TARGETS = refused(
    "P7",
    [
        ("an at sign", _line(b"GET @evil.example/x HTTP/1.1")),
        ("no slash", _line(b"GET x HTTP/1.1")),
        ("a query alone", _line(b"GET ?x HTTP/1.1")),
        ("a fragment", _line(b"GET /x#y HTTP/1.1")),
        ("a fragment in the query", _line(b"GET /x?y#z HTTP/1.1")),
        ("a star, not for OPTIONS", _line(b"GET * HTTP/1.1")),
        ("a star and a path", _line(b"OPTIONS */x HTTP/1.1")),
        ("an authority alone", _line(b"GET gateway.example:80 HTTP/1.1")),
        ("a scheme of files", _line(b"GET file:///etc/passwd HTTP/1.1")),
        ("a scheme of WebSockets", _line(b"GET ws://gateway.example/x HTTP/1.1")),
        ("a script", _line(b"GET javascript:alert(1) HTTP/1.1")),
        ("userinfo in the absolute form", _line(b"GET http://user@gateway.example/x HTTP/1.1")),
        ("a password in the absolute form", _line(b"GET http://u:p@gateway.example/x HTTP/1.1")),
        ("no host in the absolute form", _line(b"GET http:///x HTTP/1.1")),
        ("one slash in the absolute form", _line(b"GET http:/x HTTP/1.1")),
        ("a backslash", _line(b"GET \\x HTTP/1.1")),
        ("a fragment in the absolute form", _line(b"GET http://gateway.example/x#y HTTP/1.1")),
        ("a bad port in the absolute form", _line(b"GET http://gateway.example:x/x HTTP/1.1")),
        ("a space in the absolute form's host", _line(b"GET http://gate way/x HTTP/1.1")),
        ("a bracket that is not closed", _line(b"GET http://[::1/x HTTP/1.1")),
    ],
)

SOUND = [
    *passed(
        "P7, P3",
        [
            ("no blank before a value", head(b"X-A:b"), Seen(has=((b"x-a", b"b"),))),
            ("an empty value", head(b"X-A:", b"X-B: "), Seen(has=((b"x-a", b""), (b"x-b", b"")))),
            ("a tab within a value", head(b"X-A: b\tc"), Seen(has=((b"x-a", b"b\tc"),))),
            ("colons in a value", head(b"X-A: :b::c:"), Seen(has=((b"x-a", b":b::c:"),))),
            ("next line in a value", head(b"X-A: b\x85c"), Seen(has=((b"x-a", b"b\x85c"),))),
            ("a no-break space at a value's end", head(b"X-A: \xa0b\xa0"), Seen(has=((b"x-a", b"\xa0b\xa0"),))),
            (
                "every byte above 127",
                head(b"X-A: " + bytes(range(128, 256))),
                Seen(has=((b"x-a", bytes(range(128, 256))),)),
            ),
            ("every mark in a name", head(b"X!#$%&'*+-.^`|~: b"), Seen(has=((b"x!#$%&'*+-.^`|~", b"b"),))),
            ("an underscore in a name", head(b"X_A: b"), Seen(has=((b"x_a", b"b"),))),
            ("PROPFIND", _line(b"PROPFIND /x HTTP/1.1"), Seen(method=b"PROPFIND")),
            ("M-SEARCH", _line(b"M-SEARCH /x HTTP/1.1"), Seen(method=b"M-SEARCH")),
            ("PATCH", _line(b"PATCH /x HTTP/1.1"), Seen(method=b"PATCH")),
        ],
    ),
    *passed(
        "P7, P3",
        [
            ("an empty line before", b"\r\n" + head(), Seen()),
            ("two empty lines before", b"\r\n\r\n" + head(), Seen()),
        ],
        unlike=("python",),
    ),
    *passed(
        "P3", [("blanks around a value", head(b"X-A: \t b \t "), Seen(has=((b"x-a", b"b"),)))], unlike=("nginx",)
    ),
    *passed(
        "P7",
        [("OPTIONS on everything", _line(b"OPTIONS * HTTP/1.1"), Seen(b"*", b"OPTIONS"))],
        unlike=("nginx",),
        theirs=(("nginx", 400),),
    ),
    *passed("P7", [("HTTP/1.0", _line(b"GET /x HTTP/1.0"), Seen())], closes=True),
    *passed(
        "P7, N5",
        [
            ("the absolute form", _line(b"GET http://gateway.example/x?y HTTP/1.1"), Seen(b"/x?y")),
            ("a scheme in capitals", _line(b"GET HTTPS://gateway.example/x HTTP/1.1"), Seen()),
            ("the absolute form without a path", _line(b"GET http://gateway.example HTTP/1.1"), Seen(b"/")),
            ("the absolute form with a query only", _line(b"GET http://gateway.example?y HTTP/1.1"), Seen(b"/?y")),
        ],
        unlike=("python",),
    ),
    *passed(
        "P7, N5",
        [
            (
                "another host in the absolute form wins",
                _line(b"GET http://other.example:81/x HTTP/1.1"),
                Seen(host=b"other.example:81"),
            )
        ],
        unlike=("python", "nginx"),
    ),
]

CASES: list[Case] = [*LINE_ENDS, *FIELDS, *REQUEST_LINES, *TARGETS, *SOUND]
