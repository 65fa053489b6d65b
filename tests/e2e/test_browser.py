"""Header mode from a page of another origin, in a real browser, which enforces CORS as no client library does."""

from tests.e2e.browser import Origin, browsing
from tests.house import house
from upstream_stub.api import Api

CALL = """
const call = async (access, refresh) => {
    const headers = {};
    if (access) headers["Authorization"] = "Bearer " + access;
    if (refresh) headers["X-Refresh-Token"] = refresh;
    try {
        const answer = await fetch(gateway + "/cors", {headers});
        return {status: answer.status, body: await answer.json(), fields: Object.fromEntries(answer.headers)};
    } catch (error) {
        return {thrown: error.name};
    }
};
"""
STORY = """
const first = await call(access, refresh);
const second = await call(first.fields["x-access-token"], first.fields["x-refresh-token"]);
const rejected = await call("not-a-token", first.fields["x-refresh-token"]);
const missing = await call();
return {first, second, rejected, missing};
"""


async def test_a_page_of_another_origin_is_refreshed_and_can_read_its_new_tokens(tmp_path):
    """C3: the preflight passes, the answer and the new tokens can be read, and so can a 401 of our own; a page
    of an origin that the API does not allow reads nothing.
    """
    async with Origin() as page, Origin() as stranger, house(tmp_path, api=Api(cors_origin=page.url)) as h:
        (access, refresh), other = h.expired(), h.expired("mallory")
        page.run(CALL + STORY, frame=stranger.url, gateway=h.url, access=access, refresh=refresh)
        stranger.run(CALL + "return await call(access, refresh);", gateway=h.url, access=other[0], refresh=other[1])
        async with browsing(page.url, tmp_path / "profile"):
            seen, strange = await page.report(), await stranger.report()
        assert "thrown" not in seen, seen

        first = seen["first"]
        assert first["status"] == 200
        fields = first["fields"]
        assert fields["x-token-refreshed"] == "expired"
        assert int(fields["x-access-token-expires-at"]) > 1e12
        arrived = dict(first["body"]["headers"])
        assert arrived["authorization"] == "Bearer " + fields["x-access-token"]
        assert arrived["origin"] == page.url
        assert "x-refresh-token" not in arrived
        assert fields["x-refresh-token"] != refresh

        assert seen["second"]["status"] == 200
        assert "x-access-token" not in seen["second"]["fields"]
        assert (seen["rejected"]["status"], seen["rejected"]["body"]["code"]) == (401, "invalid_token")
        assert (seen["missing"]["status"], seen["missing"]["body"]["code"]) == (401, "missing_token")
        assert "www-authenticate" in seen["missing"]["fields"]

        assert strange == {"thrown": "TypeError"}
        preflights = [r for r in h.api.requests if r.method == "OPTIONS"]
        assert preflights
        assert all(
            b"x-refresh-token" not in v for r in preflights for v in r.values(b"access-control-request-headers")
        )
        assert h.auth.presented(refresh) == 1
        assert h.auth.presented(other[1]) == 0


async def test_the_gateway_answers_for_an_api_that_knows_nothing_of_cors(tmp_path):
    """C2: refreshed in flight, the new tokens and our errors readable, a preflight that the API never sees; a page
    of an origin that is not listed reads nothing, and none of its tokens is used.
    """
    story = CALL.replace('"/cors"', '"/echo"') + STORY
    async with Origin() as page, Origin() as stranger, house(tmp_path, cors={"allow_origins": [page.url]}) as h:
        (access, refresh), other = h.expired(), h.expired("mallory")
        page.run(story, frame=stranger.url, gateway=h.url, access=access, refresh=refresh)
        alone = story.partition("const first")[0] + "return await call(access, refresh);"
        stranger.run(alone, gateway=h.url, access=other[0], refresh=other[1])
        async with browsing(page.url, tmp_path / "profile"):
            seen, strange = await page.report(), await stranger.report()
        assert "thrown" not in seen, seen

        first = seen["first"]
        assert (first["status"], first["fields"]["x-token-refreshed"]) == (200, "expired")
        assert dict(first["body"]["headers"])["authorization"] == "Bearer " + first["fields"]["x-access-token"]
        assert (seen["second"]["status"], "x-access-token" in seen["second"]["fields"]) == (200, False)
        assert (seen["rejected"]["status"], seen["rejected"]["body"]["code"]) == (401, "invalid_token")
        assert (seen["missing"]["status"], "www-authenticate" in seen["missing"]["fields"]) == (401, True)

        assert strange == {"thrown": "TypeError"}
        assert {r.method for r in h.api.requests} == {"GET"}
        assert h.auth.presented(refresh) == 1
        assert h.auth.presented(other[1]) == 0
