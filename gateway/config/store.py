"""Where what must outlive a request is kept: ``[store]``."""

import binascii
from typing import Annotated, Literal

from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from gateway.config.problems import bad
from gateway.config.scalars import Count, Section, default, listed, one_of
from gateway.config.secrets import CaFile, ExistingFile, Key, SecretValue, secret
from gateway.config.store_url import StoreLocation

KEY_BYTES = 32


def _key(value: object, info: ValidationInfo) -> Key:
    """A key of 32 bytes, as base64 text of either alphabet."""
    found = Key(secret(value, info), "base64")
    try:
        length = len(found.octets())
    except (binascii.Error, ValueError):
        length = 0
    if length != KEY_BYTES:
        raise bad("is not the base64 text of 32 bytes", "make one with `openssl rand -base64 32`")
    if not any(found.octets()):
        raise bad("is all zeros", "make one with `openssl rand -base64 32`")
    return found


StoreKey = Annotated[
    Key,
    PlainValidator(_key),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {"env": {"type": "string"}, "file": {"type": "string"}},
                    "additionalProperties": False,
                    "oneOf": [{"required": ["env"]}, {"required": ["file"]}],
                },
                {"type": "string"},
            ],
            "x-type": "secret: 32 bytes in base64",
        }
    ),
]


class Store(Section):
    """Where successors of rotated tokens are kept, and who refreshes which token is agreed on."""

    url: StoreLocation = default("memory://")
    """`memory://`: this process. Shared by many: `redis://host:6379/0`, `rediss://` (TLS), `unix:///path?db=0`,
    `redis+sentinel://host,host/service`, `redis+cluster://host,host`; `rediss+sentinel://` and `rediss+cluster://`
    with TLS. Redis 6.2 or Valkey, or newer. May hold a user name; with a password write `{ env = "NAME" }` or
    `{ file = "path" }`, or use `password`."""
    password: SecretValue | None = None
    """The store's password, in place of one in `url`."""
    sentinel_password: SecretValue | None = None
    """The Sentinels' own password, where they have one."""
    ca_file: CaFile | None = None
    """PEM certificates of the CAs that the store's certificate is checked against. Absent: the system's."""
    cert_file: ExistingFile | None = None
    """The gateway's own certificate for the store, in PEM, where that asks for one."""
    key_file: ExistingFile | None = None
    """Its private key in PEM, not encrypted."""
    max_connections: Count = default(32)
    """The most connections of one process to each server of a shared store; one more is for what these publish."""
    keys: Annotated[tuple[StoreKey, ...], listed('[{ env = "NAME" }]')] = default([])
    """Keys that seal what is kept in a shared store, newest first, each the base64 text of 32 random bytes. The
    first one seals, all open. A new key goes to the end everywhere before it goes to the front. Must be set for a
    shared store."""
    index_key: StoreKey | None = None
    """The key that names records, base64 text of 32 random bytes. It stays while `keys` rotate: who has another one
    finds nothing of what is there. Must be set for a shared store."""
    on_failure: Annotated[Literal["refuse", "local"], one_of("refuse", "local")] = default("refuse")
    """With a shared store away, `refuse`: valid tokens pass, what needs a refresh is answered 503; `local`: each
    process refreshes on its own, so that several may present one rotating refresh token."""
    max_entries: Count = default(100_000)
    """How many records of a kind this process keeps with `memory://`; beyond it the oldest go first."""
