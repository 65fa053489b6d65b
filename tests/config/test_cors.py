"""``[cors]``: origins exactly, nothing that stands for many."""

import pytest

from tests.config.files import loaded, said

ORIGINS = {
    "https://app.example": "https://app.example",
    "HTTPS://App.Example": "https://app.example",
    "https://app.example:443": "https://app.example",
    "http://localhost:80": "http://localhost",
    "http://localhost:3000": "http://localhost:3000",
    "https://app.example:80": "https://app.example:80",
    "http://127.0.0.1:5173": "http://127.0.0.1:5173",
    "http://[2001:DB8:0:0::1]:8080": "http://[2001:db8::1]:8080",
    "capacitor://localhost": "capacitor://localhost",
    "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb": "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
    "https://xn--bcher-kva.example": "https://xn--bcher-kva.example",
}


@pytest.mark.parametrize(("written", "read"), ORIGINS.items())
def test_an_origin_is_kept_as_browsers_send_it(tmp_path, written, read):
    """C2: RFC 6454 §6.2"""
    assert loaded(tmp_path, f'[cors]\nallow_origins = ["{written}"]').cors.allow_origins == (read,)


REFUSED = {
    "*": "allows every origin",
    "null": "sandboxed frame",
    "https://*.example": "has a wildcard. List each origin by its whole name",
    "https://app.example/": "has a path. Write it without one, and without a slash",
    "https://app.example/app": "has a path",
    "https://app.example?x": "has a path",
    "https://app.example#x": "has a path",
    "https://user@app.example": "is not an origin",
    "app.example": 'is not an origin. Write scheme, host and port as browsers send them, such as "https://app.example"',
    "//app.example": "is not an origin",
    "https://": "is not an origin",
    "https://app.example:": "is not an origin",
    "https://app.example:x": "is not an origin",
    "https://app.example:65536": "has a port above 65535",
    "https://bücher.example": "is not ASCII. Write the host as browsers send it, with xn--",
    "https://[::::]": "has an address that is none",
    "https://127.1": "has an address that is none",
    "https://a b": "is not an origin",
    "": "is not an origin",
}


@pytest.mark.parametrize(("written", "words"), REFUSED.items())
def test_what_no_browser_sends_or_what_stands_for_many_is_refused(tmp_path, written, words):
    """C2, O1: at start, with what to write."""
    [(path, sentence)] = said(tmp_path, f'[cors]\nallow_origins = ["https://app.example", "{written}"]')
    assert path == "cors.allow_origins[1]"
    assert words in sentence


KEYS = [
    ("", "cors.allow_origins", 'is missing. Add allow_origins = ["https://app.example"], for example'),
    ("allow_origins = []", "cors.allow_origins", "is empty. Name the origins, or take [cors] out"),
    ('allow_origins = "https://app.example"', "cors.allow_origins", 'is not a list. Write ["https://app.example"]'),
    ("allow_origins = [1]", "cors.allow_origins[0]", "is not an origin"),
    ('allow_methods = ["*"]', "cors.allow_methods", "has a wildcard"),
    ('allow_methods = ["put"]', "cors.allow_methods[0]", "upper case"),
    ('allow_methods = ["TRACE"]', "cors.allow_methods[0]", "never forwards"),
    (
        'allow_headers = ["*"]',
        "cors.allow_headers[0]",
        "every field but Authorization (Fetch §4.9). List the names",
    ),
    ('allow_headers = ["a b"]', "cors.allow_headers[0]", "is not a header field name"),
    ('expose_headers = ["*"]', "cors.expose_headers[0]", "List the names"),
    ("expose_headers = [1]", "cors.expose_headers[0]", "is not a header field name"),
    ('allow_credentials = "yes"', "cors.allow_credentials", "neither true nor false"),
    ("max_age = 600", "cors.max_age", "is not a duration"),
    ('allow_origin = ["https://app.example"]', "cors.allow_origin", 'Did you mean "allow_origins"?'),
]


@pytest.mark.parametrize(("line", "path", "words"), KEYS)
def test_what_is_wrong_is_said(tmp_path, line, path, words):
    """C2, O1"""
    rest = "" if line.startswith("allow_origins") or not line else 'allow_origins = ["https://app.example"]\n'
    [(found, sentence)] = said(tmp_path, f"[cors]\n{rest}{line}")
    assert found == path
    assert words in sentence


def test_the_defaults_are_the_usual(tmp_path):
    """C2: no credentials; without the section the API answers."""
    assert loaded(tmp_path).cors is None
    cors = loaded(tmp_path, '[cors]\nallow_origins = ["https://a.example", "https://b.example"]').cors
    assert cors.allow_origins == ("https://a.example", "https://b.example")
    assert cors.allow_methods == ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    assert (cors.allow_headers, cors.expose_headers) == (("Content-Type",), ())
    assert (cors.allow_credentials, cors.max_age) == (False, 600)


def test_the_environment_can_turn_it_on(tmp_path):
    """O1: as any other table."""
    environ = {
        "GATEWAY__CORS__ALLOW_ORIGINS": '["https://app.example"]',
        "GATEWAY__CORS__ALLOW_CREDENTIALS": "true",
    }
    cors = loaded(tmp_path, "", environ).cors
    assert (cors.allow_origins, cors.allow_credentials) == (("https://app.example",), True)
