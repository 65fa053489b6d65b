"""Every answer of the gateway's own, as data: status, code, title and what a person can do next.

Two families of failure exist. A ``Problem`` is a value: an answer to give. A ``GatewayError`` is an exception
that carries one, for code deep inside a stream. ``ClientGone`` carries none: nobody is left to answer.
No text here or in a subclass quotes a token, a secret or an upstream's address.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Problem:
    """One answer of the gateway's own (RFC 9457)."""

    status: int
    code: str
    title: str
    detail: str
    retry_after: float | None = None
    """Seconds, for ``Retry-After``; rounded up when written."""
    reason: str | None = None
    """A machine-readable addition, such as ``answer_lost``."""
    token_presented: bool = False
    """The 401 answers a token, so the challenge says ``error="invalid_token"`` (RFC 6750 §3.1)."""
    fields: tuple[tuple[bytes, bytes], ...] = ()
    """Further header fields of the answer."""

    def because(self, detail: str, *, reason: str | None = None) -> "Problem":
        """The same answer with a more exact detail."""
        return replace(self, detail=detail, reason=reason or self.reason)

    def retry(self, seconds: float) -> "Problem":
        """The same answer with another ``Retry-After``."""
        return replace(self, retry_after=seconds)


def _problem(status: int, code: str, title: str, detail: str, retry_after: float | None = None) -> Problem:
    return Problem(status, code, title, detail, retry_after)


def _challenge(code: str, title: str, detail: str) -> Problem:
    return Problem(401, code, title, detail, token_presented=True)


BAD_REQUEST = _problem(
    400, "bad_request", "Bad request", "The request is not well-formed HTTP. Correct it and send it again."
)
AMBIGUOUS_PATH = _problem(
    400,
    "ambiguous_path",
    "Ambiguous path",
    "The path has a part that two servers would read differently (such as '//', '..', '%2f' or ';'). "
    "Send the plain form of the path.",
)
AMBIGUOUS_CREDENTIALS = _problem(
    400,
    "ambiguous_credentials",
    "Ambiguous credentials",
    "The request carries more than one access token or more than one refresh token. Send exactly one of each.",
)
MISSING_TOKEN = _problem(401, "missing_token", "Access token required", "Send an access token. Sign in to get one.")
INVALID_TOKEN = _challenge(
    "invalid_token", "Invalid access token", "The access token is not accepted here. Sign in again."
)
EXPIRED_TOKEN = _challenge(
    "expired_token",
    "Access token expired",
    "The access token has expired and cannot be refreshed here. Send its refresh token too, or sign in again.",
)
REFRESH_REJECTED = _challenge(
    "refresh_rejected",
    "Refresh token rejected",
    "The authorization server no longer accepts the refresh token. Sign in again.",
)
SUBJECT_MISMATCH = _challenge(
    "subject_mismatch",
    "Tokens of two users",
    "The access token and the refresh token belong to different users. Sign in again.",
)
NOT_FOUND = _problem(404, "not_found", "Not found", "The gateway has no such endpoint. Check the path.")
REQUEST_TIMEOUT = _problem(
    408, "request_timeout", "Request timeout", "The request took too long to arrive. Send it again."
)
BODY_TOO_LARGE = _problem(
    413, "body_too_large", "Body too large", "The request body is larger than accepted here. Send a smaller one."
)
TARGET_TOO_LONG = _problem(
    414, "target_too_long", "Target too long", "The request target is longer than accepted here. Shorten it."
)
WEBSOCKET_VERSION = replace(
    _problem(
        426,
        "websocket_version",
        "WebSocket version not supported",
        "The gateway speaks version 13 of the WebSocket protocol. Use it.",
    ),
    fields=((b"connection", b"Upgrade"), (b"upgrade", b"websocket"), (b"sec-websocket-version", b"13")),
)
HEADERS_TOO_LARGE = _problem(
    431,
    "headers_too_large",
    "Headers too large",
    "The request headers are larger than accepted here. Send fewer or shorter ones.",
)
RATE_LIMITED = _problem(
    429,
    "rate_limited",
    "Too many unknown refresh tokens",
    "Too many refresh tokens that were never accepted came from this address. Wait, then try again.",
    1,
)
INTERNAL_ERROR = _problem(
    500,
    "internal_error",
    "Internal error",
    "The gateway failed on this request and did not forward it. Tell its operator the request id.",
)
METHOD_NOT_SUPPORTED = _problem(
    501, "method_not_supported", "Method not supported", "The gateway does not forward this method. Use another."
)
UPSTREAM_UNREACHABLE = _problem(
    502,
    "upstream_unreachable",
    "Upstream unreachable",
    "The API could not be reached or closed the connection before it answered. Try again; whether an unsafe "
    "request took effect is not known.",
)
UPSTREAM_PROTOCOL_ERROR = _problem(
    502,
    "upstream_protocol_error",
    "Upstream protocol error",
    "The API's answer is not well-formed HTTP. Tell its operator the request id.",
)
AUTH_SERVER_UNAVAILABLE = _problem(
    503,
    "auth_server_unavailable",
    "Authorization server unavailable",
    "The access token could not be refreshed or checked just now. Keep both tokens and try again later.",
    1,
)
AUTH_SERVER_MISCONFIGURED = _problem(
    503,
    "auth_server_misconfigured",
    "Authorization server misconfigured",
    "The gateway and the authorization server disagree about their settings. Keep both tokens and try again "
    "once the operator has mended this.",
    30,
)
OVERLOADED = _problem(503, "overloaded", "Overloaded", "Too many requests are waiting. Try again in a moment.", 1)
STORE_UNAVAILABLE = _problem(
    503, "store_unavailable", "Store unavailable", "The session store is away. Keep both tokens and try again.", 1
)
UPSTREAM_TIMEOUT = _problem(
    504,
    "upstream_timeout",
    "Upstream timeout",
    "The API did not answer in time. Try again; whether an unsafe request took effect is not known.",
)
LOOP_DETECTED = _problem(
    508, "loop_detected", "Loop detected", "The request has been through this gateway. Correct the upstream's URL."
)
REFRESH_REQUIRED = _problem(
    511,
    "refresh_required",
    "Refresh required",
    "The access token has expired. Refresh it with the authorization server and send the request again.",
)


def refresh_required(status: int) -> Problem:
    """The signal for clients that refresh themselves, with the configured status."""
    return replace(REFRESH_REQUIRED, status=status, token_presented=status == REFRESH_REJECTED.status)


class GatewayError(Exception):
    """A failure that ends a request with an answer of the gateway's own."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class UpstreamUnreachable(GatewayError):  # noqa: N818  # named for the code that it becomes
    """Refused, unresolvable, or closed before a response head. Unless ``sent``, no byte went out."""

    def __init__(self, problem: Problem = UPSTREAM_UNREACHABLE, *, sent: bool = False) -> None:
        super().__init__(problem)
        self.sent = sent


class UpstreamProtocolError(GatewayError):
    """The upstream's bytes are not a response that may be passed on."""

    def __init__(self, problem: Problem = UPSTREAM_PROTOCOL_ERROR) -> None:
        super().__init__(problem)


class UpstreamTimeout(GatewayError):  # noqa: N818
    """No response head, or no progress of a body, in time."""

    def __init__(self, problem: Problem = UPSTREAM_TIMEOUT) -> None:
        super().__init__(problem)


class Overloaded(GatewayError):  # noqa: N818
    """Every connection is busy and the queue is full."""

    def __init__(self, problem: Problem = OVERLOADED) -> None:
        super().__init__(problem)


class ClientGone(Exception):  # noqa: N818
    """The client has left; there is nobody to answer."""
