"""What an upstream allowed, remembered for our own errors."""

from gateway.edge.cors import Allowances

APP = b"https://app.example"


def allowed(origin: bytes = APP, *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [(b"Access-Control-Allow-Origin", origin), *more]


def test_nothing_is_allowed_before_the_upstream_did():
    """C3, C2."""
    known = Allowances(b"X-Access-Token")
    assert known.for_problem("", APP) == []
    known.learn("", APP, allowed(b"*"))
    known.learn("", APP, allowed(b"https://other.example"))
    known.learn("", APP, allowed() + allowed())
    assert known.for_problem("", APP) == []
    assert known.for_problem("", None) == []


def test_the_same_allowance_for_an_answer_of_our_own():
    """C3: credentials only where the upstream allows them."""
    known = Allowances(b"X-Access-Token")
    known.learn("", APP, allowed())
    fields = dict(known.for_problem("", APP))
    assert fields[b"access-control-allow-origin"] == APP
    assert fields[b"access-control-expose-headers"] == b"X-Access-Token, WWW-Authenticate, Retry-After"
    assert b"access-control-allow-credentials" not in fields
    known.learn("", APP, allowed(APP, (b"access-control-allow-credentials", b"true")))
    assert dict(known.for_problem("", APP))[b"access-control-allow-credentials"] == b"true"


def test_an_allowance_is_one_upstreams_and_one_origins():
    """C2, C3."""
    known = Allowances(b"X")
    known.learn("a", APP, allowed())
    assert known.for_problem("b", APP) == []
    assert known.for_problem("a", APP + b".evil") == []


def test_the_memory_is_bounded():
    """D6: origins are what clients say."""
    known = Allowances(b"X")
    for number in range(20_000):
        origin = b"https://%d.example" % number
        known.learn("", origin, allowed(origin))
    assert len(known._known) <= 10_000


def test_an_endless_origin_is_not_remembered():
    """D6: an API that allows every origin would fill the memory with whatever clients send."""
    origin = b"https://" + b"a" * 300
    known = Allowances(b"x")
    known.learn("", origin, allowed(origin))
    assert known.for_problem("", origin) == []
