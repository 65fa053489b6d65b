"""Real Redis servers that act as one: a master guarded by Sentinels, and a cluster."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.redis_servers import RedisServer, redis_server, until

_SLOTS = 16384


@dataclass
class Guarded:
    """A service that Sentinels guard."""

    servers: list[RedisServer]
    sentinels: list[RedisServer]
    service: str = "fleet"

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{self.service}"

    def master(self) -> RedisServer:
        """As the Sentinels see it."""
        port = self._named(self.sentinels[0])
        return next(server for server in self.servers if server.port == port)

    def fail_over(self) -> RedisServer:
        """The master is killed; returns its successor, once all Sentinels name it and it takes writes."""
        earlier = self.master()
        earlier.stop()
        (successor,) = (server for server in self.servers if server is not earlier)
        until(lambda: successor.ask("ROLE")[0] == b"master", "a failover")
        for sentinel in self.sentinels:
            until(lambda s=sentinel: self._named(s) == successor.port, "all Sentinels know of it")
        return successor

    def _named(self, sentinel: RedisServer) -> int:
        """The master's port, as one Sentinel says it."""
        return int(sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.service)[1])


@contextmanager
def sentinels(count: int = 3, **settings: Any) -> Iterator[Guarded]:
    """A master, its replica, and Sentinels that agree after half a second."""
    with ExitStack() as stack:
        master = stack.enter_context(redis_server(tcp=True, repl_diskless_sync_delay=0, **settings))
        replica = stack.enter_context(
            redis_server(tcp=True, repl_diskless_sync_delay=0, replicaof=f"127.0.0.1 {master.port}", **settings)
        )
        until(lambda: replica.ask("INFO", "replication").get("master_link_status") == "up", "replication")
        quorum = count // 2 + 1
        guards = []
        for _ in range(count):
            home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="redis")))
            text = {
                "sentinel monitor fleet": f"127.0.0.1 {master.port} {quorum}",
                "sentinel down-after-milliseconds fleet": 500,
                "sentinel failover-timeout fleet": 2000,
                "sentinel parallel-syncs fleet": 1,
            }
            guard = RedisServer(home, text, tcp=True, sentinel=True)
            stack.callback(guard.stop)
            guards.append(guard.start())
        for guard in guards:
            until(lambda g=guard: _others(g) == count - 1, "Sentinels that know one another")
            until(lambda g=guard: g.ask("SENTINEL", "REPLICAS", "fleet"), "Sentinels that know the replica")
        yield Guarded([master, replica], guards)


def _others(guard: RedisServer) -> int:
    return len(guard.ask("SENTINEL", "SENTINELS", "fleet"))


@dataclass
class Clustered:
    """A Redis Cluster of masters without replicas."""

    servers: list[RedisServer]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def move(self, slot: int, receiver: RedisServer) -> None:
        """Give an empty slot to another master."""
        identity = receiver.ask("CLUSTER", "MYID").decode()
        for server in self.servers:
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", identity)


@contextmanager
def cluster(count: int = 3, **settings: Any) -> Iterator[Clustered]:
    """Masters that share the slots evenly."""
    with ExitStack() as stack:
        servers = []
        for _ in range(count):
            extra = {"cluster_enabled": "yes", "cluster_config_file": "nodes.conf", "cluster_node_timeout": 2000}
            servers.append(stack.enter_context(redis_server(tcp=True, **extra, **settings)))
        for index, server in enumerate(servers):
            first, last = _SLOTS * index // count, _SLOTS * (index + 1) // count - 1
            server.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        for server in servers[1:]:
            servers[0].ask("CLUSTER", "MEET", "127.0.0.1", server.port)
        for server in servers:
            until(lambda s=server: _whole(s, count), "a cluster that is whole")
        yield Clustered(servers)


def _whole(server: RedisServer, count: int) -> bool:
    info = dict(line.split(":", 1) for line in server.ask("CLUSTER", "INFO").decode().split())
    return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == count
