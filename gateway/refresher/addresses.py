"""How often one client address may guess at refresh tokens (CONTRACT §4.7; D3)."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from gateway.core import errors
from gateway.core.bounded import Bounded
from gateway.core.errors import Problem

_REMEMBERED = 100_000
_PREFIX = 64

_BUSY = errors.AUTH_SERVER_UNAVAILABLE.because("Too many refreshes from this address wait. Try again later.")


def network(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that one IPv6 subscriber has at the least (RFC 6177).

    An IPv4-mapped address is its IPv4 address. What is no address stands for itself.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return address
    return f"{int(ip) >> (128 - _PREFIX):x}/{_PREFIX}" if ip.ipv4_mapped is None else str(ip.ipv4_mapped)


@dataclass(slots=True, eq=False)
class _Line:
    """One network's tokens that are being asked about, and those that wait for them."""

    asking: int = 0
    waiting: "deque[asyncio.Future[Problem | None]]" = field(default_factory=deque)


class AddressLimit:
    """A token bucket for each network, for refresh tokens never seen good. Only denials are charged.

    What is being asked about might be denied, so no more is asked about at once than the bucket holds: a flood of
    guesses costs the server no more calls than its denials, and good tokens from one address only wait a little.
    """

    def __init__(self, burst: int, per_second: float, waiting: int) -> None:
        """Args: waiting: how many of one network may wait."""
        self._burst = burst
        self._rate = per_second
        self._waiting = waiting
        self._buckets: Bounded[str, tuple[float, float]] = Bounded(_REMEMBERED)
        self._lines: dict[str, _Line] = {}
        """Of networks that have something asked about, so as few as the token requests in the queue."""

    async def enter(self, net: str, patience: float) -> Problem | None:
        """Wait ``patience`` seconds at most to ask about one token. None: go on, and ``leave`` at the end."""
        line = self._lines.setdefault(net, _Line())
        turn: asyncio.Future[Problem | None] = asyncio.get_running_loop().create_future()
        line.waiting.append(turn)
        self._advance(net, line)
        try:
            if not turn.done() and len(line.waiting) <= self._waiting:
                await asyncio.wait({turn}, timeout=patience)
        except asyncio.CancelledError:
            if turn.done() and turn.result() is None:
                self.leave(net)
            raise
        finally:
            if not turn.done():
                line.waiting.remove(turn)
        return turn.result() if turn.done() else _BUSY

    def leave(self, net: str) -> None:
        """One token is not asked about any more, or not waited for."""
        line = self._lines[net]
        line.asking -= 1
        self._advance(net, line)

    def charge(self, net: str) -> None:
        """The server denied a token: it was a guess."""
        now = _now()
        self._buckets[net] = self._balance(net, now) - 1, now

    def _advance(self, net: str, line: _Line) -> None:
        """Lets in as many as the bucket holds. Refuses the others once the denied ones have emptied it."""
        balance = self._balance(net, _now())
        while line.waiting:
            if balance < 1:
                line.waiting.popleft().set_result(errors.RATE_LIMITED.retry((1 - balance) / self._rate))
            elif balance - line.asking >= 1:
                line.waiting.popleft().set_result(None)
                line.asking += 1
            else:
                return
        if not line.asking:
            del self._lines[net]

    def _balance(self, net: str, now: float) -> float:
        left, at = self._buckets.get(net, (float(self._burst), now))
        return min(self._burst, left + (now - at) * self._rate)


def _now() -> float:
    """The event loop's clock."""
    return asyncio.get_running_loop().time()
