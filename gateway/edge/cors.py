"""CORS as the edge needs it: the upstream's passed on and added to (C3), or the gateway's own (C2)."""

from typing import Protocol

from gateway.core.bounded import Bounded
from gateway.core.cors import OURS_TO_READ, CorsPolicy, allows_origin, without_requested
from gateway.core.headers import Headers, values

_REMEMBERED = 10_000
_LONGEST = 300
"""Bytes of an origin: a host name has 253 at most (RFC 1035 §2.3.4)."""


class Answered(Protocol):
    """An upstream's answer."""

    @property
    def headers(self) -> Headers:
        """Its fields."""


class Cors(Protocol):
    """Who says what browsers may do."""

    def preflight(self, headers: Headers) -> Headers | None:
        """The fields of our own answer to a preflight; None: the upstream answers it."""

    def asked(self, headers: Headers) -> Headers:
        """A preflight's fields for the upstream."""

    def for_answer(self, upstream: str, origin: bytes | None, answer: Answered, *, preflight: bool) -> Headers:
        """The fields to add to an answer of an upstream's, to a request from ``origin``."""

    def says_the_same(self, origin: bytes | None) -> bool:
        """To a request from ``origin`` ``for_answer`` adds the same, whatever the answer."""

    def learns(self, origin: bytes | None) -> bool:
        """To a request from ``origin`` ``for_answer`` has to see each answer."""

    def for_problem(self, upstream: str, origin: bytes | None) -> Headers:
        """The fields to add to an answer of our own in place of an upstream's."""


class PassedCors:
    """The upstream answers. Where it allows an origin, our names are added, and our own errors say the same."""

    def __init__(self, expose: bytes, refresh: bytes) -> None:
        """Args: expose: our response names, as a list field's value; refresh: the refresh token's request field."""
        self._expose = expose
        self._problem_expose = b", ".join((expose, *OURS_TO_READ))
        self._refresh = refresh
        self._known: Bounded[tuple[str, bytes], bool] = Bounded(_REMEMBERED)
        """By upstream and origin: are credentials allowed too? Learnt from answers."""

    def preflight(self, headers: Headers) -> Headers | None:  # noqa: ARG002  # the port's
        """None: the upstream answers it."""
        return None

    def asked(self, headers: Headers) -> Headers:
        """Without the field that only the gateway reads: an API would refuse it."""
        return without_requested(headers, self._refresh)

    def for_answer(self, upstream: str, origin: bytes | None, answer: Answered, *, preflight: bool) -> Headers:
        """What a script on an allowed origin needs so that it can use our fields."""
        if origin is None or not allows_origin(answer.headers, origin):
            return []
        if len(origin) <= _LONGEST:  # some APIs allow every origin: long ones must not fill the memory
            credentials = values(answer.headers, b"access-control-allow-credentials") == [b"true"]
            if self._known.get((upstream, origin)) is not credentials:
                self._known[upstream, origin] = credentials
        if preflight:
            return [(b"access-control-allow-headers", self._refresh)]
        return [(b"access-control-expose-headers", self._expose)]

    def says_the_same(self, origin: bytes | None) -> bool:
        """Nothing, to a request of no page's."""
        return origin is None

    def learns(self, origin: bytes | None) -> bool:
        """What pages are allowed."""
        return origin is not None

    def for_problem(self, upstream: str, origin: bytes | None) -> Headers:
        """The allowance that the upstream gave before."""
        if origin is None:
            return []
        credentials = self._known.get((upstream, origin))
        if credentials is None:
            return []
        fields = [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", self._problem_expose),
            (b"vary", b"Origin"),
        ]
        return [*fields, (b"access-control-allow-credentials", b"true")] if credentials else fields


class OwnCors:
    """The gateway answers, as ``[cors]`` says. The upstream is not asked, and need not know of CORS."""

    def __init__(self, policy: CorsPolicy) -> None:
        self._policy = policy

    def preflight(self, headers: Headers) -> Headers | None:
        """Never forwarded, whoever asks (R17)."""
        return self._policy.for_preflight(headers)

    def asked(self, headers: Headers) -> Headers:
        """Unchanged: no preflight gets so far."""
        return headers

    def for_answer(self, upstream: str, origin: bytes | None, answer: Answered, *, preflight: bool) -> Headers:  # noqa: ARG002
        """The allowance and ``Vary``, in place of what the upstream says."""
        return self._policy.for_answer(origin, answer.headers)

    def says_the_same(self, origin: bytes | None) -> bool:  # noqa: ARG002  # the port's
        """No: it heeds the upstream's ``Vary``."""
        return False

    def learns(self, origin: bytes | None) -> bool:  # noqa: ARG002  # the port's
        """It knows all."""
        return False

    def for_problem(self, upstream: str, origin: bytes | None) -> Headers:  # noqa: ARG002  # the port's
        """The same."""
        return self._policy.for_answer(origin, ())
