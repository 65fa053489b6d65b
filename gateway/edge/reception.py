"""What can be said of a request at once: both lanes begin here.

Nothing is waited for. What depends on the fields alone is read once for all requests that repeat them (``Block``);
what depends on time or on keys is looked at again each time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from gateway.core.cors import origin_of
from gateway.core.credentials import Carried
from gateway.core.forwarding import FIELDS, PREFIX, Forwarding
from gateway.core.headers import PASSED_ON, Headers, is_preflight
from gateway.core.heads import Fields, Head, Limits, read_head
from gateway.core.hops import Via
from gateway.core.lifecycle import Absent, Arrived, Decision, Presented
from gateway.core.policy import Auth
from gateway.core.routes import Router, Rule
from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken
from gateway.edge.block import Block
from gateway.edge.passage import Passage, Reading, is_small
from gateway.edge.place import Place
from gateway.edge.ports import Credentials, Judge
from gateway.edge.telling import NAMES
from gateway.edge.upstreams import Target
from gateway.events import Emit, Noticed

_NOTHING = Carried(Absent.MISSING, None)
_HEEDED = frozenset({b"via", b"origin", b"host", b"access-control-request-method"}) | FIELDS
"""More than credentials is read of these, whatever they are said to carry; and of names with ``PREFIX``."""
_PASSAGES = 4
"""Rules that are remembered with one head, each with the fields for its upstream: a client that walks through ten
thousand keeps but a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the reception works with."""

    limits: Limits
    credentials: Credentials
    via: Via
    forwarding: Forwarding
    router: Router
    targets: Mapping[str, Target]
    """By name; the default upstream's name is empty."""
    judge: Judge
    clock: Callable[[], float]
    """Unix seconds."""
    emit: Emit
    reserved: frozenset[bytes]
    """Names of fields that something of this gateway's configuration is about."""


class Request(Protocol):
    """What has come of a request."""

    method: str
    target: bytes
    version: str
    block: Block


