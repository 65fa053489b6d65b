"""The names under which refresh tokens are known to flights and to the store (CONTRACT §4.1; R6)."""

import hmac


def index(secret: bytes, *parts: str) -> str:
    """An HMAC-SHA-256 over the parts, each with its length before it, as 64 hex digits.

    The lengths keep ``("ab", "c")`` and ``("a", "bc")`` apart; the key keeps a dump of the store from telling
    whether a known token is in it.
    """
    mac = hmac.new(secret, digestmod="sha256")
    for part in parts:
        data = part.encode()
        mac.update(len(data).to_bytes(8, "big"))
        mac.update(data)
    return mac.hexdigest()
