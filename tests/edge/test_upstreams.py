"""An upstream as the edge sees it."""

import pytest

from gateway.core.routes import Rule
from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken, Schedule, Verified
from gateway.edge.upstreams import Target


def target(**options) -> Target:
    return Target(name="", send=None, begin=None, filter=None, authority=b"api:9001", **options)


@pytest.mark.parametrize(
    ("prefix", "strip", "sent", "seen"),
    [
        (b"", b"", b"/a?b", b"/a?b"),
        (b"/v1", b"", b"/a?b", b"/v1/a?b"),
        (b"/v1", b"/billing", b"/billing/a", b"/v1/a"),
        (b"", b"/billing", b"/billing", b"/"),
        (b"", b"/billing", b"/billing?x", b"/?x"),
        (b"", b"/billing", b"/billingx", b"/billingx"),
        (b"/v1", b"", b"//evil/x", b"/v1//evil/x"),
        (b"/v1", b"", b"*", b"*"),
    ],
)
def test_the_clients_bytes_stand_between_the_prefixes(prefix, strip, sent, seen):
    """N5: concatenated, never joined as URLs are."""
    assert target(path_prefix=prefix).target(sent, Rule(strip_prefix=strip)) == seen


def test_the_host_is_the_clients_or_the_upstreams_own():
    assert target().host(b"public") == (b"host", b"public")
    assert target().host(b"") == (b"host", b"api:9001")
    assert target(preserve_host=False).host(b"public") == (b"host", b"api:9001")


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (b"http://api:9001/v1/a?b", b"https://public/billing/a?b"),
        (b"http://api:9001", b"https://public/billing"),
        (b"/v1/a", b"/billing/a"),
        (b"http://api:9001.evil/v1/a", b"http://api:9001.evil/v1/a"),
        (b"http://api:90010/a", b"http://api:90010/a"),
        (b"https://api:9001/a", b"https://api:9001/a"),
        (b"https://elsewhere/a", b"https://elsewhere/a"),
        (b"//elsewhere/a", b"//elsewhere/a"),
        (b"relative", b"relative"),
    ],
)
def test_a_location_of_the_upstreams_own_is_turned_back(sent, seen):
    """CONTRACT §6, X7: and nobody else's."""
    rule = Rule(strip_prefix=b"/billing")
    assert target(path_prefix=b"/v1").location(sent, rule, b"https", b"public") == seen


def token(**claims: object) -> AccessToken:
    verified = Verified(None, "ada", frozenset(), 0, None, None, claims)
    return AccessToken(Secret("x"), verified, Schedule(0, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("ada", b"ada"),
        ("adäle ", None),
        ("adäle", "adäle".encode()),
        (7, b"7"),
        (True, b"true"),
        (["a", "b"], b"a,b"),
        (["a", "b\r\nX: 1"], b"a"),
        ("a\r\nX: 1", None),
        ("a\x00", None),
        ("a\x85b", None),
        (None, None),
        ({"a": 1}, None),
    ],
)
def test_only_a_verified_claim_that_fits_a_field_becomes_one(claim, value):
    """P17: control characters never get out."""
    fields = target(identity={b"x-user": "c"}).identities(token(c=claim))
    assert fields == ([(b"x-user", value)] if value is not None else [])


def test_without_a_token_there_is_no_identity():
    assert target(identity={b"x-user": "sub"}).identities(None) == []


def test_a_target_does_not_show_how_it_is_reached():
    """X9: its repr could land in a log."""
    assert "send" not in repr(target())
