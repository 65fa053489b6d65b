"""OPTIONS requests that the gateway answers in the upstream's place."""

from gateway.core.cors import origin_of
from gateway.core.headers import Headers, is_preflight
from gateway.core.hops import forwards_left
from gateway.edge.cors import Cors
from gateway.edge.http_date import http_date


def own_answer(cors: Cors, headers: Headers) -> Headers | None:
    """The fields of the 204 to an OPTIONS request that ends here; None: it goes on.

    A preflight under ``[cors]`` (C2), and ``Max-Forwards: 0`` (RFC 9110 §7.6.2). Neither is judged: the answer
    says nothing of the upstream.
    """
    fields = cors.preflight(headers) if is_preflight("OPTIONS", headers) else None
    if fields is None and forwards_left(headers) == 0:
        fields = cors.for_problem("", origin_of(headers))
    return None if fields is None else [(b"date", http_date()), *fields]
