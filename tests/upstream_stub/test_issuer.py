"""Keys and tokens: what is signed can be verified by a library that is not ours."""

import gzip
import json
import zlib

import jwt
import pytest

from upstream_stub import AuthServer, TokenStyle
from upstream_stub.keys import SigningKey, thumbprint


def issuer(**settings):
    return AuthServer(issuer="https://as.example", **settings)


def verified(server, token, **options):
    keys = jwt.PyJWKSet.from_dict(server.jwks())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    algorithms = [server.algorithm]
    return jwt.decode(token, key, algorithms, audience="api", issuer="https://as.example", **options)


def payload(token):
    return jwt.PyJWS().decode_complete(token, options={"verify_signature": False})["payload"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_the_published_keys_verify_the_tokens(algorithm):
    server = issuer(algorithm=algorithm)
    token, _ = server.login("alice")
    claims = verified(server, token)
    assert claims["sub"] == "alice"
    assert {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} <= claims.keys()  # RFC 9068 §2.2
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert server.accepts(token)


def test_a_shared_secret_signs_and_is_never_published():
    server = issuer(algorithm="HS256")
    token, _ = server.login("alice")
    assert server.jwks() == {"keys": []}
    assert jwt.decode(token, server.private_key, ["HS256"], audience="api")["sub"] == "alice"
    assert server.accepts(token)


def test_a_key_id_is_the_thumbprint_of_the_key():
    """RFC 7638 §3.1: its example."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4"
        "n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0"
        "zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-c"
        "sFCur-kEgU8awapJzKnqDKgw"
    )
    example = {"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint(example) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    key = SigningKey.make("RS256")
    assert key.kid == thumbprint(key.jwk())


def test_a_rotated_key_leaves_the_set_unless_it_is_kept():
    server = issuer()
    old, _ = server.login("alice")
    server.rotate_keys(keep_old=True)
    assert verified(server, old)
    server.rotate_keys()
    assert len(server.jwks()["keys"]) == 1
    assert not server.accepts(old)
    assert server.accepts(server.login("alice")[0])


def test_the_clock_offset_moves_every_time():
    server = issuer(clock_offset=3600)
    token, _ = server.login("alice")
    with pytest.raises(jwt.ImmatureSignatureError):
        verified(server, token)
    assert server.accepts(token)
    server.clock_offset += 10
    assert not server.accepts(token)


def test_a_login_can_be_expired_from_the_start():
    server = issuer()
    token, refresh_token = server.login("alice", lifetime=-10)
    with pytest.raises(jwt.ExpiredSignatureError):
        verified(server, token)
    assert not server.accepts(token)
    assert server.family_alive(refresh_token)


def test_any_claim_header_and_key_can_be_forged():
    server = issuer()
    claims = verified(server, server.mint(sub="bob", scope=None, extra=[1]))
    assert (claims["sub"], claims["extra"], "scope" in claims) == ("bob", [1], False)
    assert "exp" not in json.loads(payload(server.mint(exp=None)))
    assert jwt.get_unverified_header(server.mint(headers={"kid": "../x", "typ": None})) == {
        "alg": "RS256",
        "kid": "../x",
    }
    assert server.mint(algorithm="nOnE").endswith(".")
    other = SigningKey.make("RS256", 99)
    assert not server.accepts(server.mint(key=other.key))


def test_a_public_key_can_be_abused_as_an_hmac_secret():
    """CVE-2022-29217: the token that a confused verifier accepts."""
    server = issuer()
    forged = server.mint(key=server.public_pem, algorithm="HS256")
    assert jwt.get_unverified_header(forged)["alg"] == "HS256"
    assert not server.accepts(forged)


@pytest.mark.parametrize(
    "mint",
    [
        {"aud": "other"},
        {"aud": None},
        {"iss": "https://as.example/"},
        {"exp": 1},
        {"exp": None},
        {"exp": "9999999999"},
    ],
)
def test_the_apis_own_check_refuses_what_is_not_for_it(mint):
    server = issuer()
    assert server.accepts(server.mint())
    assert not server.accepts(server.mint(**mint))
    assert not server.accepts("no token")


@pytest.mark.parametrize(
    ("compression", "decompress"),
    [
        ("GZIP", gzip.decompress),
        ("DEF", zlib.decompress),
        ("DEF-RAW", lambda data: zlib.decompress(data, wbits=-15)),
    ],
)
def test_tokens_can_have_the_habits_of_an_older_library(compression, decompress):
    style = TokenStyle(None, compression, milliseconds=True, subject_claim="username", fixed_subject="user")
    server = issuer(algorithm="HS256", style=style)
    token, _ = server.login("alice")
    claims = json.loads(decompress(payload(token)))
    assert jwt.get_unverified_header(token)["zip"] == compression[:4].rstrip("-")
    assert (claims["username"], claims["sub"]) == ("alice", "user")
    assert claims["exp"] - claims["iat"] == 5000
    assert server.accepts(token)
