"""What people write in Python: a hundred lines on a framework and a client library (``bench/peers/apps``)."""

import sys

from bench.peers.base import Peer, Place
from bench.programs import LOOPBACK, Command
from bench.tokens import AUDIENCE


def _environ(place: Place) -> dict[str, str]:
    return {
        "BENCH_UPSTREAM": f"http://{LOOPBACK}:{place.upstream_port}",
        "BENCH_ISSUER": place.stage.auth_url,
        "BENCH_AUDIENCE": AUDIENCE,
        "BENCH_JWKS": str(place.stage.folder / "jwks.json"),
        "BENCH_PORT": str(place.port),
    }


def starlette(place: Place) -> Command:
    """On uvicorn, with uvloop and httptools, its access log off."""
    where = ["--host", LOOPBACK, "--port", str(place.port), "--no-access-log", "--log-level", "warning"]
    argv = [sys.executable, "-m", "uvicorn", "bench.peers.apps.starlette_httpx:app", *where]
    return Command([*argv, "--loop", "uvloop", "--http", "httptools"], _environ(place))


def aiohttp(place: Place) -> Command:
    """With aiohttp on both sides, on uvloop, its access log off."""
    return Command([sys.executable, "-m", "bench.peers.apps.aiohttp_proxy"], _environ(place))


STARLETTE = Peer("Starlette + httpx", "a streaming proxy on uvicorn, tokens verified once", starlette)
AIOHTTP = Peer("aiohttp", "server and client, streaming, tokens verified once", aiohttp)
