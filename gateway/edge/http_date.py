"""The value of ``Date`` (RFC 9110 §5.6.7), written once a second."""

import time
from email.utils import formatdate


class HttpDate:
    """A clock that shows whole seconds."""

    def __init__(self) -> None:
        self._second = -1
        self._text = b""

    def now(self) -> bytes:
        """The present second as an IMF-fixdate."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._text = formatdate(second, usegmt=True).encode()
        return self._text


http_date = HttpDate().now
