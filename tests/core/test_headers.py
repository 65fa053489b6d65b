import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.forwarding import FIELDS, PREFIX
from gateway.core.headers import (
    FRAMING,
    HOP_BY_HOP,
    Crossing,
    RequestFilter,
    ResponseFilter,
    TokenNames,
    is_event_stream,
    is_invalid_token,
    is_preflight,
    spelled,
    token_fields,
    tokens,
    values,
)

OURS = TokenNames()
BARE = TokenNames(access=b"x-auth-token")
NEW = [(b"x-access-token", b"at2"), (b"x-refresh-token", b"rt2")]


def request(headers, *, access=None, conditional=True, extra=(), names=OURS):
    """What the upstream sees."""
    filtered = RequestFilter(names, [b"x-user"], FIELDS, PREFIX)
    return filtered(headers, access=access, conditional=conditional, extra=extra)


def response(headers, status=200, names=OURS, **crossing):
    """What the client sees."""
    return ResponseFilter(names)(headers, status, Crossing(**{"tokens": []} | crossing))


def fields(*lines):
    return [tuple(part.strip().encode() for part in line.split(":", 1)) for line in lines]


UNKNOWN = st.text("abcdefg", min_size=1).map(lambda name: b"q-" + name.encode())
OTHERS = st.lists(st.tuples(UNKNOWN, st.binary(max_size=10)))


@given(OTHERS, OTHERS, st.booleans())
def test_unknown_fields_survive_in_order_and_number(before, after, conditional):
    """P10, X8: both ways, whatever their bytes; what is ours goes from among them."""
    ours = fields("x-refresh-token: rt", "transfer-encoding: chunked", "x-user: eve")
    assert request(before + ours + after, conditional=conditional) == before + after
    upstreams = fields("X-Access-Token: x", "Keep-Alive: 1")
    assert response(before + upstreams + after) == before + after


def test_set_cookie_lines_stay_apart_and_keep_their_case():
    """P10: Vary, WWW-Authenticate and cookies are the upstream's own."""
    headers = fields("Set-Cookie: a=1", "Vary: Accept", "Set-Cookie: a=2; HttpOnly", "WWW-Authenticate: Basic x")
    assert response(headers) == headers


# What the upstream must not see


@pytest.mark.parametrize(
    "name",
    [
        "x-refresh-token",
        "x_refresh_token",
        "x-refresh_token",
        "x-access-token",
        "x_access_token",
        "x-access-token-expires-at",
        "x-token-refreshed",
        "x-user",
        "x_user",
        "x-forwarded-for",
        "x_forwarded_for",
        "x-real-ip",
        "forwarded",
    ],
)
def test_no_name_of_ours_reaches_the_upstream_in_any_spelling(name):
    """X1, N1: twice over."""
    sent = fields("accept: a", f"{name}: one", "q-1: b", f"{name}: two")
    assert request(sent) == fields("accept: a", "q-1: b")
    assert request(sent, extra=fields("x-user: ada")) == fields("accept: a", "q-1: b", "x-user: ada")


@pytest.mark.parametrize("access", [None, b"Bearer new"])
def test_the_upstream_sees_the_current_access_token_only(access):
    """X1"""
    sent = fields("accept: a", "authorization: Bearer old", "x-refresh-token: rt", "q: b")
    expected = fields("accept: a", "authorization: Bearer old", "q: b")
    if access is not None:
        expected[1] = (b"authorization", access)
    assert request(sent, access=access) == expected


def test_a_request_without_its_field_gets_one():
    """A refresh token alone was redeemed."""
    assert request(fields("a: b"), access=b"Bearer new") == fields("a: b", "authorization: Bearer new")


@pytest.mark.parametrize("access", [None, b"new"])
def test_a_variant_of_the_access_tokens_field_never_passes(access):
    """X1: a CGI-like server would read it as the judged token."""
    sent = fields("x_auth_token: evil", "x-auth-token: old", "x-auth_token: evil")
    assert request(sent, access=access, names=BARE) == [(b"x-auth-token", access or b"old")]


def test_other_underscores_pass():
    """P10"""
    assert request(fields("q_1: a", "x_userx: b")) == fields("q_1: a", "x_userx: b")


