"""Are a proxy's answers right? Asked before, and beside the load while it is measured."""

import http.client
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass

from bench.errors import WrongAnswerError
from bench.programs import LOOPBACK
from bench.targets import Target

_TIMEOUT = 30.0
_TIMES = 3
_EVERY = 0.05
"""Seconds between two questions beside the load: 20 a second change no figure."""
_OK = 200


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and the one right answer to it."""

    path: str
    fields: Mapping[str, str]
    body: bytes


def question(target: Target, path: str, body: bytes) -> Question:
    """What the load asks for too, with the same fields."""
    lines = (line.split(": ", 1) for line in target.stage.fields(target.stage.token, target.host))
    return Question(path, {name: value for name, value in lines}, body)  # noqa: C416  # pairs of a list of lists


class Asker:
    """One connection of its own to one proxy."""

    def __init__(self, target: Target) -> None:
        self._target = target
        if target.tls:
            trusting = ssl._create_unverified_context()  # noqa: S323, SLF001  # the certificate is a minute old
            self._client: http.client.HTTPConnection = http.client.HTTPSConnection(
                LOOPBACK, target.port, timeout=_TIMEOUT, context=trusting
            )
        else:
            self._client = http.client.HTTPConnection(LOOPBACK, target.port, timeout=_TIMEOUT)
        self._ids: set[str] = set()

    def ask(self, asked: Question) -> None:
        """Ask once.

        Raises:
            WrongAnswerError: of status, of body, or an answer that somebody has had before.
        """
        try:
            self._client.request("GET", asked.path, headers=dict(asked.fields))
            answer = self._client.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise WrongAnswerError(f"{self._target.label}: no answer ({type(error).__name__})") from error
        self._judge(asked, answer, body)

    def _judge(self, asked: Question, answer: http.client.HTTPResponse, body: bytes) -> None:
        if answer.status != _OK:
            raise WrongAnswerError(f"{self._target.label}: status {answer.status} for {asked.path}")
        if body != asked.body:
            raise WrongAnswerError(f"{self._target.label}: another body than the API's for {asked.path}")
        identity = answer.getheader("X-Request-Id")
        if identity is None:
            return
        if identity in self._ids:
            raise WrongAnswerError(f"{self._target.label}: the same answer twice for {asked.path}")
        self._ids.add(identity)

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def verify(target: Target, asked: Question) -> None:
    """Three right answers, or WrongAnswerError."""
    with closing(Asker(target)) as asker:
        for _ in range(_TIMES):
            asker.ask(asked)


@contextmanager
def verifying(target: Target, asked: Question) -> Iterator[threading.Event]:
    """Ask all through the block, from another thread; the event is set once an answer was wrong.

    Raises:
        WrongAnswerError: one of the answers was wrong.
    """
    found: list[WrongAnswerError] = []
    done, failed = threading.Event(), threading.Event()

    def go_on() -> None:
        with closing(Asker(target)) as asker:
            try:
                while not done.wait(_EVERY):
                    asker.ask(asked)
            except WrongAnswerError as error:
                found.append(error)
                failed.set()

    thread = threading.Thread(target=go_on, name="verifying")
    thread.start()
    try:
        yield failed
    finally:
        done.set()
        thread.join()
    if found:
        raise found[0]
