"""A fleet: gateways in processes of their own, a real Redis, and in this event loop the authorization server and API.

Each replica calls the authorization server at a port of its own, so that a token request tells who sent it.
"""

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.processes import ROOT
from tests.fleet.client import Answer, Pair, ask
from tests.house import config_text, defaults
from upstream_stub.api import Api
from upstream_stub.auth import AuthServer
from upstream_stub.records import Records
from upstream_stub.serving import Serving

PATIENCE = 60.0
"""Seconds; only a test that fails waits so long."""


def key() -> str:
    """32 random bytes as base64."""
    return base64.b64encode(os.urandom(32)).decode()


@dataclass
class Replica:
    """One gateway, that may be killed and started again on the same port."""

    config: Path
    log: Path
    auth_port: int
    """Where it calls the authorization server."""
    lease: float | None = None
    """Seconds; None: as shipped."""
    process: asyncio.subprocess.Process | None = None
    port: int = 0

    async def start(self) -> None:
        program = ["gateway"] if self.lease is None else ["tests.fleet.replica", str(self.lease)]
        words = [sys.executable, "-W", "error", "-m", *program, "run", "--config", str(self.config)]
        listen = {"GATEWAY__SERVER__LISTEN": f"127.0.0.1:{self.port}"}
        with self.log.open("a") as log:
            self.process = await asyncio.create_subprocess_exec(
                *words, cwd=ROOT, env={**os.environ, **listen}, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await self.process.stdout.readline()
        assert line, self.log.read_text()
        self.port = int(line.rpartition(b":")[2])

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit status."""
        assert self.process is not None
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)
        await self.process.communicate()
        status = self.process.returncode
        assert status is not None
        return status

    def workers(self) -> list[int]:
        """Process ids."""
        assert self.process is not None
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    async def kill(self) -> None:
        await self.stop(signal.SIGKILL)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def told(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def notices(self) -> list[str]:
        return [line["what"] for line in self.told() if line["event"] == "notice"]

    async def ask(self, pair: Pair | tuple[str, None] | None = None, path: str = "/echo") -> Answer:
        return await ask(self.port, pair, path)


@dataclass
class Fleet:
    """Replicas, and those behind them."""

    auth: AuthServer
    api: Api
    replicas: list[Replica] = field(default_factory=list)

    def forget(self) -> None:
        """What the authorization server has counted so far, and the faults that it was to have."""
        self.auth.clear()
        self.auth.records = Records()

    async def start(self) -> "Fleet":
        """All of them."""
        await asyncio.gather(*(replica.start() for replica in self.replicas))
        return self

    async def crowd(self, pair: Pair, each: int) -> list[Answer]:
        """So many requests at every replica at the same time, each repeated where the store or the authorization
        server was away: a client that was told to keep its tokens and try again.
        """
        asked = [self.insist(replica, pair) for _ in range(each) for replica in self.replicas]
        return await asyncio.gather(*asked)

    async def insist(self, replica: Replica, pair: Pair, path: str = "/echo") -> Answer:
        """Until the answer is no 503."""
        async with asyncio.timeout(PATIENCE):
            while (answer := await replica.ask(pair, path)).status == 503:
                assert answer.code in {"auth_server_unavailable", "store_unavailable"}
                await asyncio.sleep(0.2)
        return answer

    def asked_by(self, number: int) -> Replica:
        """Who sent the token request of this number."""
        fields = dict(self.auth.token_requests[number].headers)
        port = int(fields[b"host"].rpartition(b":")[2])
        return next(replica for replica in self.replicas if replica.auth_port == port)


def is_one_refresh(fleet: Fleet, answers: list[Answer], old: Pair, user: str) -> Pair:
    """Everybody has the same new tokens, which are that user's and came by one token request."""
    assert {answer.status for answer in answers} == {200}
    (new,) = {answer.pair(old) for answer in answers}
    assert new[0] != old[0]
    assert new[1] != old[1]
    assert len(fleet.auth.token_requests) == 1
    assert fleet.auth.concurrent_presentations == 1
    known = fleet.auth.families.find(new[1])
    assert known is not None
    assert known.family.subject == user
    assert not known.family.revoked
    return new


async def until(condition: Callable[[], Any]) -> None:
    """Return when ``condition()`` is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # other processes set no event of ours
            await asyncio.sleep(0.01)


@asynccontextmanager
async def fleet(
    folder: Path,
    *stores: Mapping[str, Any],
    count: int = 3,
    lease: float | None = None,
    auth: Mapping[str, Any] | None = None,
    **sections: Mapping[str, Any],
) -> AsyncIterator[Fleet]:
    """So many replicas, not started, with one store or each with its own; ``sections`` as for ``house``, alike."""
    async with AsyncExitStack() as stack:
        server = AuthServer(**{"access_lifetime": 3600.0, **(auth or {})})
        first = await stack.enter_async_context(server.serve())
        api = Api()
        api_url = (await stack.enter_async_context(Serving(api))).url
        made = Fleet(server, api)
        common = defaults(first.url, api_url)
        common |= {"log": {"level": "debug", "format": "json"}}
        for name, keys in sections.items():
            common[name] = {**common.get(name, {}), **keys}
        for number in range(count):
            own = await stack.enter_async_context(Serving(server.app))
            common["auth_server"] |= {"token_endpoint": own.url + "/token"}
            common["store"] = {**stores[number % len(stores)]}
            path = folder / f"{number}.toml"
            path.write_text(config_text(common, []))
            made.replicas.append(Replica(path, folder / f"{number}.log", own.port, lease))
        try:
            yield made
        finally:
            for replica in made.replicas:
                if replica.process is not None:
                    await replica.kill()


def sealed(url: str, **more: Any) -> dict[str, Any]:
    """A store's section, with new keys."""
    return {"url": url, "keys": [key()], "index_key": key(), **more}
