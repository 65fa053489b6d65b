import posixpath
import re
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.paths import canonical, is_authority, split_target, strip
from tests.core.path_readers import differing

AMBIGUOUS = [
    b"",
    b"a",
    b"*",
    b"//",
    b"//a",
    b"/a//b",
    b"/a//",
    b"/.",
    b"/..",
    b"/./a",
    b"/a/.",
    b"/a/./b",
    b"/a/..",
    b"/a/../b",
    b"/%2e%2e/b",
    b"/a/%2E",
    b"/a/.%2e/b",
    b"/a%2fb",
    b"/a%2Fb",
    b"/a%5cb",
    b"/a\\b",
    b"/a%00",
    b"/a\x00",
    b"/a;b",
    b"/a;/b",
    b"/a%3bb",
    b"/a%0d%0ab",
    b"/a\x7f",
    b"/a%7f",
    b"/a b",
    b"/a%252fb",
    b"/a%252e",
    b"/a%25%32%65",
    b"/%25%32%46",
    b"/a%2520b",
    b"/a%",
    b"/a%2",
    b"/a%zz",
    b"/a%2/",
    b"/%u002f",
    b"/a%c0%afb",
    b"/%C0%AE%C0%AE/b",
    b"/%c1%9cb",
    b"/a%e0%80%afb",
    b"/a%f0%80%80%afb",
    b"/a\xc0\xafb",
]


@pytest.mark.parametrize("path", AMBIGUOUS)
def test_a_path_that_two_servers_read_differently_is_ambiguous(path):
    """N2"""
    assert canonical(path) is None


READINGS = {
    b"/": b"/",
    b"/a": b"/a",
    b"/a/": b"/a/",
    b"/a/b.c": b"/a/b.c",
    b"/.well-known/x": b"/.well-known/x",
    b"/...": b"/...",
    b"/a.": b"/a.",
    b"/a/..b": b"/a/..b",
    b"/a..": b"/a..",
    b"/%61dmin": b"/admin",
    b"/A": b"/A",
    b"/a%20b": b"/a b",
    b"/100%25": b"/100%",
    b"/100%25zz": b"/100%zz",
    b"/%C3%A9": "/é".encode(),
    b"/\xc3\xa9": "/é".encode(),
    b"/%E0%A4%84": "/ऄ".encode(),
    b"/%F0%9F%98%80": "/😀".encode(),
    b"/caf%E9": b"/caf\xe9",
    b"/C%23": b"/C#",
    b"/what%3F": b"/what?",
    b'/[]{}|"<>^`': b'/[]{}|"<>^`',
    b"/a:b@c,d=e+f!$&'()*~": b"/a:b@c,d=e+f!$&'()*~",
}


@pytest.mark.parametrize(("path", "reading"), READINGS.items())
def test_percent_encoding_is_undone_once(path, reading):
    """N2: RFC 3986 §6.2.2.2"""
    assert canonical(path) == reading


PIECES = [
    b"/",
    b"a",
    b"admin",
    b".",
    b"..",
    b"%",
    b"%2e",
    b"%2E",
    b"%2f",
    b"%5c",
    b"%25",
    b"25",
    b"2e",
    b"2f",
    b"5C",
]
PIECES += [b"%32", b"%65", b"\\", b";", b"%3b", b"%00", b"%20", b"%61", b"%C3%A9", b"~", b"%7f"]
PIECES += [b"%25%32%65", b"%25%32%66", b"/../", b"/./", b"b", b"c.d", b"/e"]


def as_another_server_reads_it(path):
    """Backslashes are slashes, parameters are dropped, slashes are merged, dots are resolved."""
    plain = re.sub(rb";[^/]*", b"", path.replace(b"\\", b"/"))
    return posixpath.normpath(re.sub(rb"/+", b"/", plain)).split(b"/")


@settings(max_examples=20 * settings.default.max_examples)
@given(st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join))
def test_no_path_is_let_through_that_any_other_reading_cuts_differently(tail):
    """N2: decoded never, once or twice, and normalised, every server sees the segments that the rules saw."""
    path = b"/" + tail
    reading = canonical(path)
    if reading is None:
        return
    segments = posixpath.normpath(reading).split(b"/")
    once = unquote_to_bytes(path)
    twice = unquote_to_bytes(once)
    assert once == reading
    assert as_another_server_reads_it(once) == segments
    assert as_another_server_reads_it(twice) == segments
    assert len(as_another_server_reads_it(path)) == len(segments)


@settings(max_examples=4 * settings.default.max_examples)
@given(st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join), st.sampled_from([b"", b"?", b"?/../%2e;"]))
def test_no_path_is_let_through_that_a_known_server_reads_differently(tail, query):
    """N2: Python's own, Go, servlets, Windows, and two servers that each decode."""
    reading = canonical(b"/" + tail)
    assert reading is None or differing(b"/" + tail + query, reading) == []


