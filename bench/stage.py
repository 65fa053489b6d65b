"""What all scenarios play on: two cores, the API, the authorization server, tokens, a folder. And its striking."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import trustme

from bench import upstream
from bench.errors import BenchError
from bench.programs import LOOPBACK, Command, Program, find, free_port
from bench.tokens import Mint, Pair, save

USERS = 2_000
DISTINCT_TOKENS = 10_000
_EXPIRED_SINCE = -60
_LIFETIME = 86_400
_FIELDS = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: application/json, text/plain, */*",
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Referer: https://app.example.com/orders?page=2",
    "Cookie: theme=dark; consent=1; visit=5f2c8a90-77be-4d0e-9f5e-0d5a3b1f7c11",
    "Sec-Fetch-Mode: cors",
    "Cache-Control: no-cache",
)
"""Eight fields as a browser sends them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a scenario wants of the proxy's configuration."""

    behind: Literal["nginx", "services"] = "nginx"
    """Which of the two upstreams it forwards to."""
    routes: int = 1
    tls: bool = False
    """The client speaks TLS; the upstream never does here."""
    log: str = "info"
    shared: bool = False
    """The gateway's store is Redis, which the load's core runs too; otherwise its own memory."""


USUAL = Setting()


@dataclass
class Stage:
    """Both upstreams are up. Ports are those of the loopback interface."""

    folder: Path
    proxy_core: int
    load_core: int
    users: int = USERS
    api_port: int = field(default_factory=free_port)
    services_port: int = field(default_factory=free_port)
    auth_port: int = field(default_factory=free_port)
    redis_port: int = field(default_factory=free_port)

    @property
    def auth_url(self) -> str:
        """The authorization server, and its issuer identifier."""
        return f"http://{LOOPBACK}:{self.auth_port}"

    @cached_property
    def mint(self) -> Mint:
        """Signs for the authorization server."""
        return Mint(self.auth_url)

    @cached_property
    def token(self) -> str:
        """A fresh one."""
        return self.mint.token("alice")

    @cached_property
    def tokens(self) -> list[str]:
        """Fresh ones, all distinct."""
        return self.mint.tokens(DISTINCT_TOKENS)

    @cached_property
    def expired(self) -> list[Pair]:
        """Users whose access token has expired a minute ago."""
        return self.mint.pairs("expired", self.users, lifetime=_EXPIRED_SINCE)

    @cached_property
    def refused(self) -> list[Pair]:
        """Users whose access token looks fresh, and which ``/guarded`` refuses."""
        return self.mint.pairs("refused", self.users, lifetime=_LIFETIME)

    @cached_property
    def certificate(self) -> tuple[Path, Path]:
        """The chain and the key of a listener that speaks TLS, as PEM files."""
        chain, key = self.folder / "chain.pem", self.folder / "key.pem"
        issued = trustme.CA().issue_cert(LOOPBACK, "localhost")
        chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return chain, key

    def upstream_port(self, setting: Setting) -> int:
        """Where a proxy with this setting forwards to."""
        return self.api_port if setting.behind == "nginx" else self.services_port

    def fields(self, token: str, host: str, *more: str) -> list[str]:
        """The header lines of a request, as a browser application sends them."""
        return [f"Host: {host}", f"Authorization: Bearer {token}", *_FIELDS, *more]

    def new_folder(self, name: str) -> Path:
        """An empty one."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))


def cores() -> tuple[int, int]:
    """The proxy's core and the load's: the first two that this process may use.

    Raises:
        BenchError: there is only one.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:  # noqa: PLR2004
        raise BenchError("two cores are needed: one for the proxy, one for the load and the API")
    return allowed[0], allowed[1]


@contextmanager
def stage(users: int = USERS) -> Iterator[Stage]:
    """Build it, yield it, strike it. This process moves to the load's core.

    Args:
        users: with an expired token, and as many with one that the API refuses; 2,000 of each take seconds.
    """
    proxy_core, load_core = cores()
    before = os.sched_getaffinity(0)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(os.sched_setaffinity, 0, before)
        os.sched_setaffinity(0, {load_core})
        built = Stage(folder, proxy_core, load_core, users)
        _start_services(stack, built, [*built.expired, *built.refused])
        api = Program(upstream.command(folder, built.api_port), load_core, folder / "upstream.log")
        stack.enter_context(api).await_port(built.api_port)
        redis = Program(_redis(folder, built.redis_port), load_core, folder / "redis.log")
        stack.enter_context(redis).await_port(built.redis_port)
        yield built


def _redis(folder: Path, port: int) -> Command:
    """In memory only."""
    options = {"bind": LOOPBACK, "port": str(port), "save": "", "appendonly": "no", "dir": str(folder)}
    return Command(
        [find("redis-server"), *(word for name, value in options.items() for word in (f"--{name}", value))]
    )


def _start_services(stack: ExitStack, built: Stage, pairs: Sequence[Pair]) -> None:
    folder = built.folder
    save(list(pairs), folder / "pairs.json")
    (folder / "jwks.json").write_text(json.dumps(built.mint.jwks()))
    (folder / "document.json").write_bytes(upstream.document())
    argv = [sys.executable, "-m", "bench.services", str(folder), str(built.services_port), str(built.auth_port)]
    services = stack.enter_context(Program(Command(argv), built.load_core, folder / "services.log"))
    services.await_port(built.services_port)
    services.await_port(built.auth_port)
