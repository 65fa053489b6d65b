"""The keys that tokens are verified with: from a file, from the server, gone, rotated, back (CONTRACT §3, §6)."""

import asyncio
import base64
from contextlib import asynccontextmanager

import pytest

from tests.e2e.support import code, is_keyless, until, until_status
from tests.house import house, new_pair
from upstream_stub.keys import SigningKey


@asynccontextmanager
async def file_keyed(tmp_path, algorithm, text, encoding=None):
    """A house whose gateway has the server's key in a file and no address of keys."""
    (tmp_path / "key").write_bytes(text)
    key = {"file": "key"} | ({"encoding": encoding} if encoding else {})
    sections = {
        "auth_server": {"jwks_uri": None, "issuer": None},
        "access_token": {"algorithms": [algorithm], "key": key},
    }
    async with house(tmp_path, auth={"algorithm": algorithm}, **sections) as h:
        yield h


async def serves_and_refreshes(h):
    """A valid token passes, an expired one is refreshed, a forged one is refused; nobody asked for keys."""
    assert (await h.get("/echo", h.login())).status_code == 200
    old = h.expired()
    answer = await h.get("/echo", old)
    assert answer.status_code == 200
    assert (await h.get("/echo", new_pair(answer, old))).status_code == 200
    forged = await h.get("/echo", (h.auth.mint(key=b"x" * 32, algorithm="HS256"), h.login()[1]))
    assert (forged.status_code, code(forged)) == (401, "invalid_token")
    assert len(h.auth.token_requests) == 1
    assert h.auth.jwks_requests == h.auth.metadata_requests == 0


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "EdDSA"])
async def test_a_public_key_in_a_file(tmp_path, algorithm):
    """T3, R14: static keys, end to end, and 0 requests for others; T3's forgery with the key's own text."""
    pem = SigningKey.make(algorithm).public_pem()
    async with file_keyed(tmp_path, algorithm, pem) as h:
        await serves_and_refreshes(h)
        confused = await h.get("/echo", (h.auth.mint(key=pem, algorithm="HS256"), None))
        assert (confused.status_code, code(confused)) == (401, "invalid_token")


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"], ids=["bare", "LF", "CRLF"])
async def test_a_shared_secret_in_a_file(tmp_path, end):
    """T3: HS256; the end of the line that an editor leaves is not part of the secret."""
    secret = b"a shared secret of more than 256 bits"
    async with file_keyed(tmp_path, "HS256", secret + end) as h:
        h.auth.keys = [SigningKey("HS256", secret, "only")]
        await serves_and_refreshes(h)


@pytest.mark.parametrize("write", [base64.b64encode, base64.urlsafe_b64encode], ids=["standard", "url-safe"])
async def test_a_shared_secret_as_base64_text_in_a_file(tmp_path, write):
    """T3: as Java libraries keep it, in either alphabet."""
    secret = bytes(range(224, 256)) + b"\xff\xfe"
    async with file_keyed(tmp_path, "HS256", write(secret).rstrip(b"=") + b"\n", "base64") as h:
        h.auth.keys = [SigningKey("HS256", secret, "only")]
        await serves_and_refreshes(h)


@pytest.mark.parametrize("fault", ["down", "hang", "no_keys"])
async def test_the_keys_cannot_be_had_at_the_start(tmp_path, fault):
    """B11, R13: the gateway starts, answers 503 where it needs keys, and recovers by itself."""
    async with house(tmp_path, prepare=lambda auth: auth.fault(fault, None, endpoint="jwks")) as h:
        await until(lambda: h.auth.jwks_requests)
        asking = [asyncio.create_task(h.get("/echo", pair)) for pair in (h.login(), h.expired())]
        if fault != "hang":
            for answer in await asyncio.gather(*asking):
                assert (answer.status_code, code(answer)) == (503, "auth_server_unavailable")
                assert "retry-after" in answer.headers
        h.auth.clear("jwks")
        await h.auth_server.stop()
        await h.auth_server.start()
        await until_status(h, 200, h.login())
        assert (await until_status(h, 200, h.expired())).headers["x-token-refreshed"] == "expired"
        await asyncio.gather(*asking)
        assert len(h.auth.token_requests) <= 2


async def test_the_server_is_down_at_the_start(tmp_path):
    """B11, R16: nothing is known, neither metadata nor keys; no route that needs none is disturbed."""
    sections = {"auth_server": {"jwks_uri": None, "token_endpoint": None}}
    routes = [{"match": "/health", "auth": "off"}]
    async with house(tmp_path, routes=routes, **sections) as h:
        await h.auth_server.stop()
        valid = h.login()
        assert (await until_status(h, 503, h.login("not seen"))).json()["code"] == "auth_server_unavailable"
        assert (await h.get("/health")).status_code == 200
        await h.auth_server.start()
        await until_status(h, 200, valid)
        assert (await until_status(h, 200, h.expired())).headers["x-token-refreshed"] == "expired"


