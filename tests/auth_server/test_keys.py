import pytest
from cryptography.hazmat.primitives.asymmetric import ed448, rsa

from gateway.auth_server.keys import MAX_KEYS, MAX_TRIES, KeySet, VerificationKey, read_jwk, read_jwks

from .support import ec_key, ed_key, jwk, rsa_key

ALL = ("HS256", "RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA")
RSA_ONES = frozenset({"RS256", "RS512", "PS256"})
OCT = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}


def read(document, algorithms=ALL, *, symmetric=False):
    return read_jwk(document, algorithms, symmetric=symmetric)


@pytest.mark.parametrize(
    ("document", "algorithms"),
    [
        (jwk(rsa_key()), RSA_ONES),
        (jwk(rsa_key(), alg="RS512"), {"RS512"}),
        (jwk(rsa_key(), use="sig", key_ops=["verify"]), RSA_ONES),
        (jwk(ec_key()), {"ES256"}),
        (jwk(ed_key()), {"EdDSA"}),
    ],
)
def test_a_key_verifies_what_its_type_allows(document, algorithms):
    assert read(document).algorithms == algorithms


@pytest.mark.parametrize(
    "document",
    [
        jwk(rsa_key(), use="enc"),
        jwk(rsa_key(), use=["sig"]),
        jwk(rsa_key(), key_ops=["encrypt"]),
        jwk(rsa_key(), key_ops=["sign"]),
        jwk(rsa_key(), key_ops=[]),
        jwk(rsa_key(), key_ops="verify"),
        jwk(rsa_key(), alg="ES256"),
        jwk(rsa_key(), alg="HS256"),
        jwk(rsa_key(), alg="RSA-OAEP"),
        jwk(rsa_key(), alg=["RS256"]),
        jwk(rsa_key(), kty="EC"),
        jwk(rsa_key(), kty="oct"),
        jwk(rsa_key(), kty=["RSA"]),
        jwk(ec_key(), crv="P-384"),
        jwk(ec_key(), crv="P-999"),
        jwk(ec_key(), crv=["P-256"]),
        jwk(ec_key(), alg="ES384"),
        jwk(ec_key(), kty="OKP"),
    ],
)
def test_a_key_for_something_else_is_never_used(document):
    """T7: use, key_ops, and a mismatch of kty, alg and crv."""
    assert read(document, symmetric=True) is None


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"kty": "RSA"},
        {"kty": "RSA", "n": 5, "e": "AQAB"},
        {"kty": "RSA", "n": "!!", "e": "AQAB"},
        {"kty": "RSA", "n": "", "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AQ"},
        {"kty": "oct", "k": ""},
        {"kty": "oct", "k": None},
    ],
)
def test_a_broken_key_is_passed_over(document):
    """B4, T7"""
    assert read(document, symmetric=True) is None


def test_a_short_rsa_key_is_passed_over():
    """T7; RFC 7518 §3.3."""
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505  # on purpose
    assert read(jwk(weak)) is None


def test_an_unsupported_curve_is_passed_over():
    assert read(jwk(ec_key(), crv="brainpoolP256r1")) is None
    assert read(jwk(ed448.Ed448PrivateKey.generate())) is None


def test_a_secret_from_a_url_is_none():
    """T3, T7: whoever can read the key set could sign."""
    assert read(OCT) is None
    assert read(OCT, symmetric=True).algorithms == {"HS256"}


def test_private_members_are_not_read():
    document = jwk(rsa_key(), d="AQ", p="AQ", q="AQ", dp="AQ", dq="AQ", qi="AQ")
    assert isinstance(read(document).material, rsa.RSAPublicKey)


def test_only_configured_algorithms_count():
    """T3"""
    assert read(jwk(rsa_key()), ["ES256"]) is None
    assert read(jwk(rsa_key()), ["RS256", "ES256"]).algorithms == {"RS256"}


def test_a_set_gives_its_usable_keys():
    document = {"keys": [jwk(rsa_key(), kid="a"), jwk(rsa_key(), use="enc"), "x", jwk(ec_key(), kid=7)]}
    assert [key.kid for key in read_jwks(document, ALL, symmetric=False)] == ["a", None]


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": "x"}, {"keys": []}])
def test_garbage_holds_no_key(document):
    """B11"""
    assert read_jwks(document, ALL, symmetric=False) == []


def test_the_number_of_keys_is_capped():
    """D6"""
    document = {"keys": [jwk(ec_key(), kid=str(n)) for n in range(2 * MAX_KEYS)]}
    assert len(read_jwks(document, ALL, symmetric=False)) == MAX_KEYS


def key(kid, name, *algorithms):
    return VerificationKey(kid, frozenset(algorithms or ["RS256"]), b"canary", name)


def test_a_kid_selects():
    keys = KeySet([key("a", "1"), key("b", "2"), key("b", "3", "ES256"), key(None, "4")])
    assert [k.fingerprint for k in keys.candidates("a", "RS256")] == ["1"]
    assert [k.fingerprint for k in keys.candidates("b", "ES256")] == ["3"]
    assert [k.fingerprint for k in keys.candidates("c", "RS256")] == ["4"]
    assert [k.fingerprint for k in keys.candidates(None, "RS256")] == ["1", "2", "4"]
    assert [keys.knows(kid) for kid in ("a", "c", None)] == [True, False, False]
    assert KeySet([key("a", "1")]).candidates("c", "RS256") == []


def test_a_token_without_kid_tries_few_keys():
    """D6: the work for one token is bounded."""
    keys = KeySet([key(str(n), str(n)) for n in range(20)])
    assert len(keys.candidates(None, "RS256")) == MAX_TRIES


def test_retired_keys_come_last_and_are_marked():
    """R22"""
    keys = KeySet([key("a", "new")], [key("a", "old"), key("z", "older")])
    assert [(k.fingerprint, k.retired) for k in keys.candidates("a", "RS256")] == [("new", False), ("old", True)]
    assert [k.retired for k in keys.candidates("z", "RS256")] == [True]


def test_no_key_material_is_shown():
    """X9"""
    assert "canary" not in repr(key("a", "1"))
