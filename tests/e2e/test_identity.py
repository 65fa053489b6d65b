"""Verified claims as header fields: what the API may believe of them."""

from contextlib import asynccontextmanager

import pytest

from tests import lanes
from tests.house import house
from upstream_stub.api import Api
from upstream_stub.serving import Serving

pytestmark = lanes.BOTH

HEADERS = {
    "X-User": "sub",
    "X-Groups": "groups",
    "X-Name": "name",
    "X-Level": "level",
    "X-Admin": "admin",
    "X-Address": "address",
}
ROUTES = [
    {"match": "/off/*", "auth": "off"},
    {"match": "/optional/*", "auth": "optional"},
    {"match": "/other/*", "upstream": "other"},
]
FORGED = ["X-User", "x-user", "X_User", "x-USER", "X_GROUPS", "X-Admin"]


@asynccontextmanager
async def opened(tmp_path, **more):
    """A default API that is told who calls, and another that is told nothing."""
    other = Api()
    async with Serving(other) as serving:
        sections = {"upstreams.other": {"url": serving.url}}
        async with house(tmp_path, routes=ROUTES, upstream={"identity_headers": HEADERS}, **sections, **more) as h:
            yield h, other


def identity(api: Api) -> dict[str, list[bytes]]:
    """The identity fields of the last request, whatever their spelling."""
    names = {n.lower() for n in HEADERS}
    found: dict[str, list[bytes]] = {}
    for name, value in api.requests[-1].headers:
        spelled = name.decode().lower().replace("_", "-")
        if spelled in names:
            found.setdefault(spelled, []).append(value)
    return found


async def test_verified_claims_reach_the_api(tmp_path):
    """CONTRACT §2: text, numbers, truth and lists; a claim that is absent has no field."""
    async with opened(tmp_path) as (h, _):
        token = h.auth.mint(sub="ada", groups=["staff", "dev"], name="Ada", level=3, admin=True, address=None)
        assert (await h.get("/x", (token, None))).status_code == 200
        assert identity(h.api) == {
            "x-user": [b"ada"],
            "x-groups": [b"staff,dev"],
            "x-name": [b"Ada"],
            "x-level": [b"3"],
            "x-admin": [b"true"],
        }


@pytest.mark.parametrize("path", ["/x", "/off/x", "/optional/x", "/other/x"])
async def test_a_copy_that_the_client_sends_reaches_nobody(tmp_path, path):
    """X1: on every route, to every API, in any case and underscore variant."""
    async with opened(tmp_path) as (h, other):
        access = () if path.startswith(("/off", "/opt")) else (("Authorization", f"Bearer {h.login()[0]}"),)
        expected = {"x-user": [b"ada"]} if path == "/x" else {}
        for name in FORGED:
            headers = [(name, "root"), (name, "admin"), *access]
            assert (await h.client.get(h.url + path, headers=headers)).status_code == 200
            assert identity(other if path.startswith("/other") else h.api) == expected, name


async def test_an_optional_route_tells_who_came_if_somebody_did(tmp_path):
    """CONTRACT §2: verified, or nothing."""
    async with opened(tmp_path) as (h, _):
        await h.get("/optional/x", h.login())
        assert identity(h.api) == {"x-user": [b"ada"]}
        await h.get("/optional/x")
        assert identity(h.api) == {}


async def test_an_off_route_tells_nothing_of_a_token_that_nobody_judged(tmp_path):
    """R17: it passes untouched."""
    async with opened(tmp_path) as (h, _):
        pair = h.login()
        await h.get("/off/x", pair)
        assert identity(h.api) == {}
        assert h.api.requests[-1].values(b"authorization") == [f"Bearer {pair[0]}".encode()]


async def test_after_a_refresh_the_claims_are_those_of_the_new_token(tmp_path):
    """R1: who the API hears of is who the forwarded token names."""
    async with opened(tmp_path) as (h, _):
        h.auth.fault("answer", claims={"groups": ["new"]})
        assert (await h.get("/x", h.expired("ada"))).status_code == 200
        assert identity(h.api) == {"x-user": [b"ada"], "x-groups": [b"new"]}


CLAIMS = [
    ("Zoë ✓ 名前", "Zoë ✓ 名前".encode()),
    ("", b""),
    ('a, b;c="d"', b'a, b;c="d"'),
    ("evil\r\nX-Admin: true", None),
    ("evil\nX-Admin: true", None),
    ("nul\x00", None),
    ("esc\x1b[31m", None),
    ("del\x7f", None),
    ("\x85next line", None),
    ("line\u2028separator", None),
    ("hidden\u202eorder", None),
    (" padded ", None),
    ({"nested": "object"}, None),
    (["ok", "evil\r\nX-Admin: true", {"x": 1}], b"ok"),
    (False, b"false"),
    (1.5, b"1.5"),
    ([], None),
    (["dev,admin"], None),
    (["dev", "ops,admin"], b"dev"),
]


async def test_no_claim_becomes_a_field_of_its_own(tmp_path):
    """P17: control characters and what is no text are left out; everything else is UTF-8."""
    async with opened(tmp_path) as (h, _):
        for claim, field in CLAIMS:
            answer = await h.get("/x", (h.auth.mint(sub="ada", name=claim), None))
            assert answer.status_code == 200
            expected = {"x-user": [b"ada"]} | ({} if field is None else {"x-name": [field]})
            assert identity(h.api) == expected, claim


async def test_connection_cannot_name_an_identity_away(tmp_path):
    """X6: nor the token."""
    async with opened(tmp_path) as (h, _):
        pair = h.login()
        await h.get("/x", pair, headers={"Connection": "close, X-User, X_User, Authorization, X-Forwarded-For"})
        assert identity(h.api) == {"x-user": [b"ada"]}
        assert h.api.requests[-1].values(b"authorization") == [f"Bearer {pair[0]}".encode()]
        assert h.api.requests[-1].values(b"x-forwarded-for") == [b"127.0.0.1"]
