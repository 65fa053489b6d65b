"""A request's head, as it is read before anything is decided."""

import pytest

from gateway.core.errors import GatewayError
from gateway.core.heads import Head, Limits, read_fields, read_head


def head(target: bytes = b"/x?y", method: str = "GET", *fields: tuple[bytes, bytes], **options) -> Head:
    """The head of a request with one good Host, unless ``fields`` bring their own."""
    headers = list(fields) if any(n == b"host" for n, _ in fields) else [(b"host", b"a"), *fields]
    return read_head(method, target, options.pop("version", "1.1"), headers, Limits(**options))


def refusal(*args, **kwargs) -> str:
    with pytest.raises(GatewayError) as caught:
        head(*args, **kwargs)
    return caught.value.problem.code


@pytest.mark.parametrize(
    ("sent", "target", "path"),
    [
        (b"/", b"/", b"/"),
        (b"/a?", b"/a?", b"/a"),
        (b"/a?b?c", b"/a?b?c", b"/a"),
        (b"//a/../b;c\\%2e", b"//a/../b;c\\%2e", b"//a/../b;c\\%2e"),
        (b"http://h/a?b", b"/a?b", b"/a"),
        (b"HTTPS://h?b", b"/?b", b"/"),
    ],
)
def test_the_target_stays_as_the_client_wrote_it(sent, target, path):
    """P11, N5: an absolute form loses its authority and nothing else."""
    found = head(sent)
    assert (found.target, found.path) == (target, path)


def test_the_authority_of_an_absolute_form_is_the_host():
    """RFC 9112 §3.2.2: it goes before the Host field, which must be a good one all the same (P6)."""
    assert head(b"http://other:81/a").host == b"other:81"
    assert head(b"/a", "GET", (b"host", b"[::1]:80")).host == b"[::1]:80"
    assert refusal(b"http://other/a", "GET", (b"host", b"a"), (b"host", b"a")) == "bad_request"


@pytest.mark.parametrize(
    "target", [b"a", b"@evil", b"*", b"/a#b", b"ftp://h/a", b"http://u@h/a", b"http:///a", b""]
)
def test_what_is_no_path_is_refused(target):
    """P7, N5."""
    assert refusal(target) == "bad_request"


def test_an_asterisk_is_for_options():
    """P7."""
    assert head(b"*", "OPTIONS").target == b"*"


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
def test_methods_that_are_never_forwarded(method):
    """P7: and that before their target is looked at."""
    assert refusal(b"h:1", method) == "method_not_supported"


@pytest.mark.parametrize(
    "hosts", [[], ["a", "a"], ["a", "b"], [""], ["u@a"], ["a/b"], ["a b"], ["a:b"], ["a:123456"]]
)
def test_exactly_one_good_host(hosts):
    """P6."""
    fields = [(b"host", h.encode()) for h in hosts]
    with pytest.raises(GatewayError) as caught:
        read_head("GET", b"/", "1.1", fields, Limits())
    assert caught.value.problem.code == "bad_request"


def test_an_old_client_need_not_say_the_host():
    """RFC 9112 §3.2: HTTP/1.0 had no Host."""
    assert read_head("GET", b"/", "1.0", [], Limits()).host == b""


@pytest.mark.parametrize("version", ["0.9", "2.0", "1.2"])
def test_other_versions_are_refused(version):
    """P7: the parser takes HTTP/0.9 and HTTP/2.0 on a request line."""
    assert refusal(version=version) == "bad_request"


@pytest.mark.parametrize(
    ("fields", "has_body", "length"),
    [
        ([], False, None),
        ([(b"content-length", b"0")], True, 0),
        ([(b"content-length", b"7")], True, 7),
        ([(b"transfer-encoding", b"chunked")], True, None),
        ([(b"transfer-encoding", b"Chunked")], True, None),
        ([(b"transfer-encoding", b"chunked \t")], True, None),
        ([(b"content-length", b"7 ")], True, 7),
    ],
)
def test_whether_a_body_follows(fields, has_body, length):
    found = head(b"/", "POST", *fields)
    assert (found.has_body, found.content_length) == (has_body, length)


