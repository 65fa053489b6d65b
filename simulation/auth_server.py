"""An authorization server that rotates refresh tokens, and takes the reuse of one for theft.

It implements the refresher's ports ``TokenEndpoint`` (one for each replica) and ``Judge``.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from gateway.core.grants import Answer, Denied, Grant, Unavailable
from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken, Obtained, Verified, Windows, schedule
from gateway.refresher import RefreshSettings
from simulation.virtual_time import DAY_ONE
from simulation.weather import Weather

ISSUER = "https://as.example"
_AUDIENCE = frozenset({"api"})


@dataclass(slots=True, eq=False)
class Login:
    """What grew out of one login."""

    user: str
    newest: str = field(repr=False)
    number: int = 0
    revoked: bool = False
    answer_lost: bool = False
    """A grant was made that no replica has kept."""
    out: bool = False
    """Its user was told to sign in again."""


@dataclass(slots=True)
class Counts:
    """What the server has seen."""

    requests: int = 0
    grants: int = 0
    reuses: int = 0
    """Tokens that it had rotated, presented again although no answer about them was lost."""
    at_once: int = 0
    """Presentations of a token while it was being presented."""
    by_second: Counter[int] = field(default_factory=Counter)


class AuthServer:
    """The server itself. RFC 6749 §6; the reuse of a rotated token revokes its family (RFC 9700 §4.14.2)."""

    def __init__(
        self,
        weather: Weather,
        windows: Windows,
        *,
        lifetime: float,
        dice: Random,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Args: lifetime: of access tokens, in seconds."""
        self.counts = Counts()
        self.loop = loop
        self._weather = weather
        self._windows = windows
        self._lifetime = lifetime
        self._dice = dice
        self._logins: dict[str, Login] = {}
        self._verified: dict[str, Verified] = {}
        self._open: Counter[str] = Counter()
        self._serial = 0

    def login(self, user: str, left: float) -> tuple[Login, AccessToken, Secret]:
        """A new family, whose access token ends in ``left`` seconds."""
        login = Login(user, self._refresh_token(user))
        self._logins[login.newest] = login
        access = self._access_token(user, left)
        return login, self._token(access, None), Secret(login.newest)

    def login_of(self, refresh: str) -> Login:
        """Of a token that this server has made."""
        return self._logins[refresh]

    def seen(self, token: AccessToken) -> AccessToken:
        """As a replica knows it that did not get it from this server itself."""
        return self._token(token.raw.reveal(), None)

    async def granted(self, token: Secret, obtained: Obtained) -> AccessToken:
        """The refresher's judge."""
        return self._token(token.reveal(), obtained)

    def receive(self, refresh: str, answer: "asyncio.Future[Answer]", late: float) -> None:
        """One token request, whose answer is listened for until ``late``. Whoever listens, it takes its course."""
        weather, dice, loop = self._weather, self._dice, self.loop
        if dice.random() < weather.auth_refused:
            loop.call_later(weather.auth.usual / 2, _tell, answer, Unavailable("refused", ambiguous=False))
            return
        self.counts.requests += 1
        self.counts.by_second[int(loop.time())] += 1
        self.counts.at_once += bool(self._open[refresh])
        self._open[refresh] += 1
        takes = weather.auth.draw(dice)
        if loop.time() + takes >= late:
            loop.call_at(late, _tell, answer, Unavailable("no answer in time", ambiguous=True))
        loop.call_later(takes * dice.random(), self._process, refresh, answer, loop.time() + takes)

    def _process(self, refresh: str, answer: "asyncio.Future[Answer]", ends: float) -> None:
        weather, dice = self._weather, self._dice
        if dice.random() < weather.auth_5xx:
            found: Answer = Unavailable("status 503", ambiguous=True)
        else:
            found = self._redeem(refresh)
        if isinstance(found, Grant) and dice.random() < weather.auth_lost:
            self._logins[refresh].answer_lost = True
            found = Unavailable("the connection broke", ambiguous=True)
        self.loop.call_at(ends, self._deliver, refresh, answer, found)

    def _deliver(self, refresh: str, answer: "asyncio.Future[Answer]", found: Answer) -> None:
        self._open[refresh] -= 1
        if not self._open[refresh]:
            del self._open[refresh]
        if answer.done() and isinstance(found, Grant):
            self._logins[refresh].answer_lost = True
        _tell(answer, found)

    def _redeem(self, refresh: str) -> Answer:
        login = self._logins[refresh]
        if login.newest != refresh and not login.revoked:
            login.revoked = True
            self.counts.reuses += not login.answer_lost
        if login.revoked:
            return Denied()
        login.number += 1
        login.newest = self._refresh_token(login.user)
        self._logins[login.newest] = login
        self.counts.grants += 1
        return Grant(
            Secret(self._access_token(login.user, self._lifetime)),
            Secret(login.newest),
            expires_in=self._lifetime,
        )

    def _token(self, raw: str, obtained: Obtained | None) -> AccessToken:
        verified = self._verified[raw]
        return AccessToken(Secret(raw), verified, schedule(raw, verified, self._windows, obtained), obtained)

    def _access_token(self, user: str, left: float) -> str:
        self._serial += 1
        raw = f"at.{user}.{self._serial}"
        ends = DAY_ONE + self.loop.time() + left
        self._verified[raw] = Verified(ISSUER, user, _AUDIENCE, ends, ends - self._lifetime, None, {})
        return raw

    def _refresh_token(self, user: str) -> str:
        self._serial += 1
        return f"rt.{user}.{self._serial}"


class Endpoint:
    """One replica's way to the server."""

    def __init__(self, server: AuthServer, settings: RefreshSettings) -> None:
        self._server = server
        self._key = settings.key
        self._late_answer = settings.late_answer
        self._unsettled: dict[str, Login] = {}
        """Whose new tokens came here and are in no store yet, by the key of the old one."""

    async def redeem(
        self,
        refresh_token: Secret,
        access_token: Secret | None,  # noqa: ARG002  # a port's
        *,
        since: float,
    ) -> Answer:
        """Present it once; in the second half of ``late_answer`` nothing is sent any more."""
        refresh, late = refresh_token.reveal(), since + self._late_answer
        if self._server.loop.time() > late - self._late_answer / 2:
            return Unavailable("there is no time left to send it", ambiguous=False)
        answer: asyncio.Future[Answer] = self._server.loop.create_future()
        self._server.receive(refresh, answer, late)
        found = await answer
        if isinstance(found, Grant):
            self._unsettled[self._key(refresh_token)] = self._server.login_of(refresh)
        return found

    def settled(self, key: str) -> None:
        """The new tokens that came for the token under ``key`` are in the store."""
        self._unsettled.pop(key, None)

    def die(self) -> None:
        """What only this replica had is lost."""
        for login in self._unsettled.values():
            login.answer_lost = True

    async def revoke(self, token: Secret) -> None:
        """Never needed: everybody presents what is theirs."""
        self._server.login_of(token.reveal()).revoked = True


def _tell(answer: "asyncio.Future[Answer]", found: Answer) -> None:
    if not answer.done():
        answer.set_result(found)
