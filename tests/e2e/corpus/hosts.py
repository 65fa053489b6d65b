"""P6: one Host, and a host in it (RFC 9112 §3.2)."""

from tests.e2e.corpus.case import HOST, Case, Seen, head, passed, refused


def _host(value: bytes) -> bytes:
    return head(host=b"Host: " + value)


INVALID = refused(
    "P6",
    [
        ("none", head(host=None)),
        ("two that differ", head(b"Host: other.example")),
        ("two that agree", head(HOST)),
        ("two in different case", head(b"hOST: gateway.example")),
        ("an empty one behind", head(b"Host:")),
        ("three", head(b"Host: a", b"Host: b")),
        ("none, in the absolute form", head(line=b"GET http://gateway.example/x HTTP/1.1", host=None)),
        ("two, in the absolute form", head(HOST, line=b"GET http://gateway.example/x HTTP/1.1")),
        ("an empty one", _host(b"")),
        ("only blanks", _host(b" \t ")),
        ("userinfo", _host(b"user@gateway.example")),
        ("userinfo with a password", _host(b"user:secret@gateway.example")),
        ("an at sign alone", _host(b"@")),
        ("a path", _host(b"gateway.example/x")),
        ("a slash", _host(b"gateway.example/")),
        ("a backslash", _host(b"gateway.example\\x")),
        ("a query", _host(b"gateway.example?x")),
        ("a fragment", _host(b"gateway.example#x")),
        ("a scheme", _host(b"http://gateway.example")),
        ("a list", _host(b"gateway.example, other.example")),
        ("a comma", _host(b"gateway.example,other.example")),
        ("two words", _host(b"gateway.example other.example")),
        ("a tab within", _host(b"gateway\texample")),
        ("a port that is a word", _host(b"gateway.example:http")),
        ("a port too large", _host(b"gateway.example:65536")),
        ("a port of six digits", _host(b"gateway.example:000080")),
        ("a negative port", _host(b"gateway.example:-1")),
        ("two ports", _host(b"gateway.example:80:81")),
        ("only a port", _host(b":80")),
        ("a bracket open", _host(b"[::1")),
        ("a bracket closed", _host(b"::1]")),
        ("empty brackets", _host(b"[]")),
        ("brackets around a name", _host(b"[gateway.example]")),
        ("text behind brackets", _host(b"[::1]x")),
        ("a zone", _host(b"[fe80::1%25eth0]")),
        ("IPv6 without brackets", _host(b"::1")),
        ("a NUL", _host(b"gateway\x00.example")),
        ("a byte above 127", _host(b"gateway.ex\xe4mple")),
        ("quotes", _host(b'"gateway.example"')),
        ("angle brackets", _host(b"<gateway.example>")),
        ("braces", _host(b"{gateway}")),
        ("a bar", _host(b"a|b")),
        ("a caret", _host(b"a^b")),
        ("a broken escape", _host(b"gateway%zz.example")),
    ],
)


def _passes(value: bytes) -> Seen:
    return Seen(host=value)


VALID = passed(
    "P6",
    [
        (name, _host(value), _passes(value))
        for name, value in (
            ("a name", b"gateway.example"),
            ("a name and a port", b"gateway.example:8080"),
            ("an empty port", b"gateway.example:"),
            ("a trailing dot", b"gateway.example."),
            ("capitals", b"GateWay.Example"),
            ("an address", b"127.0.0.1:80"),
            ("an IPv6 address", b"[::1]"),
            ("an IPv6 address and a port", b"[2001:db8::1]:443"),
            ("an underscore", b"my_host.example"),
            ("punycode", b"xn--gtwy-5qa.example"),
            ("one label", b"localhost"),
        )
    ],
)

SOUND = [
    *passed(
        "P6",
        [
            ("the name in another case", head(host=b"hOsT: gateway.example"), Seen()),
            ("behind the other fields", head(HOST, host=None), Seen()),
            ("an underscore name is not it", head(b"X_Host: evil.example"), Seen()),
            ("Connection cannot name it away", head(b"Connection: host"), Seen(lacks=(b"connection",))),
        ],
    ),
    *passed(
        "P6",
        [("blanks around it", head(host=b"Host:\t gateway.example  "), Seen())],
        unlike=("nginx", "python"),
    ),
    *passed(
        "P6",
        [("an old client needs none", head(line=b"GET /x HTTP/1.0", host=None), Seen(host=None))],
        closes=True,
    ),
]

CASES: list[Case] = [*INVALID, *VALID, *SOUND]
