"""Requests of the asyncio load generator, and what their answers have to be."""

from collections.abc import Sequence

from bench.errors import WrongAnswerError
from bench.load import Reply
from bench.targets import Target

_OK = 200


def get(target: Target, path: str, token: str = "", *more: str) -> bytes:
    """A request as a browser application sends it; with the stage's fresh token where none is named."""
    lines = target.stage.fields(token or target.stage.token, target.host, *more)
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


def judge(target: Target, replies: Sequence[Reply], body: bytes) -> None:
    """All of them are 200 with this body.

    Raises:
        WrongAnswerError: one is not.
    """
    wrong = [reply for reply in replies if reply.status != _OK or reply.body != body]
    if wrong:
        first = f"the first with status {wrong[0].status}: {bytes(wrong[0].body[:200])!r}"
        raise WrongAnswerError(f"{target.label}: {len(wrong)} of {len(replies)} answers are wrong, {first}")
