"""D6: nothing in the gateway grows with what clients say; what it remembers of them has a bound."""

import resource
from collections import deque
from collections.abc import Iterator
from functools import partial
from types import FunctionType, MethodType
from typing import Any

import pytest

from gateway.core.bounded import Bounded
from tests.e2e.support import settled, until
from tests.house import House, house

CONTAINERS = (dict, list, set, frozenset, deque)
SECTIONS = {
    "server": {"trusted_proxies": ["127.0.0.0/8"]},
    "refresh": {"unknown_burst": 1_000_000},
    "auth": {"algorithm": "EdDSA"},
    "access_token": {"algorithms": ["EdDSA"]},
}
REMEMBERED = {
    "refresher._renewal._judge._known",
    "refresher._renewal._judge._obtained",
    "refresher._renewal._judge._verifier._cache",
    "refresher._renewal._presentation._addresses._buckets",
    "refresher._renewal._presentation._good",
    "refresher._renewal._presentation._throttle._until",
    "refresher._seen",
}
"""What a gateway remembers of its clients. A new one is a decision: what bounds it?"""
ELSEWHERE = ("store._kinds", "application._proxy._settings.fittings.")
"""The store's rooms, and what was learnt of the API's allowances to origins."""


def parts(thing: Any) -> Iterator[tuple[str, Any]]:
    """What a thing of ours is made of."""
    if isinstance(thing, MethodType):
        yield "", thing.__self__
    elif isinstance(thing, partial):
        yield from (("()", part) for part in (thing.func, *thing.args, *thing.keywords.values()))
    elif isinstance(thing, FunctionType):
        yield from (("()", cell.cell_contents) for cell in thing.__closure__ or ())
    elif isinstance(thing, dict):
        yield from ((f"[{key!r}]", value) for key, value in list(thing.items())[:50])
    elif isinstance(thing, list | tuple | set | frozenset | deque):
        yield from (("[]", part) for part in list(thing)[:50])
    elif type(thing).__module__.startswith("gateway."):
        slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
        names = dict.fromkeys([*getattr(thing, "__dict__", ()), *slots])
        yield from ((f".{name}", getattr(thing, name)) for name in names if hasattr(thing, name))


def containers(root: Any) -> dict[str, Any]:
    """Every container in a gateway, by one way that leads to it."""
    found: dict[str, Any] = {}
    seen, todo = set(), deque([("", root)])
    while todo:
        path, thing = todo.popleft()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, CONTAINERS):
            found[path] = thing
        todo.extend((path + name, part) for name, part in parts(thing))
    return {path.lstrip("."): thing for path, thing in found.items()}


async def say_everything(h: House, numbers: range) -> None:
    """Requests of which none has anything in common with another: clients, users, tokens, origins, paths."""
    for n in numbers:
        address = f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
        origin = f"https://{n}.example"
        fields = {"X-Forwarded-For": address, "Origin": origin, "User-Agent": f"agent/{n}", f"X-Field-{n}": str(n)}
        pairs = [h.login(f"user-{n}"), h.expired(f"late-{n}"), (h.expired(f"other-{n}")[0], f"guess-{n}")]
        for pair in pairs:
            await h.get(f"/cors/{n}?q={n}", pair, headers=fields)
        await h.get(f"/{n}", (f"nonsense-{n}", None), headers=fields)
        await h.request("OPTIONS", f"/{n}", headers={**fields, "Access-Control-Request-Method": "GET"})


async def test_nothing_grows_with_what_clients_say_but_what_is_bounded(tmp_path):
    """D6: every container that can be reached from the gateway, before and after a few hundred strangers."""
    async with house(tmp_path, **SECTIONS) as h:
        await say_everything(h, range(50))
        await settled(h)
        before = {path: len(thing) for path, thing in containers(h.gateway).items()}
        assert "refresher._seen" in before, "the walk does not find what it should"
        assert len(before) > 50
        await say_everything(h, range(50, 150))
        await settled(h)
        await until(lambda: h.gateway.upstreams[""].active == 0)
        after = containers(h.gateway)
        grown = {path: thing for path, thing in after.items() if len(thing) > before.get(path, 0) + 20}
        assert {path for path, thing in grown.items() if not isinstance(thing, Bounded)} == set()
        assert REMEMBERED - {"refresher._renewal._presentation._throttle._until"} <= set(grown)
        assert {path for path in grown if not path.startswith(ELSEWHERE)} <= REMEMBERED


def flood(room: Bounded[Any, Any], keys: int) -> None:
    for key in range(keys):
        room[key] = None


async def test_every_memory_of_a_gateway_has_its_bound(tmp_path):
    """D6: filled beyond it, straight, each holds as much as it may and no more."""
    async with house(tmp_path, **SECTIONS, store={"max_entries": 5000}) as h:
        await say_everything(h, range(3))
        await settled(h)
        rooms = {path: room for path, room in containers(h.gateway).items() if isinstance(room, Bounded)}
        assert set(rooms) >= REMEMBERED
        for path, room in rooms.items():
            assert room._limit <= 100_000, path
            flood(room, room._limit + 1000)
            assert len(room) == room._limit, path
            room.clear()


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_million_keys_in_every_memory_leave_the_process_flat(tmp_path):
    """D6: as it is written."""
    async with house(tmp_path, **SECTIONS) as h:
        await say_everything(h, range(3))
        await settled(h)
        rooms = [room for room in containers(h.gateway).values() if isinstance(room, Bounded)]
        for room in rooms:
            flood(room, 3 * room._limit)  # a table that is churned is twice as large as one that was filled
        full = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for room in rooms:
            flood(room, 1_000_000)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - full < 16 * 1024
        for room in rooms:
            room.clear()
