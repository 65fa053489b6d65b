"""Answers to what never became a request."""

from typing import Protocol, runtime_checkable

from gateway.core.answers import answer_head
from gateway.core.errors import Problem
from gateway.core.headers import Headers


@runtime_checkable
class Answerer(Protocol):
    """An application that has words for what never became a request."""

    def malformed(self, problem: Problem, client: str) -> tuple[Headers, bytes]:
        """Header fields and body of the answer to ``client``, an address."""


def refusal(application: object, problem: Problem, client: str) -> bytes:
    """The whole answer, the last one on its connection (RFC 9112 §2.2)."""
    headers: Headers = [(b"content-length", b"0")]
    body = b""
    if isinstance(application, Answerer):
        headers, body = application.malformed(problem, client)
    fields = [*headers, (b"connection", b"close")]
    return answer_head(problem.status, fields, method="GET", version="1.1", keep_alive=False).data + body
