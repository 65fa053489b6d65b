"""The target that was judged is the target that the upstream gets, and every server reads the same path out of it."""

import json
import random

import pytest

from gateway.core.paths import canonical
from tests import lanes
from tests.core.path_readers import differing
from tests.e2e.uri_reader import uri_reader
from tests.e2e.wire import Script, Wire, ask, ok, request
from tests.house import house

pytestmark = lanes.BOTH

PLAIN = (
    "a",
    "b",
    "c.d",
    "~",
    ",",
    "+",
    "%61",
    "%20",
    "%C3%A9",
    "%e9",
    "%3f",
    "%23",
    "%25",
    "/a",
    "/b",
    "/.x",
    "/admin/",
    "/open/",
)
ODD = (
    *(
        "/",
        "//",
        ".",
        "..",
        "%2e",
        "%2E",
        "%2f",
        "%2F",
        "%5c",
        "\\",
        ";",
        "%3b",
        "25",
        "2e",
        "2f",
        "%",
        "%00",
        "%7f",
    ),
    *(
        "%c0%ae",
        "%c0%af",
        "%252e",
        "%252f",
        "/../",
        "/./",
        "..;/",
        "/open/..",
        "open%2f",
        "%6fpen",
        "%2e%2e/",
        "../",
    ),
)
RULES = [{"match": "/open/*", "auth": "off"}, {"match": "/admin/*"}, {"match": "/", "auth": "off"}]


def targets(number: int, seed: int) -> list[str]:
    """Paths of what servers agree about, and of one or two things that they do not, or of none."""
    dice = random.Random(seed)  # noqa: S311  # the same paths in each run

    def path() -> str:
        pieces = [dice.choice(PLAIN) for _ in range(dice.randint(0, 4))]
        for _ in range(dice.randint(0, 2)):
            pieces.insert(dice.randint(0, len(pieces)), dice.choice(ODD))
        return dice.choice(("/", "/open/", "/admin/")) + "".join(pieces)

    return list(dict.fromkeys(path() for _ in range(number)))


async def test_what_has_one_reading_has_the_same_one_in_nginx(tmp_path):
    """N2: the rules' reading is nginx's ``$uri``, byte for byte."""
    async with uri_reader(tmp_path) as port, Wire.to(port) as wire:
        clear = [t for t in targets(1500, 1) if canonical(t.encode()) is not None]
        assert len(clear) > 300
        for target in clear:
            wire.send(request(f"GET {target}"))
            answer = await wire.answer()
            assert (answer.status, answer.body) == (200, canonical(target.encode())), target


async def test_no_spelling_gets_past_a_rule_by_what_nginx_reads(tmp_path):
    """N2, N3: without a token, nginx is asked for nothing but what is open, whatever the target looks like."""
    (tmp_path / "nginx").mkdir()
    async with uri_reader(tmp_path / "nginx") as port:
        upstream = {"url": f"http://127.0.0.1:{port}"}
        async with house(tmp_path, upstream=upstream, routes=RULES) as h, Wire.to(h.port) as wire:
            seen = {200: 0, 400: 0, 401: 0}
            for target in targets(600, 2):
                wire.send(request(f"GET {target}"))
                answer = await wire.answer()
                seen[answer.status] += 1
                if answer.status == 200:
                    assert answer.body == b"/" or answer.body.startswith(b"/open/"), target
                    assert differing(target.encode(), answer.body) == [], target
            assert min(seen.values()) > 50


# the target | what the upstream gets in its place, None: refused with 400
FORMS = [
    ("/x", "/x"),
    ("/x?", "/x?"),
    ("/x?a=/../&b=%2f;", "/x?a=/../&b=%2f;"),
    ("/x??y?", "/x??y?"),
    ("/x?http://evil.example", "/x?http://evil.example"),
    ("/%41%7E%c3%A9", "/%41%7E%c3%A9"),
    ("http://gateway.example/x?y", "/x?y"),
    ("HTTP://gateway.example/x", "/x"),
    ("hTTps://gateway.example:443/x", "/x"),
    ("http://gateway.example", "/"),
    ("http://gateway.example?y=/z", "/?y=/z"),
    ("http://gateway.example/http://evil.example/", "/http://evil.example/"),
    ("http://[2001:db8::1]:8080/x", "/x"),
    ("http://gateway.example//x", "//x"),
    ("", None),
    ("x", None),
    ("?x", None),
    ("*", None),
    ("*/x", None),
    ("@evil.example/x", None),
    ("evil.example:80", None),
    ("http:/x", None),
    ("http:x", None),
    ("http://", None),
    ("http:///x", None),
    ("http://:80/x", None),
    ("http://user@gateway.example/x", None),
    ("http://gateway.example\\@evil.example/x", None),
    ("http://a,b/x", None),
    ("http://a:99999/x", None),
    ("http://[::1/x", None),
    ("ftp://gateway.example/x", None),
    ("ws://gateway.example/x", None),
    ("/x#y", None),
    ("http://gateway.example/#", None),
    ("/x y", None),
    ("/\xe9", None),
]


async def test_the_forms_of_a_target(tmp_path):
    """P7, N5: what arrives are the client's own bytes, or nothing does."""
    async with Script.saying(ok()) as api, house(tmp_path, upstream={"url": api.url}) as h:
        for target, seen in FORMS:
            api.requests.clear()
            answer = await ask(h, request(f"GET {target}", h.login()))
            assert answer.status == (400 if seen is None else 200), target
            lines = [head.split(b"\r\n")[0] for head in api.requests]
            assert lines == ([] if seen is None else [f"GET {seen} HTTP/1.1".encode()]), target


