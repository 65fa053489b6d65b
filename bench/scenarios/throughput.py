"""As many equal requests as a proxy can take, from so many keep-alive clients (wrk)."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.asking import get, judge
from bench.check import question, verify, verifying
from bench.errors import WrongAnswerError
from bench.load import Reply, connected, in_turn, play
from bench.peers import AIOHTTP, ALL, COMPILED, DIRECT, OURS
from bench.peers.base import Peer
from bench.samples import Row, Sample, subtract
from bench.scenarios.base import MIB, Scenario
from bench.stage import USUAL, Setting
from bench.targets import Entry, Target
from bench.upstream import KIB_64, document
from bench.watch import Seen, watching
from bench.wrk import Load, Loaded, wrk

_WARM_SECONDS = 1
_FEW = 1_000
_TOLERANCE = 0.02
"""Of an answer's length: what other requests in flight and a header of varying length may change."""


@dataclass(frozen=True, kw_only=True)
class Throughput(Scenario):
    """Throughput, latency, processor time and memory under full load."""

    load: Load = Load()  # noqa: RUF009  # frozen
    body: bytes = document()
    columns: Sequence[str] = ("rate", "cpu", "p50", "p99", "peak")
    subtract_direct: bool = False
    """Tell the added latency: one client, so that nothing queues."""

    def prepare(self, target: Target) -> None:
        """Right answers, then load that nobody counts."""
        verify(target, question(target, self.load.path, self.body))
        if self.load.mode == "tokens":
            _show_tokens(target)
        wrk(target, self.load, _WARM_SECONDS if self.load.clients <= _FEW else 2 * _WARM_SECONDS)
        target.forget_peak()

    def measure(self, target: Target, seconds: int) -> tuple[Sample, Seen]:
        """One run of wrk, while another client looks at what is answered."""
        with watching(target) as seen, verifying(target, question(target, self.load.path, self.body)):
            loaded = wrk(target, self.load, seconds)
        self._weigh(target, loaded)
        sample = {"rate": loaded.rate, "p50": loaded.p50, "p99": loaded.p99}
        if target.program:
            sample |= {"cpu": seen.cpu / loaded.requests * 1e6, "peak": target.peak() / MIB}
        return sample, seen

    def _weigh(self, target: Target, loaded: Loaded) -> None:
        """Every status was looked at by wrk; its count of bytes tells that each answer had a whole body."""
        least = len(self.body) * (loaded.requests - self.load.clients)
        most = (len(self.body) + 1024) * (loaded.requests + self.load.clients)
        if not least * (1 - _TOLERANCE) <= loaded.bytes <= most * (1 + _TOLERANCE):
            raise WrongAnswerError(f"{target.label}: {loaded.bytes} bytes in {loaded.requests} answers")

    def finish(self, rows: Sequence[Row]) -> None:
        """The added latency."""
        if self.subtract_direct:
            subtract(rows, DIRECT.name, "p50", "added_p50")


def _show_tokens(target: Target) -> None:
    """Each of the tokens once, so that whoever verifies has done it."""
    requests = [get(target, "/json", token) for token in target.stage.tokens]

    async def story() -> list[Reply]:
        async with connected(target.port, 64) as clients:
            return await in_turn(clients, requests)

    judge(target, play(story), document())


def entries(peers: Sequence[Peer], setting: Setting = USUAL, note: str = "") -> list[Entry]:
    """One row for each."""
    return [Entry(peer, setting, note) for peer in peers]


_COMPARED = (*COMPILED, *OURS)
_WITH_AIOHTTP = (DIRECT, *_COMPARED, AIOHTTP)

FRESH = Throughput(
    id="fresh",
    title="Fresh token, 64 clients, 1 KB",
    about="The common case: every token is fresh and was seen before; 64 keep-alive clients, an answer of 1 KB.",
    entries=entries(ALL),
    quick=True,
)
UNIQUE = Throughput(
    id="unique",
    title="The same, no head seen twice",
    about="Each request bears a `traceparent` of its own, so that nothing remembered of an earlier head fits.",
    entries=entries((DIRECT, *_COMPARED)),
    load=Load(mode="unique"),
    seconds=1,
    quick=True,
)
TOKENS = Throughput(
    id="tokens-10000",
    title="10,000 tokens in turn",
    about="Each request bears the next of 10,000 tokens, all verified before the first round.",
    entries=entries(_COMPARED),
    load=Load(mode="tokens"),
    seconds=1,
)
BODY_64K = Throughput(
    id="body-64k",
    title="Answers of 64 KB",
    about="64 clients, answers of 64 KB.",
    entries=entries(_WITH_AIOHTTP),
    load=Load("/64k"),
    body=document(KIB_64),
)
ONE_CLIENT = Throughput(
    id="clients-1",
    title="One client: the added latency",
    about="One request after the other on one connection. Added: above the same request without a proxy.",
    entries=entries(ALL),
    load=Load(clients=1),
    seconds=1,
    columns=("p50", "added_p50", "p99", "cpu"),
    main="added_p50",
    subtract_direct=True,
    quick=True,
)
MANY_CLIENTS = [
    Throughput(
        id=f"clients-{count}",
        title=f"{count:,} clients",
        about=f"{count:,} keep-alive clients, all of them busy.",
        entries=entries(_COMPARED),
        load=Load(clients=count),
        seconds=3,
    )
    for count in (1024, 4096)
]
ROUTES = Throughput(
    id="routes",
    title="10,000 routes",
    about="One route against 10,000; the load asks for the one in the middle.",
    entries=[
        *entries(_COMPARED, Setting(routes=1), "1 route"),
        *entries(_COMPARED, Setting(routes=10_000), "10,000 routes"),
    ],
    load=Load("/routes/05000/items"),
    seconds=1,
    columns=("rate", "cpu", "p99", "peak"),
    reference="nginx · 1 route",
)
LOGS = Throughput(
    id="logs",
    title="A log line for each request",
    about='`[log] level = "debug"` writes a JSON line for each request; the default, only the unusual.',
    entries=[*entries(OURS, Setting(log="info"), "default"), *entries(OURS, Setting(log="debug"), "debug")],
    reference="Evergreen · default",
    seconds=1,
)
STORE = Throughput(
    id="store",
    title="A shared store",
    about="The first table's load with `memory://` and with Redis: tokens already seen never touch the store.",
    entries=[*entries(OURS, note="memory"), *entries(OURS, Setting(shared=True), "Redis")],
    reference="Evergreen · memory",
)
TLS = Throughput(
    id="tls",
    title="TLS from the client",
    about="The same as the first table, but that clients speak TLS 1.3 to the proxy.",
    entries=entries(_COMPARED, Setting(tls=True)),
    seconds=1,
)
ALL_THROUGHPUT = [FRESH, UNIQUE, TOKENS, BODY_64K, ONE_CLIENT, *MANY_CLIENTS, ROUTES, LOGS, STORE, TLS]
