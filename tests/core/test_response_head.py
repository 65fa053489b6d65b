"""Heads that differ from another one in values only, and the patterns by which they are found."""

import pytest

from gateway.core.answers import AnswerForm
from gateway.core.response_head import ResponseHead, pattern_of
from gateway.core.shapes import shape_of

FIRST = b"HTTP/1.1 200 OK"
LINES = [
    b"ETag: abc",
    b"Content-Length: 12",
    b"X-Twice: a",
    b"X-Twice: b",
    b"Connection: keep-alive",
    *(b"X-%d: v" % n for n in range(6)),
]


def base(lines=LINES) -> ResponseHead:
    names = tuple(line.partition(b":")[0] for line in lines)
    length = next((int(line[16:]) for line in lines if line.startswith(b"Content-Length")), None)
    head = ResponseHead(200, "1.1", shape_of(names), list(lines), length, lasting=True)
    head.first, head.size, head.persists = FIRST, len(text(lines)), True
    return head


def text(lines) -> bytes:
    return b"\r\n".join((FIRST, *lines, b"", b""))


def changed(*changes: tuple[int, bytes]) -> list[bytes]:
    lines = list(LINES)
    for place, line in changes:
        lines[place] = line
    return lines


def test_a_head_that_differs_in_values_is_that_head_with_these_values():
    head = base()
    found = head.varied(text(lines := changed((0, b"ETag: xyz0"), (1, b"Content-Length: 7"))))
    assert found.base is head
    assert (found.status, found.version, found.length, found.persists) == (200, "1.1", 7, True)
    assert found.lines == lines
    assert found.lines is found.lines
    assert found.headers[:2] == [(b"ETag", b"xyz0"), (b"Content-Length", b"7")]
    assert found.headers is found.headers
    assert head.lines == LINES


def test_a_head_without_a_length_has_none_in_other_values_either():
    assert base([b"ETag: a"]).varied(text([b"ETag: b"])).length is None


@pytest.mark.parametrize(
    "other",
    [
        text(LINES).replace(b"200 OK", b"201 OK"),
        text([*LINES, b"X: y"]),
        text(changed((0, b"Etag: xyz"))),
        text(changed((0, b"ETag:xyz"))),
        text(changed((0, b"ETag: "))),
        text(changed((0, b"ETag: x "))),
        text(changed((0, b"ETag:  x"))),
        text(changed((0, b"ETag: x\0y"))),
        text(changed((1, b"Content-Length: 1x"))),
        text(changed((1, b"Content-Length: " + b"1" * 16))),
        text(changed((2, b"X-Twice: c"))),
        text(changed((4, b"Connection: close"))),
    ],
)
def test_what_means_something_else_is_another_head(other):
    """P2, P10, B17."""
    assert base().varied(other) is None


def test_a_pattern_finds_heads_of_its_length():
    head = base()
    pattern = pattern_of(head, head.varied(text(changed((0, b"ETag: xyz")))))
    found = pattern.match(text(changed((0, b"ETag: 1 3"))) + b"body")
    assert (found.base, found.lines, found.size) == (head, changed((0, b"ETag: 1 3")), head.size)
    assert pattern.match(text(LINES)).lines == LINES


@pytest.mark.parametrize(
    "other",
    [
        text(changed((0, b"ETag: long"))),
        text(changed((0, b"ETag: x\ry"))),
        text(changed((0, b"ETag:  xy"))),
        text(changed((0, b"ETag: xy "))),
        text(changed((0, b"ETag: xyz"), (1, b"Content-Length: 13"))),
        text(LINES)[:-1],
    ],
)
def test_a_pattern_finds_nothing_else(other):
    head = base()
    pattern = pattern_of(head, head.varied(text(changed((0, b"ETag: xyz")))))
    assert pattern.match(other) is None


def test_a_pattern_widens_with_the_places_that_differ():
    """A date that changes once a second, and an id that changes each time."""
    head = base()
    first = head.varied(text(changed((0, b"ETag: xyz"))))
    both = changed((0, b"ETag: 111"), (1, b"Content-Length: 99"))
    pattern = pattern_of(head, first).with_places_of(head.varied(text(both)))
    found = pattern.match(text(both))
    assert (found.lines, found.length) == (both, 99)
    assert pattern.match(text(changed((1, b"Content-Length: 9x")))) is None


def test_a_pattern_that_would_be_too_wide_follows_the_last_head():
    head = base()
    three = changed(*((place, b"X-%d: w" % (place - 5)) for place in (5, 6, 7)))
    others = changed(*((place, b"X-%d: w" % (place - 5)) for place in (8, 9)))
    many = changed(*((place, b"X-%d: w" % (place - 5)) for place in range(5, 10)))
    pattern = pattern_of(head, head.varied(text(three)))
    last = pattern.with_places_of(head.varied(text(others)))
    assert last.match(text(others)).lines == others
    assert last.match(text(three)) is None
    assert last.with_places_of(head.varied(text(many))) is last
    assert pattern_of(head, head.varied(text(many))) is None


def test_an_answer_is_made_of_the_lines_that_the_client_gets():
    form = AnswerForm([b"ETag: a", b"Connection: x", b"Content-Length: 5"], bytes([1, 0, 1]), b"via: us\r\n", 5)
    assert (form.fields.lines, form.fields.length) == (b"ETag: a\r\nContent-Length: 5\r\nvia: us\r\n", 5)
    other = form.amended([(0, b"ETag: b"), (1, b"Connection: y"), (2, b"Content-Length: 7")], 7)
    assert (other.lines, other.length, other.closes) == (b"ETag: b\r\nContent-Length: 7\r\nvia: us\r\n", 7, False)
    assert form.fields.lines.startswith(b"ETag: a\r\n")


def test_an_answer_whose_length_the_client_does_not_get_has_none():
    form = AnswerForm([b"Content-Length: 5"], bytes([0]), b"", None)
    assert form.amended([(0, b"Content-Length: 7")], 7).length is None
