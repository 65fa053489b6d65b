"""Which fields cross the gateway with one request and its answer: the core's rules, applied to one arrival."""

from functools import partial

from gateway.core.answers import AnswerFields, AnswerForm, answer_fields
from gateway.core.bounded import Learnt
from gateway.core.errors import BAD_REQUEST, GatewayError
from gateway.core.headers import Crossing, Header, Headers, connection_options
from gateway.core.heads import Head
from gateway.core.hops import counted
from gateway.core.response_head import ResponseHead
from gateway.core.shapes import Shape, shape_of
from gateway.core.tokens import AccessToken
from gateway.core.websocket import SWITCHING_PROTOCOLS, Handshake
from gateway.core.wire import FieldLines, UnwritableFields, field_lines, request_lines
from gateway.edge.block import Block
from gateway.edge.fittings import Fittings
from gateway.edge.http_date import http_date
from gateway.edge.passage import Passage
from gateway.edge.upstreams import Response


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
    lines, base, twin = passage.lines, block.base, passage.twin
    if lines is None and base is not None and twin is not None and not passage.target.identity:
        lines = passage.lines = twin.lines
    if lines is None:
        whole = head if base is None else head.with_headers(base.headers)
        lines = passage.lines = written(request_fields(fit, whole, passage, passage.own))
    return lines if base is None else block.amended(lines)


def answer_lines(fit: Fittings, passage: Passage, response: Response) -> AnswerFields:
    """``response_fields`` as they are written, of an answer that brings nothing new of ours: no tokens, no 101.

    Raises:
        UnwritableFields: a field cannot be written as one (P17).
    """
    head = response.received
    if head is None or (b"location" in head.shape.at and not passage.target.preserve_host):
        return answer_fields(response_fields(fit, passage, response, [], None))
    if head is passage.heard and passage.answer is not None:
        return passage.answer
    base = head.base
    if base is not None and base is passage.model and passage.form is not None:
        return passage.form.amended(head.changes, head.length)
    return _formed(fit, passage, response, head)


def _formed(fit: Fittings, passage: Passage, response: Response, head: ResponseHead) -> AnswerFields:
    """The same, and what of it holds for the next answer too."""
    added = tuple(_added(fit, passage, response, head.shape))
    base = head.base
    model = head if base is None else base
    if base is None and not head.known:
        return _form(fit, head, added).fields
    key, answers = (model, added), passage.target.answers
    form = answers.get(key)
    if form is None:
        form = _form(fit, model, added)
        answers.learn(key, form)
    fields = form.fields if base is None else form.amended(head.changes, head.length)
    if b"date" in head.shape.at:  # else ours was added, which holds for a second
        _remember(fit, passage, head, form, fields)
    return fields


def _remember(fit: Fittings, passage: Passage, head: ResponseHead, form: AnswerForm, fields: AnswerFields) -> None:
    """Where the answer teaches us nothing that has to be heard again. What is kept, each idle client keeps."""
    for one in (passage, passage.twin):
        if one is None or fit.cors.learns(one.origin):
            continue
        if head.known:
            one.heard, one.answer = head, fields
        if head.base is not None and fit.cors.says_the_same(one.origin):
            one.model, one.form = head.base, form


def _form(fit: Fittings, head: ResponseHead, added: tuple[Header, ...]) -> AnswerForm:
    options = connection_options([head.lines[at][_OPTIONS_AT:] for at in head.shape.at.get(b"connection", ())])
    mask = fit.response_filter.mask(head.shape, options, head.status)
    lengths = head.shape.at.get(b"content-length")
    length = head.length if lengths and mask[lengths[0]] else None
    return AnswerForm(head.lines, mask, _written(added), length)


def _written(added: tuple[Header, ...]) -> bytes:
    ours = _ours.get(added)
    if ours is None:
        ours = field_lines(added)
        _ours.learn(added, ours)
    return ours


_OPTIONS_AT = len(b"connection: ")
_ours: Learnt[tuple[Header, ...], bytes] = Learnt(256)
"""What is added to answers, written: nothing of it is a client's or an upstream's."""


def _added(fit: Fittings, passage: Passage, response: Response, shape: Shape) -> Headers:
    added = fit.cors.for_answer(passage.target.name, passage.origin, response, preflight=passage.preflight)
    added.append(fit.via.member(response.http_version))
    if b"date" not in shape.at:
        added.append((b"date", http_date()))  # RFC 9110 §6.6.1
    return added


def response_fields(
    fit: Fittings, passage: Passage, response: Response, tokens: Headers, handshake: Handshake | None
) -> Headers:
    """The fields for the client; ``tokens`` are the new ones. ``handshake`` counts only if the answer is a 101."""
    answer, target, peer = response.headers, passage.target, passage.peer
    rewritten = None
    if not target.preserve_host:
        rewritten = partial(target.location, rule=passage.rule, scheme=peer.scheme, host=peer.host)
    added = _added(fit, passage, response, shape_of(tuple([name for name, _ in answer])))
    if handshake is not None and response.status == SWITCHING_PROTOCOLS:
        added += handshake.response_fields(answer)
        answer = handshake.without(answer)
    crossing = Crossing(tokens=tokens, vary=fit.vary if tokens else b"", added=added, location=rewritten)
    return fit.response_filter(answer, response.status, crossing)
