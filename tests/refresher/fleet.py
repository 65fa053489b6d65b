"""Several replicas with one store between them, which fails as it is told. All in virtual time.

``SharedMemory`` is the server; each replica has a ``Connection`` to it, which implements the refresher's ports with
leases and intents that are really shared. What a real one's commands do is proved in tests/store.
"""

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from gateway.core.outcomes import Failed
from gateway.core.records import Acquired, Busy, Entry, FamilyRecord, Intent, StoreUnavailable
from tests.refresher.support import AuthServer, Desk

TIMEOUT = 0.25
"""Of each operation."""

WRITES = {"put", "delete", "claim", "put_family", "enrol", "acquire", "renew", "release", "intend", "resolve"}


@dataclass
class Record:
    value: object
    ends: float
    version: int = 0
    claims: tuple = ()


class SharedMemory:
    """The server: what is in it, and what is wrong with it."""

    latency = 0.001

    def __init__(self, confirmation=3.0):
        self.records = {}
        self.commands = []
        """(replica, operation, key) of all that were carried out."""
        self.listeners = defaultdict(set)
        self.stopped = None
        """Like SIGSTOP: what arrives is carried out when it goes on."""
        self.away = False
        """Nothing arrives."""
        self.refuses_writes = False
        """Out of memory, or a replica that may only be read."""
        self.drops_news = False
        self.quarantine = float("-inf")
        self._confirmation = confirmation
        self._version = 0

    # What becomes of it

    def stop(self):
        self.stopped = []

    def go_on(self):
        waiting, self.stopped = self.stopped, None
        for operation in waiting:
            operation()

    def restart_empty(self):
        """The store's clients see a new run id, and give out no leases for a while."""
        self.records.clear()
        self.quarantine = now() + self._confirmation

    # What is in it

    def living(self, kind, key):
        record = self.records.get((kind, key))
        if record is not None and record.ends <= now():
            del self.records[kind, key]
            return None
        return record

    def write(self, kind, key, value, ttl, claims=()):
        self._version += 1
        self.records[kind, key] = Record(value, now() + ttl, self._version, claims)

    def kinds(self):
        return {kind for kind, key in list(self.records) if self.living(kind, key) is not None}


class Connection:
    """One replica's way to the server. ``dies_at`` is the number of the operation at which the replica is killed,
    ``dies_after`` says whether that one is still carried out.
    """

    shared = True

    def __init__(self, server, name):
        self.server = server
        self.name = name
        self.cut = False
        self.dead = False
        self.fails = set()
        """Operations that are not carried out."""
        self.loses_replies = []
        """For the next operations: whether what was carried out is not told."""
        self.count = 0
        self.dies_at = None
        self.dies_after = False
        self.on_death = lambda: None

    async def _do(self, operation, key, act):
        self.count += 1
        if self.count == self.dies_at and not self.dies_after:
            self.die()
        await self._reach(operation)
        if self.server.stopped is not None:
            self.server.stopped.append(act)
            await asyncio.sleep(TIMEOUT)
            raise StoreUnavailable
        if operation in self.fails or (self.server.refuses_writes and operation in WRITES):
            raise StoreUnavailable
        self.server.commands.append((self.name, operation, key))
        found = act()
        if self.count == self.dies_at and self.dies_after:
            self.die()
        await self._reach(operation)
        if self.loses_replies and self.loses_replies.pop(0):
            await asyncio.sleep(TIMEOUT)
            raise StoreUnavailable
        return found

    async def _reach(self, operation):
        if self.dead:
            await asyncio.get_running_loop().create_future()
        if self.cut or self.server.away:
            await asyncio.sleep(TIMEOUT)
            raise StoreUnavailable
        await asyncio.sleep(self.server.latency / 2)

    def die(self):
        self.dead = True
        self.on_death()

    # Records

    async def get(self, kind, key):
        def act():
            record = self.server.living(kind, key)
            return None if record is None else Entry(record.value, record.version)

        return await self._do("get", key, act)

    async def put(self, kind, key, value, ttl, *, expected=None, new=False):
        def act():
            standing = self.server.living(kind, key)
            if new and standing is not None:
                return False
            if expected is not None and (standing is None or standing.version != expected):
                return False
            self.server.write(kind, key, value, ttl)
            return True

        return await self._do("put", key, act)

    async def delete(self, kind, key):
        await self._do("delete", key, lambda: self.server.records.pop((kind, key), None))

    async def family(self, key):
        def act():
            link = self.server.living("member", key)
            record = link and self.server.living("family", link.value[0])
            return record and FamilyRecord(*link.value, record.value, record.version, record.claims)

        return await self._do("family", key, act)

    async def claim(self, key, now):
        def act():
            link = self.server.living("member", key)
            record = link and self.server.living("family", link.value[0])
            number = link and link.value[1]
            if not record or number <= 0 or any(number <= noted for noted, _ in record.claims):
                return
            name, claims, left = link.value[0], (*record.claims, (number, now)), record.ends - loop_now()
            self.server.write("family", name, record.value, left, claims)

        loop_now = globals()["now"]
        await self._do("claim", key, act)

    async def put_family(self, name, value, ttl, *, expected, claims=None):
        def act():
            standing = self.server.living("family", name)
            if (None if standing is None else standing.version) != expected:
                return False
            kept = standing.claims if claims is None and standing is not None else claims or ()
            self.server.write("family", name, value, ttl, kept)
            return True

        return await self._do("put_family", name, act)

    async def enrol(self, key, name, number, ttl, *, new=False):
        def act():
            there = self.server.living("member", key)
            if new and there is not None and there.value[0] != name:
                return False
            self.server.write("member", key, (name, number), ttl)
            return True

        return await self._do("enrol", key, act)

    # Leases

    async def acquire(self, key, owner, ttl):
        def act():
            lease = self.server.living("lease", key)
            mine = lease is not None and lease.value == owner
            if now() < self.server.quarantine and not mine:
                return Busy(self.server.quarantine - now())
            if lease is not None and not mine:
                return Busy()
            self.server.write("lease", key, owner, ttl)
            intent = self.server.living("intent", key)
            return Acquired(intent and replace(intent.value, age=now() - intent.value.age))

        return await self._do("acquire", key, act)

    async def holder(self, key):
        def act():
            lease = self.server.living("lease", key)
            return lease and lease.value

        return await self._do("holder", key, act)

    async def renew(self, key, owner, ttl, *, announced, kept):
        def act():
            lease = self.server.living("lease", key)
            if lease is not None and lease.value != owner:
                return False
            if lease is None and announced is not None and self.server.living("intent", key) is None:
                self.server.write("intent", key, Intent(owner, now() - announced, ended=False), kept)
            self.server.write("lease", key, owner, ttl)
            return True

        return await self._do("renew", key, act)

    async def release(self, key, owner):
        def act():
            lease = self.server.living("lease", key)
            if lease is None or lease.value != owner:
                return
            del self.server.records["lease", key]
            if not self.server.drops_news:
                for event in self.server.listeners[key]:
                    event.set()

        await self._do("release", key, act)

    async def intend(self, key, owner, ttl):
        def act():
            lease = self.server.living("lease", key)
            if lease is None or lease.value != owner:
                return False
            self.server.write("intent", key, Intent(owner, now(), ended=False), ttl)
            return True

        return await self._do("intend", key, act)

    async def resolve(self, key, owner, *, lost):
        def act():
            intent = self.server.living("intent", key)
            if intent is None or intent.value.owner != owner:
                return
            if lost:
                intent.value = replace(intent.value, ended=True)
            else:
                del self.server.records["intent", key]

        await self._do("resolve", key, act)

    @asynccontextmanager
    async def news(self, key):
        await self._reach("news")
        event = asyncio.Event()
        self.server.listeners[key].add(event)
        try:
            yield event
        finally:
            self.server.listeners[key].discard(event)
            await asyncio.sleep(self.server.latency)


