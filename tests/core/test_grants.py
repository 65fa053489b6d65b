import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.grants import (
    DEFAULT_RETRY_AFTER,
    Denied,
    Grant,
    Misconfigured,
    Throttled,
    Unavailable,
    answer_lost,
    read_answer,
    retry_after,
)
from gateway.core.secret import Secret
from gateway.core.token_requests import CustomSpec, StandardSpec

SPEC = StandardSpec("gateway")
NOW = 1_750_000_000.0
TOKENS = {"access_token": "at-1", "token_type": "Bearer"}


def answer(document, status=200, headers=(), spec=SPEC):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_answer(spec, status, headers, body, NOW)


def granted(**more):
    return answer({name: value for name, value in (TOKENS | more).items() if value is not ...})


def test_a_grant_is_read():
    """R14"""
    found = granted(refresh_token="rt-2", expires_in=3600, scope="a b")
    assert found == Grant(Secret("at-1"), Secret("rt-2"), 3600, None, "a b")
    assert "at-1" not in repr(found)


@pytest.mark.parametrize("absent", [..., None, ""])
def test_without_a_new_refresh_token_the_old_one_stays(absent):
    assert granted(refresh_token=absent).refresh_token is None


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_the_token_type_ignores_case(kind):
    """R14; RFC 6749 §5.1."""
    assert isinstance(granted(token_type=kind), Grant)


@pytest.mark.parametrize("kind", ["DPoP", "dpop", "PoP", "MAC"])
def test_a_sender_constrained_token_is_never_taken_for_a_bearer_token(kind):
    """T15"""
    assert granted(token_type=kind) == Misconfigured("sender_constrained_token_type")


@pytest.mark.parametrize("kind", [..., None, 1, "N_A", "", "Bearer "])
def test_another_token_type_is_no_usable_answer(kind):
    """R14"""
    assert isinstance(granted(token_type=kind), Unavailable)


@pytest.mark.parametrize(
    "token", ["a b", "a\r\nX: y", "a\n", "a\0", "é", "a\x7f", "", 7, None, ["a"], {}, True, "\ud800"]
)
def test_a_token_that_could_break_a_header_is_no_token(token):
    """R14, P17: CR, LF, space, control and non-ASCII characters; other types; nothing at all."""
    assert granted(access_token=token) == Unavailable(granted(access_token=token).reason, ambiguous=True)
    if token not in ("", None):
        assert isinstance(granted(refresh_token=token), Unavailable)


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [(3600, 3600), ("3600", 3600), (0, 0), (0.5, 0.5), (..., None), (None, None)],
)
def test_a_lifetime_is_a_number_or_its_digits(sent, seconds):
    """R14"""
    assert granted(expires_in=sent).expires_in == seconds


@pytest.mark.parametrize("sent", [-1, True, 1e300, "1h", "-5", "", "\uff19", [3600], 1_750_003_600, "9" * 40])
def test_an_absurd_lifetime_is_no_usable_answer(sent):
    """R14: negative, bool, endless, text, a point in time."""
    assert isinstance(granted(expires_in=sent), Unavailable)


def test_an_infinite_lifetime_is_no_usable_answer():
    """R14"""
    body = b'{"access_token":"a","token_type":"Bearer","expires_in":1e999}'
    assert isinstance(answer(body), Unavailable)


@pytest.mark.parametrize("scope", [7, None, "a\nb", "x" * 5000])
def test_a_broken_scope_is_left_out(scope):
    assert granted(scope=scope).scope is None


@pytest.mark.parametrize("id_token", ["", "a.b.c", 7, None, {"alg": "none"}, "x\r\n"])
def test_a_broken_id_token_discards_nothing(id_token):
    """R3"""
    assert granted(id_token=id_token, refresh_token="rt-2").refresh_token == Secret("rt-2")


def test_a_byte_order_mark_loses_nobody_a_rotation():
    assert isinstance(answer(b"\xef\xbb\xbf" + json.dumps(TOKENS).encode()), Grant)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 429, 500, 302])
def test_invalid_grant_is_a_denial_whatever_the_status(status):
    """B8, B9a"""
    assert answer({"error": "invalid_grant"} | TOKENS, status) == Denied()


@pytest.mark.parametrize(
    "error",
    ["invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type", "invalid_request"],
)
@pytest.mark.parametrize("status", [200, 400, 401, 403, 429, 503])
def test_an_error_about_us_is_a_misconfiguration(error, status):
    """R13, B9, B9a: nobody is logged out."""
    assert answer({"error": error}, status) == Misconfigured(error)


@pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable"])
@pytest.mark.parametrize("status", [200, 400, 403, 503])
def test_a_transient_error_is_an_answer_and_not_ambiguous(error, status):
    """R13, B9a: server_error with 400."""
    client_error = status in (400, 403)
    assert answer({"error": error}, status) == Unavailable(error, ambiguous=False, client_error=client_error)


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (200, Misconfigured("bad_refresh_token")),
        (400, Misconfigured("bad_refresh_token")),
        (500, Unavailable("bad_refresh_token", ambiguous=False)),
        (429, Throttled(DEFAULT_RETRY_AFTER)),
    ],
)
def test_an_error_of_no_standard_is_classed_by_status(status, found):
    assert answer({"error": "bad_refresh_token"}, status) == found


@pytest.mark.parametrize("error", ["rt-canary-123", "a\r\nb", "\x1b[31m", "x" * 41, "Token eyJhbGciOi", "é"])
def test_an_error_that_is_no_name_reaches_no_log(error):
    """X9: a server may echo the token; CR, LF and escape sequences stay out as well."""
    assert answer({"error": error}, 400) == Misconfigured("unnamed_error")


@pytest.mark.parametrize("error", [None, "", 7, {"code": 1}])
def test_an_error_that_is_no_text_is_none(error):
    assert isinstance(answer(TOKENS | {"error": error}), Grant)
    assert answer({"error": error}, 403) == Misconfigured("http_403")


@pytest.mark.parametrize("status", [400, 401, 404, 418])
def test_another_4xx_with_json_is_a_misconfiguration(status):
    """CONTRACT §4.6"""
    assert answer({"message": "no"}, status) == Misconfigured(f"http_{status}")


@pytest.mark.parametrize("body", [b"<html>", b"", b"garbage", b"[]", b'"x"', b"null", b"\xff", b"[" * 60_000])
@pytest.mark.parametrize("status", [200, 500, 502, 503])
def test_no_oauth_answer_is_unavailable_and_ambiguous(body, status):
    """R13, B4: HTML, nothing, garbage, `[]`."""
    found = answer(body, status)
    assert isinstance(found, Unavailable)
    assert found.ambiguous


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"<html>", 404), (b"{}", 503), (b"{}", 302), (b"<html>", 307), (TOKENS, 201), (b"{}", 200)],
)
def test_no_token_and_no_error_is_unavailable_and_ambiguous(body, status):
    """B4, B7: tokens count with status 200 only (RFC 6749 §5.1)."""
    found = answer(body, status)
    assert isinstance(found, Unavailable)
    assert found.ambiguous


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]"])
def test_429_is_throttling_in_whatever_wrapping(body):
    """R13, B5"""
    assert answer(body, 429, [(b"Retry-After", b"7")]) == Throttled(7.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"30", 30),
        (b" 30 ", 30),
        (b"0", 1),
        (b"86400", 60),
        (b"Sun, 15 Jun 2025 15:07:00 GMT", 20),
        (b"Sun, 15 Jun 2025 15:06:00 -0000", 1),
        (b"Fri, 31 Dec 9999 23:59:59 GMT", 60),
        (b"-3", DEFAULT_RETRY_AFTER),
        (b"soon", DEFAULT_RETRY_AFTER),
        (b"", DEFAULT_RETRY_AFTER),
        (b"9" * 400, DEFAULT_RETRY_AFTER),
        (b"1, 1 Jan 99999 00:00 GMT", DEFAULT_RETRY_AFTER),
    ],
)
def test_retry_after_is_seconds_or_a_date_between_1_and_60(value, seconds):
    """B5"""
    assert retry_after([(b"retry-after", value)], NOW) == seconds


def test_without_retry_after_there_is_a_default():
    assert retry_after([], NOW) == DEFAULT_RETRY_AFTER


CUSTOM = CustomSpec(
    "https://as.example/access/refresh",
    ok={"/code": (200,)},
    denied={"/code": (401,)},
    access_token="/data",
    refresh_token=None,
)


def test_the_first_known_deployment():
    """CONTRACT, "Token endpoints that are not RFC 6749": numbers in the body, status 200 for a denial."""
    assert answer({"code": 200, "message": "ok", "data": "at-2"}, spec=CUSTOM) == Grant(Secret("at-2"))
    assert answer({"code": 401, "message": "no", "data": None}, spec=CUSTOM) == Denied("denied")


