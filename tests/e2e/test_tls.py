"""TLS to the client and to the API, with a certification authority of our own."""

import datetime as dt
import hashlib
import json
import ssl
from contextlib import asynccontextmanager

import httpx
import pytest
import trustme

from tests import lanes
from tests.e2e.raw_client import connected, head_bytes
from tests.e2e.support import code, until
from tests.house import house, new_pair
from upstream_stub.api import Api
from upstream_stub.pattern import pattern_sha256
from upstream_stub.serving import Serving

pytestmark = lanes.BOTH

SIZE = 3_000_000


class Authority:
    """A CA, with its files."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder = folder
        self.ca = trustme.CA()
        self.file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.file)

    def certify(self, *names: str, **more) -> tuple[str, str]:
        """Files of a certificate chain and of its key."""
        certificate = self.ca.issue_cert(*names, **more)
        chain, key = self.folder / f"{names[0]}.pem", self.folder / f"{names[0]}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(key)
        return str(chain), str(key)

    def context(self) -> ssl.SSLContext:
        """What a client that trusts this CA alone uses."""
        return ssl.create_default_context(cafile=str(self.file))


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls") / "theirs")


@asynccontextmanager
async def listening(tmp_path, ours, **sections):
    """A house whose door is TLS, and a client that trusts our CA alone."""
    cert, key = ours.certify("localhost", "127.0.0.1")
    async with (
        house(tmp_path, server={"tls": {"cert": cert, "key": key}}, **sections) as h,
        httpx.AsyncClient(verify=ours.context(), trust_env=False) as client,
    ):
        await h.client.aclose()
        h.client = client
        yield h


@asynccontextmanager
async def behind(tmp_path, certificate, api=None, **upstream):
    """A house whose API speaks TLS."""
    stub = api or Api()
    async with (
        Serving(stub, certfile=certificate[0], keyfile=certificate[1]) as serving,
        house(tmp_path, upstream={"url": serving.url, **upstream}) as h,
    ):
        yield h, stub, serving


async def test_the_story_over_tls(tmp_path, ours):
    """CONTRACT §1, §6: the listener's own certificate; the API hears that the client spoke https."""
    async with listening(tmp_path, ours) as h:
        assert h.url.startswith("https://")
        old = h.expired()
        answer = await h.get("/echo", old)
        assert answer.status_code == 200
        assert h.api.requests[-1].values(b"x-forwarded-proto") == [b"https"]
        assert (await h.get("/echo", new_pair(answer, old))).status_code == 200


async def test_large_bodies_cross_tls_both_ways(tmp_path, ours):
    """P11: byte for byte."""
    async with listening(tmp_path, ours) as h:
        pair = h.login()
        down = await h.get(f"/bytes?size={SIZE}", pair)
        assert hashlib.sha256(down.content).hexdigest() == pattern_sha256(SIZE)
        up = await h.request("POST", "/upload", pair, content=down.content)
        assert up.json() == {"length": SIZE, "sha256": pattern_sha256(SIZE)}


async def test_plain_http_to_a_tls_listener_hurts_nobody(tmp_path, ours):
    """D5: it is closed; the next client is served."""
    async with listening(tmp_path, ours) as h:
        assert b"HTTP/1.1 200" not in await h.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await h.get("/echo", h.login())).status_code == 200


async def test_a_broken_body_is_cut_without_an_end_of_tls(tmp_path, ours):
    """P15: neither HTTP nor TLS says that it was complete."""
    async with listening(tmp_path, ours) as h, connected(h, tls=ours.context()) as client:
        await client.send(head_bytes(target="/break?after=1000&chunked=1", pair=h.login()))
        answer = await client.answer()
        assert not answer.complete


async def test_a_client_that_leaves_over_tls_ends_its_request(tmp_path, ours):
    """B22: the same as without."""
    async with listening(tmp_path, ours) as h:
        async with connected(h, tls=ours.context()) as client:
            await client.send(head_bytes(target="/slow?seconds=60", pair=h.login()))
            await until(lambda: h.api.active == 1)
        await until(lambda: h.api.active == 0)
        assert h.api.cancelled == 1


