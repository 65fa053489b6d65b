"""W1: what is a handshake, what goes to the upstream, and which answer of its opens a tunnel."""

import pytest

from gateway.core.errors import GatewayError, UpstreamProtocolError
from gateway.core.websocket import Handshake, asks_for_websocket

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The example of RFC 6455 §1.3."""
ASKED = [(b"host", b"a"), (b"connection", b"keep-alive, Upgrade"), (b"upgrade", b"WebSocket")]
PROPER = [(b"sec-websocket-key", KEY), (b"sec-websocket-version", b"13")]
TAKEN = [(b"Upgrade", b"websocket"), (b"Connection", b"upgrade"), (b"Sec-WebSocket-Accept", ACCEPT)]


def shake(*protocols):
    return Handshake.read([*ASKED, *PROPER, *((b"sec-websocket-protocol", p) for p in protocols)])


def test_a_get_that_asks_for_it_is_a_handshake():
    assert asks_for_websocket("GET", "1.1", ASKED, has_body=False)


@pytest.mark.parametrize(
    ("method", "version", "headers", "has_body"),
    [
        ("POST", "1.1", ASKED, False),
        ("GET", "1.0", ASKED, False),
        ("GET", "1.1", ASKED, True),
        ("GET", "1.1", [(b"connection", b"upgrade"), (b"upgrade", b"h2c")], False),
        ("GET", "1.1", [(b"connection", b"close"), (b"upgrade", b"websocket")], False),
        ("GET", "1.1", [(b"upgrade", b"websocket")], False),
    ],
)
def test_anything_else_is_an_ordinary_request(method, version, headers, has_body):
    assert not asks_for_websocket(method, version, headers, has_body=has_body)


def test_one_of_several_upgrades_will_do():
    assert asks_for_websocket(
        "GET", "1.1", [(b"connection", b"upgrade"), (b"upgrade", b"h2c, websocket")], has_body=False
    )


@pytest.mark.parametrize("version", [[], [b"8"], [b"12"], [b"13", b"13"], [b"13, 8"], [b"013"], [b"x"]])
def test_another_version_than_13_is_told_which(version):
    fields = [(b"sec-websocket-key", KEY), *((b"sec-websocket-version", v) for v in version)]
    with pytest.raises(GatewayError) as refused:
        Handshake.read([*ASKED, *fields])
    problem = refused.value.problem
    assert (problem.status, problem.code) == (426, "websocket_version")
    assert (b"sec-websocket-version", b"13") in problem.fields


@pytest.mark.parametrize(
    "keys",
    [[], [b""], [b"short"], [KEY, KEY], [b"dGhlIHNhbXBsZSBub25jZQ"], [KEY + b"AAAA"], [b"*" * 24], [b"\xff" * 24]],
)
def test_a_key_that_is_not_16_bytes_is_refused(keys):
    fields = [(b"sec-websocket-version", b"13"), *((b"sec-websocket-key", k) for k in keys)]
    with pytest.raises(GatewayError) as refused:
        Handshake.read([*ASKED, *fields])
    assert (refused.value.problem.status, refused.value.problem.code) == (400, "bad_request")


def test_the_upstream_gets_the_same_handshake_without_extensions():
    sent = [*ASKED, *PROPER, (b"sec-websocket-extensions", b"permessage-deflate"), (b"sec_websocket_key", b"x")]
    handshake = Handshake.read([*sent, (b"sec-websocket-protocol", b"a, b"), (b"sec-websocket-protocol", b"c")])
    assert handshake.without(sent) == ASKED
    assert handshake.request_fields == [
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", KEY),
        (b"sec-websocket-protocol", b"a, b"),
        (b"sec-websocket-protocol", b"c"),
    ]


def test_an_unknown_field_of_that_family_passes():
    assert shake().without([(b"sec-websocket-location", b"x")]) == [(b"sec-websocket-location", b"x")]


def test_a_proper_101_is_taken_up():
    shake().verify(TAKEN)
    shake(b"chat, superchat", b"v2").verify([*TAKEN, (b"sec-websocket-protocol", b"v2")])


@pytest.mark.parametrize(
    "headers",
    [
        TAKEN[1:],
        [(b"Upgrade", b"h2c"), *TAKEN[1:]],
        [(b"Upgrade", b"websocket, h2c"), *TAKEN[1:]],
        [TAKEN[0], TAKEN[2]],
        [TAKEN[0], (b"connection", b"close"), TAKEN[2]],
        TAKEN[:2],
        [*TAKEN, TAKEN[2]],
        [*TAKEN[:2], (b"sec-websocket-accept", b"AAAA")],
        [*TAKEN[:2], (b"sec-websocket-accept", ACCEPT.lower())],
        [*TAKEN, (b"sec-websocket-extensions", b"permessage-deflate")],
        [*TAKEN, (b"sec-websocket-extensions", b"")],
        [*TAKEN, (b"sec-websocket-protocol", b"other")],
        [*TAKEN, (b"sec-websocket-protocol", b"chat"), (b"sec-websocket-protocol", b"chat")],
        [*TAKEN, (b"sec-websocket-protocol", b"")],
        [*TAKEN, (b"Content-Length", b"0")],
        [*TAKEN, (b"transfer-encoding", b"chunked")],
    ],
)
def test_any_other_101_opens_no_tunnel(headers):
    with pytest.raises(UpstreamProtocolError):
        shake(b"chat").verify(headers)


def test_the_client_gets_the_answer_to_its_own_key():
    assert shake(b"chat").response_fields([*TAKEN, (b"Sec-WebSocket-Protocol", b"chat")]) == [
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-accept", ACCEPT),
        (b"sec-websocket-protocol", b"chat"),
    ]
