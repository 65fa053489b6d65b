"""Header mode: the access token in ``Authorization``, the refresh token in a field of its own (CONTRACT §2)."""

import re

from gateway.core.credentials import Carried
from gateway.core.headers import Header, Headers, TokenNames
from gateway.core.lifecycle import Absent
from gateway.core.outcomes import Cause
from gateway.core.secret import Secret
from gateway.core.tokens import TokenSet

_MAX_REFRESH_TOKEN = 8 * 1024
"""Bytes; the largest known refresh tokens (Entra's) stay under 2 KB."""

_DPOP = b"dpop "

_REFRESH_TOKEN = re.compile(rb"[\x21-\x7e]+\Z")
"""RFC 6749 appendix A.17, less the space, which a field's value cannot carry reliably."""


class HeaderCredentials:
    """Reads credentials from request headers and writes new ones on a response."""

    def __init__(self, names: TokenNames, scheme: str, *, sender_bound: bool = False) -> None:
        """Args:
        names: the field names.
        scheme: ``Bearer``, or empty where the field holds the bare token.
        sender_bound: tokens of the scheme ``DPoP`` are judged too, to be passed on unchanged (T15).
        """
        self.names = names
        schemes = (scheme, "DPoP") if sender_bound and scheme else (scheme,)
        self._prefixes = tuple(f"{s} ".lower().encode() for s in schemes if s)
        self._write = f"{scheme} " if scheme else ""

    def read(self, headers: Headers) -> Carried:
        """The credentials of a request. Neither cookies nor the query are looked at (T17)."""
        access: bytes | None = None
        refresh: bytes | None = None
        for name, value in headers:
            if name == self.names.access:
                if access is not None:
                    return Carried(Absent.AMBIGUOUS, None)
                access = value
            elif name == self.names.refresh:
                if refresh is not None:
                    return Carried(Absent.AMBIGUOUS, None)
                refresh = value
        if access is not None and access[: len(_DPOP)].lower() == _DPOP:
            refresh = None  # what it would bring is a bearer token: a downgrade (T15)
        return Carried(self._access(access), _refresh(refresh))

    def field(self, token: Secret) -> bytes:
        """The access token's field value for the upstream."""
        return (self._write + token.reveal()).encode("latin-1")

    def tokens(self, new: TokenSet, old: Secret | None, cause: Cause) -> list[Header]:
        """The response fields that carry ``new``; ``old`` is the refresh token that the client sent."""
        names = self.names
        fields = [(names.new_access, new.access.raw.reveal().encode("latin-1"))]
        if old is None or new.refresh != old:
            fields.append((names.new_refresh, new.refresh.reveal().encode("latin-1")))
        milliseconds = int(new.access.verified.expires_at * 1000)
        fields.append((names.expires_at, str(milliseconds).encode()))
        fields.append((names.refreshed, cause.value.encode()))
        return fields

    def _access(self, value: bytes | None) -> Secret | Absent:
        if value is None:
            return Absent.MISSING
        if not self._prefixes:
            return Secret(value.decode("latin-1"))
        for prefix in self._prefixes:
            if value[: len(prefix)].lower() == prefix:
                return Secret(value[len(prefix) :].strip(b" ").decode("latin-1"))
        return Absent.FOREIGN


def _refresh(value: bytes | None) -> Secret | None:
    """A malformed refresh token is none: it is never presented, and a valid access token does not need it."""
    if value is None or len(value) > _MAX_REFRESH_TOKEN or not _REFRESH_TOKEN.match(value):
        return None
    return Secret(value.decode("ascii"))
