import pytest

from gateway.core.cors import CorsPolicy, allows_origin, listing, origin_of, without_requested

APP = b"https://app.example"
PREFLIGHT_VARY = (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")


def policy(*, credentials=False):
    return CorsPolicy(
        origins=frozenset({APP, b"http://localhost:3000"}),
        methods=b"GET, PUT",
        headers=b"authorization, Content-Type",
        expose=b"x-access-token",
        credentials=credentials,
        max_age=600,
    )


def fields(*lines):
    return [tuple(part.strip().encode() for part in line.split(":", 1)) for line in lines]


STRANGERS = [
    b"https://evil.example",
    b"https://app.example.evil.example",
    b"https://app.example:444",
    b"https://app.example:443",
    b"http://app.example",
    b"https://APP.example",
    b"https://app.example/",
    b"https://xapp.example",
    b"https://sub.app.example",
    b"null",
    b"*",
    b"",
]


@pytest.mark.parametrize("credentials", [True, False])
def test_a_listed_origin_is_told_all_that_is_allowed(credentials):
    """C2: one origin, never ``*``; what was asked is not reflected."""
    asked = [(b"origin", APP), (b"access-control-request-headers", b"x-evil")]
    allowed = [(b"access-control-allow-credentials", b"true")] * credentials
    assert policy(credentials=credentials).for_preflight(asked) == [
        (b"access-control-allow-origin", APP),
        *allowed,
        (b"access-control-allow-methods", b"GET, PUT"),
        (b"access-control-allow-headers", b"authorization, Content-Type"),
        (b"access-control-max-age", b"600"),
        PREFLIGHT_VARY,
    ]
    assert policy(credentials=credentials).for_answer(APP, []) == [
        (b"access-control-allow-origin", APP),
        *allowed,
        (b"access-control-expose-headers", b"x-access-token"),
        (b"vary", b"Origin"),
    ]


@pytest.mark.parametrize("origin", STRANGERS)
def test_another_origin_is_told_nothing_but_that_answers_differ(origin):
    """C2: compared byte for byte, as browsers do."""
    strict = policy(credentials=True)
    assert strict.for_preflight([(b"origin", origin)]) == [PREFLIGHT_VARY]
    assert strict.for_answer(origin, []) == [(b"vary", b"Origin")]


def test_an_answer_to_nobody_varies_too():
    """C2: or a cache would give it to a page, which could not read it."""
    assert policy().for_answer(None, []) == [(b"vary", b"Origin")]
    assert policy().for_preflight([(b"origin", APP), (b"origin", APP)]) == [PREFLIGHT_VARY]


def test_no_page_gets_into_a_private_network():
    """C2: Private Network Access asks with a field of its own, and is not answered."""
    asked = [(b"origin", APP), (b"access-control-request-private-network", b"true")]
    assert b"access-control-allow-private-network" not in dict(policy().for_preflight(asked))


@pytest.mark.parametrize("vary", ["Vary: Origin", "vary: accept, ORIGIN", "VARY: *"])
def test_vary_is_not_said_twice(vary):
    """C2"""
    assert policy().for_answer(None, fields(vary)) == []
    assert policy().for_answer(None, fields("Vary: X-Origin")) == [(b"vary", b"Origin")]


def test_each_name_is_listed_once():
    """C2: as it was spelled first."""
    assert (
        listing((b"authorization", b"x-rt"), [b"Authorization", b"X-A", b"x-a"], []) == b"authorization, x-rt, X-A"
    )
    assert listing() == b""


@pytest.mark.parametrize(
    ("headers", "origin"),
    [([], None), (["origin: a"], b"a"), (["origin: a", "origin: b"], None), (["x-origin: a"], None)],
)
def test_the_one_origin_of_a_request(headers, origin):
    """C2: two of them are nobody's."""
    assert origin_of(fields(*headers)) == origin


@pytest.mark.parametrize(
    ("upstream", "allowed"),
    [
        (["Access-Control-Allow-Origin: https://app.example"], True),
        (["access-control-allow-origin: https://app.example"], True),
        (["Access-Control-Allow-Origin: *"], False),
        (["Access-Control-Allow-Origin: https://other"], False),
        (["Access-Control-Allow-Origin: https://app.example"] * 2, False),
        (["Access-Control-Allow-Origin: https://app.example, https://app.example"], False),
        ([], False),
    ],
)
def test_which_origin_an_upstream_allows(upstream, allowed):
    """C3: exactly one, by its name."""
    assert allows_origin(fields(*upstream), APP) is allowed


@pytest.mark.parametrize(
    ("asked", "passed_on"),
    [
        ("x-refresh-token", None),
        ("X-Refresh-Token", None),
        ("a, x-refresh-token ,B", "a,B"),
        ("a,  B", "a,  B"),
        ("", ""),
    ],
)
def test_a_preflight_does_not_ask_the_upstream_for_what_only_we_read(asked, passed_on):
    """C3"""
    name = "access-control-request-headers"
    expected = fields("a: b", *([f"{name}: {passed_on}"] if passed_on is not None else []), "c: d")
    assert without_requested(fields("a: b", f"{name}: {asked}", "c: d"), b"x-refresh-token") == expected