@pytest.mark.parametrize("fault", ["down", "garbage", "no_keys", "status", "html"])
async def test_the_last_good_keys_serve_on(tmp_path, fault):
    """B11, T12: tokens of known keys pass and are refreshed; one of an unknown key gets 503, not 401: the key
    may be a new one."""
    async with house(tmp_path) as h:
        await until_status(h, 200, h.login())
        h.auth.fault(fault, None, endpoint="jwks")
        unknown = h.auth.mint(headers={"kid": "another"})
        h.auth.rotate_keys()
        for token in (unknown, h.auth.mint()):
            answer = await h.get("/echo", (token, None))
            assert (answer.status_code, code(answer)) == (503, "auth_server_unavailable")
        h.auth.keys = [SigningKey.make("RS256")]
        assert (await h.get("/echo", h.login())).status_code == 200
        assert (await h.get("/echo", h.expired())).status_code == 200


async def test_a_new_key_is_found_by_one_fetch(tmp_path):
    """B11, T12: a hundred tokens of a key that was just published, and of keys that never were."""
    async with house(tmp_path) as h:
        await until_status(h, 200, h.login())
        before = h.auth.jwks_requests
        h.auth.rotate_keys(keep_old=True)
        answers = await asyncio.gather(*(h.get("/echo", h.login(f"user {n}")) for n in range(50)))
        assert {a.status_code for a in answers} == {200}
        forged = [h.auth.mint(headers={"kid": f"../../{n}"}) for n in range(50)]
        answers = await asyncio.gather(*(h.get("/echo", (token, None)) for token in forged))
        assert {(a.status_code, code(a)) for a in answers} == {(401, "invalid_token")}
        assert h.auth.jwks_requests == before + 1


async def test_a_key_that_has_left_judges_expired_tokens_only(tmp_path):
    """R22: a user who returns after a key rotation is refreshed; a token that should be valid no longer is."""
    async with house(tmp_path) as h:
        old, returning, valid = h.expired("ada"), h.expired("bob"), h.login("eve")
        assert (await h.get("/echo", valid)).status_code == 200
        h.auth.rotate_keys()
        first = await until_status(h, 200, old)
        assert (await h.get("/echo", new_pair(first, old))).status_code == 200
        answer = await h.get("/echo", returning)
        assert answer.status_code == 200
        assert answer.headers["x-token-refreshed"] == "expired"
        refused = await h.get("/echo", valid)
        assert (refused.status_code, code(refused)) == (401, "invalid_token")
        assert is_keyless(refused)
        assert h.auth.presented(old[1]) == h.auth.presented(returning[1]) == 1
        assert h.auth.presented(valid[1]) == 0


async def test_discovery_alone_is_enough(tmp_path):
    """R16: issuer and client; everything else from the metadata, which are asked for once and kept."""
    async with house(tmp_path, auth_server={"jwks_uri": None, "token_endpoint": None}) as h:
        assert (await h.get("/echo", h.login())).status_code == 200
        h.auth.fault("down", None, endpoint="metadata")
        for user in ("ada", "bob"):
            assert (await h.get("/echo", h.expired(user))).status_code == 200
        assert h.auth.metadata_requests == 1
        stolen = h.login("bob")[1]
        assert (await h.get("/echo", (h.expired("ada")[0], stolen))).status_code == 401
        await until(lambda: h.auth.revocations)


@pytest.mark.parametrize("said", ["https://another.example", "{issuer}/"], ids=["other", "slash"])
async def test_metadata_of_another_issuer_are_not_used(tmp_path, said):
    """R16, R15: compared byte for byte (RFC 8414 §3.3); no token goes where they point. They may be put right."""
    visits = []
    trap = await asyncio.start_server(lambda *_: visits.append(1), "127.0.0.1", 0)
    where = f"http://127.0.0.1:{trap.sockets[0].getsockname()[1]}"

    def poison(auth):
        issuer = said.format(issuer=auth.issuer)
        auth.metadata_changes = {"issuer": issuer, "token_endpoint": where, "jwks_uri": where}

    sections = {"auth_server": {"jwks_uri": None, "token_endpoint": None}}
    async with trap, house(tmp_path, prepare=poison, **sections) as h:
        answer = await h.get("/echo", h.login())
        assert (answer.status_code, code(answer)) == (503, "auth_server_unavailable")
        assert not visits
        h.auth.metadata_changes = {}
        await until_status(h, 200, h.expired())
        assert not visits
