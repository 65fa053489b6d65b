"""How the gateway authenticates itself to the authorization server (RFC 6749 §2.3), and how hard it presses it."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import trustme

from tests.e2e.support import code, until
from tests.house import bearer, house, new_pair
from upstream_stub.keys import SigningKey

ODD_ID = "the gate:way+&=%20/?"
ODD_SECRET = 's3cr:et&=+% /"\\{}ü€'


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("client", [("gateway", "gateway-secret"), (ODD_ID, ODD_SECRET)], ids=["plain", "odd"])
async def test_a_confidential_client_proves_itself(tmp_path, method, client):
    """R10, R15: one method and never two, with every character (RFC 6749 §2.3.1 encodes before base64)."""
    name, secret = client
    own = {"client_id": name, "client_secret": {"env": "SECRET"}, "client_auth": method}
    sections = {"auth": {"clients": {name: secret}}, "auth_server": own, "environ": {"SECRET": secret}}
    async with house(tmp_path, **sections) as h:
        old = h.auth.login("ada", -60, client_id=name)
        answer = await h.get("/echo", old)
        assert answer.status_code == 200
        [request] = h.auth.token_requests
        assert request.client_auth == method
        assert ("client_id" in request.params) == (method == "client_secret_post")
        stolen = h.auth.login("bob", client_id=name)[1]
        assert (await h.get("/echo", (h.expired("ada")[0], stolen))).status_code == 401
        await until(lambda: h.auth.revocations)


async def test_a_public_client_names_itself_only(tmp_path):
    """R10: ``client_auth = "none"``."""
    own = {"client_id": "public", "client_secret": None, "client_auth": "none"}
    async with house(tmp_path, auth_server=own) as h:
        old = h.auth.login("ada", -60, client_id="public")
        assert (await h.get("/echo", old)).status_code == 200
        [request] = h.auth.token_requests
        assert request.client_auth == "none"
        assert request.params["client_id"] == "public"


async def test_the_scope_is_sent_when_it_is_set(tmp_path):
    """R2, RFC 6749 §6: never more than asked for; a wider one than before is told."""
    async with house(tmp_path, auth={"scope": "api admin"}, auth_server={"scope": "api"}) as h:
        assert (await h.get("/echo", h.expired())).status_code == 200
        assert h.auth.token_requests[0].params["scope"] == "api"
        narrow = h.auth.login("bob", -60, scope="api")
        h.auth.fault("answer", claims={"scope": "api admin"}, response={"scope": "api admin"})
        assert (await h.get("/echo", narrow)).status_code == 200
        assert "scope_widened" in h.notices()


@pytest.mark.parametrize("trusted", ["its authority", "another authority", "its authority for another name"])
async def test_the_server_must_prove_who_it_is_before_it_gets_a_token(tmp_path, trusted):
    """R15: TLS is verified, authority and name; without that no byte of a refresh token leaves."""
    authority = trustme.CA()
    certificate = authority.issue_cert("another.example" if "name" in trusted else "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    (trustme.CA() if "another authority" in trusted else authority).cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "key").write_bytes(SigningKey.make("RS256").public_pem())
    sections = {
        "auth_listener": {"certfile": tmp_path / "server.pem", "keyfile": tmp_path / "server.pem"},
        "auth_server": {"ca_file": "ca.pem", "jwks_uri": None},
        "access_token": {"key": {"file": "key"}},
    }
    async with house(tmp_path, **sections) as h:
        assert h.auth.issuer.startswith("https://")
        answer = await h.get("/echo", h.expired())
        proved = trusted == "its authority"
        assert answer.status_code == (200 if proved else 503)
        assert len(h.auth.token_requests) == proved
        assert proved or not h.refreshes()[0].ambiguous


class _Counting:
    """Counts the requests that are at the authorization server at the same time."""

    def __init__(self, app):
        self.app = app
        self.now = self.most = 0

    async def __call__(self, scope, receive, send):
        self.now += scope["path"] == "/token"
        self.most = max(self.most, self.now)
        try:
            await self.app(scope, receive, send)
        finally:
            self.now -= scope["path"] == "/token"


@asynccontextmanager
async def counted(h):
    """``_Counting`` in front of the server, once the gateway has its keys."""
    assert (await h.get("/echo", h.login())).status_code == 200
    counting = _Counting(h.auth.app)
    await h.auth_server.stop()
    h.auth_server.app = counting
    await h.auth_server.start()
    yield counting


async def test_no_more_requests_than_allowed_are_at_the_server_at_once(tmp_path):
    """CONTRACT §4.7, D3: twenty users, three at a time; the others wait and are served."""
    async with house(tmp_path, auth_server={"max_concurrent": 3}) as h, counted(h) as server:
        h.auth.fault("slow", None, delay=0.02)
        answers = await asyncio.gather(*(h.get("/echo", h.expired(f"user {n}")) for n in range(20)))
        assert {a.status_code for a in answers} == {200}
        assert server.most == 3
        assert len(h.auth.token_requests) == 20


async def test_who_cannot_wait_for_a_turn_is_told_so(tmp_path):
    """CONTRACT §4.7: a bounded queue; nobody behind it loses a session."""
    async with house(tmp_path, auth_server={"max_concurrent": 1, "max_waiting": 2}) as h:
        fault = h.auth.fault("hold")
        asking = [asyncio.create_task(h.get("/echo", h.expired("first")))]
        await fault.arrived.wait()
        asking += [asyncio.create_task(h.get("/echo", h.expired(f"user {n}"))) for n in range(2)]
        await until(lambda: h.gateway.refresher.waiting == 3)
        one_more = h.expired("one more")
        answer = await h.get("/echo", one_more)
        assert (answer.status_code, code(answer)) == (503, "auth_server_unavailable")
        assert "retry-after" in answer.headers
        fault.release()
        assert {a.status_code for a in await asyncio.gather(*asking)} == {200}
        assert (await h.get("/echo", one_more)).status_code == 200


def guessing(address):
    return {"X-Forwarded-For": address}


async def test_guesses_of_one_address_are_limited_and_hurt_nobody_else(tmp_path):
    """D3: 429 after ``unknown_burst``; another address, and a token that the server gave us, go on."""
    limits = {"unknown_burst": 20, "unknown_per_second": 0.001, "min_interval": "0s"}
    async with house(tmp_path, refresh=limits, server={"trusted_proxies": ["127.0.0.0/8"]}) as h:
        mallory, behind_same = h.expired("mallory"), h.expired("bob")
        kept = new_pair(await h.get("/echo", behind_same, headers=guessing("203.0.113.9")), behind_same)
        fields = f"Host: gateway\r\nX-Forwarded-For: 203.0.113.9\r\nAuthorization: {bearer(mallory)['Authorization']}\r\n"
        guesses = [f"GET /echo HTTP/1.1\r\n{fields}X-Refresh-Token: guess-{n}\r\n\r\n" for n in range(300)]
        guesses.append(f"GET /echo HTTP/1.1\r\nConnection: close\r\n{fields}\r\n")
        answers = await h.raw("".join(guesses).encode())
        assert answers.count(b'"code": "refresh_rejected"') == 20
        assert answers.count(b'"code": "rate_limited"') == 280
        assert answers.count(b"HTTP/1.1 429 ") == 280
        assert answers.lower().count(b"\r\nretry-after: ") == 280
        assert len(h.auth.token_requests) == 1 + 20
        other = await h.get("/echo", h.expired("ada"), headers=guessing("198.51.100.7"))
        assert other.status_code == 200
        known = await h.get("/deny-once?key=a", kept, headers=guessing("203.0.113.9"))
        assert (known.status_code, known.headers["x-token-refreshed"]) == (200, "rejected")
        assert (await h.get("/echo", h.login("eve"), headers=guessing("203.0.113.9"))).status_code == 200
        assert "untrusted_forwarding" not in h.notices()


async def test_good_tokens_and_outages_do_not_count_as_guesses(tmp_path):
    """D3: a burst of users behind one address, and a server that is down for a while, bring nobody 429."""
    limits = {"unknown_burst": 3, "unknown_per_second": 0.001}
    async with house(tmp_path, refresh=limits) as h:
        for number in range(10):
            if number % 3 == 0:
                h.auth.fault("status")
                assert (await h.get("/echo", h.expired(f"unlucky {number}"))).status_code == 503
            assert (await h.get("/echo", h.expired(f"user {number}"))).status_code == 200


async def test_an_untrusted_forwarding_field_is_ignored_and_told_once(tmp_path):
    """D3, N1: behind a proxy that nobody named all users share its address: the operator must hear of it, once."""
    limits = {"unknown_burst": 5, "unknown_per_second": 0.001}
    async with house(tmp_path, refresh=limits) as h:
        access = h.expired("mallory")[0]
        answers = [
            await h.get("/echo", (access, f"guess-{n}"), headers=guessing(f"203.0.113.{n}")) for n in range(8)
        ]
        assert [a.status_code for a in answers] == [401] * 5 + [429] * 3
        told = [e for e in h.events if getattr(e, "what", "") == "untrusted_forwarding"]
        assert len(told) == 1
        assert "trusted_proxies" in told[0].detail
        echo = await h.get("/echo", h.login(), headers=guessing("203.0.113.9"))
        assert ["x-forwarded-for", "127.0.0.1"] in echo.json()["headers"]
