"""What generated traffic is made of: credentials, targets, and fields, as clients and upstreams write them."""

from gateway.core.headers import Header

PAIRS = ("fresh", "ahead", "hard", "expired")
"""Each side has pairs of its own of these ages: a refresh token can be presented once."""
SHARED = (b"{one}", b"{two}")
"""Two users' fresh access tokens, the same on both sides."""

ORIGIN = b"https://app.example"
CHALLENGE = (b"WWW-Authenticate", b'Bearer realm="api", error="invalid_token"')


def _bearer(token: bytes) -> list[Header]:
    return [(b"Authorization", b"Bearer " + token)]


def _pair(access: bytes, refresh: bytes) -> list[Header]:
    return [*_bearer(access), (b"X-Refresh-Token", refresh)]


CREDENTIALS: list[list[Header]] = [
    *([_bearer(SHARED[0])] * 9),
    *([_bearer(SHARED[1])] * 2),
    [(b"authorization", b"bearer  {one}")],
    [(b"AUTHORIZATION", b"BEARER {one} ")],
    *([_pair(b"{%b.access}" % k.encode(), b"{%b.refresh}" % k.encode()) for k in PAIRS] * 2),
    *([_pair(b"{%b.newest.access}" % k.encode(), b"{%b.newest.refresh}" % k.encode()) for k in PAIRS[1:]]),
    _bearer(b"{expired.access}"),
    _bearer(b"{forged}"),
    _bearer(b"{foreign}"),
    _bearer(b"nonsense"),
    [(b"Authorization", b"Basic YTpi")],
    [(b"Authorization", b"DPoP {one}")],
    [*_bearer(b"{one}"), *_bearer(b"{two}")],
    [*_bearer(b"{one}"), (b"X-Refresh-Token", b"a b")],
    [(b"X-Refresh-Token", b"{fresh.refresh}")],
    [],
]
"""In braces what each side fills in; ``newest``: what the client was given last for that pair."""

TARGETS = [
    *([b"/p/x"] * 16),
    *([b"/p/y?a=1&b=%20"] * 4),
    b"/",
    *([b"/off/x", b"/optional/x?b", b"/any/x", b"/never/x", b"/other/x?q"] * 2),
    b"/off/",
    b"/off",
    b"/other/",
    b"/o%74her/x",
    b"/aud/x",
    b"/get/x",
    b"/_gateway/x",
    b"/p/../off/x",
    b"/p//x",
    b"/p/%2e%2e/off/x",
    b"/off/%2fx",
    b"/p/x;a=1/y",
    b'/p/{}[]|\\^`"<>',
    b"/p/" + b"x" * 3000,
    b"http://gateway.example/p/x",
    b"http://another.example:81/off/x?a",
    b"http://gateway.example",
    b"*",
]
"""Routes are ``tests.e2e.twins.ROUTES``."""

USUAL: list[Header] = [
    (b"Cookie", b"a=b; c=d"),
    (b"cookie", b"e=f"),
    (b"Origin", ORIGIN),
    (b"Origin", b"https://other.example"),
    (b"If-None-Match", b'"1"'),
    (b"If-Modified-Since", b"Sun, 06 Nov 1994 08:49:37 GMT"),
    (b"Accept", b"application/json, text/plain, */*"),
    (b"Accept-Encoding", b"gzip, deflate, br"),
    (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64)"),
    (b"user-agent", b""),
    (b"Range", b"bytes=0-1"),
    (b"TE", b"trailers"),
    (b"Connection", b"keep-alive"),
    (b"X-Test", b"1"),
    (b"x-test", b"2"),
    (b"X-Forwarded-For", b"192.0.2.7"),
    (b"X-Forwarded-Proto", b"https"),
    (b"X-Forwarded-Host", b"public.example"),
    (b"Forwarded", b"for=192.0.2.9;proto=https"),
    (b"Via", b"1.1 a, 1.0 b"),
]
UNUSUAL: list[Header] = [
    (b"x-forwarded-for", b"127.0.0.1, 127.0.0.2"),
    (b"X-Forwarded-User", b"root"),
    (b"X_Forwarded_For", b"192.0.2.8"),
    (b"X-Real-IP", b"192.0.2.1"),
    (b"X-User", b"root"),
    (b"X_User", b"root"),
    (b"x_refresh_token", b"zzz"),
    (b"X-Access-Token", b"zzz"),
    (b"Proxy", b"http://192.0.2.1"),
    (b"Via", b"1.1 twin"),
    (b"Max-Forwards", b"0"),
    (b"Max-Forwards", b"9"),
    (b"Trailer", b"X-T"),
    (b"Keep-Alive", b"timeout=5"),
    (b"Expect", b"100-continue"),
    (b"Expect", b"something"),
    (b"Upgrade", b"h2c"),
    (b"HTTP2-Settings", b"AAMAAABkAAQCAAAAAAIAAAAA"),
    (b"Connection", b"Keep-Alive, X-Test, authorization, X-User, cookie"),
    (b"Connection", b"upgrade"),
    (b"Connection", b"close"),
    (b"Proxy-Connection", b"close"),
    (b"Content-Length", b"0"),
    (b"Access-Control-Request-Method", b"PUT"),
    (b"Access-Control-Request-Headers", b"x-refresh-token, x-test"),
    (b"Host", b"gateway.example"),
]
"""What the gateway, or somebody on the way, might have a reason to read."""

CROSSING: list[Header] = [
    (b"Access-Control-Allow-Origin", ORIGIN),
    (b"Access-Control-Allow-Credentials", b"true"),
    (b"Access-Control-Allow-Origin", b"*"),
    (b"Set-Cookie", b"a=b; Path=/"),
    (b"set-cookie", b"c=d"),
    (b"Location", b"http://{upstream}/v1/there?a"),
    (b"Location", b"/v1/there"),
    (b"location", b"https://elsewhere.example/"),
    (b"X-Access-Token", b"theirs"),
    (b"x-refresh-TOKEN", b"theirs"),
    (b"X_Token_Refreshed", b"theirs"),
    (b"Cache-Control", b"public, max-age=60"),
    (b"Vary", b"Accept, Origin"),
    (b"Date", b"Sun, 06 Nov 1994 08:49:37 GMT"),
    (b"Via", b"1.1 behind"),
    (b"Content-Type", b"text/event-stream"),
    (b"Content-Type", b"application/json"),
    (b"Keep-Alive", b"timeout=1"),
    (b"Trailer", b"X-T"),
    (b"Upgrade", b"h2c"),
    (b"Server", b"api"),
    CHALLENGE,
    (b"www-authenticate", b"Bearer, Basic realm=x"),
]
"""Of an upstream's answer; ``{upstream}`` is its own address."""
