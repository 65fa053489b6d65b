"""What the edge needs of the rest of the house, as small protocols."""

from typing import Protocol

from gateway.core.credentials import Carried, Presenter
from gateway.core.headers import Header, Headers, TokenNames
from gateway.core.outcomes import Cause, Outcome
from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken, KeysUnavailable, Rejected, TokenSet
from gateway.core.websocket import TunnelEnd
from gateway.duplex import Duplex


class Credentials(Protocol):
    """Where credentials travel: header mode, and later others."""

    names: TokenNames

    def read(self, headers: Headers) -> Carried:
        """What a request carries."""

    def field(self, token: Secret) -> bytes:
        """The access token's field value for the upstream."""

    def tokens(self, new: TokenSet, old: Secret | None, cause: Cause) -> list[Header]:
        """The response fields that carry new tokens."""


class Tunnels(Protocol):
    """WebSockets, once both sides have agreed on one."""

    def enter(self, lane: int) -> None:
        """Take a place of this rule's share. Raises: Overloaded: there is none."""

    def leave(self, lane: int) -> None:
        """Give it back."""

    async def relay(self, client: Duplex, upstream: Duplex, lifetime: float | None) -> TunnelEnd:
        """Relay until both sides are closed; after ``lifetime`` seconds, if any, end it with 4401."""


class Judge(Protocol):
    """Verifies access tokens."""

    def known(self, token: str) -> AccessToken | None:
        """A token verified before; no crypto, no await."""

    async def judge(self, token: Secret) -> AccessToken | Rejected | KeysUnavailable:
        """Verify a token."""


class Ticket(Protocol):
    """A place at a refresh."""

    async def outcome(self, patience: float) -> Outcome:
        """What it found; waits ``patience`` seconds at most."""


class Refresher(Protocol):
    """One refresh per token."""

    def ask(self, presenter: Presenter) -> Ticket:
        """Start or join a refresh; returns at once."""

    def observe(self, refresh: Secret) -> None:
        """A request carries this refresh token."""