def test_the_second_known_deployment():
    """CONTRACT, "Token endpoints that are not RFC 6749": the code is text."""
    spec = CustomSpec("https://as.example/refresh", ok={"/code": ("200",)}, access_token="/data")
    assert answer({"code": "200", "data": "at-2"}, spec=spec) == Grant(Secret("at-2"))
    assert isinstance(answer({"code": 200, "data": "at-2"}, spec=spec), Unavailable)


@pytest.mark.parametrize("code", [200.0, True, "200", None, [200], 500])
def test_values_match_in_type_and_value(code):
    assert isinstance(answer({"code": code, "data": "at-2"}, spec=CUSTOM), Unavailable)


@pytest.mark.parametrize("status", [200, 401, 500])
@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"error":"invalid_grant"}', b'{"code":500}'])
def test_neither_ok_nor_denied_is_unavailable(body, status):
    """CONTRACT, "Token endpoints that are not RFC 6749"; R13."""
    found = answer(body, status, spec=CUSTOM)
    assert isinstance(found, Unavailable)
    assert found.ambiguous


def test_a_custom_endpoint_may_throttle():
    """B5"""
    assert answer({"code": 9}, 429, [(b"retry-after", b"3")], CUSTOM) == Throttled(3)


def test_every_ok_and_any_denied_counts():
    spec = CustomSpec("https://x", ok={"/a": (1,), "/b": (2, 3)}, denied={"/c": (4,), "/d": (5,)})
    assert isinstance(answer({"a": 1, "b": 3, "access_token": "t"}, spec=spec), Grant)
    assert isinstance(answer({"a": 1, "b": 4, "access_token": "t"}, spec=spec), Unavailable)
    assert isinstance(answer({"a": 1, "b": 3, "access_token": "t", "d": 5}, spec=spec), Denied)


def test_without_ok_the_status_says_so():
    spec = CustomSpec("https://x", access_token="/t")
    assert isinstance(answer({"t": "at"}, 201, spec=spec), Grant)
    assert isinstance(answer({"t": "at"}, 400, spec=spec), Unavailable)


def test_everything_is_found_by_pointer():
    spec = CustomSpec(
        "https://x",
        access_token="/tokens/0",
        refresh_token="/tokens/1",
        expires_in="/in",
        expires_at="/at",
        expires_in_unit="ms",
        expires_at_unit="ms",
    )
    found = answer({"tokens": ["a", "r"], "in": 5000, "at": "1750000000000"}, spec=spec)
    assert found == Grant(Secret("a"), Secret("r"), 5.0, 1_750_000_000.0)
    assert isinstance(answer({"tokens": ["a"], "at": -1}, spec=spec), Unavailable)
    assert isinstance(answer({"tokens": ["a"], "in": "soon"}, spec=spec), Unavailable)


JSON_TEXT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["error", "access_token", "refresh_token", "token_type", "expires_in", "scope", "code", "data"]
)
BODIES = st.binary(max_size=60) | st.dictionaries(NAMES, JSON_TEXT, max_size=6).map(
    lambda d: json.dumps(d).encode()
)
FIELDS = st.lists(st.tuples(st.just(b"retry-after"), st.binary(max_size=40)), max_size=2)


@given(st.integers(100, 599), BODIES, FIELDS, st.sampled_from([SPEC, CUSTOM]))
def test_whatever_the_bytes_there_is_an_answer(status, body, headers, spec):
    """B4, R13, R14: never an exception; dead only by invalid_grant or a listed value; a grant is a sound one."""
    found = read_answer(spec, status, headers, body, NOW)
    if isinstance(found, Denied):
        document = json.loads(body)
        assert document.get("error") == "invalid_grant" or document.get("code") == 401
    if isinstance(found, Throttled):
        assert 1 <= found.retry_after <= 60
    if isinstance(found, Grant):
        text = found.access_token.reveal()
        assert text.isascii()
        assert text.isprintable()
        assert " " not in text
        assert found.expires_in is None or 0 <= found.expires_in < math.inf


@pytest.mark.parametrize(
    ("answer", "lost"),
    [
        (Grant(Secret("at")), False),
        (Unavailable("reset", ambiguous=True), True),
        (Unavailable("refused", ambiguous=False), False),
        (Denied(answer_lost=True), True),
        (Denied(), False),
        (Throttled(1, answer_lost=True), True),
        (Misconfigured("invalid_client", answer_lost=True), True),
    ],
)
def test_a_grant_ends_every_doubt_and_nothing_else_does(answer, lost):
    """B2b, R10"""
    assert answer_lost(answer) is lost
