"""The names under which refresh tokens are known to flights and to the store (CONTRACT §4.1; R6)."""

import hmac


class Index:
    """Makes names: an HMAC-SHA-256 over the parts, each with its length before it, as 64 hex digits.

    The lengths keep ``("ab", "c")`` and ``("a", "bc")`` apart; the key keeps a dump of the store from telling
    whether a known token is in it.
    """

    __slots__ = ("_mac",)

    def __init__(self, secret: bytes) -> None:
        self._mac = hmac.new(secret, digestmod="sha256")

    def __call__(self, *parts: str) -> str:
        """The name of these parts."""
        mac = self._mac.copy()  # a third of what keying it anew costs
        mac.update(b"".join(map(_framed, parts)))
        return mac.hexdigest()


def _framed(part: str) -> bytes:
    data = part.encode()
    return len(data).to_bytes(8, "big") + data
