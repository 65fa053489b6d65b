"""P13: Expect (RFC 9110 §10.1.1), sent by clients that do not wait for its answer: what "0.CL" attacks build on."""

from tests.e2e.corpus.case import CHUNKED, HOST, Case, Seen, chunks, head, post

_INNER = b"GET /off/smuggled HTTP/1.1\r\n%b\r\n\r\n" % HOST
"""On a route that asks for no credential."""
_BAD_TOKEN = b"Authorization: Bearer nonsense"
_EXPECT = b"Expect: 100-continue"
_LENGTH = b"Content-Length: %d" % len(_INNER)
_HELLO = Seen(method=b"POST", body=b"hello")


def _refused(*lines: bytes, body: bytes) -> bytes:
    return head(*lines, line=b"POST /x HTTP/1.1", auth=_BAD_TOKEN) + body


def _passed(
    name: str, *lines: bytes, body: bytes = b"hello", seen: Seen = _HELLO, interim: tuple[int, ...] = (100,)
) -> Case:
    return Case("P13", name, post(*lines, body=body), (200,), (seen,), closes=False, interim=interim)


CASES: list[Case] = [
    Case("P13", "a refused request's body is no request", _refused(_EXPECT, _LENGTH, body=_INNER), (401,)),
    Case("P13", "a refused request's chunk is no request", _refused(_EXPECT, CHUNKED, body=chunks(_INNER)), (401,)),
    Case("P13", "a refused request that never sends its body", _refused(_EXPECT, _LENGTH, body=b""), (401,)),
    Case("P13", "in capitals", _refused(b"EXPECT: 100-CONTINUE", _LENGTH, body=_INNER), (401,)),
    _passed("the body comes at once", _EXPECT, b"Content-Length: 5"),
    _passed("the chunks come at once", _EXPECT, CHUNKED, body=chunks(b"hel", b"lo")),
    _passed("the body is a request", _EXPECT, _LENGTH, body=_INNER, seen=Seen(method=b"POST", body=_INNER)),
    _passed("an expectation in capitals", b"eXPECT: 100-CONTINUE", b"Content-Length: 5"),
    _passed("an expectation of nothing", _EXPECT, b"Content-Length: 0", body=b"", seen=Seen(method=b"POST")),
    _passed("an expectation without a body", _EXPECT, body=b"", seen=Seen(method=b"POST")),
    Case("P13", "an expectation of a GET", head(_EXPECT), (200,), (Seen(),), closes=False, interim=(100,)),
    Case(
        "P13",
        "no 100 for HTTP/1.0",
        post(_EXPECT, b"Content-Length: 5", body=b"hello", line=b"POST /x HTTP/1.0"),
        (200,),
        (_HELLO,),
    ),
]
"""An expectation is the gateway's to meet: it is not passed on."""

UNKNOWN = [b"100-continu", b"200-ok", b"y 100-continue", b"100-continue, x", b"x", b""]
"""Expectations that nobody knows: 417 or none at all, never a body that is read as a request."""