async def test_an_early_413_over_tls_reaches_the_client(tmp_path, ours):
    """B15: TLS at both doors."""
    certificate = ours.certify("127.0.0.1")
    async with Serving(Api(), certfile=certificate[0], keyfile=certificate[1]) as serving:
        upstream = {"url": serving.url, "ca_file": str(ours.file)}
        async with listening(tmp_path, ours, upstream=upstream) as h:
            for mode, last in (("close", []), ("linger", []), ("close", [(b"Connection", b"close")])):
                async with connected(h, tls=ours.context()) as client:
                    fields = [(b"Content-Length", b"%d" % SIZE), *last]
                    await client.send(head_bytes("POST", f"/early-413?mode={mode}", h.login(), fields))
                    await client.send(b"x" * SIZE)
                    answer = await client.answer()
                    assert (answer.status, json.loads(answer.body)) == (413, {"error": "too large"})
                    if last:
                        assert await client.rest() == b""


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_an_api_that_our_own_ca_vouches_for_is_spoken_to(tmp_path, ours, name):
    """CONTRACT §6: ca_file; over one connection for many requests, bodies both ways."""
    async with behind(tmp_path, ours.certify(name), ca_file=str(ours.file)) as (h, api, serving):
        if name == "localhost":
            assert (await h.get("/echo", h.login())).status_code == 502  # the certificate names another host
            return
        pair = h.login()
        for _ in range(3):
            answer = await h.get(f"/bytes?size={SIZE}", pair)
            assert hashlib.sha256(answer.content).hexdigest() == pattern_sha256(SIZE)
            up = await h.request("POST", "/upload", pair, content=answer.content)
            assert up.json()["sha256"] == pattern_sha256(SIZE)
        assert serving.connections == 1
        assert api.count == 6


@pytest.mark.parametrize("case", ["another CA", "no CA of ours", "another name", "expired"])
async def test_an_api_that_nobody_vouches_for_is_not_spoken_to(tmp_path, ours, theirs, case):
    """B12, R15: 502; not one byte of HTTP reaches it, and nobody is told its address or why."""
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    more = {"not_after": past, "not_before": past - dt.timedelta(days=1)} if case == "expired" else {}
    certificate = ours.certify("api.example" if case == "another name" else "127.0.0.1", **more)
    trust = {"another CA": {"ca_file": str(theirs.file)}, "no CA of ours": {}}.get(
        case, {"ca_file": str(ours.file)}
    )
    async with behind(tmp_path, certificate, **trust) as (h, api, serving):
        old = h.expired()
        answer = await h.get("/echo", old)
        assert (answer.status_code, code(answer)) == (502, "upstream_unreachable")
        assert new_pair(answer, old)[0] != old[0]
        said = answer.text + str(answer.headers) + repr(h.events)
        assert not {word for word in (str(serving.port), "certificate", "SSL", "api.example") if word in said}
        assert api.count == 0
        await until(lambda: serving.connections == 0)
        assert h.gateway.upstreams[""].active == 0


async def test_an_api_that_speaks_no_tls_is_a_502(tmp_path, ours):
    """B17: plain HTTP where TLS is configured; nothing of the request leaves."""
    async with house(tmp_path, api=Api()) as plain:
        url = plain.api_server.url.replace("http:", "https:")
        folder = tmp_path / "second"
        folder.mkdir()
        async with house(folder, upstream={"url": url, "ca_file": str(ours.file)}) as h:
            answer = await h.get("/echo", h.login())
            assert (answer.status_code, code(answer)) == (502, "upstream_unreachable")
        assert plain.api.count == 0


async def test_a_client_that_leaves_ends_a_request_to_a_tls_api(tmp_path, ours):
    """B22: the connection is closed without waiting for a farewell."""
    async with behind(tmp_path, ours.certify("127.0.0.1"), ca_file=str(ours.file)) as (h, api, _):
        for target in ("/slow?seconds=60", "/stream?chunks=0&interval=0.01"):
            async with connected(h) as client:
                await client.send(head_bytes(target=target, pair=h.login()))
                await until(lambda: api.active == 1)
            await until(lambda: api.active == 0)
        assert api.cancelled == 2
        assert (h.gateway.upstreams[""].active, h.gateway.upstreams[""].idle) == (0, 0)
