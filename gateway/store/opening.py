"""A shared store from its settings. Needs redis-py, an extra of this package: import it only where it is used."""

import time

from gateway.events import Emit
from gateway.store.cluster import Cluster
from gateway.store.health import Health
from gateway.store.links import Links
from gateway.store.local import LocalStore
from gateway.store.memory import MemoryStore
from gateway.store.redis import RedisEngine
from gateway.store.sealing import KeyRing
from gateway.store.sentinels import Sentinels
from gateway.store.settings import Access, SharedSettings
from gateway.store.shared import SharedStore
from gateway.store.topology import Direct, Topology

_CONSEQUENCES = {
    "refuse": "valid tokens pass, and what needs a refresh is answered 503",
    "local": "each process refreshes on its own",
}


def open_store(settings: SharedSettings, emit: Emit) -> SharedStore | LocalStore:
    """The store of a fleet. Nothing is connected before it is asked for something; it is for one event loop."""
    health = Health(emit, time.monotonic, consequence=_CONSEQUENCES[settings.on_failure])
    engine = RedisEngine(_topology(settings), refused=health.deaf)
    store = SharedStore(
        engine, KeyRing(settings.keys), Links(settings.index_key), health, settling=settings.settling
    )
    if settings.on_failure == "refuse":
        return store
    return LocalStore(store, MemoryStore(settings.max_entries, time.monotonic), time.monotonic)


def _topology(settings: SharedSettings) -> Topology:
    access = Access(
        username=settings.username,
        password=settings.password,
        database=settings.database,
        tls=settings.tls,
        max_connections=settings.max_connections,
    )
    match settings.kind:
        case "server":
            return Direct(settings.addresses[0], access)
        case "sentinel":
            entry = Access(password=settings.sentinel_password, tls=settings.tls)
            return Sentinels(settings.addresses, settings.service, access, entry)
        case "cluster":
            return Cluster(settings.addresses, access)
