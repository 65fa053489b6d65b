"""D1: how large a head may be. The limits are the defaults: 32 KiB and 100 fields, 16 KiB of target."""

from tests.e2e.corpus.case import Case, Seen, head, passed, refused

_OWN = 2
"""Fields that ``head`` writes itself."""


def _fields(count: int) -> bytes:
    return head(*(b"X-%d: %d" % (n, n) for n in range(count - _OWN)))


def _target(size: int) -> bytes:
    return head(line=b"GET /%b HTTP/1.1" % (b"x" * (size - 1)))


CASES: list[Case] = [
    *refused(
        "D1",
        [
            ("a field of 33 KB", head(b"X-A: " + b"x" * 33_000)),
            ("a field of 100 KB", head(b"X-A: " + b"x" * 100_000)),
            ("a name of 33 KB", head(b"X" * 33_000 + b": a")),
            ("fields of 33 KB together", head(*(b"X-%d: %b" % (n, b"x" * 3300) for n in range(10)))),
            ("101 fields", _fields(101)),
            ("500 empty fields", head(*(b"X-A:" for _ in range(500)))),
            ("10,000 fields", head(*(b"a:" for _ in range(10_000)))),
            ("a field of 400 KB", head(b"X-A: " + b"x" * 400_000)),
        ],
        status=431,
    ),
    *refused(
        "D1",
        [
            ("a target of 16 KiB and a byte", _target(16 * 1024 + 1)),
            ("a target of 30 KB", _target(30_000)),
            ("a target of 100 KB", _target(100_000)),
            ("a query of 17 KB", head(line=b"GET /x?%b HTTP/1.1" % (b"x" * 17_000))),
            ("an absolute form of 17 KB", head(line=b"GET http://%b/ HTTP/1.1" % (b"x" * 17_000))),
        ],
        status=414,
    ),
    *passed(
        "D1",
        [
            ("90 fields", _fields(90), Seen()),
            ("30 KB of fields", head(*(b"X-%d: %b" % (n, b"x" * 3000) for n in range(10))), Seen()),
            ("a field of 30 KB", head(b"X-A: " + b"x" * 30_000), Seen(has=((b"x-a", b"x" * 30_000),))),
            ("a target of 16 KiB", _target(16 * 1024), Seen(b"/" + b"x" * (16 * 1024 - 1))),
        ],
    ),
]
