"""That a link from a refresh token to its family is one of ours: whoever can write to the store, but has no key of
ours, leads nobody's token to another's family (X10).
"""

import hmac

from gateway.core.keys import Index

_PURPOSE = b"evergreen: links"
_MARK_DIGITS = 32
"""Of four bits each."""


class Links:
    """Marks links and knows its marks again. The key is made from the index key, which stays while others rotate:
    links outlive a rotation, and who has another index key never meets one of ours.
    """

    __slots__ = ("_index",)

    def __init__(self, index_key: bytes) -> None:
        self._index = Index(hmac.digest(index_key, _PURPOSE, "sha256"))

    def mark(self, member: str, family: str, number: int) -> bytes:
        """For the link from ``member`` to ``family``, as its number ``number``."""
        return bytes.fromhex(self._index(member, family, str(number))[:_MARK_DIGITS])

    def vouch(self, mark: bytes, member: str, family: str, number: int) -> bool:
        """Whether it is that link's."""
        return hmac.compare_digest(mark, self.mark(member, family, number))