@pytest.mark.parametrize(
    "codings", [[b"gzip, chunked"], [b"gzip"], [b"chunked", b"chunked"], [b"chunked, chunked"], [b""]]
)
def test_chunks_are_the_only_coding(codings):
    """P2: whatever else was applied, nobody took it off."""
    assert refusal(b"/", "POST", *((b"transfer-encoding", c) for c in codings)) == "bad_request"


@pytest.mark.parametrize(
    "lengths", [[b"1", b"1"], [b"1, 1"], [b"+1"], [b"0x1"], [b"-1"], [b""], [b"1" * 20], [b"\xb2"]]
)
def test_a_length_is_one_number(lengths):
    """P2."""
    assert refusal(b"/", "POST", *((b"content-length", value) for value in lengths)) == "bad_request"


def test_the_limits_are_what_is_still_accepted():
    """D1: one byte more is refused."""
    assert head(b"/234", target_bytes=4).target == b"/234"
    assert refusal(b"/2345", target_bytes=4) == "target_too_long"
    size = len(b"host: a\r\n") + len(b"x: 123\r\n")
    assert head(b"/", "GET", (b"x", b"123"), header_bytes=size)
    assert refusal(b"/", "GET", (b"x", b"1234"), header_bytes=size) == "headers_too_large"
    assert head(b"/", "POST", (b"content-length", b"5"), body_bytes=5).content_length == 5
    assert refusal(b"/", "POST", (b"content-length", b"6"), body_bytes=5) == "body_too_large"
    assert head(b"/", "POST", (b"content-length", b"6")).content_length == 6


def test_two_framings_are_none():
    """P1: whatever server is under us."""
    assert refusal(b"/", "POST", (b"content-length", b"3"), (b"transfer-encoding", b"chunked")) == "bad_request"


def test_chunks_are_not_for_http_1_0():
    """P2: RFC 9112 §6.1: such a message is framed by nobody knows whom."""
    assert refusal(b"/", "POST", (b"transfer-encoding", b"chunked"), version="1.0") == "bad_request"


def test_the_fields_are_counted():
    """D1: each line is one, whatever its name."""
    fields = [(b"x", b"") for _ in range(3)]
    assert len(head(b"/", "GET", *fields, header_fields=4).headers) == 4
    assert refusal(b"/", "GET", *fields, header_fields=3) == "headers_too_large"
    assert head(b"/", "GET", *fields, header_fields=0)


@pytest.mark.parametrize("target", [b"http://a b/", b"http://a:b/", b"http://h,x/", b"http://h\\/"])
def test_the_authority_of_an_absolute_form_is_a_host(target):
    """P7: as strict as the Host field."""
    assert refusal(target) == "bad_request"


def vars_of(head):
    return {
        name: getattr(head, name) for name in ("method", "target", "path", "host", "headers", "fields", "version")
    }


def test_fields_that_are_known_are_not_read_again():
    """The same fields, version and limits: what was said of them holds."""
    headers, limits = [(b"host", b"a"), (b"content-length", b"5")], Limits()
    fields = read_fields(headers, "1.1", limits)
    assert fields == (b"a", True, 5, 4 * 2 + 4 + 1 + 14 + 1)
    known = read_head("POST", b"/x?y", "1.1", headers, limits, fields=fields)
    assert vars_of(known) == vars_of(read_head("POST", b"/x?y", "1.1", headers, limits))
    assert known.fields is fields


def test_the_same_head_with_other_headers():
    head = read_head("GET", b"/x?y", "1.1", [(b"host", b"a")], Limits())
    other = head.with_headers([(b"host", b"b")])
    assert vars_of(other) == vars_of(head) | {"headers": [(b"host", b"b")]}
