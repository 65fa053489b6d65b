"""The proxies that are compared."""

from bench.peers.base import Peer
from bench.peers.envoy import ENVOY
from bench.peers.evergreen import ASGI, EXPRESS, INTERPRETED
from bench.peers.nginx import NGINX
from bench.peers.plain import AIOHTTP, STARLETTE

__all__ = [
    "AIOHTTP",
    "ALL",
    "ASGI",
    "COMPILED",
    "DIRECT",
    "ENVOY",
    "EXPRESS",
    "INTERPRETED",
    "NGINX",
    "OURS",
    "PLAIN",
    "STARLETTE",
]

DIRECT = Peer("direct", "no proxy: what load generator and API reach by themselves", None)
COMPILED = (NGINX, ENVOY)
OURS = (EXPRESS, ASGI)
PLAIN = (AIOHTTP, STARLETTE)
ALL = (DIRECT, *COMPILED, *OURS, INTERPRETED, *PLAIN)