def test_cookies_pass_untouched():
    """X1: header mode has none of its own."""
    assert request(fields("cookie: __Host-x=1;  y=2", "cookie: z")) == fields(
        "cookie: __Host-x=1;  y=2", "cookie: z"
    )


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP | FRAMING))
def test_what_belongs_to_one_hop_ends_there(name):
    """P8: ``Upgrade: h2c`` among them."""
    assert request([(name, b"x"), (b"a", b"b")]) == [(b"a", b"b")]
    if name in HOP_BY_HOP:
        assert response([(name.title(), b"x"), (b"a", b"b")]) == [(b"a", b"b")]


@pytest.mark.parametrize("connection", ["close, Q-1", "q-1", ",,q-1 ,", "Q_1"])
def test_what_connection_names_ends_there_too(connection):
    """P8: RFC 9110 §7.6.1, both ways."""
    sent = [*fields(f"connection: {connection}"), *fields("q-1: a", "q-2: b", "q_1: c")]
    assert request(sent) == fields("q-2: b")
    assert response(sent) == fields("q-2: b")


@pytest.mark.parametrize(
    "connection", ["authorization, x-user", "Authorization", "X_USER,AUTHORIZATION", "x-forwarded-for"]
)
@pytest.mark.parametrize("access", [None, b"Bearer new"])
def test_connection_cannot_name_away_what_the_gateway_vouches_for(connection, access):
    """X6"""
    sent = fields("authorization: Bearer old", f"connection: {connection}")
    extra = fields("x-user: ada", "x-forwarded-for: 1.2.3.4")
    expected = [(b"authorization", access or b"Bearer old"), *extra]
    assert request(sent, access=access, extra=extra) == expected


@pytest.mark.parametrize(
    "name",
    ["cookie", "Set-Cookie", "VIA", "content-type", "content-encoding", "content-range", "cache-control", "vary"],
)
def test_connection_cannot_name_away_what_every_recipient_needs(name):
    """X6, P8: RFC 9110 §7.6.1: no connection option."""
    sent = fields(f"{name}: x", f"Connection: {name}, q-1", "q-1: y")
    assert response(sent) == sent[:1]
    lowered = [(n.lower(), v) for n, v in sent]
    assert request(lowered) == lowered[:1]


def test_connection_cannot_name_away_what_is_added_to_an_answer():
    """X6: new tokens, Via, CORS."""
    sent = fields("Connection: x-access-token, x-refresh-token, via, cache-control, access-control-allow-origin")
    added = fields("access-control-allow-origin: a", "via: 1.1 us")
    assert response(sent, tokens=NEW, added=added) == [*added, *fields("cache-control: no-store"), *NEW]


@pytest.mark.parametrize("name", ["proxy", "x-original-url", "x-rewrite-url", "x_original_url"])
def test_a_field_that_redirects_the_upstream_never_reaches_it(name):
    """N3, N5: CVE-2016-5385 turns ``Proxy`` into HTTP_PROXY, CVE-2018-14773 the others into the path."""
    assert request(fields(f"{name}: /admin", "q: a")) == fields("q: a")


def test_conditionals_are_taken_from_a_request_that_gets_tokens():
    """X3"""
    sent = fields("if-none-match: x", "if-modified-since: y", "if-range: z", "if-match: w")
    assert request(sent, conditional=False) == fields("if-range: z", "if-match: w")
    assert request(sent) == sent


# What the client must not see, and what it must


@pytest.mark.parametrize("name", ["X-Access-Token", "x_access_token", "X-Refresh-Token", "X_Token_Refreshed"])
def test_an_upstream_cannot_write_our_fields(name):
    """X4"""
    assert response(fields(f"{name}: evil", "A: b")) == fields("A: b")
    assert response(fields(f"{name}: evil"), tokens=NEW)[-2:] == NEW


@pytest.mark.parametrize(
    "name", ["Cache-Control", "Expires", "X-Accel-Expires", "Surrogate-Control", "CDN-Cache-Control"]
)
def test_a_response_with_tokens_is_not_stored(name):
    """X2"""
    sent = fields(f"{name}: public, max-age=600", "ETag: x")
    assert response(sent, tokens=NEW, vary=b"authorization") == [
        *fields("ETag: x", "vary: authorization", "cache-control: no-store"),
        *NEW,
    ]
    assert response(sent) == sent


