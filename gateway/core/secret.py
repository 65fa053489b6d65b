"""A value that must not be shown: tokens, client secrets, keys."""

import hmac
from typing import NoReturn


class Secret:
    """Text that no repr, log line, traceback or pickle can give away.

    ``reveal()`` is the only way to the text, so that ``grep reveal`` finds every place that uses one.
    Two secrets are compared in constant time.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Whoever calls this answers for where it goes."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    __hash__ = None  # type: ignore[assignment]  # a hash in a log or a set's order would tell something

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")
