"""What is known of a request at once: by its fields alone, and under the rule for its path."""

from gateway.core.answers import AnswerFields, AnswerForm
from gateway.core.credentials import Carried
from gateway.core.forwarding import Peer
from gateway.core.heads import Fields
from gateway.core.lifecycle import NEVER, Decision
from gateway.core.policy import OnOpenStream, Policy
from gateway.core.response_head import ResponseHead
from gateway.core.routes import Rule
from gateway.core.tokens import AccessToken
from gateway.core.wire import FieldLines
from gateway.edge.upstreams import Target

_SMALL = 64 * 1024
"""Bytes of a body that may be written at once; a larger one needs back-pressure (D4)."""


class Passage:
    """A request's way to its upstream: the same for all requests that have their fields and their rule in common.

    ``edge.reception`` makes it, and says what of it still holds.
    """

    __slots__ = (
        "access",
        "answer",
        "carried",
        "decided",
        "decision",
        "form",
        "heard",
        "lasting",
        "lines",
        "model",
        "origin",
        "own",
        "peer",
        "policy",
        "preflight",
        "route",
        "rule",
        "stands",
        "target",
        "twin",
    )

    def __init__(
        self, rule: Rule, target: Target, peer: Peer, policy: Policy, carried: Carried, *, origin: bytes | None
    ) -> None:
        self.rule = rule
        self.target = target
        self.peer = peer
        self.policy = policy
        self.carried = carried
        """The credentials that count here."""
        self.lasting = policy.on_open_stream is OnOpenStream.KEEP
        """An answer that has begun may go on for as long as it likes."""
        self.origin = origin
        self.preflight = policy is not rule.policy
        """It is a browser's question, which carries no credentials: ``policy`` then asks for none."""
        self.route = rule.match.decode("utf-8", "replace")
        self.access: str | None = None
        """The access token's text, where one was judged."""
        self.own: AccessToken | None = None
        """The access token that the request carries, verified."""
        self.decision: Decision | None = None
        """What its arrival leads to, while it ``stands``."""
        self.decided = "refuse"
        """Its name in the log."""
        self.stands = NEVER
        """From when on, and until when (Unix seconds), ``decision`` would be the same."""
        self.lines: FieldLines | None = None
        """The fields for the upstream, with ``own`` or, where no token is asked for, with what came."""
        self.heard: ResponseHead | None = None
        """The head of an answer, for which the client got ``answer``. Any that is this object gets the same."""
        self.answer: AnswerFields | None = None
        self.model: ResponseHead | None = None
        """The head that answers often differ from in values only; those get ``form``, amended."""
        self.form: AnswerForm | None = None
        self.twin: Passage | None = None
        """The same way for other credentials: it has the same lines, but for these."""

    def resemble(self, twin: "Passage | None") -> None:
        """What was found for ``twin`` holds here too."""
        self.twin = twin
        if twin is not None:
            self.heard, self.answer, self.model, self.form = twin.heard, twin.answer, twin.model, twin.form


class Reading:
    """What a head's fields say, whatever request line stands before them."""

    __slots__ = (
        "carried",
        "fields",
        "like",
        "loops",
        "origin",
        "passages",
        "peer",
        "plain",
        "preflight",
        "upgrade",
    )

    def __init__(
        self,
        fields: Fields,
        carried: Carried,
        peer: Peer,
        *,
        origin: bytes | None,
        preflight: bool,
        loops: bool,
        upgrade: bool,
        plain: bool,
    ) -> None:
        self.fields = fields
        self.carried = carried
        """The credentials."""
        self.peer = peer
        """Who asks, for the host that the fields name."""
        self.origin = origin
        self.preflight = preflight
        """With ``OPTIONS``, a CORS preflight."""
        self.loops = loops
        """The request has been through this gateway already."""
        self.upgrade = upgrade
        """Another protocol is asked for."""
        self.plain = plain
        """No body but a small one of a length, no other protocol is asked for, and no loop is to be broken."""
        self.passages: dict[int, Passage] = {}
        """By the rule, which lives as long as the gateway."""
        self.like: Reading | None = None
        """One that differs in its credentials, and in nothing else that is read."""

    def carrying(self, carried: Carried) -> "Reading":
        """The same, with other credentials."""
        reading = Reading(
            self.fields,
            carried,
            self.peer,
            origin=self.origin,
            preflight=self.preflight,
            loops=self.loops,
            upgrade=self.upgrade,
            plain=self.plain,
        )
        reading.like = self
        return reading


def is_small(fields: Fields, *, expects: bool) -> bool:
    """There is no body, or a small one whose length is known. ``expects``: its client waits for our word."""
    length = fields.content_length
    return not fields.has_body or (length is not None and length <= _SMALL and not expects)
