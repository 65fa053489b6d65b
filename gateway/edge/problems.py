"""The gateway's own answers: RFC 9457 problems, or ``{"code", "message", "data"}`` where a front end wants that."""

import json
import math

from gateway.core.errors import Problem
from gateway.core.headers import Headers
from gateway.edge.http_date import http_date


class Problems:
    """Renders problems in the configured shape."""

    def __init__(self, envelope: str, realm: str, scheme: str) -> None:
        """Args: envelope: ``problem`` or ``result``; realm, scheme: for ``WWW-Authenticate`` (RFC 9110 §11.6.1)."""
        self._result = envelope == "result"
        self._challenge = f'{scheme or "Bearer"} realm="{realm}"'.encode()

    def render(self, problem: Problem, request_id: str) -> tuple[Headers, bytes]:
        """Header fields and body of the answer."""
        body = json.dumps(self._document(problem, request_id), ensure_ascii=False).encode()
        media = b"application/json" if self._result else b"application/problem+json"
        headers = [
            (b"date", http_date()),
            (b"content-type", media),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-request-id", request_id.encode()),
            *problem.fields,
        ]
        if problem.status == 401:  # noqa: PLR2004
            error = b', error="invalid_token"' if problem.token_presented else b""
            headers.append((b"www-authenticate", self._challenge + error))
        if problem.retry_after is not None:
            headers.append((b"retry-after", str(max(1, math.ceil(problem.retry_after))).encode()))
        return headers, body

    def _document(self, problem: Problem, request_id: str) -> dict[str, object]:
        if self._result:
            return {"code": problem.status, "message": f"{problem.code}: {problem.detail}", "data": None}
        document: dict[str, object] = {
            "type": f"urn:evergreen:problem:{problem.code}",
            "title": problem.title,
            "status": problem.status,
            "detail": problem.detail,
            "code": problem.code,
            "request_id": request_id,
        }
        if problem.reason is not None:
            document["reason"] = problem.reason
        return document
