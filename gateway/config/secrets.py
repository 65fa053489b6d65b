"""Secrets and key files: read once, while the configuration is loaded, and never quoted in a message.

A secret is ``{ env = "NAME" }`` or ``{ file = "path" }``. The name and the path are not quoted either: the
usual slip is to write the secret itself there.
"""

import base64
import binascii
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from gateway.config.problems import bad
from gateway.config.scalars import FromEnvironment
from gateway.core.secret import Secret

MAX_SECRET = 65_536
"""Bytes. A client secret or key is far shorter; the wrong file (a log, a device) is not."""

_REMEDY = 'write { env = "NAME_OF_A_VARIABLE" } or { file = "path/of/a/file" }'
_SEARCHED = "correct the path; a relative one starts at the folder of the configuration file"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a configuration file refers to: the environment, and the folder that relative paths start from."""

    environ: Mapping[str, str]
    folder: Path


@dataclass(frozen=True, slots=True)
class Key:
    """A static verification key: a shared secret for HS*, a PEM public key for the others."""

    secret: Secret
    """The text as found."""
    encoding: Literal["text", "base64"] = "text"

    def octets(self) -> bytes:
        """The key itself. Whoever calls this answers for where it goes, as with ``Secret.reveal``."""
        text = self.secret.reveal()
        return _unbase64(text) if self.encoding == "base64" else text.encode()


def _unbase64(text: str) -> bytes:
    """Base64 of either alphabet, padded or not (RFC 4648 §4, §5).

    Raises:
        ValueError: it is neither.
    """
    plain = "".join(text.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _surroundings(info: ValidationInfo) -> Surroundings:
    if not isinstance(info.context, Surroundings):
        raise TypeError("the configuration is validated by gateway.config.load only")
    return info.context


def existing_file(value: object, info: ValidationInfo) -> Path:
    """The absolute path of a file that can be read."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise bad("is not a path", 'write it in quotes, such as "certs/ca.pem"')
    path = (_surroundings(info).folder / value).absolute()
    if not path.exists():
        raise bad("names a file that does not exist", _SEARCHED)
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError:
        raise bad("names a file that cannot be read", "let the gateway's user read that file") from None
    return path


def ca_file(value: object, info: ValidationInfo) -> Path:
    """The path of a file of PEM certificates."""
    path = existing_file(value, info)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, OSError):
        raise bad("names a file without PEM certificates", "name a file of CA certificates in PEM") from None
    return path


def _read(value: object, info: ValidationInfo) -> Secret:
    path = existing_file(value, info)
    with path.open("rb") as file:
        content = file.read(MAX_SECRET + 1)
    if len(content) > MAX_SECRET:
        raise bad("names a file larger than 64KiB", "name the file that holds the secret and nothing else")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise bad(
            "names a file that is not UTF-8 text", "store the secret as text, a binary key as base64"
        ) from None
    return Secret(_filled(text.removesuffix("\n").removesuffix("\r"), "names an empty file"))


def _filled(text: str, complaint: str) -> str:
    if not text:
        raise bad(complaint, "put the secret there")
    return text


def _variable(value: object, info: ValidationInfo) -> Secret:
    if not isinstance(value, str) or not value:
        raise bad("has an env that is not the name of a variable", 'write { env = "NAME" }')
    text = _surroundings(info).environ.get(value)
    if text is None:
        raise bad(
            "names an environment variable that is not set",
            "set it; the secret itself does not go here, only the name of the variable that holds it",
        )
    return Secret(_filled(text, "names an environment variable that is empty"))


def _referenced(table: Mapping[str, Any], info: ValidationInfo) -> Secret:
    overrides = {k: v for k, v in table.items() if isinstance(v, FromEnvironment)}
    source = overrides or table
    if len(source) != 1:
        raise bad("does not have exactly one of env and file", _REMEDY)
    if "env" in source:
        return _variable(source["env"], info)
    if "file" in source:
        return _read(source["file"], info)
    raise bad("does not have exactly one of env and file", _REMEDY)


def secret(value: object, info: ValidationInfo) -> Secret:
    """A secret by reference, or literally; ``rules`` judge where a literal is acceptable."""
    if isinstance(value, dict):
        return _referenced(value, info)
    if not isinstance(value, str):
        raise bad("is not a secret", _REMEDY)
    if re.fullmatch(r"\$\{?\w+\}?", value):
        raise bad("looks like a shell variable, which nobody expands here", 'write { env = "NAME" }')
    return Secret(_filled(str(value), "is an empty secret"))


def key(value: object, info: ValidationInfo) -> Key:
    """A key by reference, with its encoding; literally only from the environment."""
    if isinstance(value, FromEnvironment):
        return Key(secret(value, info))
    if not isinstance(value, dict):
        raise bad("is not a table", _REMEDY)
    encoding = value.get("encoding", "text")
    if encoding not in ("text", "base64"):
        raise bad("has an unknown encoding", 'write encoding = "base64", or leave it out for plain text')
    found = Key(_referenced({k: v for k, v in value.items() if k != "encoding"}, info), encoding)
    try:
        material = found.octets()
    except (binascii.Error, ValueError):
        raise bad("is not base64", 'take encoding = "base64" out, or correct the secret') from None
    if not material:
        raise bad("is an empty key", "put the key there")
    return found


def _reference(**more: Any) -> dict[str, Any]:
    sources = {
        "env": {"type": "string", "description": "The environment variable that holds it."},
        "file": {
            "type": "string",
            "description": "The file that holds it, as text; a newline at its end is not part of it.",
        },
    }
    one = {"oneOf": [{"required": ["env"]}, {"required": ["file"]}]}
    return {"type": "object", "properties": sources | more, "additionalProperties": False, **one}


_ENCODING = {
    "enum": ["text", "base64"],
    "default": "text",
    "description": "`base64`: the key is base64 text, of either alphabet, as some JWT libraries keep it.",
}

SecretValue = Annotated[
    Secret,
    PlainValidator(secret),
    WithJsonSchema({"anyOf": [_reference(), {"type": "string"}], "x-type": "secret"}),
]
KeyValue = Annotated[
    Key, PlainValidator(key), WithJsonSchema({**_reference(encoding=_ENCODING), "x-type": "secret, encoding"})
]
ExistingFile = Annotated[Path, PlainValidator(existing_file), WithJsonSchema({"type": "string", "x-type": "path"})]
CaFile = Annotated[Path, PlainValidator(ca_file), WithJsonSchema({"type": "string", "x-type": "path"})]
