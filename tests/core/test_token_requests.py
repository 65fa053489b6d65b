import base64
import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.secret import Secret
from gateway.core.token_requests import (
    CustomSpec,
    StandardSpec,
    presentable,
    refresh_request,
    revocation_request,
)

URL = "https://as.example/token"
RT, AT = Secret("rt-canary+/="), Secret("at-canary")
VSCHAR = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=40)


def form(request):
    return dict(parse_qsl(request.body.decode(), strict_parsing=True, keep_blank_values=True))


def test_the_client_authenticates_with_basic():
    """RFC 6749 §2.3.1: id and secret are form-encoded before base64, and not repeated in the body."""
    request = refresh_request(StandardSpec("gate way:1", Secret("s%c/é")), URL, RT, AT)
    fields = dict(request.headers)
    assert base64.b64decode(fields[b"authorization"].removeprefix(b"Basic ")) == b"gate+way%3A1:s%25c%2F%C3%A9"
    assert form(request) == {"grant_type": "refresh_token", "refresh_token": "rt-canary+/="}
    assert (request.method, request.url) == ("POST", URL)
    assert fields[b"content-type"] == b"application/x-www-form-urlencoded"
    assert fields[b"accept"] == b"application/json"


def test_the_client_authenticates_in_the_body():
    spec = StandardSpec("gateway", Secret("s&c"), "client_secret_post", scope="read write")
    request = refresh_request(spec, URL, RT, None)
    assert b"authorization" not in dict(request.headers)
    assert form(request) == {
        "grant_type": "refresh_token",
        "refresh_token": "rt-canary+/=",
        "scope": "read write",
        "client_id": "gateway",
        "client_secret": "s&c",
    }


def test_a_public_client_only_names_itself():
    request = refresh_request(StandardSpec("gateway", None, "none"), URL, RT, None)
    assert form(request)["client_id"] == "gateway"
    assert "client_secret" not in form(request)
    assert b"authorization" not in dict(request.headers)


def test_a_revocation_names_the_kind_of_token():
    """RFC 7009 §2.1; R1."""
    request = revocation_request(StandardSpec("gateway", Secret("s")), "https://as.example/revoke", RT)
    assert request.url == "https://as.example/revoke"
    assert form(request) == {"token": "rt-canary+/=", "token_type_hint": "refresh_token"}
    assert b"authorization" in dict(request.headers)


def test_nothing_secret_is_shown():
    """X9: neither the URL, which may hold a token, nor headers nor body."""
    spec = CustomSpec(
        URL, query={"t": "{refresh_token}"}, headers={"x": "{access_token}"}, json={"a": "{client_id}"}
    )
    for request in (
        refresh_request(spec, URL, RT, AT),
        refresh_request(StandardSpec("g", Secret("s")), URL, RT, AT),
    ):
        assert repr(request) == f"TokenRequest(method={request.method!r})"


def test_the_first_known_deployment():
    """CONTRACT, "Token endpoints that are not RFC 6749": a bearer refresh token on GET."""
    spec = CustomSpec(URL, "GET", headers={"Authorization": "Bearer {refresh_token}"})
    request = refresh_request(spec, spec.url, RT, None)
    assert (request.method, request.url, request.body) == ("GET", URL, b"")
    assert dict(request.headers)[b"authorization"] == b"Bearer rt-canary+/="


def test_the_second_known_deployment():
    """CONTRACT, "Token endpoints that are not RFC 6749": the refresh token in the query."""
    spec = CustomSpec(URL, "GET", query={"refreshToken": "{refresh_token}"})
    assert refresh_request(spec, spec.url, RT, None).url == URL + "?refreshToken=rt-canary%2B%2F%3D"


@given(token=VSCHAR, access=VSCHAR)
def test_each_place_gives_back_what_was_put_in(token, access):
    """R15: no token can end its own value, in query, form or JSON, whatever its characters."""
    everywhere = {
        "r": "{refresh_token}",
        "a": "<{access_token}>",
        "c": "{client_id}&{refresh_token}",
        "n": "{other}",
    }
    filled = {"r": token, "a": f"<{access}>", "c": f"g&{token}", "n": "{other}"}
    url = URL + "?tenant=1"
    by_form = CustomSpec(url, query=everywhere, form=everywhere, client_id="g")
    request = refresh_request(by_form, url, Secret(token), Secret(access))
    assert dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True)) == {"tenant": "1"} | filled
    assert urlsplit(request.url).fragment == ""
    assert form(request) == filled
    by_json = CustomSpec(url, json={"deep": [everywhere, 1, None, True]}, client_id="g")
    request = refresh_request(by_json, url, Secret(token), Secret(access))
    assert json.loads(request.body) == {"deep": [filled, 1, None, True]}
    assert dict(request.headers)[b"content-type"] == b"application/json"


def test_a_token_that_looks_like_a_placeholder_stays_what_it_is():
    spec = CustomSpec(URL, form={"t": "{refresh_token}"})
    assert form(refresh_request(spec, URL, Secret("{access_token}"), AT)) == {"t": "{access_token}"}


@pytest.mark.parametrize("value", ["a\r\nX-Admin: 1", "a\nb", "a\0", "é", "a\x7f"])
def test_a_header_takes_no_control_character(value):
    """P17, R14: refused, and the text of the error does not quote it."""
    spec = CustomSpec(URL, headers={"Authorization": "Bearer {access_token}"})
    with pytest.raises(ValueError, match="control character") as error:
        refresh_request(spec, URL, RT, Secret(value))
    assert value not in str(error.value)


def test_a_template_that_wants_an_access_token_gets_one():
    spec = CustomSpec(URL, json={"old": "{access_token}"})
    with pytest.raises(ValueError, match="wants an access token"):
        refresh_request(spec, URL, RT, None)


@pytest.mark.parametrize(
    "parts",
    [
        {"form": {}, "json": {}},
        {"access_token": "data"},
        {"expires_in": "/a~"},
        {"ok": {"code": (200,)}},
        {"denied": {"code": (401,)}},
    ],
)
def test_an_impossible_template_is_refused_when_it_is_made(parts):
    with pytest.raises(ValueError, match=r"not both|JSON Pointer"):
        CustomSpec(URL, **parts)


@pytest.mark.parametrize("token", ["", "a\r\nb", "a\n", "é", "\x7f", "a\tb"])
def test_a_token_beyond_printable_ascii_is_not_presentable(token):
    """P17; RFC 6749 appendix A.17."""
    assert not presentable(Secret(token))


@given(VSCHAR)
def test_any_token_of_rfc_6749_is_presentable(token):
    assert presentable(Secret(token))
