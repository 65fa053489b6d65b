"""One connection whose heads differ little: each request is what its own bytes say."""

import pytest

from tests.e2e.engine import pieces
from tests.e2e.raw_client import connected
from tests.e2e.scene import PATIENT, scene
from tests.e2e.test_express_bodies import recorder

EXPRESS = pytest.mark.parametrize("express", [True, False], ids=["express", "asgi"])


def lines(head: bytes, name: bytes) -> list[bytes]:
    """The values of one field that the upstream saw."""
    found = [line.partition(b": ") for line in head.split(b"\r\n")[1:]]
    return [value for field, _, value in found if field.lower() == name]


@EXPRESS
async def test_values_that_change_arrive_as_they_are(tmp_path, express):
    """P10: first, second, and the first again; an unchanged field stays."""
    seen: list[tuple[bytes, bytes]] = []
    async with scene(tmp_path, recorder(seen), server={"express": express}) as s, connected(s.h) as client:
        values = [b"00-1-1-01", b"00-2-2-01", b"00-1-1-01", b"00-3-3-00"]
        for value in values:
            await client.send(s.head((b"Traceparent", value), (b"Accept", b"a/b")))
            assert (await client.answer()).status == 200
        assert [lines(head, b"traceparent") for head, _ in seen] == [[value] for value in values]
        assert [lines(head, b"accept") for head, _ in seen] == [[b"a/b"]] * 4
        assert s.lanes == [express] * 4


@EXPRESS
async def test_a_field_that_a_rule_reads_is_read_again(tmp_path, express):
    """R1, N1, X6: another token, another host, a field named away, a forged token."""
    seen: list[tuple[bytes, bytes]] = []
    async with scene(tmp_path, recorder(seen), server={"express": express}) as s, connected(s.h) as client:
        other = s.h.login("grace")
        plain = s.head((b"Accept", b"a"), (b"Connection", b"keep-alive"))
        for head, status in (
            (plain, 200),
            (plain.replace(s.pair[0].encode(), other[0].encode()), 200),
            (plain.replace(b"keep-alive", b"accept"), 200),
            (plain.replace(b"Host: gateway.example", b"Host: another.example"), 200),
            (plain.replace(s.pair[0].encode(), other[0][:-9].encode() + b"A" * 9), 401),
            (plain, 200),
        ):
            assert len(head) > 100
            await client.send(head)
            assert (await client.answer()).status == status
        tokens = [lines(head, b"authorization") for head, _ in seen]
        mine, theirs = (b"Bearer " + pair[0].encode() for pair in (s.pair, other))
        assert tokens == [[mine], [theirs], [mine], [mine], [mine]]
        assert [lines(head, b"accept") for head, _ in seen] == [[b"a"], [b"a"], [], [b"a"], [b"a"]]
        assert lines(seen[3][0], b"host") == lines(seen[3][0], b"x-forwarded-host") == [b"another.example"]


@EXPRESS
async def test_many_users_on_one_connection_are_kept_apart(tmp_path, express):
    """R1, X6: what a load balancer sends; each has its own token, its own name for the API, and its own judgement."""
    seen: list[tuple[bytes, bytes]] = []
    upstream = {**PATIENT, "identity_headers": {"X-User": "sub"}}
    async with scene(tmp_path, recorder(seen), server={"express": express}, upstream=upstream) as s:
        pairs = {name: s.h.login(name) for name in ("ada", "grace", "linus")}
        order = ["ada", "grace", "grace", "linus", "forged", "ada", "nobody", "linus"]
        known = s.head((b"Accept", b"a/b"))
        async with connected(s.h) as client:
            for name in order:
                await client.send(as_user(known, s.pair, pairs, name))
                answer = await client.answer()
                assert answer.status == (200 if name in pairs else 401), name
        users = [name for name in order if name in pairs]
        assert [lines(head, b"x-user") for head, _ in seen] == [[name.encode()] for name in users]
        assert [lines(head, b"authorization") for head, _ in seen] == [
            [b"Bearer " + pairs[name][0].encode()] for name in users
        ]


def as_user(head: bytes, own: tuple[str, str], pairs: dict[str, tuple[str, str]], name: str) -> bytes:
    """``head`` with the pair of another one in the place of its ``own``."""
    if name == "nobody":
        return head.replace(b"Bearer " + own[0].encode(), b"Basic YTpi")
    access, refresh = pairs.get(name, (own[0][:-9] + "A" * 9, own[1]))
    return head.replace(own[0].encode(), access.encode()).replace(own[1].encode(), refresh.encode())


@EXPRESS
async def test_a_user_whose_token_has_expired_is_refreshed_among_others_on_one_connection(tmp_path, express):
    """R1: the neighbours' requests on the connection stay theirs."""
    seen: list[tuple[bytes, bytes]] = []
    async with scene(tmp_path, recorder(seen), server={"express": express}) as s, connected(s.h) as client:
        late = s.h.login("grace", lifetime=-60)
        for pair, refreshed in ((s.pair, []), (late, [b"expired"]), (s.pair, [])):
            await client.send(
                s.head().replace(s.pair[0].encode(), pair[0].encode()).replace(s.pair[1].encode(), pair[1].encode())
            )
            answer = await client.answer()
            assert answer.status == 200
            assert [value for name, value in answer.headers if name.lower() == b"x-token-refreshed"] == refreshed
        sent = [lines(head, b"authorization")[0] for head, _ in seen]
        assert sent[0] == sent[2] == b"Bearer " + s.pair[0].encode()
        assert sent[1] not in {sent[0], b"Bearer " + late[0].encode()}


@EXPRESS
async def test_a_name_that_is_ours_by_configuration_is_never_simply_passed_on(tmp_path, express):
    """X1, X4: the refresh token in a field that other gateways would take for a trace."""
    seen: list[tuple[bytes, bytes]] = []
    names = {"refresh": "X-Request-Id"}
    then = recorder(seen)
    async with scene(tmp_path, then, server={"express": express}, credentials=names) as s, connected(s.h) as client:
        for value in (b"first", b"second"):
            await client.send(s.head((b"X-Request-Id", value)).replace(b"X-Refresh-Token", b"X-Other"))
            assert (await client.answer()).status == 200
        assert [lines(head, b"x-request-id") for head, _ in seen] == [[], []]


@EXPRESS
async def test_a_value_that_grows_is_still_counted(tmp_path, express):
    """D1: the limit holds for a head that differs in one value from one below it."""
    seen: list[tuple[bytes, bytes]] = []
    more = {"express": express, "max_header_bytes": "4KiB"}
    async with scene(tmp_path, recorder(seen), server=more) as s, connected(s.h) as client:
        await client.send(s.head((b"Referer", b"x")))
        assert (await client.answer()).status == 200
        await client.send(s.head((b"Referer", b"x" * 4000)))
        assert (await client.answer()).status == 431
        assert len(seen) == 1


@EXPRESS
async def test_empty_lines_between_requests_are_counted_for_each_request(tmp_path, express):
    """D6: RFC 9112 §2.2 lets a client send some; those before one head are not those before the next."""
    async with scene(tmp_path, recorder([]), server={"express": express}) as s, connected(s.h) as client:
        for number in range(40):
            await pieces(client.writer, b"\r\n" * bool(number) + s.head(), [2 * bool(number)])
            assert (await client.answer()).status == 200
