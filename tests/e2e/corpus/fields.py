"""P8, P10, X1, X6, N1: which fields end at the gateway, and that all others arrive as they are."""

from tests.e2e.corpus.case import AUTH, Case, Seen, head, passed, post, refused

_OWN = (b"authorization", AUTH.partition(b": ")[2])


def _lacks(*names: bytes, has: tuple[tuple[bytes, bytes], ...] = (_OWN,)) -> Seen:
    return Seen(has=has, lacks=names)


HOPS = passed(
    "P8",
    [
        ("named by Connection", head(b"Connection: X-Hop", b"X-Hop: 1"), _lacks(b"x-hop", b"connection")),
        ("named in another case", head(b"connection: x-HOP", b"X-hop: 1"), _lacks(b"x-hop")),
        ("named in a list", head(b"Connection: a,X-Hop ,, b", b"X-Hop: 1"), _lacks(b"x-hop")),
        ("named on a second line", head(b"Connection: a", b"Connection: X-Hop", b"X-Hop: 1"), _lacks(b"x-hop")),
        (
            "named before it comes twice",
            head(b"Connection: X-Hop", b"X-Hop: 1", b"X-A: b", b"x-hop: 2"),
            _lacks(b"x-hop"),
        ),
        (
            "a hop by any name",
            head(b"Keep-Alive: 5", b"Proxy-Connection: keep-alive"),
            _lacks(b"keep-alive", b"proxy-connection"),
        ),
        ("TE", head(b"TE: trailers, gzip", b"Connection: TE"), _lacks(b"te")),
        ("Trailer", head(b"Trailer: X-A"), _lacks(b"trailer")),
        ("a proxy's credentials", head(b"Proxy-Authorization: Basic YTpi"), _lacks(b"proxy-authorization")),
        (
            "h2c",
            head(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMA"),
            _lacks(b"upgrade", b"http2-settings"),
        ),
        ("h2c without Connection", head(b"Upgrade: h2c"), _lacks(b"upgrade")),
        ("several protocols", head(b"Connection: upgrade", b"Upgrade: h2c, foo/2, TLS/1.0"), _lacks(b"upgrade")),
        (
            "a header that Connection misspells",
            head(b"Connection: X_Hop", b"X-Hop: 1"),
            _lacks(b"x_hop", b"connection"),
        ),
    ],
)

NAMED = passed(
    "X6, P8",
    [
        ("the credential", head(b"Connection: authorization"), _lacks(b"connection")),
        ("the credential in capitals", head(b"CONNECTION: AUTHORIZATION"), _lacks(b"connection")),
        (
            "the client's address",
            head(b"Connection: x-forwarded-for"),
            _lacks(b"connection", has=((b"x-forwarded-for", b"127.0.0.1"),)),
        ),
        ("the host", head(b"Connection: host"), Seen(has=((b"host", b"gateway.example"),))),
        (
            "everything at once",
            head(b"Connection: x-never, host, authorization, x-forwarded-for, x-forwarded-proto"),
            _lacks(b"connection", has=(_OWN, (b"x-forwarded-for", b"127.0.0.1"))),
        ),
    ],
)

OURS = passed(
    "X1, N1",
    [
        ("the refresh token", head(b"X-Refresh-Token: {refresh}"), _lacks(b"x-refresh-token")),
        (
            "our answer's names",
            head(b"X-Access-Token: 1", b"X-Token-Refreshed: 1"),
            _lacks(b"x-access-token", b"x-token-refreshed"),
        ),
        (
            "our names with underscores",
            head(b"X_Access_Token: 1", b"x_refresh-token: 1"),
            _lacks(b"x_access_token", b"x_refresh-token"),
        ),
        ("the credential with an underscore is another name", head(b"X-A: b"), Seen(has=((b"x-a", b"b"),))),
        (
            "an address that nobody trusts",
            head(b"X-Forwarded-For: 10.1.1.1", b"X_Forwarded_For: 10.1.1.2"),
            _lacks(b"x_forwarded_for", has=((b"x-forwarded-for", b"127.0.0.1"),)),
        ),
        ("Forwarded that nobody trusts", head(b"Forwarded: for=10.1.1.1;host=evil.example"), _lacks(b"forwarded")),
        (
            "a scheme that nobody trusts",
            head(b"X-Forwarded-Proto: https", b"X-Forwarded-Host: evil.example"),
            Seen(has=((b"x-forwarded-proto", b"http"), (b"x-forwarded-host", b"gateway.example"))),
        ),
        (
            "an identity",
            head(b"X-User: root", b"x_user: root"),
            Seen(has=((b"x-user", b"ada"),), lacks=(b"x_user",)),
        ),
    ],
)

DOUBLES = refused(
    "T17", [("two credentials", head(AUTH)), ("a credential in another case", head(b"aUTHORIZATION: Basic YTpi"))]
)

KEPT = passed(
    "P10, P11",
    [
        (
            "repeated fields",
            head(b"X-R: 1", b"X-S: a", b"X-R: 2", b"x-r: 1"),
            Seen(has=((b"x-r", b"1"), (b"x-r", b"2"), (b"x-r", b"1"), (b"x-s", b"a"))),
        ),
        ("a list is not taken apart", head(b"X-R: 1, 2,,3 ,"), Seen(has=((b"x-r", b"1, 2,,3 ,"),))),
        (
            "cookies",
            head(b"Cookie: a=1; b=2", b"Cookie: c=3;d"),
            Seen(has=((b"cookie", b"a=1; b=2"), (b"cookie", b"c=3;d"))),
        ),
        (
            "conditions and ranges",
            head(b'If-None-Match: "a"', b"Range: bytes=0-4,-1", b'If-Range: "a"'),
            Seen(has=((b"if-none-match", b'"a"'), (b"range", b"bytes=0-4,-1"), (b"if-range", b'"a"'))),
        ),
        (
            "nothing is added",
            head(),
            Seen(lacks=(b"accept", b"accept-encoding", b"user-agent", b"connection", b"expect", b"te")),
        ),
        (
            "a body's type and coding",
            post(b"Content-Type: a/b; c=d", b"Content-Encoding: gzip", b"Content-Length: 2", body=b"\x1f\x8b"),
            Seen(
                method=b"POST",
                body=b"\x1f\x8b",
                has=((b"content-type", b"a/b; c=d"), (b"content-encoding", b"gzip")),
            ),
        ),
        (
            "Date and Max-Forwards",
            head(b"Max-Forwards: 0", b"Date: x"),
            Seen(has=((b"max-forwards", b"0"), (b"date", b"x"))),
        ),
    ],
)

CASES: list[Case] = [
    *HOPS,
    *NAMED,
    *OURS,
    *KEPT,
    *(Case(c.ids, c.name, c.sent, c.answers, closes=False) for c in DOUBLES),
]
