"""What ``[store]`` must and must not combine."""

import ssl
from collections.abc import Iterator
from importlib.util import find_spec

from gateway.config.environment import Tree
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.scalars import FromEnvironment
from gateway.config.store import Store

_URL = "store.url"


def store_rules(config: Config, tree: Tree) -> Iterator[Problem]:
    """A shared store has keys and a driver; what only it can do is not asked of another."""
    store = config.store
    yield from _credentials(store)
    yield from _tls(store)
    yield from _literals(config, tree)
    if store.url.is_shared:
        yield from _shared(store)
    elif config.server.workers > 1:
        yield Problem(
            "server.workers",
            "is more than 1, and memory:// is each process's own: two workers would present one refresh token, and "
            "the authorization server would take that for theft",
            "write a shared store into store.url, such as redis://, or 1",
            (_URL,),
        )


def _shared(store: Store) -> Iterator[Problem]:
    if not store.keys:
        yield Problem(
            "store.keys",
            "is missing: tokens are kept in a shared store only when they are sealed",
            'make a key with `openssl rand -base64 32`, and write [{ env = "NAME" }]',
            (_URL,),
        )
    if store.index_key is None:
        yield Problem(
            "store.index_key",
            "is missing: a shared store's records must have the same names everywhere",
            'make a key with `openssl rand -base64 32`, and write { env = "NAME" }',
            (_URL,),
        )
    elif any(store.index_key.octets() == key.octets() for key in store.keys):
        yield Problem("store.index_key", "is one of store.keys", "make another one: they serve two purposes")
    if len({key.octets() for key in store.keys}) < len(store.keys):
        yield Problem(
            "store.keys", "has a key twice", "take one out; a new key is made with `openssl rand -base64 32`"
        )
    if find_spec("redis") is None:
        yield Problem(_URL, "needs the package redis, which is not installed", "install evergreen-gateway[redis]")


def _credentials(store: Store) -> Iterator[Problem]:
    if store.password is not None and store.url.password is not None:
        yield Problem("store.password", "is set, and url has a password too", "keep one of the two", (_URL,))
    if store.sentinel_password is not None and store.url.kind != "sentinel":
        yield Problem("store.sentinel_password", "is set, but url has no Sentinels", "take it out", (_URL,))


def _tls(store: Store) -> Iterator[Problem]:
    files = {"ca_file": store.ca_file, "cert_file": store.cert_file, "key_file": store.key_file}
    if not store.url.tls:
        for name, path in files.items():
            if path is not None:
                remedy = "take it out, or write rediss in place of redis"
                yield Problem(f"store.{name}", "is set, but url is not TLS", remedy, (_URL,))
        return
    if (store.cert_file is None) != (store.key_file is None):
        lacking = "cert_file" if store.cert_file is None else "key_file"
        yield Problem(f"store.{lacking}", "is missing: a certificate and its key belong together", "write both")
    elif store.cert_file is not None and not _fit(store):
        yield Problem(
            "store.cert_file",
            "and key_file do not fit, are not PEM, or the key is encrypted",
            "name a PEM chain and its own unencrypted key",
            ("store.key_file",),
        )


def _fit(store: Store) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
            str(store.cert_file), store.key_file, password=lambda: ""
        )
    except (ssl.SSLError, OSError, ValueError):
        return False
    return True


def _literals(config: Config, tree: Tree) -> Iterator[Problem]:
    """A secret in the file is for development, where everything is on this machine."""
    section = tree.get("store")
    if not isinstance(section, dict) or (config.server.listen.is_loopback and config.store.url.is_loopback):
        return
    keys = section.get("keys")
    each = enumerate(keys if isinstance(keys, list) else [])
    written = {f"store.keys[{number}]": key for number, key in each}
    written |= {f"store.{name}": section.get(name) for name in ("index_key", "password", "sentinel_password")}
    if config.store.url.password is not None:
        written[_URL] = section.get("url")
    for path, value in written.items():
        if isinstance(value, str) and not isinstance(value, FromEnvironment):
            yield Problem(
                path,
                "has a secret that is written into the file; a literal is refused outside loopback development",
                'write { env = "NAME" } or { file = "path" }',
                ("server.listen", _URL),
            )
