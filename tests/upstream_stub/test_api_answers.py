"""The API's short answers."""

import pytest

from upstream_stub.pattern import pattern


async def test_deny_refuses_always(client):
    answer = await client.get("/deny")
    assert (answer.status_code, 'error="invalid_token"' in answer.headers["www-authenticate"]) == (401, True)


async def test_a_401_has_any_challenge_or_none(client):
    named = await client.get("/unauthorized?error=insufficient_scope")
    assert 'error="insufficient_scope"' in named.headers["www-authenticate"]
    assert "error" not in (await client.get("/unauthorized")).headers["www-authenticate"]
    bare = await client.get("/unauthorized?challenge=none")
    assert (bare.status_code, "www-authenticate" in bare.headers) == (401, False)


@pytest.mark.parametrize("code", [200, 204, 304, 403, 404, 500, 599])
async def test_any_final_status(client, code):
    answer = await client.get(f"/status/{code}")
    assert answer.status_code == code
    assert bool(answer.content) == (code not in {204, 304})


async def test_a_status_that_is_not_final_is_refused(client):
    assert (await client.get("/status/101")).status_code == 400


async def test_set_cookie_lines_stay_apart(client):
    answer = await client.get("/cookies", headers={"Cookie": "a=1; b=2"})
    assert answer.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2; Path=/; HttpOnly"]
    assert answer.json() == {"cookies": ["a=1; b=2"]}


async def test_a_redirect_goes_where_it_is_told(client):
    answer = await client.get("/redirect?to=/x&code=307")
    assert (answer.status_code, answer.headers["location"]) == (307, "/x")


async def test_an_etag_answers_304_to_who_has_it(client):
    tag = (await client.get("/etag")).headers["etag"]
    for asked in (tag, f'"other", W/{tag}', "*"):
        answer = await client.get("/etag", headers={"If-None-Match": asked})
        assert (answer.status_code, answer.headers["etag"], answer.content) == (304, tag, b"")
    assert (await client.get("/etag", headers={"If-None-Match": '"other"'})).status_code == 200


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-9", 0, 9), ("bytes=990-", 990, 999), ("bytes=-10", 990, 999), ("bytes=10-5000", 10, 999)],
)
async def test_one_range_of_bytes(client, asked, first, last):
    """RFC 9110 §14.1.2."""
    whole = b"".join(pattern(1000))
    answer = await client.get("/range", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, whole[first : last + 1])
    assert answer.headers["content-range"] == f"bytes {first}-{last}/1000"


async def test_a_range_that_cannot_be_had(client):
    for asked in ("bytes=2000-", "bytes=5-1", "lines=1-2"):
        assert (await client.get("/range", headers={"Range": asked})).status_code == 416
    stale = await client.get("/range", headers={"Range": "bytes=0-9", "If-Range": '"old"'})
    assert (stale.status_code, len(stale.content)) == (200, 1000)


async def test_a_head_answer_has_no_body(client):
    answer = await client.http.head(f"{client.listener.url}/bytes?size=100000")
    assert (answer.headers["content-length"], answer.content) == ("100000", b"")
    assert (await client.get("/health")).status_code == 200
