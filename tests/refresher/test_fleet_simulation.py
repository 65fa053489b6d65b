"""Replicas that die and are cut off, a store that stops, refuses and loses replies, a server that loses answers: in
any order (Hypothesis).

Clients behave well: each has one pair, and takes newer ones when an answer reaches it. So nobody is logged out but
where an answer of the server's was lost with its only reader, and that is said.
"""

import asyncio
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.core.grants import Misconfigured, Throttled, Unavailable
from gateway.core.outcomes import Dead, Failed, Renewed
from tests.refresher.fleet import Fleet
from tests.refresher.support import AuthServer, Late, Lost
from tests.virtual_time import VirtualLoop, ticks

LIFETIME = 120.0
REPLICAS = 3


@dataclass(eq=False)
class User:
    name: str
    login: object
    pair: tuple
    tokens: list
    """Refresh tokens, in the order in which they were granted."""
    excused: bool = False
    """An answer of the server's was lost: with a replica that died, or on its way."""
    out: bool = False
    asked: list = field(default_factory=list)


class Server(AuthServer):
    """Knows whose answers it has lost."""

    def __post_init__(self):
        super().__post_init__()
        self.users = {}

    async def _scripted(self, name):
        if self.script and isinstance(self.script[0], Lost):
            self.users[name].excused = True
        return await super()._scripted(name)

    def process(self, name):
        grant = super().process(name)
        user = self.users[name]
        refresh = getattr(grant, "refresh_token", None)
        if refresh is not None:
            user.tokens.append(refresh.reveal())
            self.users[refresh.reveal()] = user
        return grant