@pytest.mark.parametrize(("status", "kept"), [(200, True), (204, False), (304, False), (404, True)])
def test_a_length_is_kept_where_a_body_may_be(status, kept):
    """P12: ``Connection`` cannot name it away, which would change the framing."""
    sent = fields("Content-Length: 5", "Connection: content-length")
    assert response(sent, status) == (sent[:1] if kept else [])


def test_a_location_can_be_turned_back():
    sent = fields("Location: http://upstream/a", "Content-Location: /b")
    assert response(sent, 302, location=lambda value: value.replace(b"upstream", b"gateway")) == fields(
        "Location: http://gateway/a", "Content-Location: /b"
    )
    assert response(sent, 302) == sent


def test_fields_of_an_answer_of_our_own():
    """X2"""
    assert token_fields(Crossing(tokens=[])) == []
    assert token_fields(Crossing(tokens=NEW)) == [(b"cache-control", b"no-store"), *NEW]
    assert token_fields(Crossing(tokens=[], vary=b"cookie")) == [(b"vary", b"cookie")]


# Browsers


CORS = [
    "Access-Control-Allow-Origin: *",
    "access-control-max-age: 5",
    "Access_Control_Allow_Headers: x",
    "Vary: Origin",
]


def test_what_the_upstream_says_of_cors_passes_unless_the_gateway_answers():
    """C2: in any spelling; ``Vary`` is not CORS's alone."""
    assert response(fields(*CORS), added=fields("a: b")) == fields(*CORS, "a: b")
    own = ResponseFilter(OURS, own_cors=True)
    assert own(fields(*CORS), 200, Crossing(tokens=[], added=fields("a: b"))) == fields("Vary: Origin", "a: b")


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("OPTIONS", ["origin: a", "access-control-request-method: PUT"], True),
        ("OPTIONS", ["origin: a"], False),
        ("OPTIONS", ["access-control-request-method: PUT"], False),
        ("GET", ["origin: a", "access-control-request-method: PUT"], False),
    ],
)
def test_what_a_preflight_is(method, headers, expected):
    """R17"""
    assert is_preflight(method, fields(*headers)) is expected


# Reading


@pytest.mark.parametrize(
    ("challenges", "expected"),
    [
        (['Bearer realm="x", error="invalid_token"'], True),
        (["bearer error = invalid_token"], True),
        (["Basic realm=x", 'Bearer error="invalid_token", error_description="expired"'], True),
        (['Bearer error="insufficient_scope"'], False),
        (["Bearer"], False),
        (['Basic error="invalid_token"'], False),
        ([], False),
    ],
)
def test_a_challenge_that_names_an_invalid_token(challenges, expected):
    """R18: RFC 6750 §3.1"""
    assert is_invalid_token(fields(*(f"WWW-Authenticate: {c}" for c in challenges))) is expected


def test_members_of_a_list_over_all_its_lines():
    """RFC 9110 §5.6.1"""
    headers = fields("TE: a, B ,,c", "x: y", "te: D")
    assert tokens(headers, b"te") == [b"a", b"b", b"c", b"d"]
    assert values(headers, b"te") == [b"a, B ,,c", b"D"]
    assert spelled(b"X_Refresh-Token") == b"x-refresh-token"


@pytest.mark.parametrize(
    "name", [b"x-forwarded-user", b"x-forwarded-groups", b"x-forwarded-uri", b"x_forwarded_user"]
)
def test_whatever_looks_forwarded_is_the_gateways_to_write(name):
    """N1: APIs that stood behind another proxy believe these."""
    assert request([(name, b"admin"), (b"accept", b"*/*")]) == [(b"accept", b"*/*")]


@pytest.mark.parametrize("name", [b"CDN-Cache-Control", b"Vercel-CDN-Cache-Control", b"Edge-Control"])
def test_targeted_cache_fields_go_too(name):
    """X2: RFC 9213 fields are heeded before Cache-Control."""
    kept = response([(name, b"public, max-age=60"), (b"Etag", b"1")], tokens=[(b"x-access-token", b"new")])
    assert name not in [n for n, _ in kept]
    assert (b"Etag", b"1") in kept
    assert (name, b"x") in response([(name, b"x")], tokens=[])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"text/event-stream", True),
        (b"Text/Event-Stream ; charset=utf-8", True),
        (b"text/event-streams", False),
        (b"application/json; x=text/event-stream", False),
        (b"", False),
    ],
)
def test_an_event_stream_is_known_by_its_media_type(value, expected):
    assert is_event_stream([(b"Content-Type", value)]) is expected
    assert not is_event_stream([])


