"""Which fields cross the gateway with one request and its answer: the core's rules, applied to one arrival."""

from functools import partial
from itertools import compress
from typing import Protocol

from gateway.core.answers import AnswerFields, answer_fields
from gateway.core.bounded import Learnt
from gateway.core.errors import BAD_REQUEST, GatewayError
from gateway.core.forwarding import Peer
from gateway.core.headers import Crossing, Header, Headers, connection_options
from gateway.core.heads import Head
from gateway.core.hops import counted
from gateway.core.routes import Rule
from gateway.core.shapes import Shape, shape_of
from gateway.core.tokens import AccessToken
from gateway.core.websocket import SWITCHING_PROTOCOLS, Handshake
from gateway.core.wire import FieldLines, UnwritableFields, field_lines, request_lines
from gateway.edge.block import Block
from gateway.edge.fittings import Fittings
from gateway.edge.http_date import http_date
from gateway.edge.passage import Passage
from gateway.edge.upstreams import Received, Response, Target


class Asked(Protocol):
    """What of a request its answer depends on."""

    @property
    def target(self) -> Target:
        """Who was asked."""

    @property
    def rule(self) -> Rule:
        """By which rule."""

    @property
    def peer(self) -> Peer:
        """By whom."""

    @property
    def origin(self) -> bytes | None:
        """For which page."""

    @property
    def preflight(self) -> bool:
        """Whether a page's request would be allowed."""


def request_fields(
    fit: Fittings,
    head: Head,
    passage: Passage,
    token: AccessToken | None,
    *,
    handshake: Handshake | None = None,
    refreshing: bool = False,
) -> Headers:
    """All but the framing fields for the upstream.

    Args:
        fit: the house.
        head: the request's.
        passage: its way.
        token: the one to send; None: as the client sent it.
        handshake: of a WebSocket, if it asks for one.
        refreshing: new tokens may go out with the answer, which must not be a 304 (X3).
    """
    headers, target = head.headers, passage.target
    if passage.preflight:
        headers = fit.cors.asked(headers)
    if head.method == "OPTIONS":
        headers = counted(headers)
    extra = [*target.identities(token), *passage.peer.fields, fit.via.member(head.version)]
    if handshake is not None:
        headers = handshake.without(headers)
        extra += handshake.request_fields
    changed = token is not None and token is not passage.own
    kept = target.filter(
        headers,
        access=fit.credentials.field(token.raw) if changed and token is not None else None,
        conditional=not refreshing or head.method not in ("GET", "HEAD"),
        extra=extra,
    )
    kept.insert(0, target.host(head.host))
    return kept


def written(fields: Headers) -> FieldLines:
    """A request's fields as bytes. Raises: GatewayError: they cannot be written (P17)."""
    try:
        return request_lines(fields)
    except UnwritableFields:
        raise GatewayError(BAD_REQUEST) from None


def usual_lines(fit: Fittings, head: Head, block: Block, passage: Passage) -> FieldLines:
    """The fields for the upstream of a request that goes there as it came; made once for its passage.

    Raises:
        GatewayError: they cannot be written.
    """
    lines, base = passage.lines, block.base
    if lines is None:
        whole = head if base is None else head._replace(headers=base.headers)
        lines = passage.lines = written(request_fields(fit, whole, passage, passage.own))
    return lines if base is None else block.amended(lines)


def answer_lines(fit: Fittings, asked: Asked, response: Response) -> AnswerFields:
    """``response_fields`` as they are written, of an answer that brings nothing new of ours: no tokens, no 101.

    Raises:
        UnwritableFields: a field cannot be written as one (P17).
    """
    head, target = response.received, asked.target
    if head is None or (b"location" in head.shape.at and not target.preserve_host):
        return answer_fields(response_fields(fit, asked, response, [], None))
    added = tuple(_added(fit, asked, response, head.shape))
    model = head if head.known else head.base
    if model is None:
        return _kept_lines(fit, head, added)
    key = (model, added)
    fields = target.answers.get(key)
    if fields is None:
        fields = _kept_lines(fit, model, added)
        target.answers.learn(key, fields)
    if model is head:
        return fields
    ours = _written(added)  # no value of the upstream's takes the place of one of these
    lines = head.amended(fields.lines[: -len(ours)]) + ours
    return AnswerFields(lines, head.length if fields.length is not None else None, closes=False)


def _kept_lines(fit: Fittings, head: Received, added: tuple[Header, ...]) -> AnswerFields:
    options = connection_options([head.lines[at][_OPTIONS_AT:] for at in head.shape.at.get(b"connection", ())])
    mask = fit.response_filter.mask(head.shape, options, head.status)
    lines = list(compress(head.lines, mask))
    lines.append(_written(added))
    lengths = head.shape.at.get(b"content-length")
    length = head.length if lengths and mask[lengths[0]] else None
    return AnswerFields(b"\r\n".join(lines), length, closes=False)


def _written(added: tuple[Header, ...]) -> bytes:
    ours = _ours.get(added)
    if ours is None:
        ours = field_lines(added)
        _ours.learn(added, ours)
    return ours


_OPTIONS_AT = len(b"connection: ")
_ours: Learnt[tuple[Header, ...], bytes] = Learnt(256)
"""What is added to answers, written: nothing of it is a client's or an upstream's."""


def _added(fit: Fittings, asked: Asked, response: Response, shape: Shape) -> Headers:
    added = fit.cors.for_answer(asked.target.name, asked.origin, response, preflight=asked.preflight)
    added.append(fit.via.member(response.http_version))
    if b"date" not in shape.at:
        added.append((b"date", http_date()))  # RFC 9110 §6.6.1
    return added


def response_fields(
    fit: Fittings, asked: Asked, response: Response, tokens: Headers, handshake: Handshake | None
) -> Headers:
    """The fields for the client; ``tokens`` are the new ones. ``handshake`` counts only if the answer is a 101."""
    answer, target, peer = response.headers, asked.target, asked.peer
    rewritten = None
    if not target.preserve_host:
        rewritten = partial(target.location, rule=asked.rule, scheme=peer.scheme, host=peer.host)
    added = _added(fit, asked, response, shape_of(tuple([name for name, _ in answer])))
    if handshake is not None and response.status == SWITCHING_PROTOCOLS:
        added += handshake.response_fields(answer)
        answer = handshake.without(answer)
    crossing = Crossing(tokens=tokens, vary=fit.vary if tokens else b"", added=added, location=rewritten)
    return fit.response_filter(answer, response.status, crossing)
