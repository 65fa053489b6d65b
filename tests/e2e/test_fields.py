"""Fields on their way through: which end here, which pass as they are, and which could not pass."""

import pytest

from tests import lanes
from tests.e2e.wire import Script, Wire, ask, ok, request, text_of
from tests.house import house

pytestmark = lanes.BOTH

IDENTITY = {"identity_headers": {"X-User": "sub", "X-Roles": "roles"}}

HOP_BY_HOP = [
    "Connection: close, X-Hop, Upgrade, HTTP2-Settings, TE",
    "X-Hop: secret",
    "Keep-Alive: timeout=5",
    "Proxy-Authorization: Basic YTpi",
    "Proxy-Connection: keep-alive",
    "TE: trailers",
    "Trailer: X-Later",
    "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
]
HOP_NAMES = {f.partition(":")[0].lower() for f in HOP_BY_HOP}


async def test_hop_by_hop_fields_end_here_both_ways(tmp_path):
    """P8: named by the RFC or by Connection; an upgrade to HTTP/2 is never passed on."""
    back = [f for f in HOP_BY_HOP if not f.startswith(("TE", "Upgrade", "HTTP2", "Connection"))]
    back += ["Connection: X-Hop", "Proxy-Authenticate: Basic", "X-End: kept"]
    async with Script.saying(ok(*back)) as script, house(tmp_path, upstream={"url": script.url}) as h:
        answer = await ask(h, request("GET /echo", h.login(), *HOP_BY_HOP, "X-End: kept"))
        assert answer.status == 200
        seen = {line.partition(b":")[0].decode().lower() for line in script.requests[0].split(b"\r\n")[1:]}
        assert seen.isdisjoint(HOP_NAMES)
        assert "x-end" in seen
        names = {name.decode().lower() for name, _ in answer.headers}
        assert names & (HOP_NAMES | {"proxy-authenticate"}) == {"connection"}
        assert answer.values(b"connection") == [b"close"]
        assert "x-end" in names


async def test_repeated_fields_keep_their_order_and_number(tmp_path):
    """P10: both ways; Set-Cookie lines stay apart, unknown fields pass, a challenge of the API's is unchanged."""
    theirs = [
        "Set-Cookie: a=1; Path=/",
        "X-R: one",
        "Set-Cookie: b=2, c=3",
        "X-R: two",
        "X-R: one",
        "X-Latin: caf\xe9",
    ]
    theirs += [
        'WWW-Authenticate: Basic realm="a"',
        'WWW-Authenticate: Bearer realm="b", error="insufficient_scope"',
    ]
    script_answer = ok(*theirs, status="401 Unauthorized")
    async with Script.saying(script_answer) as script, house(tmp_path, upstream={"url": script.url}) as h:
        sent = ["X-R: 1", "Accept: a", "X-R: 2", "Accept: b", "X-R: 1", "X-Odd!#$%&'*+.^`|~: caf\xe9", "X-Empty:"]
        answer = await ask(h, request("GET /echo", h.login(), *sent))
        assert answer.values(b"set-cookie") == [b"a=1; Path=/", b"b=2, c=3"]
        assert answer.values(b"x-r") == [b"one", b"two", b"one"]
        assert answer.values(b"x-latin") == [b"caf\xe9"]
        assert answer.values(b"www-authenticate") == [f.partition(": ")[2].encode() for f in theirs[-2:]]
        lines = script.requests[0].split(b"\r\n")
        ours = [line for line in lines if line.lower().startswith((b"x-", b"accept")) and b"forwarded" not in line]
        assert [line.partition(b":")[2].strip() for line in ours] == [b"1", b"a", b"2", b"b", b"1", b"caf\xe9", b""]
        assert not any(line.lower().startswith((b"accept-encoding", b"user-agent")) for line in lines)


@pytest.mark.parametrize("member", ["access_token", "refresh_token"])
async def test_a_token_that_could_end_a_line_is_never_emitted(tmp_path, member):
    """P17: what the authorization server sends is not trusted with our headers either."""
    async with house(tmp_path) as h:
        for evil in ("a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\x00b", "a b", "caf\u00e9", "a\u2028b"):
            h.auth.fault("answer", response={member: evil})
            answer = await ask(h, request("GET /echo", h.expired()))
            assert answer.status == 503
            assert "evil" not in text_of(answer.headers)
        assert h.api.count == 0