class Weather(RuleBasedStateMachine):
    """Whatever may happen to a fleet."""

    @initialize()
    def open_shop(self):
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.run(self._open())

    def teardown(self):
        if hasattr(self, "runner"):
            self.run(self._all_is_well())
            self.runner.close()

    def run(self, coroutine):
        return self.runner.run(coroutine)

    @rule(data=st.data(), times=st.integers(1, 4))
    def ask(self, data, times):
        user = data.draw(st.sampled_from(self.users))
        for _ in range(times):
            desk = data.draw(st.sampled_from(self.fleet.alive))
            self.run(self._ask(user, desk))

    @rule(seconds=st.sampled_from([0.001, 0.003, 0.3, 1.0, 3.0, 7.0, 29.0, 31.0, 125.0]))
    def time_passes(self, seconds):
        self.run(asyncio.sleep(seconds))

    @rule(data=st.data(), after=st.booleans(), operations=st.integers(1, 12))
    def a_replica_will_be_killed(self, data, after, operations):
        """At one of its next operations; another one is started."""
        desk = data.draw(st.sampled_from(self.fleet.alive))
        connection = desk.store
        connection.dies_at, connection.dies_after = connection.count + operations, after
        connection.on_death = self._excusing(desk, connection.on_death)
        self.run(self._replace())

    @precondition(lambda self: self.fleet.alive)
    @rule(data=st.data())
    def a_replica_is_killed(self, data):
        desk = data.draw(st.sampled_from(self.fleet.alive))
        desk.store.on_death = self._excusing(desk, desk.store.on_death)
        self.run(self._kill(desk))

    @rule(data=st.data(), cut=st.booleans())
    def a_replica_is_cut_off_or_back(self, data, cut):
        data.draw(st.sampled_from(self.fleet.alive)).store.cut = cut

    @rule(data=st.data(), replies=st.lists(st.booleans(), max_size=12))
    def replies_are_lost(self, data, replies):
        data.draw(st.sampled_from(self.fleet.alive)).store.loses_replies = replies

    @rule(stopped=st.booleans())
    def the_store_stops_or_goes_on(self, stopped):
        if stopped and self.fleet.store.stopped is None:
            self.fleet.store.stop()
        elif not stopped and self.fleet.store.stopped is not None:
            self.run(self._go_on())

    @rule(which=st.sampled_from(["away", "refuses_writes", "drops_news"]), so=st.booleans())
    def the_store_is_ill_or_well(self, which, so):
        setattr(self.fleet.store, which, so)

    @rule(
        step=st.sampled_from(
            [
                Late(2),
                Late(8),
                Late(25),
                Lost(),
                Lost(12),
                Throttled(5),
                Misconfigured("invalid_client"),
                Unavailable("refused", ambiguous=False),
            ]
        )
    )
    def the_server_will_answer_so(self, step):
        self.fleet.server.script.append(step)

    @invariant()
    def no_token_is_presented_twice_at_the_same_time_and_everybody_gets_their_own(self):
        if not hasattr(self, "runner"):
            return
        self.run(ticks())
        assert not self.fleet.server.doubles
        for user in self.users:
            for task in [task for task in user.asked if task.done()]:
                user.asked.remove(task)
                if not task.cancelled():
                    self._check(user, task.result())

    def _check(self, user, found):
        match found:
            case Renewed(tokens=tokens):
                assert tokens.access.verified.subject == user.name
                numbers = [user.tokens.index(r.reveal()) for r in (tokens.refresh, user.pair[1])]
                if numbers[0] > numbers[1]:
                    user.pair = (tokens.access, tokens.refresh)
            case Dead(reason=reason):
                assert user.excused, "a logout without a lost answer"
                assert reason == "answer_lost"
                user.out = True
            case Failed(problem=problem):
                assert problem.code.startswith(("auth_server_", "store_unavailable")), problem
            case _:
                raise AssertionError(found)

    async def _open(self):
        self.fleet = Fleet(REPLICAS, server=Server(lifetime=LIFETIME), negative=1e9)
        self.users = []
        for name in ("ada", "bob"):
            pair = self.fleet.server.login(name)
            token = pair[1].reveal()
            user = User(name, self.fleet.server.logins[token], pair, [token])
            self.fleet.server.users[token] = user
            self.users.append(user)

    async def _ask(self, user, desk):
        desk.refresher.observe(user.pair[1])
        task = asyncio.ensure_future(desk.ask(user.pair))
        user.asked.append(task)
        desk.store.asked = [*getattr(desk.store, "asked", []), task]

    def _excusing(self, desk, then):
        def died():
            for token, replica, _, _ in self.fleet.presentations:
                if replica == desk.store.name:
                    self.fleet.server.users[token].excused = True
            for task in getattr(desk.store, "asked", []):
                task.cancel()
            then()

        return died

    async def _replace(self):
        self.fleet.add()

    async def _kill(self, desk):
        self.fleet.kill(desk)
        self.fleet.add()

    async def _go_on(self):
        self.fleet.store.go_on()

    async def _all_is_well(self):
        """Once everything works again, everybody is served, and nothing is left behind."""
        store = self.fleet.store
        store.away = store.refuses_writes = store.drops_news = False
        if store.stopped is not None:
            store.go_on()
        for desk in self.fleet.alive:
            desk.store.cut, desk.store.loses_replies, desk.store.dies_at = False, [], None
        await asyncio.sleep(100)
        self.fleet.server.script.clear()
        for user in self.users:
            for task in user.asked:
                if not task.cancelled():
                    self._check(user, await task)
            if user.out:
                continue
            for desk in self.fleet.alive:
                desk.refresher.observe(user.pair[1])
                found = await desk.ask(user.pair, patience=60)
                self._check(user, found)
                assert user.out or isinstance(found, Renewed), found
        await asyncio.sleep(100)
        assert not self.fleet.server.doubles
        assert all(desk.refresher.under_way == 0 for desk in self.fleet.alive)
        assert "lease" not in store.kinds()
        whats = {event.what for desk in self.fleet.desks for event in desk.events if hasattr(event, "what")}
        assert whats <= {"new_tokens_not_stored", "new_tokens_stored", "auth_server_misconfigured"}


Weather.TestCase.settings = settings(stateful_step_count=30)
TestNobodyIsLoggedOutWhateverTheWeather = Weather.TestCase
