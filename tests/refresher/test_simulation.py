"""Many clients, a server that rotates and detects reuse, lost answers, and time: in any order (Hypothesis).

The model keeps every pair that was ever granted, and when each refresh token was first presented. From that it knows
which old pairs may still be answered; presenting any other is what a thief does.
"""

import asyncio
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.core.grants import Throttled, Unavailable
from gateway.core.outcomes import Dead, Failed, Mismatched, Renewed
from tests.refresher.support import AuthServer, Desk, Late, Lost
from tests.virtual_time import VirtualLoop, ticks, wall

GRACE = 30.0
LIFETIME = 600.0
PATIENCE = 10.0


class Simulator(AuthServer):
    """Knows which logins have lost an answer, and which reuse of a spent token has an excuse."""

    def __init__(self, **settings):
        super().__init__(lifetime=LIFETIME, **settings)
        self.histories = {}
        """By refresh token: the history that it belongs to."""

    async def _scripted(self, name):
        history = self.histories[name]
        if self.script and isinstance(self.script[0], Lost) and not history.login.revoked:
            history.lost = True
        return await super()._scripted(name)

    async def revoke(self, token):
        self.histories[token.reveal()].mixed = True
        await super().revoke(token)

    def process(self, name):
        history = self.histories[name]
        spent = history.login.newest != name
        assert not spent or history.lost or history.thief or history.login.revoked, "a spent token was presented"
        grant = super().process(name)
        if not history.login.revoked:
            history.grew(self, grant)
        return grant


@dataclass(eq=False)
class History:
    """One login: its pairs in their order, and what has happened to them."""

    user: str
    login: object
    pairs: list
    received: set
    """Numbers of the pairs that the client has."""
    claims: dict = field(default_factory=dict)
    lost: bool = False
    """An answer of the server's was lost."""
    thief: bool = False
    """An old pair was presented after its grace."""
    mixed: bool = False
    """Somebody else's access token came with it, alone, and so its grant was revoked."""

    def grew(self, server, grant):
        refresh = grant.refresh_token or self.pairs[-1][1]
        server.histories[refresh.reveal()] = self
        self.pairs.append((grant.access_token.reveal(), refresh))

    def number(self, refresh):
        """Of a refresh token; where the server does not rotate, all pairs share number 0."""
        return next(n for n, (_, known) in enumerate(self.pairs) if known == refresh)

    def served(self, number, now):
        return all(now < at + GRACE for claimed, at in self.claims.items() if claimed > number)

    @property
    def healthy(self):
        return not (self.lost or self.thief or self.mixed)


@dataclass(eq=False)
class Asked:
    history: History
    subject: str
    refresh: object
    task: asyncio.Task


