"""N2, N3: a path that two servers could read differently is refused, and any other arrives byte for byte."""

from tests.e2e.corpus.case import Case, Seen, declined, head, passed, refused


def _path(path: bytes) -> bytes:
    return head(line=b"GET %b HTTP/1.1" % path)


AMBIGUOUS = declined(
    "N2",
    [
        (path.decode("latin-1"), _path(path))
        for path in (
            b"//",
            b"//x",
            b"/off//x",
            b"/x//",
            b"//evil.example/x",
            b"/.",
            b"/..",
            b"/./x",
            b"/../x",
            b"/off/../x",
            b"/off/./x",
            b"/off/..",
            b"/off/.",
            b"/off/..?x",
            b"/off/%2e%2e/x",
            b"/off/%2E%2e/x",
            b"/off/.%2e/x",
            b"/off/%2e./x",
            b"/off/%2e/x",
            b"/off/..%2fx",
            b"/off%2f..%2fx",
            b"/off%2fx",
            b"/off%2Fx",
            b"/off/%2f",
            b"/off%5cx",
            b"/off%5Cx",
            b"/off\\x",
            b"/off\\..\\x",
            b"/off/..\\x",
            b"/off/x%00",
            b"/off/%00/x",
            b"/off/x%00.js",
            b"/off/x%0a",
            b"/off/x%0d%0aX-A:%20b",
            b"/off/x%7f",
            b"/off/%01",
            b"/off;/x",
            b"/off;a=b/x",
            b"/off/..;/x",
            b"/off/.;/x",
            b"/x;jsessionid=1",
            b"/http://evil.example/x",
            b"/off%3bx",
            b"/off/%252e%252e/x",
            b"/off/%252fx",
            b"/off/%255cx",
            b"/off%252f..%252fx",
            b"/off/%25%32%65/x",
            b"/off/%%32%65/x",
            b"/off/%",
            b"/off/%2",
            b"/off/%zz",
            b"/off/%u002e%u002e/x",
            b"/off/%c0%zz",
            b"/off/x%",
        )
    ],
)

CONTROL = refused(
    "N2, P3, P7",
    [
        ("a tab", _path(b"/off/\tx")),
        ("a raw space", _path(b"/off/ /x")),
        ("UTF-8 that is not encoded", _path("/off/é".encode())),
        ("a byte above 127", _path(b"/off/\xe9")),
    ],
)

PLAIN = [
    *passed(
        "N2, P11",
        [
            (target.decode("latin-1"), _path(target), Seen(target))
            for target in (
                b"/",
                b"/x",
                b"/x/",
                b"/x.y/..z/z..",
                b"/...",
                b"/.well-known/x",
                b"/off/x",
                b"/offer",
                b"/x?",
                b"/x??",
                b"/x?a=b&a=c",
                b"/x?/../..//%2e%2e/%00;\\",
                b"/x?http://evil.example/",
                b"/x?%zz%",
                b"/x/%20y",
                b"/x/%C3%A9",
                b"/x/%c3%a9",
                b"/%41%42",
                b"/x/%25",
                b"/x/a%2Bb+c",
                b"/x/~user/!$&'()*,=:@-_",
                b'/x[0]{1}|2^`"<>',
                b"/X/y",
                b"/smuggle?GET%20/smuggled%20HTTP/1.1",
            )
        ],
    ),
]

CASES: list[Case] = [*AMBIGUOUS, *CONTROL, *PLAIN]
