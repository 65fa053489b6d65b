"""Lists of names that are the same thing."""

from gateway.core import shapes
from gateway.core.shapes import shape_of

HEADERS = [(b"Set-Cookie", b"a"), (b"ETag", b"x"), (b"set-cookie", b"b")]
NAMES = tuple(name for name, _ in HEADERS)


def test_the_same_names_are_the_same_shape():
    assert shape_of(NAMES) is shape_of(tuple(bytes(bytearray(name)) for name in NAMES))
    assert shape_of(NAMES) is not shape_of(NAMES[:2])
    assert shape_of(NAMES) is not shape_of(tuple(name.lower() for name in NAMES))  # P10: spelled as sent


def test_where_a_name_stands():
    shape = shape_of(NAMES)
    assert shape.names == NAMES
    assert shape.at == {b"set-cookie": (0, 2), b"etag": (1,)}
    assert shape.values(HEADERS, b"set-cookie") == [b"a", b"b"]
    assert shape.values(HEADERS, b"date") == []
    assert shape_of(()).at == {}


def test_what_a_peer_makes_up_fills_no_memory():
    """D6: many shapes, and long ones."""
    for number in range(5000):
        shape_of((b"x-%d" % number,))
    assert len(shapes._shapes) <= 1024
    long = (b"x" * 1000, b"y" * 1049)
    assert not shape_of(long).lasting
    assert long not in shapes._shapes
    assert shape_of((b"x" * 1000, b"y" * 1048)).lasting