def test_the_known_servers_do_differ_where_a_path_is_ambiguous():
    """N2: or the test above would show nothing."""
    assert differing(b"/a;b/c", b"/a;b/c") == ["servlets"]
    assert differing(b"/a\\b", b"/a\\b") == ["Windows"]
    assert differing(b"/a%252fb", b"/a%2fb") == ["two in a row"]
    assert len(differing(b"/a/../b", b"/a/../b")) == 5


@given(st.lists(st.text("abcXYZ019._~!$&'()*+,=:@-", min_size=1).filter(lambda s: s.strip(".")), max_size=5))
def test_a_plain_path_is_its_own_reading(segments):
    path = b"/" + "/".join(segments).encode()
    assert canonical(path) == path


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/a?b", (b"/a?b", None)),
        (b"/", (b"/", None)),
        (b"//evil.example/a", (b"//evil.example/a", None)),
        (b"*", (b"*", None)),
        (b"http://api.example/a?b", (b"/a?b", b"api.example")),
        (b"HTTPS://api.example:8443/a", (b"/a", b"api.example:8443")),
        (b"http://api.example", (b"/", b"api.example")),
        (b"http://api.example?q=/x", (b"/?q=/x", b"api.example")),
        (b"http://api.example/a?q=http://b", (b"/a?q=http://b", b"api.example")),
        (b"http://[2001:DB8::1]:8080/a", (b"/a", b"[2001:DB8::1]:8080")),
        (b"http://api.example./", (b"/", b"api.example.")),
        (b"http://api.example:/", (b"/", b"api.example:")),
        (b"/a?b?c?", (b"/a?b?c?", None)),
        (b"http:///a", None),
        (b"http://:80/a", None),
        (b"http://a,b/", None),
        (b"http://a b/", None),
        (b"http://api.example\\@evil.example/", None),
        (b"http://[::1/", None),
        (b"http:/a", None),
        (b"http:api.example/a", None),
        (b"://api.example/", None),
        (b"http://user@api.example/", None),
        (b"http://api.example/a#f", None),
        (b"/a#f", None),
        (b"ftp://api.example/", None),
        (b"api.example:443", None),
        (b"@evil.example", None),
        (b"a", None),
        (b"", None),
        (b"?a", None),
    ],
)
def test_the_forms_of_a_target(target, expected):
    """P7: RFC 9112 §3.2"""
    assert split_target(target) == expected


def test_an_absolute_form_without_a_path_is_the_whole_server_to_options():
    """P7: RFC 9112 §3.2.4; with a query it is not."""
    assert split_target(b"http://api.example:80", "OPTIONS") == (b"*", b"api.example:80")
    assert split_target(b"http://api.example/", "OPTIONS") == (b"/", b"api.example")
    assert split_target(b"http://api.example?a", "OPTIONS") == (b"/?a", b"api.example")
    assert split_target(b"http://api.example", "GET") == (b"/", b"api.example")


HOSTS = [
    "a",
    "api.example",
    "API.Example",
    "api.example.",
    "a_b",
    "127.0.0.1",
    "xn--bcher-kva.example",
    "a%20b",
    "a!$&'()*+;=~-b",
]
HOSTS += ["[::1]", "[2001:DB8::1]", "[::ffff:192.0.2.1]"]
NO_HOSTS = [
    "",
    "a/b",
    "a@b",
    "a b",
    "a,b",
    "a\tb",
    "a?b",
    "a#b",
    "a\\b",
    "a:b",
    "a:80:80",
    "a:+80",
    "a:123456",
    "a:65536",
    "[::1]:65536",
    "a%2",
    "a%zz",
]
NO_HOSTS += [
    "[::1",
    "::1",
    "[]",
    "[::::]",
    "[1.2.3.4]",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "[v1.a]",
    "[::1]a",
    "[::1]]",
    "é",
    "[é]",
]


@pytest.mark.parametrize("port", ["", ":", ":0", ":80", ":65535"])
@pytest.mark.parametrize("host", HOSTS)
def test_a_host_and_perhaps_a_port(host, port):
    """P6: RFC 3986 §3.2.2, odd ones too."""
    assert is_authority((host + port).encode())


@pytest.mark.parametrize("host", NO_HOSTS)
def test_what_is_no_host(host):
    """P6"""
    assert not is_authority(host.encode())


@pytest.mark.parametrize(
    ("target", "prefix", "expected"),
    [
        (b"/api/a?b", b"/api", b"/a?b"),
        (b"/api", b"/api", b"/"),
        (b"/api?b", b"/api", b"/?b"),
        (b"/api/", b"/api", b"/"),
        (b"/apis/a", b"/api", b"/apis/a"),
        (b"/other", b"/api", b"/other"),
        (b"/api/a", b"", b"/api/a"),
    ],
)
def test_a_prefix_ends_where_a_segment_ends(target, prefix, expected):
    assert strip(target, prefix) == expected
