"""The value of Date."""

from email.utils import parsedate_to_datetime
from time import time

from gateway.edge.http_date import HttpDate


def test_it_is_the_present_second():
    """RFC 9110 §6.6.1."""
    clock = HttpDate()
    before = int(time())
    shown = clock.now()
    assert before <= parsedate_to_datetime(shown.decode()).timestamp() <= time()
    assert shown.endswith(b" GMT")


def test_it_moves_on():
    clock = HttpDate()
    clock.now()
    clock._second, clock._text = 0, b"Thu, 01 Jan 1970 00:00:00 GMT"
    assert clock.now() != b"Thu, 01 Jan 1970 00:00:00 GMT"