OPTIONS = [
    ("OPTIONS *", "*"),
    ("OPTIONS http://gateway.example", "*"),
    ("OPTIONS http://gateway.example/", "/"),
    ("OPTIONS http://gateway.example?x", "/?x"),
    ("OPTIONS /*", "/*"),
    ("GET http://gateway.example", "/"),
]


async def test_the_whole_server_is_a_target_of_options(tmp_path):
    """P7: RFC 9112 §3.2.4, with prefixes and rules, which are for paths."""
    rules = [{"match": "/a/*", "strip_prefix": "/a"}]
    async with Script.saying(ok()) as api, house(tmp_path, upstream={"url": api.url}, routes=rules) as h:
        for line, seen in OPTIONS:
            assert (await ask(h, request(line, h.login()))).status == 200
            assert api.requests[-1].split(b" ")[1] == seen.encode(), line


# what the client sends | Host and X-Forwarded-Host at the upstream with preserve_host
HOSTS = [
    ("GET /x", "api.example", "api.example"),
    ("GET /x", "API.example:8080", "API.example:8080"),
    ("GET /x", "api.example.", "api.example."),
    ("GET /x", "[2001:DB8::1]:8080", "[2001:DB8::1]:8080"),
    ("GET /x", "127.0.0.1", "127.0.0.1"),
    ("GET /x", "a_b", "a_b"),
    ("GET http://abs.example/x", "api.example", "abs.example"),
    ("GET http://abs.example:81/x", "api.example:82", "abs.example:81"),
    ("GET https://[::1]/x", "api.example", "[::1]"),
    ("OPTIONS http://abs.example", "api.example", "abs.example"),
]


async def test_the_host_is_the_clients_or_with_preserve_host_off_the_upstreams(tmp_path):
    """N5, N1: an absolute form's authority counts, not ``Host`` (RFC 9112 §3.2.2); it never decides who is called."""
    async with Script.saying(ok()) as api:
        for preserve in (True, False):
            async with house(tmp_path, upstream={"url": api.url, "preserve_host": preserve}) as h:
                for line, host, public in HOSTS:
                    assert (await ask(h, request(line, h.login(), host=host))).status == 200
                    head = api.requests[-1].decode().lower()
                    own = api.url.removeprefix("http://")
                    assert f"\r\nhost: {public.lower() if preserve else own}\r\n" in head
                    assert f"\r\nx-forwarded-host: {public.lower()}\r\n" in head
                    assert head.count("\r\nhost: ") == 1


@pytest.mark.parametrize("line", ["GET /x", "GET http://gateway.example/x", "OPTIONS *"])
async def test_a_host_that_is_none_is_refused(tmp_path, line):
    """P6: in the absolute form too, where it does not count (RFC 9112 §3.2)."""
    async with house(tmp_path) as h:
        for host in ("u@a", "a/b", "a b", "a,b", "a:b", "a:65536", "[::1", "::1", "[1]", "", "a\\b", "a?b", "\xe9"):
            answer = await ask(h, request(line, h.login(), host=host))
            assert (answer.status, json.loads(answer.body)["code"]) == (400, "bad_request"), host
        assert h.api.count == 0


PREFIXED = [
    ("/v1/x?y", "/base/v1/x?y"),
    ("/", "/base/"),
    ("/cut", "/base/"),
    ("/cut/", "/base/"),
    ("/cut?y", "/base/?y"),
    ("/cut/x%20y", "/base/x%20y"),
    ("/cut/cut/x", "/base/cut/x"),
    ("/cutter", "/base/cutter"),
    ("http://h/cut/x", "/base/x"),
    ("/%63ut/x", None),
    ("/c%75t", None),
    ("/cut/../x", None),
    ("/cut//x", None),
    ("/../x", None),
    ("/x/%2e%2e/%2e%2e/y", None),
    ("//x", None),
]


async def test_no_target_leaves_the_prefix_of_its_upstream(tmp_path):
    """N2, N5: prefixes are put on and taken off in whole segments, of the bytes that were judged."""
    rules = [{"match": path, "strip_prefix": "/cut"} for path in ("/cut", "/cut/*")]
    async with Script.saying(ok()) as api, house(tmp_path, upstream={"url": api.url + "/base"}, routes=rules) as h:
        for target, seen in PREFIXED:
            api.requests.clear()
            answer = await ask(h, request(f"GET {target}", h.login()))
            assert answer.status == (400 if seen is None else 200), target
            assert [head.split(b" ")[1] for head in api.requests] == ([] if seen is None else [seen.encode()]), (
                target
            )


async def test_no_field_moves_a_request_to_another_path_or_rule(tmp_path):
    """N3, N5: neither for the rules, nor for an API that heeds what IIS's rewriting once added."""
    fields = [
        "X-Original-URL: /open/x",
        "X-Rewrite-URL: /open/x",
        "X-Original_URL: /open/x",
        "X-Forwarded-Prefix: /open",
    ]
    async with Script.saying(ok()) as api, house(tmp_path, upstream={"url": api.url}, routes=RULES) as h:
        assert (await ask(h, request("GET /admin/x", None, *fields))).status == 401
        assert (
            await ask(h, request("GET /open/x", None, *(f.replace("open", "admin") for f in fields)))
        ).status == 200
        assert b"admin" not in api.requests[-1]
        assert b"GET /open/x " in api.requests[-1]
