"""The gateway's own endpoints, under ``/_gateway/``: a Starlette application (CONTRACT §7).

No endpoint is built yet. Nothing under the prefix reaches an upstream, so that a later version can add one
without taking a path away from an API.
"""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.core import errors
from gateway.edge.problems import Problems

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def endpoints(problems: Problems) -> Starlette:
    """The application for the prefix."""

    async def not_found(_: Request) -> Response:
        headers, body = problems.render(errors.NOT_FOUND, os.urandom(16).hex())
        response = Response(body, errors.NOT_FOUND.status)
        response.raw_headers = headers
        return response

    return Starlette(routes=[Route("/{path:path}", not_found, methods=_METHODS)])
