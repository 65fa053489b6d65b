"""``[store]``: where it is, who may enter it, and what keeps its contents secret (O1, X9, X10)."""

import base64

import pytest
import trustme

from gateway.core.secret import Secret
from tests.config.files import loaded, said

CANARY = "canary-5d1e"
KEYS = {"K1": base64.b64encode(b"1" * 32).decode(), "K2": base64.urlsafe_b64encode(b"\xff" * 32).decode()}
KEYS["INDEX"] = base64.b64encode(b"i" * 32).decode().rstrip("=")
SEALED = 'keys = [{ env = "K1" }, { env = "K2" }]\nindex_key = { env = "INDEX" }\n'
REMOTE = '[auth_server]\nissuer = "https://as.example"\nclient_secret = { env = "K1" }\n'

URLS = [
    ("memory://", "memory", (), False, 0, ""),
    ("redis://store", "server", (("store", 6379),), False, 0, ""),
    ("redis://Store.example:7000/3", "server", (("store.example", 7000),), False, 3, ""),
    ("redis://[::1]:7000", "server", (("::1", 7000),), False, 0, ""),
    ("rediss://store/0", "server", (("store", 6379),), True, 0, ""),
    ("unix:///run/redis.sock", "server", ("/run/redis.sock",), False, 0, ""),
    ("unix:///run/redis.sock?db=2", "server", ("/run/redis.sock",), False, 2, ""),
    ("unix:///run/a@b.sock", "server", ("/run/a@b.sock",), False, 0, ""),
    ("redis+sentinel://a,b:7,c/main", "sentinel", (("a", 26379), ("b", 7), ("c", 26379)), False, 0, "main"),
    ("rediss+sentinel://a/main/4", "sentinel", (("a", 26379),), True, 4, "main"),
    ("redis+cluster://a,[::1]:7", "cluster", (("a", 6379), ("::1", 7)), False, 0, ""),
    ("rediss+cluster://a", "cluster", (("a", 6379),), True, 0, ""),
]

BAD_URLS = [
    ("file://x", "is not the URL of a store. Write one that begins with memory://, redis://"),
    ("redis:/x", "is not the URL of a store"),
    ("localhost:6379", "is not the URL of a store"),
    ("redis+unix://x", "is not the URL of a store"),
    ("redis://", "has no valid host and port"),
    ("redis://a:99999", "has no valid host and port"),
    ("redis://a:0", "has no valid host and port"),
    ("redis://::1:7000", "has no valid host and port"),
    ("redis://a,b", "has several servers"),
    ("redis://a/x", "is no number of a database"),
    ("redis://a/0/1", "is no number of a database"),
    ("redis://a/4096", "is no number of a database"),
    ("redis://a?ssl_cert_reqs=none", "has options"),
    ("redis://@a", "has an empty user name and password"),
    ("unix://run/redis.sock", "is not the URL of a Unix socket"),
    ("unix://u:p@run/redis.sock", "is not the URL of a Unix socket"),
    ("unix:///run/redis.sock?database=1", "is not the URL of a Unix socket"),
    ("redis+sentinel://a", "names no service of the Sentinels"),
    ("redis+sentinel://a/main/x", "is no number of a database"),
    ("redis+cluster://a/0", "a Redis Cluster has one database"),
]


def store(url, more=""):
    return f'[store]\nurl = "{url}"\n{SEALED}{more}\n'


@pytest.mark.parametrize(("url", "parts"), [(url, parts) for url, *parts in URLS])
def test_a_url_says_how_the_store_is_run(tmp_path, url, parts):
    found = loaded(tmp_path, store(url), KEYS).store.url
    assert [found.kind, found.addresses, found.tls, found.database, found.service] == parts
    assert found.is_shared is (found.kind != "memory")


@pytest.mark.parametrize("url", [url for url, *_ in URLS])
def test_a_url_is_shown_as_it_can_be_written(tmp_path, url):
    shown = str(loaded(tmp_path, store(url), KEYS).store.url)
    assert loaded(tmp_path, store(shown), KEYS).store.url == loaded(tmp_path, store(url), KEYS).store.url


@pytest.mark.parametrize(("url", "words"), BAD_URLS)
def test_a_url_that_leads_nowhere_is_refused(tmp_path, url, words):
    found = said(tmp_path, store(url), KEYS)
    assert [path for path, _ in found] == ["store.url"]
    assert words in found[0][1]


@pytest.mark.parametrize("url", [f"redis://ada:{CANARY}%40@127.0.0.1", f"unix://ada:{CANARY}%40@/run/s"])
def test_credentials_of_a_url_are_shown_nowhere(tmp_path, url):
    """X9"""
    config = loaded(tmp_path, store(url), KEYS)
    assert (config.store.url.username, config.store_password) == ("ada", Secret(f"{CANARY}@"))
    assert CANARY not in repr(config) + str(config.store.url) + repr(config.store.url)


@pytest.mark.parametrize("source", ['{ env = "URL" }', '{ file = "url" }'])
def test_a_url_with_a_password_is_a_secret_by_reference(tmp_path, source):
    url = f"rediss://:{CANARY}@store.example"
    (tmp_path / "url").write_text(f"{url}\n")
    found = loaded(tmp_path, f"{REMOTE}[store]\nurl = {source}\n{SEALED}", {**KEYS, "URL": url})
    assert found.store_password == Secret(CANARY)
    assert found.store.url.addresses == (("store.example", 6379),)


