import base64
import json
import time
import zlib

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth_server.discovery import configured
from gateway.auth_server.jwks import JwksKeys, JwksSettings
from gateway.auth_server.key_files import static_keys
from gateway.auth_server.keys import KeySet, StaticKeys, read_jwks
from gateway.auth_server.verification import VerificationPolicy, Verifier
from gateway.core.claims import ClaimsPolicy
from gateway.core.secret import Secret
from gateway.core.tokens import KeysUnavailable, Rejected, Verified

from .support import (
    ISSUER,
    Clock,
    answering,
    b64,
    ec_key,
    ed_key,
    jwk,
    outbound,
    reply,
    rsa_key,
    serving,
    signed,
    token,
)

CLAIMS = ClaimsPolicy(issuer=ISSUER)
HMAC = "0123456789abcdef0123456789abcdef"


class Keys:
    """A key source that the test changes, and that counts how often somebody looks for new keys."""

    def __init__(self, *members, algorithms=("RS256", "ES256", "EdDSA", "RS512")):
        self.algorithms = algorithms
        self.generation = 0
        self.doubtful = False
        self.refetches = []
        self.found = None
        self.next = None
        if members:
            self.publish(*members)

    def publish(self, *members, retired=()):
        sets = (read_jwks({"keys": list(m)}, self.algorithms, symmetric=False) for m in (members, retired))
        self.found = KeySet(*sets)
        self.generation += 1

    def current(self):
        return self.found

    async def refetch(self, *, granted):
        self.refetches.append(granted)
        if self.next is not None:
            self.publish(*self.next)


def verifier(keys=None, algorithms=("RS256",), policy=CLAIMS, **more):
    if keys is None:
        keys = Keys(jwk(rsa_key(), kid="k"))
    cache = {"cache_size": more.pop("cache_size")} if "cache_size" in more else {}
    return Verifier(keys, VerificationPolicy(algorithms, policy, **more), **cache)


def made(**changes):
    return token(header={"kid": "k"}, **changes)


async def judged(raw, *args, granted=False, **more):
    return await verifier(*args, **more).verify(Secret(raw), granted=granted)


@pytest.mark.parametrize(("key", "alg"), [(rsa_key(), "RS256"), (ec_key(), "ES256"), (ed_key(), "EdDSA")])
async def test_a_token_in_order_is_verified(key, alg):
    found = await judged(token(key, alg, {"kid": "k"}), Keys(jwk(key, kid="k")), (alg,))
    assert isinstance(found, Verified)
    assert (found.subject, found.issuer, found.audience) == ("alice", ISSUER, frozenset({"api"}))


async def test_an_expired_token_is_verified_all_the_same():
    """T2: expiry is judged elsewhere; here it is a fact."""
    found = await judged(made(exp=int(time.time()) - 10_000))
    assert isinstance(found, Verified)


BROKEN = {
    "bad signature": token(rsa_key(1), header={"kid": "k"}, exp=1),
    "wrong issuer": made(exp=1, iss="https://evil.example"),
    "unknown kid": token(header={"kid": "other"}, exp=1),
    "no exp": made(exp=...),
    "wrong aud type": made(exp=1, aud=7),
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
async def test_an_expired_token_with_another_fault_is_rejected(raw):
    """T1, T2"""
    assert isinstance(await judged(raw), Rejected)


def public(form=PublicFormat.SubjectPublicKeyInfo, encoding=Encoding.PEM):
    return rsa_key().public_key().public_bytes(encoding, form)


CONFUSED = {
    "pem": public(),
    "pem stripped": public().strip(),
    "pkcs1": public(PublicFormat.PKCS1),
    "der": public(encoding=Encoding.DER),
    "jwk": json.dumps(jwk(rsa_key(), kid="k")).encode(),
    "n": jwk(rsa_key())["n"].encode(),
}


@pytest.mark.parametrize("algorithms", [("RS256",), ("RS256", "HS256")])
@pytest.mark.parametrize("secret", CONFUSED.values(), ids=CONFUSED)
async def test_the_public_key_is_no_hmac_secret(secret, algorithms):
    """T3: CVE-2022-29217, CVE-2026-48526; even where the configuration lists both kinds."""
    raw = token(secret, "HS256", {"kid": "k"})
    keys = Keys(jwk(rsa_key(), kid="k"), algorithms=algorithms)
    assert isinstance(await judged(raw, keys, algorithms), Rejected)


@pytest.mark.parametrize("text", [public().decode(), json.dumps(jwk(rsa_key()))])
async def test_nor_is_a_public_key_from_a_file(text):
    """T3"""
    keys = static_keys(Secret(text), ["RS256", "HS256"])
    raw = token(text.encode(), "HS256")
    assert isinstance(await judged(raw, keys, ("RS256", "HS256")), Rejected)


@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "NONE", "", None, 7, ["RS256"], "rs256", "RS512", "ES256"])
async def test_the_algorithm_is_one_of_the_configured(alg):
    """T3: an unsigned token, or one that is well signed but says it otherwise; nobody looks for keys."""
    keys = Keys(jwk(rsa_key(), kid="k"))
    raw = signed(json.dumps({"exp": 1}).encode(), header={"alg": alg, "kid": "k"})
    unsigned = ".".join(raw.split(".")[:2])
    for form in (raw, unsigned + ".", unsigned, unsigned + ".AA"):
        assert isinstance(await judged(form, keys), Rejected)
    assert keys.refetches == []


