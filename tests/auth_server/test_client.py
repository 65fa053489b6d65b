import asyncio
import logging
import math
import random
import ssl

import pytest
import trustme

from gateway.auth_server.client import AuthServerClient, ClientSettings
from gateway.auth_server.discovery import configured
from gateway.auth_server.sender import Lost, Unsent
from gateway.core.grants import Denied, Grant, Misconfigured, Throttled, Unavailable
from gateway.core.secret import Secret
from gateway.core.token_requests import CustomSpec, StandardSpec
from gateway.events import Noticed

from .support import answering, hanging, reply, serving, token_transport

RT, AT = Secret("rt-canary"), Secret("at-canary")
SPEC = StandardSpec("gateway", Secret("cs-canary"))
GRANTED = reply({"access_token": "new-canary", "token_type": "Bearer", "refresh_token": "rt2-canary"})
DENIED = reply({"error": "invalid_grant"}, 400)


def client(url, spec=SPEC, *, revoke=None, ca_file=None, events=None, sender=None, **settings):
    return AuthServerClient(
        sender or token_transport(ca_file),
        spec,
        ClientSettings(**({"retry_wait": 0.001} | settings)),
        emit=([] if events is None else events).append,
        token_endpoint=configured(url),
        revocation_endpoint=configured(revoke) if revoke else None,
    )


async def test_a_refresh_token_is_redeemed():
    async with serving(answering(GRANTED)) as (url, seen):
        found = await client(url + "/token").redeem(RT, AT)
    assert found == Grant(Secret("new-canary"), Secret("rt2-canary"))
    assert b"refresh_token=rt-canary" in seen.requests[0]
    assert b"at-canary" not in seen.requests[0]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (DENIED, Denied()),
        (reply({"error": "invalid_grant"}), Denied()),
        (reply({"error": "invalid_client"}, 401), Misconfigured("invalid_client")),
        (reply({"error": "server_error"}, 400), Unavailable("server_error", ambiguous=False, client_error=True)),
        (reply(b"<html>", 429, "Retry-After: 9"), Throttled(9)),
    ],
)
async def test_each_answer_is_classed_and_asked_for_once(answer, found):
    """R13, B5, B8, B9, B9a"""
    async with serving(answering(answer)) as (url, seen):
        assert await client(url).redeem(RT, None) == found
    assert len(seen.requests) == 1


@pytest.mark.parametrize("answer", [b"", reply(b"<html>", 502), reply(b"[]"), reply({}, 500), reply(bytes(65537))])
async def test_after_bytes_were_sent_nothing_is_repeated(answer):
    """R10, B2b, B4, B6: one presentation, and its end is ambiguous."""
    async with serving(answering(answer)) as (url, seen):
        found = await client(url).redeem(RT, None)
    assert isinstance(found, Unavailable)
    assert found.ambiguous
    assert len(seen.requests) == seen.connections == 1


async def test_with_a_grace_a_lost_answer_is_asked_for_once_more():
    """R10, B2b"""
    async with serving(answering(b"", GRANTED)) as (url, seen):
        assert isinstance(await client(url, rotation_grace=20).redeem(RT, None), Grant)
    assert len(seen.requests) == 2
    assert seen.requests[0] == seen.requests[1]


async def test_with_a_grace_there_are_never_three_presentations():
    """R10, B2b"""
    async with serving(answering(b"")) as (url, seen):
        found = await client(url, rotation_grace=20).redeem(RT, None)
    assert isinstance(found, Unavailable)
    assert found.ambiguous
    assert len(seen.requests) == 2


async def test_a_denial_after_a_lost_answer_says_so():
    """B2b, R10"""
    async with serving(answering(b"", DENIED)) as (url, _):
        assert await client(url, rotation_grace=20).redeem(RT, None) == Denied(answer_lost=True)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (reply({"error": "slow_down"}, 429, "Retry-After: 7"), Throttled(7, answer_lost=True)),
        (reply({"error": "invalid_client"}, 401), Misconfigured("invalid_client", answer_lost=True)),
        (reply({"error": "server_error"}, 500), Unavailable("server_error", ambiguous=True)),
    ],
)
async def test_no_second_answer_but_a_grant_makes_a_lost_one_forgotten(second, expected):
    """B2b, R10: the server may have rotated when it was asked first."""
    async with serving(answering(b"", second)) as (url, _):
        assert await client(url, rotation_grace=20).redeem(RT, None) == expected


async def test_after_the_grace_a_lost_answer_is_not_asked_for_again():
    """R10: the server has forgotten the previous token by then, and would take it for theft."""

    async def slow(_, writer):
        await asyncio.sleep(0.15)
        writer.write(reply(b"<html>", 502))
        await writer.drain()

    async with serving(slow) as (url, seen):
        found = await client(url, rotation_grace=0.1).redeem(RT, None)
    assert isinstance(found, Unavailable)
    assert len(seen.requests) == 1


