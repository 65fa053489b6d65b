"""What a request carries, and who asks for new tokens with it."""

from dataclasses import dataclass

from gateway.core.lifecycle import Absent
from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken


@dataclass(frozen=True, slots=True)
class Carried:
    """The credentials read from one request."""

    access: Secret | Absent
    refresh: Secret | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Presenter:
    """Who asks for new tokens, and with what."""

    refresh: Secret
    access: AccessToken | None
    """The presenter's own token, possibly expired, but verified; None only where a refresh token alone is
    allowed to refresh."""
    client: str
    """The client's address."""