async def test_a_token_of_no_algorithm_is_rejected():
    """T3"""
    head = b64(b'{"kid":"k"}').decode()
    assert isinstance(await judged(head + "." + made().split(".", 1)[1]), Rejected)


@pytest.mark.parametrize("algorithms", [(), ("none",), ("RS256", "None"), ("HS1",), ("rs256",)])
def test_a_configuration_lists_real_algorithms(algorithms):
    """T3, O1: none is not a value."""
    with pytest.raises(ValueError, match="algorithms"):
        VerificationPolicy(algorithms)


KIDS = [
    "../../etc/passwd",
    "k' OR 1=1 --",
    "http://evil.example/k",
    "x" * 10_000,
    "\x00",
    "k\n",
    "\x1b[31m",
    "K",
    "",
]


@pytest.mark.parametrize("kid", KIDS)
async def test_a_kid_is_a_dictionary_key_and_nothing_else(kid, caplog):
    """T4: 401, no file, no network beyond the one look at the key set, nothing of it in a log or reason."""
    keys = Keys(jwk(rsa_key(), kid="k"))
    found = await judged(token(header={"kid": kid}), keys)
    assert isinstance(found, Rejected)
    assert len(keys.refetches) == 1
    assert kid == "" or kid not in found.reason + caplog.text


async def test_keys_that_a_token_brings_are_ignored():
    """T5: 0 outbound connections; neither is the key in it used."""
    own = jwk(rsa_key(1), kid="k")
    async with serving(answering(reply({"keys": [own]}))) as (url, seen):
        for header in (
            {"jku": url + "/jwks"},
            {"x5u": url + "/cert"},
            {"jwk": own},
            {"x5c": [base64.b64encode(public(encoding=Encoding.DER)).decode()]},
        ):
            forged = token(rsa_key(1), header={"kid": "k"} | header)
            assert isinstance(await judged(forged), Rejected)
            assert isinstance(await judged(token(header={"kid": "k"} | header)), Verified)
    assert seen.connections == 0


@pytest.mark.parametrize("crit", [["exp"], ["b64"], ["unknown"], [], "exp", None])
async def test_a_critical_extension_is_refused(crit):
    """T6"""
    assert isinstance(await judged(token(header={"kid": "k", "crit": crit, "unknown": 1, "b64": True})), Rejected)


@pytest.mark.parametrize(
    "members", [{"use": "enc"}, {"key_ops": ["sign"]}, {"alg": "RS512"}, {"kty": "EC", "crv": "P-256"}]
)
async def test_a_key_for_something_else_is_not_used(members):
    """T7: the right key, but not for this."""
    assert isinstance(await judged(made(), Keys(jwk(rsa_key(), kid="k") | members)), Rejected)


async def test_where_a_typ_is_required_only_that_passes():
    """T8"""
    policy = ClaimsPolicy(issuer=ISSUER, typ="at+jwt")
    assert isinstance(await judged(token(header={"kid": "k", "typ": "at+jwt"}), policy=policy), Verified)
    for typ in ("JWT", "logout+jwt", "Refresh", None):
        assert isinstance(await judged(token(header={"kid": "k", "typ": typ}), policy=policy), Rejected)


@pytest.mark.parametrize("exp", [..., "9999999999", 1e300, True, None])
async def test_an_expiry_of_no_sense_is_rejected(exp):
    """T10; HARDENING, trap 9: PyJWT itself takes most of these."""
    assert isinstance(await judged(made(exp=exp)), Rejected)


async def test_an_infinite_expiry_is_rejected():
    """T10"""
    for text in (
        b'{"exp":1e999,"iss":"%b"}',
        b'{"exp":Infinity,"iss":"%b"}',
        b'{"exp":1,"exp":9999999999,"iss":"%b"}',
    ):
        raw = signed(text % ISSUER.encode(), header={"kid": "k"})
        assert isinstance(await judged(raw, policy=ClaimsPolicy(required=frozenset({"exp"}))), Rejected)