# What is remembered of a shape decides as the rule does, read aloud


def kept_by_the_rule(headers, status, crossing, *, own_cors):
    """The model: each field on its own."""
    drop = HOP_BY_HOP | {spelled(n) for n in OURS.response}
    named = tokens(headers, b"connection")
    drop |= {spelled(n) for n in named} - FRAMING - FOR_EVERY_RECIPIENT
    if status in (204, 304):
        drop |= {b"content-length"}
    kept = [h for h in headers if spelled(h[0]) not in drop]
    if own_cors:
        kept = [h for h in kept if not spelled(h[0]).startswith(b"access-control-")]
    if crossing.tokens:
        kept = [h for h in kept if spelled(h[0]) not in CACHED and not h[0].lower().endswith(b"cache-control")]
    if crossing.location is not None:
        kept = [(n, crossing.location(v)) if n.lower() == b"location" else (n, v) for n, v in kept]
    return kept + crossing.added + token_fields(crossing)


FOR_EVERY_RECIPIENT = {
    *(b"cache-control", b"content-encoding", b"content-range", b"content-type", b"cookie", b"set-cookie"),
    *(b"vary", b"via", b"www-authenticate"),
}
CACHED = {b"expires", b"x-accel-expires", b"surrogate-control", b"edge-control"}
NAMES = st.sampled_from(
    sorted(
        {*HOP_BY_HOP, *FRAMING, *FOR_EVERY_RECIPIENT, *CACHED, *OURS.response, b"location", b"date", b"q-1", b"q_1"}
        | {b"access-control-allow-origin", b"access_control_max_age", b"cdn-cache-control", b"x_access_token"}
    )
)
SPELLED = st.one_of(NAMES, NAMES.map(bytes.title), NAMES.map(bytes.upper))
LISTS = st.lists(SPELLED, max_size=3).map(b", ".join)
ANSWERS = st.lists(
    st.one_of(
        st.tuples(SPELLED, st.binary(max_size=5)),
        st.tuples(st.sampled_from([b"Connection", b"connection"]), LISTS),
        st.tuples(st.just(b"Connection"), st.sampled_from([b"keep-alive", b"close", b"Close, Keep-Alive", b"q-1"])),
    ),
    max_size=8,
)
FILTERS = {own_cors: ResponseFilter(OURS, own_cors=own_cors) for own_cors in (False, True)}


@given(ANSWERS, st.sampled_from([200, 204, 302, 304]), st.booleans(), st.booleans(), st.booleans())
def test_what_is_remembered_changes_nothing(headers, status, own_cors, renewed, moved):
    """P8, P10, X2, X4, C2: filters that have seen every example before."""
    crossing = Crossing(
        tokens=NEW if renewed else [],
        vary=b"authorization" if renewed else b"",
        added=[(b"via", b"1.1 x")],
        location=(lambda value: b"/moved" + value) if moved else None,
    )
    expected = kept_by_the_rule(headers, status, crossing, own_cors=own_cors)
    assert FILTERS[own_cors](headers, status, crossing) == expected
    assert FILTERS[own_cors](list(headers), status, crossing) == expected


def test_names_without_end_are_not_remembered():
    """D6: neither shapes nor the options of ``Connection``."""
    filtered = ResponseFilter(OURS)
    for number in range(3000):
        answer = [(b"Connection", b"q-%d" % number), (b"q-%d" % number, b"x"), (b"a", b"b")]
        assert filtered(answer, 200, Crossing(tokens=[])) == [(b"a", b"b")]
    assert len(filtered._masks) <= 1024
    remembered = len(filtered._masks)
    assert filtered([(b"x" * 5000, b"y")], 200, Crossing(tokens=[])) == [(b"x" * 5000, b"y")]
    assert filtered([(b"Connection", b"x" * 5000)], 200, Crossing(tokens=[])) == []
    assert len(filtered._masks) == remembered
