"""The gateway's own endpoints, under ``/_gateway/``: a Starlette application (CONTRACT §7).

No endpoint is built yet. Nothing under the prefix reaches an upstream, so that a later version can add one
without taking a path away from an API.
"""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from gateway.core import errors
from gateway.edge.problems import Problems
from gateway.events import Emit, RequestEnded


def endpoints(problems: Problems, emit: Emit) -> Starlette:
    """The application for the prefix."""

    async def not_found(request: Request, _: Exception) -> Response:
        request_id = os.urandom(16).hex()
        headers, body = problems.render(errors.NOT_FOUND, request_id)
        if "expect" in request.headers:
            # Whether the body comes after all is not known (RFC 9110 §10.1.1).
            headers.append((b"connection", b"close"))
        response = Response(body, errors.NOT_FOUND.status)
        response.raw_headers = headers
        emit(_refused(request, request_id))
        return response

    return Starlette(exception_handlers={errors.NOT_FOUND.status: not_found})


def _refused(request: Request, request_id: str) -> RequestEnded:
    return RequestEnded(
        request_id=request_id,
        method=request.method,
        path=request.scope["path"],
        route="",
        status=errors.NOT_FOUND.status,
        decision="refuse",
        code=errors.NOT_FOUND.code,
    )