@pytest.mark.parametrize("payload", [b"[]", b'"x"', b"", b"{", b"\xff", b"[" * 9000, b"null"])
async def test_a_payload_that_is_no_object_is_rejected(payload):
    """T14"""
    assert isinstance(await judged(signed(payload or b" ", header={"kid": "k"})), Rejected)


@pytest.mark.parametrize(
    "spoil", [lambda raw: raw + "=", lambda raw: raw + ".AA.AA", lambda raw: " " + raw, str.upper]
)
async def test_a_token_of_another_shape_is_rejected(spoil):
    """T14; HARDENING, trap 9: padding is not tolerated."""
    keys = Keys(jwk(rsa_key(), kid="k"))
    assert isinstance(await judged(spoil(made()), keys), Rejected)
    assert keys.refetches == []


async def test_a_long_token_is_rejected_unread():
    """T14"""
    assert await judged(made(fill="x" * 16_384)) == Rejected("the token is too long")


def squeezed(data, window):
    squeezer = zlib.compressobj(9, wbits=window)
    return squeezer.compress(data) + squeezer.flush()


@pytest.mark.parametrize(("name", "window"), [("GZIP", 31), ("DEF", 15), ("DEF", -15)])
async def test_a_compressed_token_passes_where_configured(name, window):
    """T14; HARDENING, trap 16."""
    plain = json.dumps({"iss": ISSUER, "sub": "alice", "aud": "api", "exp": 2e9}).encode()
    raw = signed(squeezed(plain, window), header={"kid": "k", "zip": name})
    assert isinstance(await judged(raw, zip=True), Verified)
    assert await judged(raw) == Rejected("the token is compressed")


async def test_a_compressed_bomb_is_rejected():
    """T14: 10 MB in 10 KB."""
    plain = json.dumps({"iss": ISSUER, "sub": "a", "aud": "api", "exp": 2e9, "x": " " * 10_000_000}).encode()
    raw = signed(squeezed(plain, 31), header={"kid": "k", "zip": "GZIP"})
    assert len(raw) < 16_384
    assert isinstance(await judged(raw, zip=True), Rejected)


async def test_the_habits_of_jjwt_can_all_be_had():
    """HARDENING, trap 16: base64 secret, gzip, a constant sub, milliseconds, few claims."""
    secret = base64.b64encode(b"\x01" * 64).decode()
    policy = ClaimsPolicy(required=frozenset({"exp"}), subject_claim="username", time_unit="ms")
    plain = json.dumps({"sub": "constant", "username": "alice", "exp": 2_000_000_000_000}).encode()
    raw = signed(squeezed(plain, 31), b"\x01" * 64, "HS512", {"zip": "GZIP"})
    keys = static_keys(Secret(secret), ["HS512"], "base64")
    found = await judged(raw, keys, ("HS512",), policy, zip=True)
    assert isinstance(found, Verified)
    assert (found.subject, found.expires_at) == ("alice", 2e9)


async def test_a_short_secret_works_and_warns_nobody_per_request():
    """HARDENING, trap 16: such secrets exist; PyJWT would warn at each token."""
    keys = static_keys(Secret("short"), ["HS256"])
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        raw = jwt.encode({"iss": ISSUER, "sub": "a", "aud": "b", "exp": 2e9}, "short", "HS256")
    assert isinstance(await judged(raw, keys, ("HS256",)), Verified)


async def test_a_token_without_kid_is_tried_on_the_keys_of_its_algorithm():
    keys = Keys(jwk(rsa_key(1), kid="a"), jwk(ec_key(), kid="b"), jwk(rsa_key(), kid="c"))
    assert isinstance(await judged(token(), keys), Verified)


async def test_a_new_key_is_looked_for_once():
    """T12, B11"""
    keys = Keys(jwk(rsa_key(1), kid="old"))
    keys.next = [jwk(rsa_key(), kid="k")]
    assert isinstance(await judged(made(), keys), Verified)
    assert keys.refetches == [False]


async def test_a_new_key_in_a_set_without_kids_is_found_too():
    keys = Keys(jwk(rsa_key(1)))
    keys.next = [jwk(rsa_key())]
    assert isinstance(await judged(made(), keys), Verified)


async def test_a_bad_signature_of_a_known_key_costs_no_look():
    """T1, T12"""
    keys = Keys(jwk(rsa_key(), kid="k"))
    assert isinstance(await judged(token(rsa_key(1), header={"kid": "k"}), keys), Rejected)
    assert keys.refetches == []


async def test_without_keys_nothing_is_known():
    """B11"""
    assert isinstance(await judged(made(), Keys()), KeysUnavailable)
    late = Keys()
    late.next = [jwk(rsa_key(), kid="k")]
    assert isinstance(await judged(made(), late), Verified)


