"""The gateway's own endpoints, under ``/_gateway/``: a Starlette application (CONTRACT §7).

No endpoint is built yet. Nothing under the prefix reaches an upstream, so that a later version can add one
without taking a path away from an API.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from gateway.core import errors
from gateway.core.cors import origin_of
from gateway.edge.cors import Cors
from gateway.edge.options import own_answer
from gateway.edge.problems import Problems
from gateway.edge.telling import new_request_id
from gateway.events import Emit, RequestEnded

_NO_CONTENT = 204


def endpoints(problems: Problems, cors: Cors, emit: Emit) -> Starlette:
    """The application for the prefix."""

    async def not_found(request: Request, _: Exception) -> Response:
        fields, request_id = request.scope["headers"], new_request_id()
        ended = own_answer(cors, fields) if request.method == "OPTIONS" else None
        if ended is not None:
            status, headers, body = _NO_CONTENT, ended, b""
        else:
            status = errors.NOT_FOUND.status
            headers, body = problems.render(errors.NOT_FOUND, request_id)
            headers += cors.for_problem("", origin_of(fields))
        if "expect" in request.headers:
            # Whether the body comes after all is not known (RFC 9110 §10.1.1).
            headers.append((b"connection", b"close"))
        response = Response(body, status)
        response.raw_headers = headers
        emit(_ended(request, request_id, status))
        return response

    return Starlette(exception_handlers={errors.NOT_FOUND.status: not_found})


def _ended(request: Request, request_id: str, status: int) -> RequestEnded:
    refused = status != _NO_CONTENT
    return RequestEnded(
        request_id=request_id,
        method=request.method,
        path=request.scope["path"],
        route="",
        status=status,
        decision="refuse" if refused else "answer",
        code=errors.NOT_FOUND.code if refused else None,
        client=request.client.host if request.client else "unknown",
    )
