"""Replicas: the real refresher over the real shared store, each with connections of its own."""

import asyncio
from collections.abc import Callable
from random import Random

from gateway.events import Event, Noticed
from gateway.refresher import Refresher, RefreshSettings
from gateway.store.health import Health
from gateway.store.links import Links
from gateway.store.sealing import KeyRing
from gateway.store.shared import SharedStore
from simulation.auth_server import AuthServer, Endpoint
from simulation.store_engine import StoreEngine
from simulation.store_server import Server
from simulation.virtual_time import wall

_KEY = bytes(32)
"""Nobody reads along."""

MakeEngine = Callable[[Server, Callable[[str], None]], StoreEngine]


_BUGS = {"refresh_failed", "errand_failed"}


class BugError(Exception):
    """The gateway's code has raised what it should not."""


def _look(event: Event) -> None:
    if isinstance(event, Noticed) and event.what in _BUGS:
        raise BugError(f"{event.what}: {event.detail} {event.where}")


class Replica:
    """One gateway process."""

    def __init__(
        self, server: Server, auth_server: AuthServer, settings: RefreshSettings, make: MakeEngine, dice: Random
    ) -> None:
        """Args: make: the engine; ablations make a worse one."""
        self.requests: dict[asyncio.Task[None], None] = {}
        """Those under way here."""
        self.patience = settings.timeout
        """Seconds that a request waits for new tokens."""
        self._endpoint = Endpoint(auth_server, settings)
        self._engine = make(server, self._endpoint.settled)
        health = Health(lambda _: None, server.loop.time, consequence="")
        self.refresher = Refresher(
            self._endpoint,
            auth_server,
            SharedStore(self._engine, KeyRing([_KEY]), Links(_KEY), health, settling=settings.confirmation),
            settings,
            emit=_look,
            clock=wall,
            chance=dice.random,
        )

    def kill(self) -> None:
        """SIGKILL: nothing goes on, nothing is given back, whoever waits here hears nothing."""
        self._engine.die()
        self._endpoint.die()
        flights = [flight.task for flight in self.refresher._flights.all()]  # noqa: SLF001  # as a kill does
        for task in [*self.requests, *flights, *self.refresher._errands]:  # noqa: SLF001
            task.cancel()


class Fleet:
    """All replicas, behind a balancer that knows which of them live and sends each request to any."""

    def __init__(self, count: int, start: Callable[[], Replica], dice: Random) -> None:
        self._start = start
        self._dice = dice
        self._replicas = [start() for _ in range(count)]

    def pick(self) -> Replica:
        """Where the next request goes."""
        return self._dice.choice(self._replicas)

    async def crash(self, replaced: float) -> None:
        """One of them dies; after so many seconds another one stands in its place."""
        if len(self._replicas) == 1:
            return
        replica = self._replicas.pop(self._dice.randrange(len(self._replicas)))
        replica.kill()
        await asyncio.sleep(replaced)
        self._replicas.append(self._start())

    async def close(self) -> None:
        """Wait for what is under way."""
        for replica in self._replicas:
            if replica.requests:
                await asyncio.wait(replica.requests)
        for replica in self._replicas:
            await replica.refresher.close()
