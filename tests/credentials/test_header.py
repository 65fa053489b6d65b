import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.credentials import Carried
from gateway.core.headers import TokenNames
from gateway.core.lifecycle import Absent
from gateway.core.outcomes import Cause
from gateway.core.secret import Secret
from gateway.core.tokens import TokenSet
from gateway.credentials.header import HeaderCredentials
from tests.core.making import living

BEARER = HeaderCredentials(TokenNames(), "Bearer")
BARE = HeaderCredentials(TokenNames(access=b"x-auth-token"), "")
BOUND = HeaderCredentials(TokenNames(), "Bearer", sender_bound=True)


def authorization(value, credentials=BEARER):
    return credentials.read([(credentials.names.access, value)]).access


@pytest.mark.parametrize("value", [b"Bearer a.b.c", b"bearer a.b.c", b"BEARER   a.b.c ", b"Bearer  a.b.c"])
def test_the_scheme_ignores_case_and_blanks(value):
    """RFC 9110 §11.1"""
    assert authorization(value) == Secret("a.b.c")


@pytest.mark.parametrize(
    "value", [b"", b"Bearer", b"Bearera.b.c", b"Basic YTpi", b"DPoP a.b.c", b"a.b.c", b"Bearer\ta"]
)
def test_another_scheme_is_foreign(value):
    """T15, CONTRACT §2: not a token of ours."""
    assert authorization(value) is Absent.FOREIGN


def test_a_bound_token_is_read_only_where_the_operator_passes_them():
    """T15: never rewritten to Bearer either, for the field is left as it came."""
    assert authorization(b"DPoP a.b.c", BOUND) == Secret("a.b.c")
    assert authorization(b"Bearer a.b.c", BOUND) == Secret("a.b.c")
    assert authorization(b"Basic a.b.c", BOUND) is Absent.FOREIGN


def test_a_bare_token_needs_no_scheme():
    """CONTRACT §2: ``access = "X-Auth-Token"`` with ``scheme = ""``."""
    assert authorization(b"a.b.c", BARE) == Secret("a.b.c")
    assert BARE.field(Secret("a.b.c")) == b"a.b.c"
    assert BARE.read([(b"authorization", b"Bearer x")]).access is Absent.MISSING


def test_nothing_is_carried():
    assert BEARER.read([(b"accept", b"*/*")]) == Carried(Absent.MISSING, None)


def test_neither_cookies_nor_other_spellings_are_looked_at():
    """T17"""
    headers = [
        (b"cookie", b"__Host-access=a; access_token=b"),
        (b"x_refresh_token", b"r"),
        (b"x-access-token", b"a"),
    ]
    assert BEARER.read(headers) == Carried(Absent.MISSING, None)


@pytest.mark.parametrize("name", [b"authorization", b"x-refresh-token"])
@pytest.mark.parametrize("second", [b"Bearer a", b"other", b""])
def test_two_of_one_kind_are_ambiguous_and_carry_nothing(name, second):
    """T17: alike or not."""
    headers = [(b"authorization", b"Bearer a"), (b"x-refresh-token", b"r"), (name, second)]
    assert BEARER.read(headers) == Carried(Absent.AMBIGUOUS, None)


@pytest.mark.parametrize(
    "value", [b"", b"a b", b"a\tb", b"a\r\nb", b"a\n", b"\x00", b"\x7f", b"\xe9", b"r" * (8 * 1024 + 1)]
)
def test_a_refresh_token_that_no_server_could_have_issued_is_none(value):
    """P17: never presented anywhere."""
    assert BEARER.read([(b"x-refresh-token", value)]).refresh is None


def test_a_long_refresh_token_is_one():
    assert BEARER.read([(b"x-refresh-token", b"r" * 8192)]).refresh == Secret("r" * 8192)


@given(st.binary(max_size=30), st.sampled_from([BEARER, BARE, BOUND]))
def test_whatever_the_bytes_reading_never_raises(value, credentials):
    names = credentials.names
    carried = credentials.read([(names.access, value), (names.refresh, value)])
    assert carried.refresh is None or carried.refresh.reveal().isascii()


NEW = TokenSet(living("at2", since=1_800_000_000.0, spans=3600), Secret("rt2"))


def test_what_a_client_receives_after_a_refresh():
    """CONTRACT §2: milliseconds."""
    assert BEARER.tokens(NEW, Secret("rt1"), Cause.AHEAD) == [
        (b"x-access-token", b"at2"),
        (b"x-refresh-token", b"rt2"),
        (b"x-access-token-expires-at", b"1800003600000"),
        (b"x-token-refreshed", b"ahead"),
    ]


@pytest.mark.parametrize(("old", "told"), [(Secret("rt2"), False), (Secret("rt1"), True), (None, True)])
def test_the_refresh_token_is_told_only_where_it_changed(old, told):
    names = [name for name, _ in BEARER.tokens(NEW, old, Cause.JOINED)]
    assert (b"x-refresh-token" in names) is told


def test_the_upstreams_field_has_the_scheme():
    assert BEARER.field(Secret("a.b.c")) == b"Bearer a.b.c"