class Household(RuleBasedStateMachine):
    """Users, their clients, and one refresher between them and the server."""

    @initialize(rotates=st.sampled_from([True, True, True, False]))
    def open_shop(self, rotates):
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.run(self._open(rotates))
        self.histories = []
        self.asked = []
        self.answers = []
        for user in ("ada", "bob"):
            self.run(self._login(user))

    def teardown(self):
        if hasattr(self, "runner"):
            self.run(self._all_is_well())
            self.runner.close()

    def run(self, coroutine):
        return self.runner.run(coroutine)

    # What clients do

    @precondition(lambda self: len(self.histories) < 4)
    @rule(user=st.sampled_from(["ada", "bob"]))
    def log_in(self, user):
        self.run(self._login(user))

    @rule(data=st.data())
    def present_a_pair_that_may_still_be_answered(self, data):
        history = data.draw(st.sampled_from(self.histories))
        self.run(self._present(history, data))

    @rule(data=st.data(), count=st.integers(2, 5))
    def present_several_at_once(self, data, count):
        history = data.draw(st.sampled_from(self.histories))
        self.run(self._present(history, data, times=count))

    @rule(data=st.data(), pause=st.sampled_from([0.0, 31.0, 700.0]))
    def live_without_trouble(self, data, pause):
        """The newest pair is presented, the answer arrives, and time passes."""
        history = data.draw(st.sampled_from(self.histories))
        self.run(self._live(history, pause))

    @rule(data=st.data())
    def present_with_somebody_elses_access_token(self, data):
        history = data.draw(st.sampled_from(self.histories))
        self.run(self._present(history, data, foreign=True))

    @rule(data=st.data())
    def steal_an_old_pair(self, data):
        history = data.draw(st.sampled_from(self.histories))
        self.run(self._steal(history, data))

    @precondition(lambda self: self.answers)
    @rule(data=st.data(), dropped=st.booleans())
    def an_answer_arrives_or_is_dropped(self, data, dropped):
        number = data.draw(st.integers(0, len(self.answers) - 1))
        history, found = self.answers.pop(number)
        if not dropped:
            history.received.add(history.number(found.tokens.refresh))

    # What the world does

    @rule(seconds=st.sampled_from([0.5, 3.0, 29.0, 31.0, 100.0, 595.0, 700.0, 4000.0]))
    def time_passes(self, seconds):
        self.run(asyncio.sleep(seconds))

    @rule(
        step=st.sampled_from(
            [
                Late(2),
                Late(25),
                Late(25),
                Lost(),
                Lost(12),
                Throttled(5),
                Unavailable("refused", ambiguous=False),
                Unavailable("proxy", ambiguous=True),
            ]
        )
    )
    def the_server_will_answer_so(self, step):
        self.server.script.append(step)

    # What must hold

    @invariant()
    def everybody_gets_their_own_or_a_reason(self):
        if not hasattr(self, "runner"):
            return
        self.run(ticks(60))
        for asked in [a for a in self.asked if a.task.done()]:
            self.asked.remove(asked)
            self._check(asked, asked.task.result())

    def _check(self, asked, found):
        history = asked.history
        match found:
            case Renewed(tokens=tokens):
                assert tokens.access.verified.subject == asked.subject == history.user
                assert (tokens.access.raw.reveal(), tokens.refresh) in history.pairs
                self.answers.append((history, found))
            case Mismatched():
                assert asked.subject != history.user
            case Dead(reason=reason):
                assert not history.healthy, "a logout without a reason"
                assert reason in (None, "answer_lost")
                if history.lost and not history.thief and not history.mixed:
                    assert reason == "answer_lost"
            case Failed(problem=problem):
                assert problem.code == "auth_server_unavailable"

    # How

    async def _open(self, rotates):
        self.server = Simulator(rotates=rotates)
        self.desk = Desk(self.server, grace=GRACE, unclaimed=1e9, max_concurrent=4)

    async def _login(self, user):
        access, refresh = self.server.login(user)
        login = self.server.logins[refresh.reveal()]
        history = History(user, login, [(access.raw.reveal(), refresh)], {0})
        self.server.histories[refresh.reveal()] = history
        self.histories.append(history)

    async def _present(self, history, data, *, times=1, foreign=False):
        numbers = [n for n in sorted(history.received) if history.served(n, wall())]
        number = data.draw(st.sampled_from(numbers))
        subject = history.user
        if foreign:
            subject = "bob" if history.user == "ada" else "ada"
        for _ in range(times):
            self._ask(history, number, subject)

    async def _steal(self, history, data):
        stale = [n for n in range(len(history.pairs)) if not history.served(n, wall())]
        if not stale:
            return
        number = data.draw(st.sampled_from(stale))
        history.thief = True
        ticket = self._ask(history, number, history.user)
        before = len(self.server.presented)
        await ticks(60)
        if ticket.flight.task.done() and not ticket.joined:
            assert not isinstance(ticket.flight.task.result(), Renewed)
            presented = self.server.presented[before:]
            assert set(presented) <= {history.pairs[number][1].reveal()}

    async def _live(self, history, pause):
        number = max(history.received)
        if not history.served(number, wall()):
            return
        ticket = self._ask(history, number, history.user)
        await asyncio.sleep(pause)
        if ticket.flight.task.done() and isinstance(found := ticket.flight.task.result(), Renewed):
            history.received.add(history.number(found.tokens.refresh))

    def _ask(self, history, number, subject):
        raw, refresh = history.pairs[number]
        own = next(h for h in self.histories if h.user == subject)
        access = self.server.token(raw if subject == history.user else own.pairs[0][0])
        claimed = history.number(refresh)
        if claimed:
            history.claims.setdefault(claimed, wall())
        self.desk.refresher.observe(refresh)
        ticket = self.desk.ticket((access, refresh))
        task = asyncio.ensure_future(ticket.outcome(PATIENCE))
        self.asked.append(Asked(history, subject, refresh, task))
        return ticket

    async def _all_is_well(self):
        """All flights end, nothing is left behind, and whoever was neither robbed nor unlucky is still logged in."""
        await asyncio.sleep(1000)
        for asked in self.asked:
            self._check(asked, await asked.task)
        assert self.desk.refresher.under_way == self.desk.refresher.waiting == 0
        self.server.script.clear()
        for history in self.histories:
            if history.healthy:
                number = max(history.received)
                raw, refresh = history.pairs[number]
                found = await self.desk.request((self.server.token(raw), refresh))
                assert isinstance(found, Renewed), found


Household.TestCase.settings = settings(stateful_step_count=30)
TestNobodyIsLoggedOutWithoutTheftOrALostAnswer = Household.TestCase
