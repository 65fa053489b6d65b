import math

import pytest

from gateway.core.claims import ClaimsPolicy, judge_claims, judge_header
from gateway.core.tokens import Rejected, Verified

POLICY = ClaimsPolicy(issuer="https://as.example")
CLAIMS = {"iss": "https://as.example", "sub": "alice", "aud": "api", "exp": 2_000_000_000}
HEADER = {"alg": "RS256"}


def judged(policy=POLICY, header=HEADER, **changes):
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not ...}
    return judge_claims(claims, header, policy)


def test_a_token_in_order_is_verified():
    found = judged(iat=1_999_999_000, nbf=0, aud=["api", "web"], scope="a b")
    assert found == Verified(
        issuer="https://as.example",
        subject="alice",
        audience=frozenset({"api", "web"}),
        expires_at=2_000_000_000.0,
        issued_at=1_999_999_000.0,
        not_before=0.0,
        claims=found.claims,
    )
    assert found.claims["scope"] == "a b"
    with pytest.raises(TypeError):
        found.claims["sub"] = "mallory"


def test_a_retired_key_is_noted():
    """R22"""
    assert judge_claims(CLAIMS, HEADER, POLICY, key_retired=True).key_retired is True


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"]}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"b64": False}, {"b64": "true"}]
)
def test_an_extension_that_must_be_understood_is_not(header):
    """T6: any crit, known or not, is refused (RFC 7515 §4.1.11)."""
    assert isinstance(judge_header(header, POLICY), Rejected)
    assert isinstance(judged(header=header), Rejected)


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"])
@pytest.mark.parametrize("required", ["at+jwt", "application/at+jwt"])
def test_the_required_typ_passes_in_every_spelling(typ, required):
    """T8"""
    assert judge_header({"typ": typ}, ClaimsPolicy(typ=required)) is None


@pytest.mark.parametrize("typ", ["JWT", "id_token+jwt", "logout+jwt", "rt+jwt", "", None, ["at+jwt"], "at+jwt "])
def test_another_typ_is_refused_where_one_is_required(typ):
    """T8: identity, refresh and logout tokens."""
    assert isinstance(judge_header({"typ": typ}, ClaimsPolicy(typ="at+jwt")), Rejected)
    assert isinstance(judge_header({}, ClaimsPolicy(typ="at+jwt")), Rejected)
    assert judge_header({"typ": typ}, POLICY) is None


@pytest.mark.parametrize(
    "issuer",
    ["https://as.example/", "https://AS.example", "https://as.exampl", "", None, 1, ["https://as.example"]],
)
def test_the_issuer_is_compared_byte_for_byte(issuer):
    """T9"""
    assert isinstance(judged(iss=issuer), Rejected)


def test_an_issuer_left_out_of_the_configuration_is_unchecked():
    policy = ClaimsPolicy(required=frozenset({"exp"}))
    assert judged(policy, iss="https://other.example").issuer == "https://other.example"
    assert judged(policy, iss=...).issuer is None
    assert isinstance(judged(policy, iss=7), Rejected)


@pytest.mark.parametrize("aud", [1, {}, ["api", 1], True, [["api"]]])
def test_an_audience_of_another_type_is_refused(aud):
    """T9, T10"""
    assert isinstance(judged(aud=aud), Rejected)


@pytest.mark.parametrize(
    "exp", [..., None, "9999999999", 1e300, math.inf, math.nan, True, [2e9], -1, 10**400, 2_000_000_000_000]
)
def test_an_expiry_that_is_no_sensible_number_is_refused(exp):
    """T10: missing, text, 1e300, inf, bool, negative, endless, milliseconds where seconds are configured."""
    assert isinstance(judged(exp=exp), Rejected)
    assert isinstance(judged(ClaimsPolicy(required=frozenset()), exp=exp), Rejected)


@pytest.mark.parametrize("name", ["iat", "nbf"])
@pytest.mark.parametrize("value", ["1", True, math.inf, -5, 1e12])
def test_other_times_are_numbers_too(name, value):
    """T10"""
    assert isinstance(judged(**{name: value}), Rejected)


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp"])
def test_a_required_claim_is_required(name):
    """T10: absent, or null."""
    assert isinstance(judged(**{name: ...}), Rejected)
    assert isinstance(judged(**{name: None}), Rejected)


def test_claims_that_are_not_required_may_be_missing():
    """T10: as configured; but for the expiry."""
    assert judge_claims({}, HEADER, ClaimsPolicy(required=frozenset())) == Rejected("a required claim is missing")
    found = judge_claims({"exp": 5.5}, HEADER, ClaimsPolicy(required=frozenset({"exp"})))
    assert (found.subject, found.audience, found.expires_at) == (None, frozenset(), 5.5)


def test_milliseconds_are_read_where_configured():
    policy = ClaimsPolicy(time_unit="ms", required=frozenset({"exp"}))
    found = judge_claims({"exp": 2_000_000_000_000, "iat": 0}, HEADER, policy)
    assert (found.expires_at, found.issued_at) == (2_000_000_000.0, 0.0)
    assert isinstance(judge_claims({"exp": 2_000_000_000}, HEADER, policy), Rejected)


def test_the_subject_may_be_in_another_claim_and_a_number():
    policy = ClaimsPolicy(issuer="https://as.example", subject_claim="uid")
    assert judged(policy, uid=42).subject == "42"
    assert judged(policy, uid="bob").subject == "bob"
    assert judged(policy).subject is None


@pytest.mark.parametrize("sub", [True, 1.5, {}, ["alice"], "", 1 << 130])
def test_a_subject_of_another_type_is_refused(sub):
    """R1, T10: two users never share one."""
    assert isinstance(judged(sub=sub), Rejected)


def test_a_token_bound_to_a_key_is_noted():
    """T15: cnf (RFC 7800); such a token is never refreshed."""
    assert judged(cnf={"jkt": "x"}).sender_bound is True
    assert judged(cnf=None).sender_bound is False
    assert judged().sender_bound is False
