"""Which fields cross the gateway with one request and its answer: the core's rules, applied to one arrival."""

from functools import partial

from gateway.core.cors import origin_of
from gateway.core.headers import Crossing, Headers, values
from gateway.core.hops import counted
from gateway.core.tokens import AccessToken
from gateway.core.websocket import SWITCHING_PROTOCOLS, Handshake
from gateway.edge.fittings import Arrival, Fittings
from gateway.edge.http_date import http_date
from gateway.edge.upstreams import Response


def request_fields(
    fit: Fittings, arrival: Arrival, token: AccessToken | None, *, handshake: Handshake | None, refreshing: bool
) -> Headers:
    """All but the framing fields for the upstream.

    Args:
        fit: the house.
        arrival: the request.
        token: the one to send; None: as the client sent it.
        handshake: of a WebSocket, if it asks for one.
        refreshing: new tokens may go out with the answer, which must not be a 304 (X3).
    """
    headers, target = arrival.head.headers, arrival.target
    if arrival.preflight:
        headers = fit.cors.asked(headers)
    if arrival.head.method == "OPTIONS":
        headers = counted(headers)
    extra = [*target.identities(token), *arrival.peer.fields, fit.via.member(arrival.head.version)]
    if handshake is not None:
        headers = handshake.without(headers)
        extra += handshake.request_fields
    changed = token is not None and token is not arrival.own
    kept = target.filter(
        headers,
        access=fit.credentials.field(token.raw) if changed and token is not None else None,
        conditional=not refreshing or arrival.head.method not in ("GET", "HEAD"),
        extra=extra,
    )
    kept.insert(0, target.host(arrival.head.host))
    return kept


def response_fields(
    fit: Fittings, arrival: Arrival, response: Response, tokens: Headers, handshake: Handshake | None
) -> Headers:
    """The fields for the client; ``tokens`` are the new ones. ``handshake`` counts only if the answer is a 101."""
    answer, target, peer = response.headers, arrival.target, arrival.peer
    rewritten = None
    if not target.preserve_host:
        rewritten = partial(target.location, rule=arrival.rule, scheme=peer.scheme, host=peer.host)
    origin = origin_of(arrival.head.headers)
    added = fit.cors.for_answer(target.name, origin, answer, preflight=arrival.preflight)
    added.append(fit.via.member(response.http_version))
    if not values(answer, b"date"):
        added.append((b"date", http_date()))  # RFC 9110 §6.6.1
    if handshake is not None and response.status == SWITCHING_PROTOCOLS:
        added += handshake.response_fields(answer)
        answer = handshake.without(answer)
    crossing = Crossing(tokens=tokens, vary=fit.vary if tokens else b"", added=added, location=rewritten)
    return fit.response_filter(answer, response.status, crossing)
