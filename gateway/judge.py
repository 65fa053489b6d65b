"""Access tokens as the gateway knows them: verified once, with their schedule, looked up afterwards."""

from typing import Protocol

from gateway.core.bounded import Bounded
from gateway.core.secret import Secret
from gateway.core.tokens import (
    AccessToken,
    Judgement,
    KeysUnavailable,
    Obtained,
    Rejected,
    Verified,
    Windows,
    schedule,
)

_OBTAINED = 10
"""So many times as many of our own grants are known as such: by hash, only their moment is of interest."""


class Verifier(Protocol):
    """Signatures and claims."""

    def remembered(self, token: str) -> Verified | None:
        """The verdict of an earlier look, while the key set stands."""

    async def verify(self, token: Secret, *, granted: bool = False) -> Judgement:
        """Verify; ``granted`` says that the token came from the authorization server just now."""


class Judge:
    """Turns what a request carries into an ``AccessToken``, and remembers which ones we got ourselves."""

    def __init__(
        self,
        verifier: Verifier,
        windows: Windows,
        audiences: frozenset[str] = frozenset(),
        limit: int = 10_000,
    ) -> None:
        """Args:
        verifier: signatures and claims.
        windows: when a token is to be refreshed.
        audiences: those that some route accepts; empty: any.
        limit: how many verdicts are remembered; about 4 KB each.
        """
        self._verifier = verifier
        self._windows = windows
        self._audiences = audiences
        self._known: Bounded[str, AccessToken] = Bounded(limit)
        self._obtained: Bounded[int, Obtained] = Bounded(_OBTAINED * limit)

    def known(self, token: str) -> AccessToken | None:
        """The token if it was verified before and the key set has not changed since: two look-ups."""
        found = self._known.get(token)
        if found is None or found.verified is not self._verifier.remembered(token):
            return None
        return found

    async def judge(self, token: Secret) -> AccessToken | Rejected | KeysUnavailable:
        """What a client presents."""
        return self._remember(token, await self._verifier.verify(token))

    async def granted(self, token: Secret, obtained: Obtained) -> AccessToken | Rejected | KeysUnavailable:
        """What the authorization server granted: judged like any other (CONTRACT §4.4).

        One that no route accepts would cost its client the session that the old token still has (R2).
        """
        self._obtained[hash(token.reveal())] = obtained
        found = self._remember(token, await self._verifier.verify(token, granted=True))
        if isinstance(found, AccessToken) and not found.meets(self._audiences):
            return Rejected("aud is none of the configured audiences")
        return found

    def _remember(self, token: Secret, judgement: Judgement) -> AccessToken | Rejected | KeysUnavailable:
        if not isinstance(judgement, Verified):
            return judgement
        raw = token.reveal()
        obtained = self._obtained.get(hash(raw))
        found = AccessToken(token, judgement, schedule(raw, judgement, self._windows, obtained), obtained)
        self._known[raw] = found
        return found