async def test_an_unknown_key_while_keys_cannot_be_fetched_is_no_verdict():
    """B11: the key may be the issuer's new one; a bad signature is bad all the same."""
    keys = Keys(jwk(rsa_key(1), kid="old"))
    keys.doubtful = True
    assert isinstance(await judged(made(), keys), KeysUnavailable)
    assert isinstance(await judged(token(header={"kid": "old"}), keys), Rejected)


async def test_a_granted_token_of_an_unknown_key_is_no_verdict():
    """R2: one that cannot be verified now is never taken for a forgery."""
    keys = Keys(jwk(rsa_key(1), kid="old"))
    assert isinstance(await judged(made(), keys, granted=True), KeysUnavailable)
    assert keys.refetches == [True]
    assert isinstance(await judged(made(iss="https://evil.example"), granted=True), Rejected)


async def test_a_retired_key_is_noted():
    """R22"""
    keys = Keys()
    keys.publish(jwk(rsa_key(1), kid="new"), retired=[jwk(rsa_key(), kid="k")])
    found = await judged(made(exp=1), keys)
    assert isinstance(found, Verified)
    assert found.key_retired
    assert not (await judged(made())).key_retired


async def test_what_was_verified_is_remembered_without_another_check():
    checked = verifier()
    raw = made()
    assert checked.remembered(raw) is None
    first = await checked.verify(Secret(raw))
    assert checked.remembered(raw) is first
    assert await checked.verify(Secret(raw)) is first


async def test_what_was_rejected_is_not_remembered():
    """D6: nobody fills the cache without a signed token."""
    checked = verifier()
    for raw in BROKEN.values():
        await checked.verify(Secret(raw))
        assert checked.remembered(raw) is None
    assert len(checked._cache) == 0


async def test_nothing_is_remembered_beyond_a_change_of_keys():
    """R22: a token whose key has left is judged anew."""
    keys = Keys(jwk(rsa_key(), kid="k"))
    checked = verifier(keys)
    raw = made()
    await checked.verify(Secret(raw))
    keys.publish(jwk(rsa_key(1), kid="new"), retired=[jwk(rsa_key(), kid="k")])
    assert checked.remembered(raw) is None
    assert (await checked.verify(Secret(raw))).key_retired
    keys.publish(jwk(rsa_key(1), kid="new"))
    assert isinstance(await checked.verify(Secret(raw)), Rejected)


async def test_a_key_fetched_for_a_token_lets_it_be_remembered():
    keys = Keys(jwk(rsa_key(1), kid="old"))
    keys.next = [jwk(rsa_key(), kid="k")]
    checked = verifier(keys)
    found = await checked.verify(Secret(made()))
    assert checked.remembered(made()) in (found, None)
    assert len(checked._cache) == 1


async def test_the_memory_of_tokens_is_bounded():
    """D6"""
    checked = verifier(cache_size=10)
    tokens = [made(jti=n) for n in range(30)]
    for raw in tokens:
        await checked.verify(Secret(raw))
    assert len(checked._cache) == 10
    assert checked.remembered(tokens[-1]) is not None
    assert checked.remembered(tokens[0]) is None


async def test_a_thousand_random_kids_cost_one_fetch_and_harm_nobody():
    """T12: over real sockets."""
    async with serving(answering(reply({"keys": [jwk(rsa_key(), kid="k")]}))) as (url, seen):
        keys = JwksKeys(outbound(), configured(url), JwksSettings(), emit=[].append, clock=Clock())
        checked = verifier(keys)
        assert isinstance(await checked.verify(Secret(made())), Verified)
        payload = made().split(".", 1)[1]
        for number in range(1000):
            head = b64(json.dumps({"alg": "RS256", "kid": f"random-{number}"}).encode()).decode()
            assert isinstance(await checked.verify(Secret(f"{head}.{payload}")), Rejected)
        assert isinstance(await checked.verify(Secret(made(jti=1))), Verified)
    assert seen.connections == 2


STATIC = StaticKeys(read_jwks({"keys": [jwk(rsa_key(), kid="k")]}, ["RS256"], symmetric=False))
JSON_HEADERS = st.fixed_dictionaries(
    {},
    optional={
        name: st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=5)
        | st.just("RS256")
        | st.lists(st.none())
        for name in ("alg", "kid", "typ", "crit", "b64", "zip", "jku", "jwk")
    },
)


@given(JSON_HEADERS, st.binary(max_size=40), st.binary(min_size=1, max_size=40))
async def test_no_token_of_a_stranger_raises_or_passes(header, payload, signature):
    """T3, T14: whatever the header, without the key it is rejected."""
    raw = b".".join(b64(part) for part in (json.dumps(header).encode(), payload or b"x", signature)).decode()
    assert isinstance(await judged(raw, STATIC, zip=True), Rejected)
