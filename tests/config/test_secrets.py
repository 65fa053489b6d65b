"""Secrets, keys and files: where they may come from, and that no message shows them."""

import base64

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.core.secret import Secret
from tests.config.files import loaded, problems, said

CANARY = "canary-7f3a9c"
REMOTE = '[auth_server]\nissuer = "https://as.example"\n'


def pem(key) -> str:
    """The public half."""
    encoding, shape = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(encoding, shape).decode()


def test_a_secret_comes_from_the_environment_or_a_file(tmp_path):
    (tmp_path / "secret").write_text(f"{CANARY}\r\n")
    for source in ('{ env = "A" }', '{ file = "secret" }', f'{{ file = "{tmp_path}/secret" }}'):
        config = loaded(tmp_path, f"{REMOTE}client_secret = {source}", {"A": CANARY})
        assert config.auth_server.client_secret == Secret(CANARY)
        assert CANARY not in repr(config)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('{ env = "UNSET" }', "names an environment variable that is not set"),
        ('{ env = "EMPTY" }', "that is empty"),
        ("{ env = 1 }", "has an env that is not the name of a variable"),
        ('{ file = "nowhere" }', "names a file that does not exist"),
        ('{ file = "." }', "names a file that cannot be read"),
        ('{ file = "empty" }', "names an empty file"),
        ('{ file = "binary" }', "is not UTF-8"),
        ('{ file = "large" }', "larger than 64KiB"),
        ('{ file = "a\\u0000b" }', "is not a path"),
        ('{ env = "A", file = "b" }', "exactly one of env and file"),
        ("{}", "exactly one of env and file"),
        ('{ value = "x" }', "exactly one of env and file"),
        ('""', "is an empty secret"),
        ("5", "is not a secret"),
    ],
)
def test_a_secret_that_cannot_be_had_is_refused(tmp_path, value, words):
    """O1: the message quotes neither the name nor the path; the secret itself is often written there."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_text("x" * 65_537)
    found = said(tmp_path, f"{REMOTE}client_secret = {value}", {"EMPTY": "", "A": "x"})
    assert [path for path, _ in found] == ["auth_server.client_secret"]
    assert words in found[0][1]


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        (f'{REMOTE}client_secret = "{CANARY}"', {}),
        (f'{REMOTE}client_secret = {{ env = "{CANARY}" }}', {}),
        (f'{REMOTE}client_secret = {{ file = "{CANARY}" }}', {}),
        (f'{REMOTE}client_secret = {{ "{CANARY}" = "{CANARY}" }}', {}),
        (f'{REMOTE}client_secret = ["{CANARY}"]', {}),
        (f'{REMOTE}client_secrt = "{CANARY}"', {}),
        (f'[auth_server]\nclient_id = ["{CANARY}"]', {}),
        (f'[auth_server]\nclient_auth = "{CANARY}"', {}),
        (f'[auth_server]\nscope = "{CANARY}\\u0007"', {}),
        (f'[access_token]\nkey = "{CANARY}"', {}),
        (f'[access_token]\nalgorithms = ["HS256"]\nkey = {{ env = "{CANARY}" }}', {}),
        ('[access_token]\nalgorithms = ["HS256"]\nkey = { env = "A" }', {"A": CANARY}),
        ('[access_token]\nkey = { env = "A", encoding = "base64" }', {"A": f"!{CANARY}"}),
        (f'[store]\nurl = "redis://:{CANARY}@store"', {}),
        (f'[upstream]\nurl = "http://user:{CANARY}@api"', {}),
        (f'[auth_server]\ntoken_endpoint = "http://user:{CANARY}@as/t"', {}),
        (f'[auth_server.refresh]\nurl = "http://127.0.0.1/"\nheaders = {{ "X-Key" = "{CANARY}{{x}}" }}', {}),
        ("", {"GATEWAY__AUTH_SERVER__CLIENT_SECRET": f'["{CANARY}"]'}),
        ("", {"GATEWAY__AUTH_SERVER__CLIENT_SECRET": f'{{"env": "{CANARY}"}}'}),
        ("", {"GATEWAY__AUTH_SERVER__CLIENT_SECRET__ENV": CANARY}),
        ("", {"GATEWAY__AUTH_SERVER__CLIENT_SECRET__FILE": CANARY}),
        ("", {"GATEWAY__AUTH_SERVER__CLIENT_SECRT": CANARY}),
        ("", {"GATEWAY__AUTH_SERVER": CANARY}),
        ("", {"GATEWAY__ACCESS_TOKEN__KEY": CANARY}),
        ("", {"GATEWAY__STORE__URL": f"redis://:{CANARY}@store"}),
    ],
)
def test_no_problem_shows_a_secret(tmp_path, text, environ):
    """O1, X9: whatever is wrong with a secret, and wherever it was written, its text is not in any message."""
    found = problems(tmp_path, text, environ)
    assert found
    assert CANARY not in "".join(f"{problem!r}{problem}" for problem in found)


def test_a_literal_secret_is_for_loopback_development_only(tmp_path):
    """O1: the rest of the rule is in test_rules; here the accepted side."""
    assert loaded(tmp_path).auth_server.client_secret == Secret("literal-on-loopback")


def test_the_environment_may_hold_the_secret_itself(tmp_path):
    """A literal is refused because files are committed and copied; a variable is what `env` names anyway."""
    config = loaded(tmp_path, f"{REMOTE}-client_secret", {"GATEWAY__AUTH_SERVER__CLIENT_SECRET": CANARY})
    assert config.auth_server.client_secret == Secret(CANARY)


@pytest.mark.parametrize("alphabet", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padding", [True, False])
def test_a_key_may_be_base64_text_of_either_alphabet(tmp_path, alphabet, padding):
    octets = bytes(range(224, 256)) + b"\xfb\xff"
    text = alphabet(octets).decode()
    environ = {"K": text if padding else text.rstrip("=")}
    lines = '[access_token]\nalgorithms = ["HS256"]\nkey = { env = "K", encoding = "base64" }'
    key = loaded(tmp_path, lines, environ).access_token.key
    assert key.octets() == octets
    assert environ["K"] not in repr(key)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('{ env = "K", encoding = "hex" }', "has an unknown encoding"),
        ('{ env = "BAD", encoding = "base64" }', "is not base64"),
        ('{ env = "PAD", encoding = "base64" }', "is an empty key"),
        ('{ encoding = "base64" }', "exactly one of env and file"),
    ],
)
def test_a_key_that_is_none_is_refused(tmp_path, value, words):
    environ = {"K": "x" * 32, "BAD": "%%%", "PAD": "=="}
    found = said(tmp_path, f"[access_token]\nkey = {value}", environ)
    assert [path for path, _ in found] == ["access_token.key"]
    assert words in found[0][1]


RSA = rsa.generate_private_key(65537, 2048)
FITTING = {"RS256": RSA, "PS512": RSA, "ES256": ec.generate_private_key(ec.SECP256R1()), "EdDSA": None}


@pytest.mark.parametrize("algorithm", FITTING)
def test_a_public_key_in_pem_fits_its_algorithm(tmp_path, algorithm):
    key = FITTING[algorithm] or ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "key.pem").write_text(pem(key))
    config = loaded(tmp_path, f'[access_token]\nalgorithms = ["{algorithm}"]\nkey = {{ file = "key.pem" }}')
    assert config.access_token.key.octets() == pem(key).strip().encode()


def test_a_private_key_is_not_for_verifying(tmp_path):
    """Whoever can verify with it can also issue: the gateway has no need of that."""
    shapes = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "key.pem").write_bytes(RSA.private_bytes(*shapes))
    found = said(tmp_path, '[access_token]\nkey = { file = "key.pem" }')
    assert [path for path, _ in found] == ["access_token.key"]
    assert "is a private key" in found[0][1]


@pytest.mark.parametrize("text", [pem(RSA), '{"kty": "RSA", "n": "' + "x" * 64 + '"}', "ssh-rsa " + "x" * 64])
def test_a_public_key_is_no_shared_secret(tmp_path, text):
    """T3: HS256 keyed with a public key is the classic confusion of algorithms."""
    (tmp_path / "key").write_text(text)
    found = said(tmp_path, '[access_token]\nalgorithms = ["HS256"]\nkey = { file = "key" }')
    assert "is a public key or certificate, which is no secret" in found[0][1]


def test_the_listener_gets_a_certificate_and_its_own_key(tmp_path):
    authority = trustme.CA()
    for name in ("one", "other"):
        certificate = authority.issue_cert("gateway.example")
        certificate.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
    config = loaded(tmp_path, '[server]\ntls = { cert = "one.pem", key = "one.key" }')
    assert config.server.tls.cert == tmp_path / "one.pem"
    for key in ("other.key", "one.pem"):
        found = said(tmp_path, f'[server]\ntls = {{ cert = "one.pem", key = "{key}" }}')
        assert [path for path, _ in found] == ["server.tls"]
    found = said(tmp_path, '[server]\ntls = { cert = "none.pem", key = "none.key" }')
    assert [path for path, _ in found] == ["server.tls.cert", "server.tls.key"]
    assert [path for path, _ in said(tmp_path, '[server]\ntls = { cert = "one.pem" }')] == ["server.tls.key"]


def test_a_ca_file_holds_certificates(tmp_path):
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "text.pem").write_text("not a certificate")
    text = '[upstream]\nurl = "https://api"\nca_file = '
    assert loaded(tmp_path, f'{text}"ca.pem"').upstream.ca_file == tmp_path / "ca.pem"
    assert "a file without PEM certificates" in said(tmp_path, f'{text}"text.pem"')[0][1]


@pytest.mark.parametrize("literal", ["$GATEWAY_CLIENT_SECRET", "${GATEWAY_CLIENT_SECRET}"])
def test_a_shell_variable_is_not_taken_for_a_secret(tmp_path, literal):
    """O1: it would be sent as it stands, and refused as invalid_client at the first refresh."""
    text = f'[auth_server]\nclient_secret = "{literal}"\n'
    assert any(
        "nobody expands here" in told for path, told in said(tmp_path, text) if path == "auth_server.client_secret"
    )
