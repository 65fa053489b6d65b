"""One run: a fleet, its users, and their weather."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from gateway.core.tokens import Windows
from gateway.refresher import RefreshSettings
from simulation.ablations import ENGINES
from simulation.auth_server import ISSUER, AuthServer
from simulation.figures import Figures, Tally, figures
from simulation.fleet import Fleet, Replica
from simulation.store_server import Server
from simulation.users import Crowd, Habits
from simulation.virtual_time import VirtualLoop
from simulation.weather import ROUGH, Weather


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What one run is about. Spans in seconds."""

    replicas: int = 10
    users: int = 1000
    seconds: float = 600.0
    """How long requests come."""
    lifetime: float = 300.0
    """Of access tokens."""
    habits: Habits = field(default_factory=Habits)
    weather: Weather = ROUGH
    ahead: float = 60.0
    """``refresh.ahead``"""
    jitter: float = 0.2
    settings: tuple[tuple[str, Any], ...] = ()
    """Changes to the shipped ``RefreshSettings``."""
    without: str = ""
    """A key of ``ablations.ENGINES``."""
    seed: int = 1


def simulate(scenario: Scenario) -> Figures:
    """Run it. The same scenario brings the same figures, to the last digit."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        run = _Run(scenario)
        runner.get_loop().set_exception_handler(run.failed)
        found = runner.run(run.play())
    if run.failures:
        raise run.failures[0]
    return found


class _Run:
    """Needs a loop of its own, for each kind of event has dice of its own."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._tally = Tally()
        self._mishaps: list[asyncio.Task[None]] = []
        self.failures: list[Exception] = []
        """Exceptions that nobody awaited."""

    def failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The loop's exception handler."""
        error = context.get("exception")
        self.failures.append(error if isinstance(error, Exception) else RuntimeError(context["message"]))

    async def play(self) -> Figures:
        scenario, weather, loop = self._scenario, self._scenario.weather, asyncio.get_running_loop()
        settings = refresh_settings(scenario)
        auth_server = AuthServer(
            weather,
            _windows(scenario, settings.max_expired_age),
            lifetime=scenario.lifetime,
            dice=self._dice("auth server"),
            loop=loop,
        )
        server = Server(weather, self._dice("store"), loop)
        chance, make = self._dice("chance"), ENGINES[scenario.without]
        fleet = Fleet(
            scenario.replicas,
            lambda: Replica(server, auth_server, settings, make, chance),
            self._dice("balancer"),
        )
        crowd = Crowd(
            scenario.users,
            scenario.habits,
            weather=weather,
            server=auth_server,
            fleet=fleet,
            tally=self._tally,
            lifetime=scenario.lifetime,
            dice=self._dice("users"),
        )
        self._cause(fleet, server)
        await crowd.live(loop.time() + scenario.seconds)
        for mishap in self._mishaps:
            mishap.cancel()
        await fleet.close()
        return figures(self._tally, auth_server.counts, server.load, scenario.seconds)

    def _cause(self, fleet: Fleet, server: Server) -> None:
        weather = self._scenario.weather
        self._now_and_then("crashes", weather.crashes, lambda: fleet.crash(weather.replaced))
        self._now_and_then("pauses", weather.store_pauses, lambda: server.pause(weather.store_pause))
        self._now_and_then("restarts", weather.store_restarts, lambda: server.restart(weather.store_down))

    def _now_and_then(self, name: str, interval: float, mishap: Callable[[], Awaitable[None]]) -> None:
        async def repeat() -> None:
            dice = self._dice(name)
            while True:
                await asyncio.sleep(dice.expovariate(1 / interval))
                await mishap()

        if interval:
            self._mishaps.append(asyncio.create_task(repeat()))

    def _dice(self, name: str) -> Random:
        return Random(f"{self._scenario.seed} {name}")  # noqa: S311  # dice, no secrets


def _windows(scenario: Scenario, max_expired_age: float) -> Windows:
    """The defaults of the configuration, but for what the scenario changes."""
    return Windows(
        ahead=scenario.ahead, hard=5.0, leeway=0.0, max_expired_age=max_expired_age, jitter=scenario.jitter
    )


def refresh_settings(scenario: Scenario) -> RefreshSettings:
    """The shipped ones, changed as the scenario says."""
    return RefreshSettings(issuer=ISSUER, client_id="gateway", index_key=bytes(32), **dict(scenario.settings))
