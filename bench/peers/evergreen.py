"""Ours, in each lane, as an operator starts it."""

import os
import sys
from base64 import b64encode
from functools import partial

from bench.peers.base import POOL, Peer, Place, route_prefixes
from bench.programs import LOOPBACK, Command, find
from bench.tokens import AUDIENCE

LOG = "gateway.log"
"""Where it logs to, in its folder."""


def command(place: Place, *, express: bool, installed: bool = True) -> Command:
    """The defaults, but for what a benchmark of many connections from one address needs.

    ``installed``: the wheel beside this Python, which ``make bench`` has compiled; else the checkout as it is.
    """
    config = place.folder / "gateway.toml"
    config.write_text(_config(place, express=express))
    program = [find("gateway")] if installed else [sys.executable, "-m", "gateway"]
    return Command([*program, "run", "--config", str(config)])


def _config(place: Place, *, express: bool) -> str:
    setting, auth = place.setting, place.stage.auth_url
    return _CONFIG.format(
        listen=f"{LOOPBACK}:{place.port}",
        express=str(express).lower(),
        tls=_tls(place) if setting.tls else "",
        upstream=f"http://{LOOPBACK}:{place.upstream_port}",
        pool=POOL,
        auth=auth,
        audience=AUDIENCE,
        store=_store(place),
        log=setting.log,
        routes="\n".join(f'[[routes]]\nmatch = "{prefix}*"' for prefix in route_prefixes(setting.routes)),
    )


def _store(place: Place) -> str:
    if not place.setting.shared:
        return 'url = "memory://"'
    keys = (b64encode(os.urandom(32)).decode() for _ in range(2))  # new names: what is there is another round's
    return 'url = "redis://{}:{}/0"\nkeys = ["{}"]\nindex_key = "{}"'.format(
        LOOPBACK, place.stage.redis_port, *keys
    )


def _tls(place: Place) -> str:
    certificate, key = place.stage.certificate
    return f'[server.tls]\ncert = "{certificate}"\nkey = "{key}"'


_CONFIG = """
[server]
listen = "{listen}"
express = {express}
idle_timeout = "10m"
{tls}
[upstream]
url = "{upstream}"
max_connections = {pool}
max_waiting = {pool}
[auth_server]
issuer = "{auth}"
token_endpoint = "{auth}/token"
jwks_uri = "{auth}/jwks"
client_id = "gateway"
client_secret = "not a secret: both ends are here"
[access_token]
issuer = "{auth}"
audience = ["{audience}"]
[store]
{store}
[log]
level = "{log}"
format = "json"
{routes}
"""

EXPRESS = Peer("Evergreen", "the express lane, the default", partial(command, express=True), refreshes=True)
ASGI = Peer("Evergreen, ASGI lane", "`[server] express = false`", partial(command, express=False), refreshes=True)
INTERPRETED = Peer(
    "Evergreen, not compiled",
    "the express lane, from the checkout: pure Python",
    partial(command, express=True, installed=False),
    refreshes=True,
)
