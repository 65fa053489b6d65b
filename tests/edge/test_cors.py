"""What an upstream allows, passed on and remembered for our own errors; and what ``[cors]`` says in its place."""

from types import SimpleNamespace

import pytest

from gateway.core.cors import CorsPolicy
from gateway.edge.cors import OwnCors, PassedCors
from gateway.edge.options import own_answer

APP = b"https://app.example"
OTHER = b"https://other.example"
EXPOSED = (b"access-control-expose-headers", b"X-Access-Token")


def passed():
    return PassedCors(b"X-Access-Token", b"x-refresh-token")


def allowed(origin: bytes = APP, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [(b"Access-Control-Allow-Origin", origin), *more]


def said(fields):
    """An answer with these fields."""
    return SimpleNamespace(headers=fields)


def own(**changes):
    policy = {"methods": b"GET", "headers": b"a", "expose": b"b", "credentials": False, "max_age": 1}
    return OwnCors(CorsPolicy(**{"origins": frozenset({APP}), **policy, **changes}))


def test_nothing_is_allowed_before_the_upstream_did():
    """C3, C2."""
    known = passed()
    assert known.for_problem("", APP) == []
    for answer in (allowed(b"*"), allowed(OTHER), allowed() + allowed(), []):
        assert known.for_answer("", APP, said(answer), preflight=False) == []
    assert known.for_answer("", None, said(allowed()), preflight=False) == []
    assert known.for_problem("", APP) == []
    assert known.for_problem("", None) == []


def test_our_names_are_added_where_the_upstream_allows_the_origin():
    """C3: to be read on an answer, to be sent after a preflight, which does not ask for them."""
    known = passed()
    assert known.for_answer("", APP, said(allowed()), preflight=False) == [EXPOSED]
    assert known.for_answer("", APP, said(allowed()), preflight=True) == [
        (b"access-control-allow-headers", b"x-refresh-token")
    ]
    asked = [(b"access-control-request-headers", b"x-refresh-token, x-a")]
    assert known.asked(asked) == [(b"access-control-request-headers", b"x-a")]
    assert known.preflight([(b"origin", APP)]) is None


def test_the_same_allowance_for_an_answer_of_our_own():
    """C3: credentials only where the upstream allows them."""
    known = passed()
    known.for_answer("", APP, said(allowed()), preflight=True)
    fields = dict(known.for_problem("", APP))
    assert fields[b"access-control-allow-origin"] == APP
    assert fields[b"access-control-expose-headers"] == b"X-Access-Token, WWW-Authenticate, Retry-After"
    assert b"access-control-allow-credentials" not in fields
    with_credentials = allowed(APP, (b"access-control-allow-credentials", b"true"))
    known.for_answer("", APP, said(with_credentials), preflight=False)
    assert dict(known.for_problem("", APP))[b"access-control-allow-credentials"] == b"true"


def test_an_allowance_is_one_upstreams_and_one_origins():
    """C2, C3."""
    known = passed()
    known.for_answer("a", APP, said(allowed()), preflight=False)
    assert known.for_problem("b", APP) == []
    assert known.for_problem("a", APP + b".evil") == []


def test_the_memory_is_bounded():
    """D6: origins are what clients say."""
    known = passed()
    for number in range(20_000):
        origin = b"https://%d.example" % number
        known.for_answer("", origin, said(allowed(origin)), preflight=False)
    assert len(known._known) <= 10_000


def test_an_endless_origin_is_not_remembered():
    """D6: an API that allows every origin would fill the memory with whatever clients send."""
    known = passed()
    origin = b"https://" + b"a" * 300
    assert known.for_answer("", origin, said(allowed(origin)), preflight=False) == [EXPOSED]
    assert known.for_problem("", origin) == []


def test_our_own_allowance_needs_no_upstream():
    """C2: the same on answers and errors; what the upstream says counts for nothing."""
    cors = own()
    expected = [
        (b"access-control-allow-origin", APP),
        (b"access-control-expose-headers", b"b"),
        (b"vary", b"Origin"),
    ]
    assert cors.for_answer("a", APP, said(allowed(OTHER)), preflight=False) == expected
    assert cors.for_problem("a", APP) == expected
    assert cors.for_problem("a", OTHER) == cors.for_answer("a", OTHER, said(allowed(OTHER)), preflight=False)
    assert cors.for_problem("a", OTHER) == [(b"vary", b"Origin")]
    assert cors.asked(allowed()) == allowed()


ASKED = [(b"origin", APP), (b"access-control-request-method", b"GET")]


@pytest.mark.parametrize(
    ("cors", "headers", "ends"),
    [
        (own(), ASKED, True),
        (own(), [(b"origin", OTHER), *ASKED[1:]], True),
        (own(), ASKED[:1], False),
        (own(), [*ASKED[:1], (b"max-forwards", b"0")], True),
        (passed(), ASKED, False),
        (passed(), [*ASKED, (b"max-forwards", b"0")], True),
        (passed(), [(b"max-forwards", b"0")], True),
        (passed(), [(b"max-forwards", b"1")], False),
        (passed(), [(b"max-forwards", b"x")], False),
    ],
)
def test_which_options_requests_end_here(cors, headers, ends):
    """C2, R17; RFC 9110 §7.6.2."""
    fields = own_answer(cors, headers)
    assert (fields is not None) is ends
    assert fields is None or b"date" in dict(fields)
