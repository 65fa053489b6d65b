import asyncio
import json
import re

import pytest

from gateway.auth_server.discovery import (
    Discovery,
    DiscoverySettings,
    Metadata,
    configured,
    read_metadata,
    well_known_urls,
)
from gateway.events import Noticed

from .support import ISSUER, Clock, answering, hanging, outbound, reply, serving

ENDPOINTS = {"token_endpoint": f"{ISSUER}/token", "jwks_uri": f"{ISSUER}/keys"}


def document(issuer=ISSUER, **more):
    return json.dumps({"issuer": issuer} | ENDPOINTS | more).encode()


@pytest.mark.parametrize(
    ("issuer", "urls"),
    [
        (
            "https://as.example",
            (
                "https://as.example/.well-known/oauth-authorization-server",
                "https://as.example/.well-known/openid-configuration",
            ),
        ),
        (
            "https://as.example:8443/realms/one/",
            (
                "https://as.example:8443/.well-known/oauth-authorization-server/realms/one",
                "https://as.example:8443/realms/one/.well-known/openid-configuration",
            ),
        ),
    ],
)
def test_the_two_addresses_of_metadata(issuer, urls):
    """RFC 8414 §3.1 inserts its name before the path, OpenID appends."""
    assert well_known_urls(issuer) == urls


def test_the_endpoints_are_read():
    assert read_metadata(ISSUER, document(revocation_endpoint=None)) == Metadata(
        f"{ISSUER}/token", f"{ISSUER}/keys"
    )


@pytest.mark.parametrize("issuer", [f"{ISSUER}/", "https://AS.example", "https://evil.example", None, 1, [ISSUER]])
def test_metadata_of_another_issuer_is_refused(issuer):
    """R16: byte for byte (RFC 8414 §3.3)."""
    with pytest.raises(ValueError, match="not of the configured issuer"):
        read_metadata(ISSUER, document(issuer))


@pytest.mark.parametrize(
    "url",
    [
        "http://as.example/token",
        "ftp://as.example/token",
        "//as.example/token",
        "https://user@as.example/token",
        "https:///token",
        "https://as.example/token#x",
        "https://as.example/to\nken",
        "https://as.example/to ken",
        "https://äs.example/token",
        7,
        ["https://as.example/token"],
    ],
)
def test_an_https_issuer_hands_out_plain_https_endpoints_only(url):
    """R15, R16"""
    with pytest.raises(ValueError, match="token_endpoint"):
        read_metadata(ISSUER, document(token_endpoint=url))


def test_an_http_issuer_on_loopback_may_use_http():
    issuer = "http://127.0.0.1:9000"
    body = json.dumps({"issuer": issuer, "token_endpoint": f"{issuer}/token"}).encode()
    assert read_metadata(issuer, body) == Metadata(f"{issuer}/token")


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'"x"'])
def test_what_is_no_metadata_is_refused(body):
    """R16, B4"""
    with pytest.raises(ValueError, match=r"JSON|issuer"):
        read_metadata(ISSUER, body)


def discovery(issuer, clock=None, events=None, **settings):
    return Discovery(
        outbound(),
        DiscoverySettings(issuer, **settings),
        emit=([] if events is None else events).append,
        clock=clock or Clock(),
    )


def origin(request):
    """The server's own address, as the client names it."""
    return "http://" + re.search(rb"(?i)\nhost: ([^\r]+)", request)[1].decode()


async def handing_out(writer, issuer, **more):
    writer.write(
        reply({"issuer": issuer, "token_endpoint": f"{issuer}/token", "jwks_uri": f"{issuer}/keys"} | more)
    )
    await writer.drain()


async def test_it_is_fetched_when_first_needed_and_once():
    async def handler(request, writer):
        await handing_out(writer, origin(request), revocation_endpoint=f"{issuer}/revoke")

    async with serving(handler) as (issuer, seen):
        found = discovery(issuer)
        assert seen.connections == 0
        urls = await asyncio.gather(found.token_endpoint(), found.jwks_uri(), found.revocation_endpoint())
    assert urls == [f"{issuer}/token", f"{issuer}/keys", f"{issuer}/revoke"]
    assert seen.connections == 1
    assert seen.requests[0].startswith(b"GET /.well-known/oauth-authorization-server HTTP/1.1\r\n")


async def test_openid_metadata_serves_where_rfc_8414_does_not():
    async def handler(request, writer):
        if b"openid-configuration" in request:
            await handing_out(writer, origin(request))
        writer.write(reply({}, 404))

    async with serving(handler) as (issuer, _):
        assert await discovery(issuer).token_endpoint() == f"{issuer}/token"


async def test_the_last_good_metadata_is_kept():
    """R16: a failure, or an answer of another issuer, changes nothing; attempts are throttled."""
    good = True

    async def handler(request, writer):
        if good:
            await handing_out(writer, origin(request))
        await handing_out(writer, "https://evil.example")

    clock = Clock()
    async with serving(handler) as (issuer, seen):
        found = discovery(issuer, clock)
        assert await found.token_endpoint() == f"{issuer}/token"
        good = False
        clock.now += 3601
        for _ in range(50):
            assert await found.token_endpoint() == f"{issuer}/token"
        for _ in range(5):
            if found._fetch.running:
                await found._fetch.join()
            assert await found.token_endpoint() == f"{issuer}/token"
    assert len(seen.requests) == 3


async def test_it_recovers_by_itself_and_does_not_hammer():
    """B11: at most one attempt in a second; then it is known."""
    good = False

    async def handler(request, writer):
        if good:
            await handing_out(writer, origin(request))
        writer.write(reply({}, 503))

    clock = Clock()
    async with serving(handler) as (issuer, seen):
        found = discovery(issuer, clock)
        for _ in range(20):
            assert await found.token_endpoint() is None
        assert len(seen.requests) == 2
        good = True
        assert await found.jwks_uri() is None
        clock.now += 1
        assert await found.jwks_uri() == f"{issuer}/keys"
        assert (await found.revocation_endpoint()) is None


async def test_metadata_of_no_use_is_told():
    """R16, X9: what failed at both addresses, and neither of these."""
    events = []
    async with serving(answering(reply({"canary": 1}, 503), reply({"issuer": "canary"}))) as (url, _):
        assert await discovery(url, events=events).metadata() is None
    details = ("status 503", "the metadata is not of the configured issuer")
    assert events == [Noticed(what="metadata_not_usable", detail=detail) for detail in details]


async def test_metadata_without_end_is_cut_off():
    """B6"""
    padding = ""

    async def handler(request, writer):
        await handing_out(writer, origin(request), padding=padding)

    async with serving(handler) as (url, _):
        assert await discovery(url).metadata() is not None
        padding = "x" * 300_000
        assert await discovery(url).metadata() is None


async def test_a_server_that_hangs_is_left():
    """B2"""
    async with serving(hanging) as (url, _):
        assert await discovery(url, timeout=0.05).metadata() is None


async def test_it_can_be_closed_in_the_middle():
    async with serving(hanging) as (url, _):
        found = discovery(url)
        waiter = asyncio.create_task(found.revocation_endpoint())
        await asyncio.sleep(0)
        await found.close()
        assert await waiter is None


async def test_a_configured_endpoint_is_what_it_is():
    assert await configured("https://x/token")() == "https://x/token"
    assert await configured(None)() is None
