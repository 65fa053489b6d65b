import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.strict_json import MISSING, parse, resolve, split_pointer


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b"\xff\xfe{\x00}\x00",
        b'"\\ud800"',
        b"[" * 100_000,
        b"9" * 5_000,
        b"",
        b"<html>",
    ],
)
def test_what_two_parsers_read_differently_is_refused(data):
    """T10, B4: duplicate names, NaN, half surrogates, deep nesting and endless numbers raise ValueError only."""
    with pytest.raises(ValueError, match="not strict JSON"):
        parse(data)


def test_escaped_text_is_read():
    assert parse(b'{"a":"\\u00e9\\ud83d\\ude00"}') == {"a": "é😀"}


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_json_or_a_value_error(data):
    try:
        parse(data)
    except ValueError as error:
        assert str(error) == "not strict JSON"  # noqa: PT017


DOCUMENT = {"foo": ["bar", {"x": None}], "": 0, "a/b": 1, "m~n": 8, "~1": 9, "01": 2}


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("", DOCUMENT),
        ("/foo/0", "bar"),
        ("/foo/1/x", None),
        ("/foo/2", MISSING),
        ("/foo/-", MISSING),
        ("/foo/00", MISSING),
        ("/foo/0/0", MISSING),
        ("/foo/x", MISSING),
        ("/", 0),
        ("/a~1b", 1),
        ("/m~0n", 8),
        ("/~01", 9),
        ("/01", 2),
        ("/none", MISSING),
    ],
)
def test_a_pointer_finds_what_rfc_6901_says(pointer, found):
    assert resolve(DOCUMENT, pointer) == found


@pytest.mark.parametrize("pointer", ["data", "/a~", "/a~2"])
def test_a_malformed_pointer_is_refused(pointer):
    with pytest.raises(ValueError, match="JSON Pointer"):
        split_pointer(pointer)
