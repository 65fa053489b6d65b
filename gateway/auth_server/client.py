"""The token endpoint: a refresh token presented once, and the answer as a value (CONTRACT §4.5, §4.6)."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, assert_never

from gateway.auth_server.discovery import Endpoint, configured
from gateway.auth_server.sender import Exhausted, Lost, Reply, Sender, Unsent
from gateway.core.grants import Answer, Denied, Grant, Misconfigured, Throttled, Unavailable, read_answer
from gateway.core.secret import Secret
from gateway.core.token_requests import (
    CustomSpec,
    RefreshSpec,
    StandardSpec,
    TokenRequest,
    presentable,
    refresh_request,
    revocation_request,
)
from gateway.events import Emit, Noticed

MAX_ANSWER: Final = 64 * 1024
"""Bytes of a token response: four times the longest token that is accepted."""


_LONGEST_WAIT: Final = 1.0
"""Seconds between two attempts, at most."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Spans in seconds."""

    late_answer: float = 30.0
    """How long the answer is listened for, all attempts together."""
    rotation_grace: float = 0.0
    """How long the server accepts a refresh token after it has rotated it. 0: no second presentation."""
    attempts: int = 3
    """Connection attempts of one presentation."""
    retry_wait: float = 0.1
    """Before the second attempt any time up to this, so that many do not come back at once; then up to twice as
    much, and so on."""
    revocation_timeout: float = 5.0


class AuthServerClient:
    """Presents refresh tokens. Whoever calls it sees to it that nobody presents the same one meanwhile."""

    def __init__(
        self,
        sender: Sender,
        spec: RefreshSpec,
        settings: ClientSettings,
        *,
        emit: Emit,
        token_endpoint: Endpoint | None = None,
        revocation_endpoint: Endpoint | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._sender = sender
        self._spec = spec
        self._settings = settings
        self._emit = emit
        self._token_endpoint = configured(spec.url) if isinstance(spec, CustomSpec) else token_endpoint
        self._revocation_endpoint = revocation_endpoint
        self._wall_clock = wall_clock

    async def redeem(
        self, refresh_token: Secret, access_token: Secret | None, *, since: float | None = None
    ) -> Answer:
        """One presentation of ``refresh_token``. Raises nothing but ``CancelledError``.

        ``since``: when it was announced, by the event loop's clock; None: now. ``late_answer`` counts from there,
        and in its second half nothing is sent any more: others may present the token at its end.
        """
        if not presentable(refresh_token):
            return Denied("malformed_token")
        url = await self._token_endpoint() if self._token_endpoint is not None else None
        if url is None:
            return Unavailable("the token endpoint is not known", ambiguous=False)
        try:
            request = refresh_request(self._spec, url, refresh_token, access_token)
        except ValueError as error:
            self._emit(Noticed(what="unsendable_request", detail=str(error), alarm=True))
            return Misconfigured("unsendable_request")
        return await self._flight(request, since)

    async def revoke(self, token: Secret) -> None:
        """RFC 7009, best effort: never raises, says so when it failed."""
        url = await self._revocation_endpoint() if self._revocation_endpoint is not None else None
        if url is None or not isinstance(self._spec, StandardSpec):
            self._not_revoked("there is no revocation endpoint")
            return
        request = revocation_request(self._spec, url, token)
        deadline = asyncio.get_running_loop().time() + self._settings.revocation_timeout
        try:
            reply = await self._sender.send(request, deadline=deadline, max_body=MAX_ANSWER)
        except (Unsent, Lost) as failure:
            self._not_revoked(str(failure))
        else:
            if reply.status != 200:  # noqa: PLR2004  # RFC 7009 §2.2
                self._not_revoked(f"status {reply.status}")

    def _not_revoked(self, why: str) -> None:
        self._emit(Noticed(what="grant_not_revoked", detail=why))

    async def _flight(self, request: TokenRequest, since: float | None) -> Answer:
        """Presents once; after an ambiguous end once more, if and while the server allows for it (B2b).

        The grace is counted from before the first byte left, so from no later than the server counts it.
        """
        now = asyncio.get_running_loop().time
        started = now() if since is None else since
        deadline = started + self._settings.late_answer
        send_by = started + self._settings.late_answer / 2
        first = await self._present(request, send_by=send_by, deadline=deadline)
        if not isinstance(first, Unavailable) or not first.ambiguous:
            return first
        send_by = min(started + self._settings.rotation_grace, deadline)
        if now() >= send_by:
            return first
        return _after_lost_answer(await self._present(request, send_by=send_by, deadline=deadline))

    async def _present(self, request: TokenRequest, *, send_by: float, deadline: float) -> Answer:
        try:
            reply = await self._sent(request, send_by=send_by, deadline=deadline)
        except Unsent as failure:
            return Unavailable(str(failure), ambiguous=False, exhausted=isinstance(failure, Exhausted))
        except Lost as failure:
            return Unavailable(str(failure), ambiguous=True)
        return read_answer(self._spec, reply.status, reply.headers, reply.body, self._wall_clock())

    async def _sent(self, request: TokenRequest, *, send_by: float, deadline: float) -> Reply:
        """Retries only what failed before a byte was sent (R10), and only while it may still be sent."""
        now = asyncio.get_running_loop().time
        attempt, longest = 1, self._settings.retry_wait
        while True:
            try:
                return await self._sender.send(request, send_by=send_by, deadline=deadline, max_body=MAX_ANSWER)
            except Unsent:
                if attempt >= self._settings.attempts or now() >= send_by:
                    raise
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311  # jitter is no secret
            attempt, longest = attempt + 1, min(2 * longest, _LONGEST_WAIT)


def _after_lost_answer(answer: Answer) -> Answer:
    """The second answer, which knows of the first: whatever it says, the server may have rotated before."""
    match answer:
        case Denied() | Throttled() | Misconfigured():
            return replace(answer, answer_lost=True)
        case Unavailable():
            return replace(answer, ambiguous=True)
        case Grant():
            return answer
        case _:
            assert_never(answer)