def test_the_environment_may_hold_the_whole_url(tmp_path):
    environ = {**KEYS, "GATEWAY__STORE__URL": f"redis://:{CANARY}@10.0.0.1"}
    config = loaded(tmp_path, f"{REMOTE}[store]\n{SEALED}", environ)
    assert config.store_password == Secret(CANARY)
    assert [sentence for sentence in config.warnings if "store.url has a password and is not TLS" in sentence]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (store(f"redis://:{CANARY}@store"), "store.url"),
        (store("redis://store", f'password = "{CANARY}"'), "store.password"),
        (store("redis+sentinel://store/s", f'sentinel_password = "{CANARY}"'), "store.sentinel_password"),
        ('[store]\nurl = "redis://store"\nindex_key = { env = "INDEX" }\nkeys = ["LITERAL"]', "store.keys[0]"),
        ('[store]\nurl = "redis://store"\nkeys = [{ env = "K1" }]\nindex_key = "LITERAL"', "store.index_key"),
    ],
)
def test_a_literal_secret_is_for_loopback_development_only(tmp_path, text, path):
    """O1, X9: and it is not quoted."""
    text = text.replace("LITERAL", KEYS["K2"])
    found = said(tmp_path, text, KEYS)
    assert [where for where, _ in found] == [path]
    assert "a literal is refused outside loopback development" in found[0][1]
    assert CANARY not in found[0][1]
    assert KEYS["K2"] not in found[0][1]
    assert (
        said(
            tmp_path,
            text.replace("store/s", "localhost/s")
            .replace("//store", "//localhost")
            .replace("@store", "@localhost"),
            KEYS,
        )
        == []
    )


def test_keys_are_read_newest_first(tmp_path):
    """X10: base64 of either alphabet, padded or not."""
    config = loaded(tmp_path, store("redis://localhost"), KEYS)
    assert [key.octets() for key in config.store.keys] == [b"1" * 32, b"\xff" * 32]
    assert config.store.index_key.octets() == b"i" * 32
    assert KEYS["K1"] not in repr(config)


@pytest.mark.parametrize("text", [base64.b64encode(b"x" * 31).decode(), "A" * 43 + "=", "%%%", "x" * 64])
def test_a_key_has_32_bytes(tmp_path, text):
    found = said(tmp_path, store("redis://localhost"), {**KEYS, "K2": text, "INDEX": text})
    assert [path for path, _ in found] == ["store.keys[1]", "store.index_key"]
    assert "openssl rand -base64 32" in found[0][1]
    assert text not in found[0][1]


def test_a_socket_with_an_at_in_its_path_may_have_a_user(tmp_path):
    url = loaded(tmp_path, store("unix://ada@/run/a@b.sock"), KEYS).store.url
    assert (url.username, url.addresses) == ("ada", ("/run/a@b.sock",))


def test_no_key_seals_twice(tmp_path):
    found = said(tmp_path, store("redis://localhost"), {**KEYS, "K2": KEYS["K1"]})
    assert [path for path, _ in found] == ["store.keys"]


def test_a_shared_store_without_keys_is_refused(tmp_path):
    """X10: nothing is written to it in clear, and nothing under names that only one process knows."""
    found = said(tmp_path, '[store]\nurl = "redis://localhost"')
    assert [path for path, _ in found] == ["store.keys", "store.index_key"]
    assert said(tmp_path, '[store]\nurl = "memory://"') == []


def test_the_key_of_names_is_another_than_those_that_seal(tmp_path):
    found = said(tmp_path, store("redis://localhost"), {**KEYS, "INDEX": KEYS["K2"]})
    assert [path for path, _ in found] == ["store.index_key"]


def test_many_workers_need_a_shared_store(tmp_path):
    """O1: two workers with a store each would present one refresh token."""
    found = said(tmp_path, "[server]\nworkers = 2")
    assert [path for path, _ in found] == ["server.workers"]
    assert "would present one refresh token" in found[0][1]
    assert loaded(tmp_path, f"[server]\nworkers = 8\n{store('redis://localhost')}", KEYS).server.workers == 8


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (store("redis://localhost", 'ca_file = "ca.pem"'), "store.ca_file", "url is not TLS"),
        (store("redis://localhost", 'cert_file = "one.pem"'), "store.cert_file", "url is not TLS"),
        (store("rediss://localhost", 'cert_file = "one.pem"'), "store.key_file", "belong together"),
        (
            store("rediss://localhost", 'cert_file = "one.pem"\nkey_file = "ca.pem"'),
            "store.cert_file",
            "do not fit",
        ),
        (store("redis://:x@localhost", 'password = "y"'), "store.password", "url has a password too"),
        (
            store("redis://localhost", 'sentinel_password = "y"'),
            "store.sentinel_password",
            "url has no Sentinels",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, text, path, words):
    """O1"""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("x").cert_chain_pems[0].write_to_path(tmp_path / "one.pem")
    found = said(tmp_path, text, KEYS)
    assert [where for where, _ in found] == [path]
    assert words in found[0][1]


def test_a_certificate_for_the_store_fits_its_key(tmp_path):
    certificate = trustme.CA().issue_cert("gateway")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "own.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "own.key")
    config = loaded(tmp_path, store("rediss://store", 'cert_file = "own.pem"\nkey_file = "own.key"'), KEYS)
    assert config.store.key_file == tmp_path / "own.key"


def test_without_the_driver_a_shared_store_is_refused(tmp_path, monkeypatch):
    """The extra is named before the first request needs it."""
    monkeypatch.setattr("gateway.config.store_rules.find_spec", lambda name: None)
    found = said(tmp_path, store("redis://localhost"), KEYS)
    assert [path for path, _ in found] == ["store.url"]
    assert "evergreen-gateway[redis]" in found[0][1]


def test_going_on_alone_is_warned_of(tmp_path):
    config = loaded(tmp_path, store("redis://localhost", 'on_failure = "local"'), KEYS)
    assert [sentence for sentence in config.warnings if "several processes may present" in sentence]
    assert not loaded(tmp_path, store("redis://localhost"), KEYS).warnings
