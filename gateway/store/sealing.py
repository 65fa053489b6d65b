"""Values as a shared store may see them: sealed, and bound to the record that they are in (X10).

Each record has a key of its own, derived from the ring's and the record's name. Nonces are random, and no key may
seal more than 2³² values under random nonces (NIST SP 800-38D §8.3): a fleet would reach that in weeks with one key
for all records, and never does with one for each.
"""

import hmac
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.core.records import StoreUnavailable

KEY_BYTES = 32
_FORMAT = b"\x02"
_ID_BYTES = 4
_NONCE_BYTES = 12
_HEAD = 1 + _ID_BYTES
_PURPOSE = b"evergreen: seal\0"
_NAMING = b"evergreen: key id"


class UnknownKeyError(StoreUnavailable):
    """A value was sealed with a key that this process does not have: another one can read it, so it must stay."""


class KeyRing:
    """AES-256-GCM under the newest key; what older ones sealed still opens.

    A key is rotated in two deployments: in the first the new one stands last, so that every process can open what
    it will seal; in the second it stands first.
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Args: keys: 32 bytes each, newest first.

        Raises:
            ValueError: there is none, or one has another length.
        """
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a key ring has keys of {KEY_BYTES} bytes")
        self._keys = tuple((_identity(key), key) for key in keys)

    def seal(self, name: str, value: bytes) -> bytes:
        """``value`` for the record ``name``, and for no other."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        identity, key = self._keys[0]
        return _FORMAT + identity + nonce + _cipher(key, name).encrypt(nonce, value, _bound(name))

    def open(self, name: str, sealed: bytes) -> bytes | None:
        """What was sealed for the record ``name``. None: it was not; it is corrupt.

        Raises:
            UnknownKeyError: it was sealed with a key that is not in this ring, as far as it says.
        """
        identity, rest = sealed[1:_HEAD], sealed[_HEAD:]
        nonce, text = rest[:_NONCE_BYTES], rest[_NONCE_BYTES:]
        if not sealed.startswith(_FORMAT) or len(nonce) != _NONCE_BYTES:
            return None
        keys = [key for known, key in self._keys if known == identity]
        if not keys:
            raise UnknownKeyError("sealed with a key that is not in store.keys")
        for key in keys:
            try:
                return _cipher(key, name).decrypt(nonce, text, _bound(name))
            except InvalidTag:
                continue
        return None


def _cipher(key: bytes, name: str) -> AESGCM:
    return AESGCM(hmac.digest(key, _PURPOSE + name.encode(), "sha256"))


def _identity(key: bytes) -> bytes:
    """Says in clear which key it was, and nothing else about it."""
    return hmac.digest(key, _NAMING, "sha256")[:_ID_BYTES]


def _bound(name: str) -> bytes:
    """The associated data."""
    return _FORMAT + name.encode()
