"""One connection whose heads differ little: each request is what its own bytes say."""

import pytest

from tests.e2e.engine import pieces
from tests.e2e.raw_client import connected
from tests.e2e.scene import scene
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