async def test_a_control_byte_in_a_field_crosses_in_neither_direction(tmp_path):
    """P3, P17: 400 to the client that sends one, 502 where the upstream does."""
    async with Script.saying(b"") as script, house(tmp_path, upstream={"url": script.url}) as h:
        asked = request("GET /echo", h.login())
        for byte in (0, 1, 8, 10, 11, 13, 27, 127):
            evil = b"X-Bad: a" + bytes([byte]) + b"X-Evil: 1\r\n"
            assert (await ask(h, asked[:-2] + evil + b"\r\n")).status == 400
            calls = len(script.requests)
            script.answer = ok().replace(b"Content", evil + b"Content", 1)
            answer = await ask(h, asked)
            assert answer.status == 502
            assert "x-evil" not in text_of(answer.headers)
            assert len(script.requests) == calls + 1


async def test_a_claim_that_could_end_a_line_is_left_out(tmp_path):
    """P17: identity headers carry what a field can carry, and nothing else."""
    async with house(tmp_path, upstream=IDENTITY) as h:
        for evil in ("a\r\nX-Evil: 1", "a\x00b", " lead", "a\x7fb"):
            token = h.auth.mint(roles=evil)
            assert (await h.get("/echo", (token, None))).status_code == 200
            assert h.api.requests[-1].values(b"x-roles") == []
            assert h.api.requests[-1].values(b"x-evil") == []
        token = h.auth.mint(roles=["admin", "a\r\nb", "dev"])
        await h.get("/echo", (token, None), headers={"X-Roles": "root"})
        assert h.api.requests[-1].values(b"x-roles") == [b"admin,dev"]


async def test_trailers_never_become_fields(tmp_path):
    """P5: a trailer that says Authorization after the head was judged says it to nobody."""
    async with house(tmp_path) as h:
        pair = h.login()
        chunks = (
            b"3\r\nabc\r\n0\r\nAuthorization: Bearer forged\r\nX-User: forged\r\nX-Refresh-Token: forged\r\n\r\n"
        )
        data = request("POST /echo", pair, "Transfer-Encoding: chunked", "Trailer: Authorization", body=chunks)
        async with Wire.to(h.port) as wire:
            wire.send(data)
            assert (await wire.answer()).status == 200
            wire.send(request("GET /echo"))
            assert (await wire.answer()).status == 401
        assert "forged" not in text_of([*h.api.requests[-1].headers, *h.api.requests[-1].trailers])


async def test_each_of_pipelined_requests_has_its_own_tokens(tmp_path):
    """P16, X8: judged one by one, answered in order, new tokens to the one they belong to."""
    async with house(tmp_path) as h:
        ada, bob, eve = h.login("ada"), h.expired("bob"), h.expired("eve")
        async with Wire.to(h.port) as wire:
            wire.send(
                request("GET /slow?seconds=0.05", ada)
                + request("GET /echo?bob", bob)
                + request("GET /echo?nobody")
                + request("POST /echo?eve", eve, "Content-Length: 3", body=b"eve")
                + request("GET /echo?again", ada)
            )
            answers = [await wire.answer() for _ in range(5)]
        assert [a.status for a in answers] == [200, 200, 401, 200, 200]
        assert [bool(a.values(b"x-access-token")) for a in answers] == [False, True, False, True, False]
        assert [r.target for r in h.api.requests] == [
            b"/slow?seconds=0.05",
            b"/echo?bob",
            b"/echo?eve",
            b"/echo?again",
        ]
        subjects = [
            h.auth.read_access_token(r.values(b"authorization")[0].decode().removeprefix("Bearer "))["sub"]
            for r in h.api.requests
        ]
        assert subjects == ["ada", "bob", "eve", "ada"]
        assert bob[1].encode() not in wire.raw
        assert answers[1].values(b"x-access-token") != answers[3].values(b"x-access-token")
