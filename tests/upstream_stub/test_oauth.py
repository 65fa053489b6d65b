"""Client authentication and form parsing, by the words of RFC 6749."""

import base64
from urllib.parse import quote_plus, urlencode

import pytest

from upstream_stub.oauth import OAuthError, Received, authenticate, parse_form

CLIENTS = {"gateway": "gateway-secret", "public": None, "ein client:1": "s%c+r t/ü"}
FORM = (b"content-type", b"application/x-www-form-urlencoded")


def request(body=b"", *headers):
    return Received("POST", [FORM, *headers], {}, body)


def basic(client_id, secret):
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()
    return b"authorization", b"Basic " + base64.b64encode(pair)


def proved(form, *headers):
    client = authenticate(request(urlencode(form).encode(), *headers), form, CLIENTS)
    return client.id, client.method, client.public


def refusal(form, *headers):
    with pytest.raises(OAuthError) as caught:
        authenticate(request(b"", *headers), form, CLIENTS)
    return caught.value.error, caught.value.status


def test_a_client_authenticates_in_any_of_three_ways():
    post = {"client_id": "gateway", "client_secret": "gateway-secret"}
    assert proved({}, basic("gateway", "gateway-secret")) == ("gateway", "client_secret_basic", False)
    assert proved(post) == ("gateway", "client_secret_post", False)
    assert proved({"client_id": "public"}) == ("public", "none", True)


def test_basic_credentials_are_form_urlencoded_before_base64():
    """RFC 6749 §2.3.1."""
    assert proved({}, basic("ein client:1", "s%c+r t/ü"))[0] == "ein client:1"
    plain = base64.b64encode("ein client:1:s%c+r t/ü".encode())
    assert refusal({}, (b"authorization", b"Basic " + plain)) == ("invalid_client", 401)


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({}, []),
        ({"client_id": "gateway"}, []),
        ({"client_id": "gateway", "client_secret": "wrong"}, []),
        ({"client_id": "nobody", "client_secret": "x"}, []),
        ({"client_id": "public", "client_secret": "x"}, []),
        ({}, [basic("gateway", "wrong")]),
        ({}, [basic("public", "")]),
        ({}, [(b"authorization", b"Basic !!!")]),
        ({}, [(b"authorization", b"Bearer abc")]),
    ],
)
def test_a_client_that_does_not_prove_itself_is_invalid(form, headers):
    assert refusal(form, *headers) == ("invalid_client", 401)


def test_two_methods_at_once_are_an_invalid_request():
    """RFC 6749 §2.3."""
    form = {"client_id": "gateway", "client_secret": "gateway-secret"}
    assert refusal(form, basic("gateway", "gateway-secret")) == ("invalid_request", 400)
    assert refusal({"client_id": "public"}, basic("gateway", "gateway-secret")) == ("invalid_request", 400)


def test_a_form_is_read_as_it_is_meant():
    assert parse_form(request(b"a=1+2&b=%C3%BC&empty=")) == {"a": "1 2", "b": "ü"}


@pytest.mark.parametrize("body", [b"a=1&a=2", b"a=1&a=", b"a=%FF", b"\xff=1"])
def test_a_repeated_parameter_and_bad_utf_8_are_an_invalid_request(body):
    """RFC 6749 §3.2."""
    with pytest.raises(OAuthError, match="invalid_request"):
        parse_form(request(body))


def test_another_media_type_is_an_invalid_request():
    with pytest.raises(OAuthError, match="invalid_request"):
        parse_form(Received("POST", [(b"content-type", b"application/json")], {}, b"{}"))
