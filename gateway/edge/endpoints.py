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


def endpoints(problems: Problems) -> Starlette:
    """The application for the prefix."""

    async def not_found(request: Request, _: Exception) -> Response:
        headers, body = problems.render(errors.NOT_FOUND, os.urandom(16).hex())
        if "expect" in request.headers:
            # Whether the body comes after all is not known (RFC 9110 §10.1.1).
            headers.append((b"connection", b"close"))
        response = Response(body, errors.NOT_FOUND.status)
        response.raw_headers = headers
        return response

    return Starlette(exception_handlers={errors.NOT_FOUND.status: not_found})
