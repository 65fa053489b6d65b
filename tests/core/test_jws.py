import base64
import json
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import jws
from gateway.core.jws import MAX_PAYLOAD, MAX_TOKEN, CompactJws, decompress, read_compact
from gateway.core.tokens import Rejected


def part(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


HEAD = part({"alg": "RS256", "kid": "k"})
REST = f".{part(b'x')}.{part(b'y')}"
TOKEN = f"{HEAD}.{part({'sub': 'a'})}.{part(b'signature')}"


def test_a_compact_token_is_taken_apart():
    parts = read_compact(TOKEN)
    assert isinstance(parts, CompactJws)
    assert (parts.algorithm, parts.key_id, parts.signature) == ("RS256", "k", b"signature")
    assert parts.signing_input.decode() == TOKEN.rpartition(".")[0]
    assert "sub" not in repr(parts)


@pytest.mark.parametrize(
    "token",
    [
        TOKEN + "=",
        TOKEN.replace(".", "=.", 1),
        TOKEN + "\n",
        TOKEN + ".",
        f"{TOKEN}.{part(b'x')}.{part(b'y')}",
        f"{HEAD}.{part(b'x')}.",
        "..",
        "",
        "a.b.c",
        f"{HEAD}.{part(b'x')}.é",
        part([1]) + REST,
        part(b"{") + REST,
        part({"alg": "RS256", "kid": 7}) + REST,
        part(b'{"alg":"none","alg":"RS256"}') + REST,
        part(b"[" * 9000) + REST,
    ],
)
def test_what_is_no_canonical_jws_is_rejected(token):
    """T14: five parts (JWE), padding, stray characters, empty parts, a header that is no object."""
    assert isinstance(read_compact(token), Rejected)


def test_a_second_spelling_of_a_signature_is_rejected():
    """T14: unused bits of base64url are zero, so that a token has one spelling (and one cache entry)."""
    assert isinstance(read_compact(TOKEN), CompactJws)
    one_byte = f"{HEAD}.{part(b'x')}.AQ"
    assert isinstance(read_compact(one_byte), CompactJws)
    assert isinstance(read_compact(one_byte[:-1] + "R"), Rejected)


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.from_regex(r"[A-Za-z0-9_-]{1,9}", fullmatch=True))
def test_a_part_is_read_if_and_only_if_it_is_what_its_bytes_are_spelt(text):
    """T14: in every length, with every last character (RFC 4648 §3.5)."""
    for last in ALPHABET:
        found = read_compact(f"{HEAD}.{text}{last}.AQ")
        try:
            data = base64.urlsafe_b64decode(text + last + "=" * (-len(text + last) % 4))
        except ValueError:
            assert isinstance(found, Rejected)
        else:
            assert (isinstance(found, CompactJws) and found.payload == data) == (part(data) == text + last)


def test_a_header_that_came_before_is_not_read_again():
    """One issuer's tokens have the same few headers."""
    first, second = read_compact(f"{HEAD}.{part(b'x')}.AQ"), read_compact(TOKEN)
    assert isinstance(first, CompactJws)
    assert isinstance(second, CompactJws)
    assert first.header is second.header
    with pytest.raises(TypeError):
        first.header["alg"] = "none"


def test_the_headers_that_are_remembered_are_few_and_short():
    """D6"""
    for number in range(200):
        read_compact(part({"alg": "RS256", "kid": f"random-{number}"}) + REST)
    assert len(jws._HEADERS) <= 64
    long = part({"alg": "RS256", "kid": "k" * 1000})
    first, second = read_compact(long + REST), read_compact(long + REST)
    assert isinstance(first, CompactJws)
    assert isinstance(second, CompactJws)
    assert first.header is not second.header
    assert long not in jws._HEADERS


def test_the_length_is_capped_before_anything_is_parsed():
    """T14"""
    fill = MAX_TOKEN - len(f"{HEAD}..AQ")
    assert isinstance(read_compact(f"{HEAD}.{'A' * (fill - fill % 4)}.AQ"), CompactJws)
    assert read_compact("A" * (MAX_TOKEN + 1)) == Rejected("the token is too long")


def test_an_algorithm_or_kid_that_is_no_text_is_none():
    parts = read_compact(part({"alg": ["RS256"]}) + REST)
    assert isinstance(parts, CompactJws)
    assert (parts.algorithm, parts.key_id) == ("", None)


@given(st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9_-]{0,20}(\.[A-Za-z0-9_-]{0,20}){0,4}", fullmatch=True))
def test_the_shape_check_never_raises(token):
    assert isinstance(read_compact(token), CompactJws | Rejected)


def deflate(data: bytes, window: int) -> bytes:
    squeezer = zlib.compressobj(wbits=window)
    return squeezer.compress(data) + squeezer.flush()


@pytest.mark.parametrize(("name", "window"), [("DEF", -15), ("DEF", 15), ("GZIP", 31)])
def test_the_compressions_of_rfc_7516_and_of_jjwt_are_read(name, window):
    """T14: jjwt writes DEF with the header of RFC 1950, RFC 7516 without."""
    assert decompress(deflate(b"{}" * 500, window), name) == b"{}" * 500


@pytest.mark.parametrize(("name", "window"), [("DEF", -15), ("GZIP", 31)])
def test_a_decompression_bomb_is_cut_off(name, window):
    """T14: neither the result nor the memory grows beyond the bound."""
    bomb = deflate(bytes(20_000_000), window)
    tracemalloc.start()
    assert isinstance(decompress(bomb, name), Rejected)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MAX_PAYLOAD


def test_the_bound_itself_is_allowed():
    assert decompress(deflate(bytes(MAX_PAYLOAD), 31), "GZIP") == bytes(MAX_PAYLOAD)
    assert isinstance(decompress(deflate(bytes(MAX_PAYLOAD + 1), 31), "GZIP"), Rejected)


@pytest.mark.parametrize("name", ["gzip", "BR", None, ["GZIP"], 1])
def test_other_compressions_are_rejected(name):
    assert isinstance(decompress(deflate(b"{}", 31), name), Rejected)


def test_truncated_and_trailing_data_are_rejected():
    whole = deflate(b"{}" * 50, 31)
    assert isinstance(decompress(whole[:-1], "GZIP"), Rejected)
    assert isinstance(decompress(whole + whole, "GZIP"), Rejected)