class Reception:
    """Reads requests, finds their rules, and knows tokens again."""

    def __init__(self, desk: Desk) -> None:
        self._limits = desk.limits
        self._credentials = desk.credentials
        self._via = desk.via
        self._forwarding = desk.forwarding
        self._targets = desk.targets
        self._judge = desk.judge
        self._clock = desk.clock
        self._emit = desk.emit
        self._warned = False
        self.find = desk.router.find
        names = desk.credentials.names
        self._unread = PASSED_ON - desk.reserved
        self._carrying = frozenset(name for name in (names.access, names.refresh) if not _means_more(name))
        self._told = frozenset({b"via", b"origin", b"upgrade", b"expect", names.access, names.refresh})

    def head(self, request: Request) -> Head:
        """A request's checked head. Raises: GatewayError: it is refused."""
        block = request.block
        reading = self.remembered(block)
        known = None if reading is None else reading.fields
        return read_head(request.method, request.target, request.version, block.headers, self._limits, fields=known)

    def read(self, block: Block, fields: Fields, place: Place) -> Reading:
        """What the fields of a head say to us, of a client at ``place``."""
        reading = self.remembered(block)
        if reading is None:
            reading = block.reading = self._read(block.headers, fields, place)
        return reading

    def remembered(self, block: Block) -> Reading | None:
        """What was read of these fields, or of such as differ in credentials and in what we do not read."""
        reading: Reading | None = block.reading
        if reading is None and block.base is not None:
            known: Reading | None = block.base.reading
            reading = None if known is None else self._alike(block, known)
            if reading is None:
                block.base = None  # on its own from here on
            block.reading = reading
        return reading

    def _alike(self, block: Block, reading: Reading) -> Reading | None:
        size, carries = reading.fields.size, False
        for name, before, value in block.changes:
            if name in self._carrying:
                carries = True
            elif name not in self._unread:
                return None
            size += len(value) - len(before)
        if size > self._limits.header_bytes:
            return None
        if carries:
            told = [h for h in block.headers if h[0] in self._carrying]
            return reading.carrying(self._credentials.read(told))
        return reading

    def _read(self, headers: Headers, fields: Fields, place: Place) -> Reading:
        told = [h for h in headers if h[0] in self._told]
        peer = self._forwarding.read(headers, place.address, place.scheme, fields.host)
        if peer.spoke_untrusted:
            self._warn()
        loops = self._via.loops(told)
        upgrade = any(n == b"upgrade" for n, _ in told)
        expects = any(n == b"expect" for n, _ in told)
        return Reading(
            fields,
            self._credentials.read(told),
            peer,
            origin=origin_of(told),
            preflight=is_preflight("OPTIONS", headers),
            loops=loops,
            upgrade=upgrade,
            plain=is_small(fields, expects=expects) and not (loops or upgrade),
        )

    def _warn(self) -> None:
        """Once: a proxy whose words are not believed sends them with every request."""
        if not self._warned:
            self._warned = True
            remedy = "X-Forwarded-For is ignored; if it is your proxy's, name it in server.trusted_proxies"
            self._emit(Noticed(what="untrusted_forwarding", detail=remedy))

    def passage(self, reading: Reading, rule: Rule) -> Passage:
        """The way of a request under its rule, if it asks for the host that its fields name."""
        passages, key = reading.passages, id(rule)
        passage = passages.get(key)
        if passage is None:
            if len(passages) >= _PASSAGES:
                passages.clear()
            carried = _NOTHING if rule.policy.auth is Auth.OFF else reading.carried
            target = self._targets[rule.upstream]
            passage = passages[key] = Passage(
                rule, target, reading.peer, rule.policy, carried, origin=reading.origin
            )
            if reading.like is not None:
                passage.resemble(reading.like.passages.get(key))
        return passage

    def detour(self, reading: Reading, rule: Rule, head: Head, place: Place) -> Passage | None:
        """The way of one that does not: of a browser's preflight, or for the host that its target names."""
        preflight = reading.preflight and head.method == "OPTIONS"
        if not preflight and head.method != "OPTIONS" and head.host == reading.fields.host:
            return None
        policy = replace(rule.policy, auth=Auth.OFF) if preflight else rule.policy
        carried = _NOTHING if policy.auth is Auth.OFF else reading.carried
        peer = self._forwarding.read(head.headers, place.address, place.scheme, head.host)
        return Passage(rule, self._targets[rule.upstream], peer, policy, carried, origin=reading.origin)

    def known(self, passage: Passage) -> Decision | None:
        """What the request's arrival leads to, as far as that is known without asking anybody.

        None: a token has to be judged; ``judge`` does.
        """
        now = self._clock()
        since, until = passage.stands
        access = passage.access
        if since <= now < until and (access is None or self._judge.known(access) is passage.own):
            return passage.decision
        return self._known(passage, now)

    def _known(self, passage: Passage, now: float) -> Decision | None:
        access = passage.carried.access
        if not isinstance(access, Secret):
            return self._decide(passage, access, now)
        text = access.reveal()
        judged = self._judge.known(text)
        if judged is None:
            return None
        passage.access = text
        return self._decide(passage, judged, now)

    async def judge(self, passage: Passage) -> Decision:
        """The same, where the token was not known."""
        access = passage.carried.access
        if not isinstance(access, Secret):
            return self._decide(passage, access, self._clock())
        passage.access = access.reveal()
        judged = await self._judge.judge(access)
        return self._decide(passage, judged, self._clock())

    def _decide(self, passage: Passage, judged: Presented, now: float) -> Decision:
        own = judged if isinstance(judged, AccessToken) else None
        if own is not passage.own:
            passage.own, passage.lines = own, None
        arrived = Arrived(passage.policy, judged, passage.carried.refresh is not None)
        decision = passage.decision = arrived.next(now)
        passage.decided, passage.stands = NAMES[type(decision)], arrived.stands(now)
        return decision


def _means_more(name: bytes) -> bool:
    return name in _HEEDED or name.startswith(PREFIX)