@dataclass(eq=False)
class Line:
    """One replica's way to the authorization server. What was sent is processed, whoever dies."""

    fleet: "Fleet"
    name: int
    dead: bool = False
    on_the_way: set = field(default_factory=set)

    async def redeem(self, refresh_token, access_token, *, since):
        if self.dead:
            await asyncio.get_running_loop().create_future()
        self.fleet.presented(refresh_token.reveal(), self.name)
        asked = asyncio.ensure_future(self.fleet.server.redeem(refresh_token, access_token, since=since))
        self.on_the_way.add(asked)
        asked.add_done_callback(lambda _: self.fleet.answered(refresh_token.reveal(), self.name))
        return await asyncio.shield(asked)

    async def revoke(self, token):
        await self.fleet.server.revoke(token)


class Fleet:
    """Replicas, and what each of them has presented when."""

    def __init__(self, count=3, *, server=None, **settings):
        self.server = AuthServer(nodes=1000) if server is None else server
        self.server.nodes = 1000
        self.settings = settings
        self.store = SharedMemory()
        self.presentations = []
        """[token, replica, since, until]: until when an answer may have come."""
        self.desks = []
        for _ in range(count):
            self.add()
        self.late_answer = self.desks[0].settings.late_answer

    def add(self):
        """One more replica, which knows nothing."""
        name = len(self.desks)
        connection, line = Connection(self.store, name), Line(self, name)
        desk = Desk(self.server, store=connection, endpoint=line, **self.settings)
        desk.line = line
        connection.on_death = lambda: self._bury(desk)
        self.desks.append(desk)
        return desk

    @property
    def alive(self):
        return [desk for desk in self.desks if not desk.store.dead]

    def kill(self, desk):
        """Like SIGKILL: nothing of it goes on, and nothing is given back."""
        desk.store.die()

    def _bury(self, desk):
        desk.line.dead = True
        current = asyncio.current_task()
        for task in {f.task for f in desk.refresher._flights.all()} | desk.refresher._errands:
            if task is not current:
                task.cancel()

    def presented(self, token, name):
        """No two at a time. A dead one's presentation is over when its answer can come no more."""
        for other, who, since, until in self.presentations:
            over = now() >= until or (self.desks[who].store.dead and now() >= since + self.late_answer - 0.1)
            if other == token and not over:
                self.server.doubles.append(token)
        self.presentations.append([token, name, now(), float("inf")])

    def answered(self, token, name):
        for presentation in self.presentations:
            if presentation[:2] == [token, name] and presentation[3] == float("inf"):
                presentation[3] = now()

    def commands(self, operation):
        return [command for command in self.store.commands if command[1] == operation]


async def flying(fleet, pair, step):
    """The first replica's presentation is under way."""
    fleet.server.script.append(step)
    asked = asyncio.ensure_future(fleet.desks[0].ask(pair))
    await asyncio.sleep(0.1)
    assert len(fleet.server.presented) == 1
    return asked


async def until_settled(desk, pair, *, within=120.0):
    """What a client gets that tries again for as long as it is told to."""
    ends = now() + within
    while True:
        found = await desk.ask(pair)
        if not isinstance(found, Failed):
            return found
        assert now() < ends, found
        await asyncio.sleep(0.5)


def now():
    return asyncio.get_running_loop().time()
