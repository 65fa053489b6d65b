"""A refresher to ask, and an authorization server that rotates, detects reuse, and fails as it is told."""

import asyncio
import functools
import itertools
from collections import Counter, deque
from dataclasses import dataclass, field, replace

from gateway.core.credentials import Presenter
from gateway.core.grants import Denied, Grant, Unavailable
from gateway.core.outcomes import Renewed
from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken, Verified, Windows, schedule
from gateway.refresher import Refresher, RefreshSettings
from gateway.store.memory import MemoryStore
from tests.virtual_time import wall

HOUR = 3600.0
WINDOWS = Windows(ahead=60, hard=5, leeway=0, max_expired_age=1e9)


def _slowly(operation):
    @functools.wraps(operation)
    async def slow(*args, **kwargs):
        await asyncio.sleep(0.5)
        found = await operation(*args, **kwargs)
        await asyncio.sleep(0.5)
        return found

    return slow


class SlowStore(MemoryStore):
    """Each record's call takes a second, as a shared store's takes a millisecond: others act in between."""

    get = _slowly(MemoryStore.get)
    put = _slowly(MemoryStore.put)
    family = _slowly(MemoryStore.family)
    claim = _slowly(MemoryStore.claim)
    put_family = _slowly(MemoryStore.put_family)
    enrol = _slowly(MemoryStore.enrol)


def slow_store():
    return SlowStore(10_000, asyncio.get_running_loop().time)


@dataclass(eq=False)
class Login:
    """What grew out of one login."""

    user: str
    newest: str
    revoked: bool = False


@dataclass(frozen=True)
class Lost:
    """The request is processed, and its answer does not arrive."""

    after: float = 0.0


@dataclass(frozen=True)
class Late:
    """The request is processed at once, and its answer takes a while."""

    seconds: float


@dataclass(frozen=True)
class Slow:
    """An answer that takes a while, to a request that is not processed."""

    seconds: float
    answer: object


@dataclass(eq=False)
class AuthServer:
    """The refresher's two ports to the authorization server: it redeems refresh tokens and judges access tokens.

    ``script`` says what happens to the next requests: an ``Answer`` or an exception is returned or raised, ``Lost``
    and ``Late`` lose or delay a true answer, ``Slow`` delays a made-up one, an ``asyncio.Event`` is waited for first.
    """

    rotates: bool = True
    lifetime: float = HOUR
    windows: Windows = WINDOWS
    script: deque = field(default_factory=deque)
    facts: dict = field(default_factory=dict)
    """Changes to the claims of what is granted from now on."""
    nodes: int = 1
    """How many processes may present one refresh token at the same time."""
    revocation_takes: float = 0.0
    verdict: object = None
    """What is said of every granted token instead of the truth: a judgement, or an exception."""

    def __post_init__(self):
        self.logins = {}
        self.issued = {}
        self.obtained = {}
        self.presented = []
        self.since = []
        self.accompanied = []
        """The access token that came with each refresh token."""
        self.revoked = []
        self.doubles = []
        """Refresh tokens that were presented while they were being presented."""
        self._open = Counter()
        self._serial = itertools.count(1)

    def login(self, user="ada", *, left=-60.0, **facts):
        """A pair whose access token ends in ``left`` seconds."""
        refresh = self._new_refresh(user)
        self.logins[refresh] = Login(user, refresh)
        return self.token(self._issue(user, left, facts)), Secret(refresh)

    def token(self, raw):
        """An access token as the gateway knows it."""
        facts, obtained = self.issued[raw], self.obtained.get(raw)
        return AccessToken(Secret(raw), facts, schedule(raw, facts, self.windows, obtained), obtained)

    def alive(self, refresh):
        return not self.logins[refresh.reveal()].revoked

    async def redeem(self, refresh_token, access_token, *, since):
        self.since.append(since)
        name = refresh_token.reveal()
        self.presented.append(name)
        if self._open[name] >= self.nodes:
            self.doubles.append(name)
        assert not self.doubles, "two presentations of one refresh token at once"
        self.accompanied.append(access_token)
        self._open[name] += 1
        try:
            return await self._scripted(name)
        finally:
            self._open[name] -= 1

    async def revoke(self, token):
        await asyncio.sleep(self.revocation_takes)
        self.revoked.append(token.reveal())
        self.logins[token.reveal()].revoked = True

    async def granted(self, token, obtained):
        self.obtained[token.reveal()] = obtained
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict or self.token(token.reveal())

    async def _scripted(self, name):
        step = self.script.popleft() if self.script else None
        match step:
            case None:
                return self.process(name)
            case Late(seconds=seconds):
                answer = self.process(name)
                await asyncio.sleep(seconds)
                return answer
            case Slow(seconds=seconds, answer=answer):
                await asyncio.sleep(seconds)
                return answer
            case Lost(after=seconds):
                self.process(name)
                await asyncio.sleep(seconds)
                return Unavailable("lost", ambiguous=True)
            case asyncio.Event():
                await step.wait()
                return self.process(name)
            case Exception():
                raise step
            case _:
                return step

    def process(self, name):
        """RFC 6749 §6; the reuse of a rotated token revokes the family (RFC 9700 §4.14.2)."""
        login = self.logins.get(name)
        if login is None or login.revoked:
            return Denied()
        if login.newest != name:
            login.revoked = True
            return Denied()
        access = self._issue(login.user, self.lifetime, self.facts)
        if not self.rotates:
            return Grant(Secret(access), expires_in=self.lifetime)
        login.newest = self._new_refresh(login.user)
        self.logins[login.newest] = login
        return Grant(Secret(access), Secret(login.newest), expires_in=self.lifetime)

    def _issue(self, user, left, facts):
        raw = f"at-{user}-{next(self._serial)}"
        true = Verified("https://as", user, frozenset({"api"}), wall() + left, wall() + left - HOUR, None, {})
        self.issued[raw] = replace(true, **facts)
        return raw

    def _new_refresh(self, user):
        return f"rt-{user}-{next(self._serial)}"


