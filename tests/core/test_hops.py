import pytest

from gateway.core.hops import Via, counted, forwards_left

US = Via("Evergreen-1a2b")


def via(*lines):
    return [(b"host", b"a"), *((b"via", line) for line in lines)]


@pytest.mark.parametrize(
    "lines",
    [
        [b"1.1 Evergreen-1a2b"],
        [b"1.0 evergreen-1A2B"],
        [b"HTTP/1.1 evergreen-1a2b (nginx)"],
        [b"1.1 other, 1.1 evergreen-1a2b, 1.1 third"],
        [b"1.1 other", b"1.1\tevergreen-1a2b"],
        [b",,1.1  evergreen-1a2b ,"],
        [b"1.1 proxy (a, b), 1.1 evergreen-1a2b"],
        [b"1.1 proxy (unclosed, 1.1 evergreen-1a2b"],
        [b"1.1 p,", b"2 evergreen-1a2b (x)"],
    ],
)
def test_a_request_that_bears_our_name_has_been_here(lines):
    """P9: RFC 9110 §7.6.3, in any case, on any line; no comment hides it."""
    assert US.loops(via(*lines))


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b""],
        [b"1.1 other"],
        [b"1.1 evergreen-1a2bc"],
        [b"1.1 my-evergreen-1a2b"],
        [b"1.1 other (evergreen-1a2b)"],
        [b"evergreen-1a2b"],
        [b"evergreen-1a2b other"],
    ],
)
def test_another_name_is_no_loop(lines):
    """P9: nor is ours where no name of a recipient stands."""
    assert not US.loops(via(*lines))


def test_our_name_in_another_field_is_no_loop():
    """P9"""
    assert not US.loops([(b"x-via", b"1.1 evergreen-1a2b"), (b"user-agent", b"1.1 evergreen-1a2b")])


def test_what_we_append_is_what_we_find():
    """P9: with the version in which the message came."""
    assert US.member("1.1") == (b"via", b"1.1 Evergreen-1a2b")
    assert US.member("1.0") == (b"via", b"1.0 Evergreen-1a2b")
    assert US.loops([US.member("1.0")])
    assert not Via("other").loops([US.member("1.1")])


LEFT = [
    ([], None),
    ([b"0"], 0),
    ([b"7"], 7),
    ([b"007"], 7),
    ([b"-1"], None),
    ([b"1 "], None),
    ([b""], None),
    ([b"1", b"1"], None),
    ([b"9" * 10], None),
    ([b"\xc2\xb2"], None),
]


@pytest.mark.parametrize(("values", "left"), LEFT)
def test_how_far_a_request_may_still_go(values, left):
    """RFC 9110 §7.6.2; what is not one number is ignored."""
    assert forwards_left([(b"a", b"9"), *((b"max-forwards", v) for v in values)]) == left


@pytest.mark.parametrize(
    ("sent", "passed"), [(b"7", b"6"), (b"1", b"0"), (b"x", b"x"), (b"0", b"0"), (b"10", b"9"), (None, None)]
)
def test_each_hop_counts(sent, passed):
    """RFC 9110 §7.6.2: 0 goes no further; whoever asks does not get here with it."""
    around = [(b"a", b"1"), (b"b", b"2")]
    assert counted([*around[:1], *([(b"max-forwards", sent)] if sent else []), *around[1:]]) == [
        *around[:1],
        *([(b"max-forwards", passed)] if passed else []),
        *around[1:],
    ]