async def test_an_ambiguous_first_end_stays_ambiguous_when_the_second_cannot_connect():
    """R10: the server is gone when it would be asked again; it may have rotated before."""
    servers = []

    async def last_words(_, __):
        servers[0].close()

    async def connected(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await last_words(b"", writer)
        writer.transport.abort()

    servers.append(await asyncio.start_server(connected, "127.0.0.1", 0))
    port = servers[0].sockets[0].getsockname()[1]
    found = await client(f"http://127.0.0.1:{port}", rotation_grace=20).redeem(RT, None)
    await servers[0].wait_closed()
    assert isinstance(found, Unavailable)
    assert found.ambiguous


async def test_a_server_that_refuses_is_unavailable_and_not_ambiguous():
    """B1"""
    async with serving(hanging) as (url, _):
        pass
    found = await client(url).redeem(RT, None)
    assert isinstance(found, Unavailable)
    assert not found.ambiguous


async def test_before_bytes_were_sent_it_is_tried_again():
    """R10: three connections, and then patience ends; no request in any of them."""
    connections = 0

    async def slam(_, writer):
        nonlocal connections
        connections += 1
        writer.transport.abort()

    server = await asyncio.start_server(slam, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    found = await client(f"https://127.0.0.1:{port}/token").redeem(RT, None)
    server.close()
    await server.wait_closed()
    assert connections == 3
    assert isinstance(found, Unavailable)
    assert not found.ambiguous


async def test_a_server_that_comes_up_between_two_tries_is_reached():
    """R10, B1: the flight survives a restart of the authorization server."""
    async with serving(answering(GRANTED)) as (url, _):
        pass
    port = int(url.rpartition(":")[2])
    task = asyncio.create_task(client(url, attempts=1000).redeem(RT, None))
    await asyncio.sleep(0)
    async with serving(answering(GRANTED), port), asyncio.timeout(20):
        assert isinstance(await task, Grant)


class Unreachable:
    """A sender with failures to raise; when they are used up, no request leaves in time."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.asked = 0

    async def send(self, _request, *, send_by, **_):
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        while asyncio.get_running_loop().time() < send_by:  # noqa: ASYNC110  # the moment is the loop's
            await asyncio.sleep(0.01)
        raise Unsent("too late")


async def test_after_the_last_moment_it_is_not_tried_again():
    """R10: within the grace or not at all."""
    sender = Unreachable(Lost("gone"))
    desk = client("http://127.0.0.1:1/", sender=sender, rotation_grace=0.05, attempts=1000)
    assert await desk.redeem(RT, None) == Unavailable("too late", ambiguous=True)
    assert sender.asked == 2


async def test_the_pauses_between_tries_double_up_to_a_second(monkeypatch):
    """With jitter, so that many who failed at once do not come back at once."""
    longest = []
    monkeypatch.setattr(random, "uniform", lambda _, most: longest.append(most) or 0.0)
    sender = Unreachable(*[Unsent("refused")] * 7)
    found = await client("http://127.0.0.1:1/", sender=sender, attempts=7, retry_wait=0.1).redeem(RT, None)
    assert found == Unavailable("refused", ambiguous=False)
    assert (sender.asked, longest) == (7, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


class Timed:
    """A way to the server that notes until when it may be used."""

    async def send(self, request, *, deadline, max_body, send_by=math.inf):
        self.times = send_by, deadline
        raise Unsent("the connection came too late")


async def test_the_time_of_a_presentation_counts_from_its_announcement():
    """R8, B24: others wait for `late_answer` from there on, and may present the token at its end."""
    found = await client("http://127.0.0.1:1/", sender=(sender := Timed()), attempts=1).redeem(
        RT, None, since=1000.0
    )
    assert sender.times == (1015.0, 1030.0)
    assert found == Unavailable("the connection came too late", ambiguous=False)


async def test_a_server_that_hangs_is_listened_to_until_the_answer_is_too_late():
    """B2: the flight ends at `late_answer`."""
    async with serving(hanging) as (url, seen):
        found = await client(url, late_answer=0.2, rotation_grace=20).redeem(RT, None)
    assert found == Unavailable("TimeoutError", ambiguous=True)
    assert len(seen.requests) == 1


async def test_a_redirect_takes_the_token_nowhere():
    """R15, B7"""
    async with serving(answering(GRANTED)) as (elsewhere, visited):
        for status in (301, 302, 307, 308):
            async with serving(answering(reply({}, status, f"Location: {elsewhere}/token"))) as (url, _):
                assert isinstance(await client(url).redeem(RT, None), Unavailable)
    assert visited.connections == 0


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def tls(authority, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_tls_is_verified(authority, tmp_path):
    """R15: an unknown authority or another host's certificate gets no byte of the token."""
    ca_file = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(ca_file)
    async with serving(answering(GRANTED), ssl=tls(authority, "127.0.0.1")) as (url, seen):
        assert isinstance(await client(url, ca_file=ca_file).redeem(RT, None), Grant)
        found = await client(url).redeem(RT, None)
        assert isinstance(found, Unavailable)
        assert not found.ambiguous
        assert len(seen.requests) == 1
    async with serving(answering(GRANTED), ssl=tls(authority, "other.example")) as (url, seen):
        assert isinstance(await client(url, ca_file=ca_file).redeem(RT, None), Unavailable)
        assert seen.requests == []


async def test_without_a_ca_file_the_system_s_authorities_count(authority, tmp_path, monkeypatch):
    """R15: those that OpenSSL finds, as for the upstream; an operator adds his own CA to them."""
    ca_file = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(ca_file)
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    async with serving(answering(GRANTED), ssl=tls(authority, "127.0.0.1")) as (url, _):
        assert isinstance(await client(url).redeem(RT, None), Grant)


@pytest.mark.parametrize("token", ["", "a\r\nX-Admin: 1", "é"])
async def test_a_malformed_refresh_token_is_dead_without_a_call(token):
    """P17, R15"""
    async with serving(answering(GRANTED)) as (url, seen):
        assert await client(url).redeem(Secret(token), None) == Denied("malformed_token")
    assert seen.connections == 0


async def test_without_an_endpoint_nothing_is_sent():
    """B11: discovery may know it later."""
    assert await client(None).redeem(RT, None) == Unavailable("the token endpoint is not known", ambiguous=False)


async def test_a_custom_endpoint_is_asked_as_its_template_says():
    """CONTRACT, "Token endpoints that are not RFC 6749"."""
    async with serving(answering(reply({"code": 200, "data": "new-canary"}))) as (url, seen):
        spec = CustomSpec(
            f"{url}/access/refresh",
            "GET",
            headers={"Authorization": "Bearer {refresh_token}"},
            ok={"/code": (200,)},
            access_token="/data",
        )
        assert await client(None, spec).redeem(RT, None) == Grant(Secret("new-canary"))
    assert seen.requests[0].startswith(b"GET /access/refresh HTTP/1.1\r\n")
    assert b"authorization: Bearer rt-canary\r\n" in seen.requests[0]


async def test_a_template_that_cannot_be_filled_is_a_misconfiguration():
    events = []
    spec = CustomSpec("http://127.0.0.1:1/", form={"old": "{access_token}"})
    assert await client(None, spec, events=events).redeem(RT, None) == Misconfigured("unsendable_request")
    detail = "the refresh request wants an access token, and there is none"
    assert events == [Noticed(what="unsendable_request", detail=detail, alarm=True)]


async def test_a_cancelled_redemption_is_cancelled():
    arrived = asyncio.Event()

    async def silent(_, __):
        arrived.set()
        await asyncio.Event().wait()

    async with serving(silent) as (url, _), asyncio.timeout(10):
        task = asyncio.create_task(client(url).redeem(RT, None))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_grant_is_revoked():
    """R1"""
    async with serving(answering(reply(b""))) as (url, seen):
        await client(None, revoke=url + "/revoke").revoke(RT)
    assert seen.requests[0].startswith(b"POST /revoke ")
    assert seen.requests[0].endswith(b"token=rt-canary&token_type_hint=refresh_token")


@pytest.mark.parametrize(("answer", "detail"), [(b"", "the connection broke off"), (reply({}, 503), "status 503")])
async def test_a_failed_revocation_is_told_and_nothing_more(answer, detail):
    events = []
    async with serving(answering(answer)) as (url, seen):
        await client(None, revoke=url, events=events).revoke(RT)
    assert len(seen.requests) == 1
    assert events == [Noticed(what="grant_not_revoked", detail=detail)]


async def test_without_a_revocation_endpoint_nothing_is_revoked():
    events = []
    await client(None, events=events).revoke(RT)
    custom = CustomSpec("http://127.0.0.1:1/")
    await client(None, custom, revoke="http://127.0.0.1:1/", events=events).revoke(RT)
    assert events == [Noticed(what="grant_not_revoked", detail="there is no revocation endpoint")] * 2


@pytest.mark.parametrize("answer", [GRANTED, DENIED, b"", reply({"error": "rt-canary echoed"}, 400)])
async def test_no_log_at_any_level_holds_a_token_or_a_secret(answer, caplog):
    """X9; HARDENING, trap 11: also where the refresh token is in the URL."""
    caplog.set_level(logging.DEBUG)
    events = []
    async with serving(answering(answer)) as (url, _):
        custom = CustomSpec(
            url,
            query={"t": "{refresh_token}"},
            headers={"authorization": "Bearer {access_token}"},
            json={"t": "{refresh_token}"},
        )
        standard = client(url, revoke=url, events=events)
        results = [await standard.redeem(RT, AT), await client(None, custom, events=events).redeem(RT, AT)]
        await standard.revoke(RT)
    assert "canary" not in caplog.text + repr(events) + repr(results) + repr(custom) + repr(SPEC)
