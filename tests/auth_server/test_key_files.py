import base64
import datetime as dt
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from gateway.auth_server.key_files import static_keys, too_short
from gateway.core.secret import Secret

from .support import ec_key, ed_key, jwk, rsa_key

SPKI, PKCS1 = PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1


def pem(key, form=SPKI):
    return key.public_key().public_bytes(Encoding.PEM, form).decode()


def keys(text, *algorithms, **more):
    return static_keys(Secret(text), algorithms, **more).current().keys


def certificate(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "as.example")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + dt.timedelta(36500))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("text", "algorithm"),
    [
        (pem(rsa_key()), "RS256"),
        (pem(rsa_key(), PKCS1), "PS512"),
        (certificate(rsa_key()), "RS256"),
        (pem(ec_key()), "ES256"),
        (pem(ed_key()), "EdDSA"),
        (json.dumps(jwk(rsa_key())), "RS256"),
        (json.dumps({"keys": [jwk(ec_key(), kid="e"), jwk(rsa_key(), use="enc")]}), "ES256"),
        ("a secret of thirty-two characters", "HS256"),
        ('{"any": "json without kty is a secret"}', "HS512"),
    ],
)
def test_each_kind_of_file_gives_its_key(text, algorithm):
    found = keys(text, algorithm, "HS384" if algorithm.startswith("HS") else "ES512")
    assert [algorithm in key.algorithms for key in found] == [True]


@pytest.mark.parametrize(
    "text", [pem(rsa_key()), pem(rsa_key(), PKCS1), certificate(rsa_key()), json.dumps(jwk(rsa_key()))]
)
def test_a_public_key_is_never_an_hmac_secret(text):
    """T3: CVE-2022-29217, in every spelling of the key."""
    with pytest.raises(ValueError, match="fits none"):
        keys(text, "HS256")
    assert keys(text, "HS256", "RS256")[0].algorithms == {"RS256"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            ec_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "private key",
        ),
        ("-----BEGIN PUBLIC KEY-----\ncanary\n-----END PUBLIC KEY-----", "neither"),
        ("-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----", "neither"),
        (pem(ec.generate_private_key(ec.BrainpoolP256R1())), "fits none"),
        (pem(ed448.Ed448PrivateKey.generate()), "fits none"),
        (pem(rsa.generate_private_key(65537, 1024)), "fits none"),  # noqa: S505  # weak on purpose
        (json.dumps(jwk(ec_key(), use="enc")), "fits none"),
        ('{"keys": []}', "fits none"),
        ("", "empty"),
    ],
)
def test_an_unusable_file_says_why_and_quotes_nothing(text, reason):
    """O1, T7"""
    with pytest.raises(ValueError, match=reason) as error:
        keys(text, "RS256", "ES256", "EdDSA", "HS256")
    assert "canary" not in str(error.value)


SECRET = bytes(range(200, 232)) + b"12"


@pytest.mark.parametrize("encode", [base64.standard_b64encode, base64.urlsafe_b64encode])
def test_a_secret_may_be_base64_of_either_alphabet(encode):
    """HARDENING, trap 16."""
    text = encode(SECRET).decode()
    wrapped = text[:20] + "\n" + text[20:] + "\n"
    assert [key.material for key in keys(wrapped, "HS256", encoding="base64")] == [SECRET]


def test_base64_without_its_padding_has_two_readings():
    """HARDENING, trap 16: Java's DatatypeConverter drops the last two characters, other decoders keep them."""
    found = [key.material for key in keys("abcdefghijklmnopqrstuvwxyz", "HS512", encoding="base64")]
    assert found == [base64.b64decode("abcdefghijklmnopqrstuvwxyz=="), base64.b64decode("abcdefghijklmnopqrstuvwx")]
    assert [key.material for key in keys("YWI", "HS256", encoding="base64")] == [b"ab"]


@pytest.mark.parametrize("text", ["not base64!", "a", "abcde", "====", "ab=c", ""])
def test_what_is_no_base64_is_refused(text):
    """O1"""
    with pytest.raises(ValueError, match=r"base64|empty"):
        keys(text, "HS256", encoding="base64")


def test_a_secret_shorter_than_its_hash_is_noticed():
    """RFC 7518 §3.2"""
    assert too_short(Secret("x" * 31), "HS256")
    assert not too_short(Secret("x" * 32), "HS256")
    assert too_short(Secret("x" * 32), "HS512")
    assert not too_short(Secret("x"), "RS256")
    assert too_short(Secret("YWJj"), "HS256", "base64")


async def test_static_keys_never_change():
    found = static_keys(Secret("secret"), ["HS256"])
    before = found.current()
    await found.refetch(granted=True)
    assert found.current() is before
    assert (found.generation, found.doubtful) == (0, False)