class Desk:
    """A refresher and those who ask it. To be made inside a running loop."""

    def __init__(self, server, *, store=None, endpoint=None, **settings):
        self.server = server
        self.store = MemoryStore(10_000, asyncio.get_running_loop().time) if store is None else store
        self.settings = RefreshSettings(issuer="https://as", client_id="gateway", index_key=b"key", **settings)
        self.events = []
        self.skew = 0.0
        """Seconds by which the wall clock has jumped."""
        self.refresher = Refresher(
            server if endpoint is None else endpoint,
            server,
            self.store,
            self.settings,
            emit=self.events.append,
            clock=lambda: wall() + self.skew,
        )

    def ticket(self, pair, *, client="203.0.113.7"):
        access, refresh = pair
        return self.refresher.ask(Presenter(refresh=refresh, access=access, client=client))

    async def ask(self, pair, *, patience=None, client="203.0.113.7"):
        """What a request that carries this pair gets."""
        patience = self.settings.timeout if patience is None else patience
        return await self.ticket(pair, client=client).outcome(patience)

    async def request(self, pair, **kwargs):
        """The same, after the gateway has seen that the client has this refresh token."""
        self.refresher.observe(pair[1])
        await self.settled()
        return await self.ask(pair, **kwargs)

    async def settled(self):
        """Errands have ended."""
        while self.refresher._errands:
            await asyncio.wait(set(self.refresher._errands))

    def whats(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def pair_of(outcome):
    """What a well-behaved client stores."""
    assert isinstance(outcome, Renewed), outcome
    return outcome.tokens.access, outcome.tokens.refresh


def code(outcome):
    """The code of a ``Failed``."""
    return outcome.problem.code


async def ask_each(desk, pairs, **kwargs):
    """What one after the other gets."""
    return [await desk.ask(pair, **kwargs) for pair in pairs]


def logins(desk, count):
    """Pairs of as many users."""
    return [desk.server.login(f"user {n}") for n in range(count)]
