"""Defaults that follow from other keys, and warnings."""

import pytest

from tests.config.files import loaded


@pytest.mark.parametrize(
    ("lines", "result"),
    [
        ("", {"exp", "sub", "iss", "aud"}),
        ("-issuer", {"exp", "sub", "aud"}),
        ("-audience", {"exp", "sub", "iss"}),
        ("-issuer\n-audience", {"exp", "sub"}),
        ('subject_claim = "username"', {"exp", "username", "iss", "aud"}),
        ('required = ["exp", "jti"]', {"exp", "jti"}),
    ],
)
def test_what_is_configured_is_required(tmp_path, lines, result):
    """T10: exp always, the subject, and iss and aud where they are checked."""
    assert set(loaded(tmp_path, f"[access_token]\n{lines}").access_token.required) == result


REMOTE_SECRET = '[auth_server]\nclient_secret = { env = "S" }\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[access_token]\n-issuer", "access_token.issuer is left out"),
        ("[access_token]\n-audience", "access_token.audience is left out"),
        (f'{REMOTE_SECRET}[server]\nlisten = "0.0.0.0:80"', "tokens cross the network in clear"),
        ('[server]\ntrusted_proxies = ["0.0.0.0/0"]', "any client can claim to be another"),
        ('[server]\ntrusted_proxies = ["::/0"]', "any client can claim to be another"),
        ("[auth_server]\nallow_http = true", "allow_http is set"),
    ],
)
def test_what_is_probably_not_meant_is_warned_about(tmp_path, text, words):
    (warning,) = loaded(tmp_path, text, {"S": "x"}).warnings
    assert words in warning


def test_a_careful_file_has_no_warnings(tmp_path):
    assert loaded(tmp_path).warnings == ()
    assert loaded(tmp_path, '[server]\ntrusted_proxies = ["10.0.0.0/8"]').warnings == ()


def test_a_refresh_endpoint_keeps_its_templates(tmp_path):
    text = """
[auth_server.refresh]
url = "http://127.0.0.1:9000/access/refresh"
method = "GET"
headers = { Authorization = "Bearer {refresh_token}" }
ok = { "/code" = [200, "200", true] }
denied = { "/code" = [401] }
access_token = "/data"
expires_at_unit = "ms"
"""
    refresh = loaded(tmp_path, text).auth_server.refresh
    assert refresh.headers == {"Authorization": "Bearer {refresh_token}"}
    assert refresh.ok == {"/code": (200, "200", True)}
    assert [type(value) for value in refresh.ok["/code"]] == [int, str, bool]
    assert refresh.denied == {"/code": (401,)}
    assert (refresh.form, refresh.json_, refresh.access_token) == (None, None, "/data")
    assert "Bearer" not in repr(refresh)
