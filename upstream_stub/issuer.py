"""What an authorization server grants: its settings, its keys, its refresh token families. No HTTP here."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from upstream_stub import tokens
from upstream_stub.families import Families, InvalidGrant
from upstream_stub.faults import PLAIN, Twist
from upstream_stub.keys import Key, SigningKey
from upstream_stub.oauth import Client, OAuthError
from upstream_stub.tokens import TokenStyle

PASSWORD = "password"


def _default_clients() -> dict[str, str | None]:
    return {"gateway": "gateway-secret", "public": None}


@dataclass(eq=False)
class Issuer:
    """An authorization server without its endpoints. Every setting may be changed while it runs."""

    issuer: str = ""
    """The issuer identifier; ``AuthServer.serve`` fills it in once the port is known."""
    audience: str | list[str] = "api"
    algorithm: str = "RS256"
    access_lifetime: float = 5
    """Seconds."""
    refresh_lifetime: float = 86400
    """Seconds, of each refresh token from its own issue."""
    rotation: bool = True
    """Public clients rotate in any case (RFC 9700 §2.2.2)."""
    rotation_grace: float = 0
    """Seconds in which the previous refresh token gets *new* tokens too, as with Auth0 and Okta."""
    scope: str = "api"
    clients: dict[str, str | None] = field(default_factory=_default_clients)
    """Client id to secret; None registers a public client."""
    users: dict[str, str] | None = None
    """User to password; None: any user, with the password "password"."""
    style: TokenStyle = field(default_factory=TokenStyle)
    clock_offset: float = 0
    """Seconds by which this server's clock is ahead. Moving it forward lets tokens and graces expire."""
    metadata_changes: dict[str, Any] = field(default_factory=dict)
    """Members to add to the metadata or, as None, to leave out."""
    keys: list[SigningKey] = field(init=False)
    """The published keys; the first one signs."""
    families: Families = field(init=False, default_factory=Families)

    def __post_init__(self) -> None:
        self._key_index = 0
        self._revoked_access: set[str] = set()
        self.keys = [SigningKey.make(self.algorithm)]

    def now(self) -> float:
        """Unix seconds by this server's clock."""
        return time.time() + self.clock_offset

    @property
    def private_key(self) -> Key:
        """The key that signs; bytes where it is a shared secret."""
        return self.keys[0].key

    @property
    def public_pem(self) -> bytes:
        """The public half of the key that signs, as PEM."""
        return self.keys[0].public_pem()

    def rotate_keys(self, *, keep_old: bool = False) -> SigningKey:
        """Sign with a new key from now on; the old ones stay published only if ``keep_old``."""
        self._key_index += 1
        new = SigningKey.make(self.algorithm, self._key_index)
        self.keys = [new, *(self.keys if keep_old else [])]
        return new

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The published keys (RFC 7517 §5)."""
        return {"keys": [jwk for key in self.keys if (jwk := key.jwk()) is not None]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of an access token for alice (RFC 9068 §2.2), with ``changes``; None leaves one out."""
        issued = int(self.now())
        defaults = {
            "iss": self.issuer,
            "sub": "alice",
            "aud": self.audience,
            "exp": issued + self.access_lifetime,
            "iat": issued,
            "jti": secrets.token_urlsafe(12),
            "client_id": "gateway",
            "scope": self.scope,
        }
        merged = tokens.styled(defaults, self.style) | changes
        return {name: value for name, value in merged.items() if value is not None}

    def mint(
        self,
        *,
        headers: Mapping[str, Any] | None = None,
        key: Key | None = None,
        algorithm: str | None = None,
        **changes: Any,
    ) -> str:
        """Sign any claims (see ``claims``) with any header, key and algorithm: for attacks.

        ``headers`` may contradict ``algorithm``, and an HMAC takes any bytes, such as a public key's PEM.
        """
        claims = self.claims(**changes)
        return tokens.write(claims, self.keys[0], self.style, headers=headers, key=key, algorithm=algorithm)

    def read_access_token(self, token: str) -> dict[str, Any] | None:
        """The claims of an access token of ours that is in force by its own words; None for any other."""
        claims = tokens.read(token, self.keys, self.style)
        if claims is None or claims.get("iss") != self.issuer:
            return None
        expires_at = claims.get("exp")
        return claims if isinstance(expires_at, int | float) and expires_at > self.now() else None

    def accepts(self, token: str) -> bool:
        """Whether an API that verifies tokens by itself lets this one in: signature, issuer, audience, expiry."""
        claims = self.read_access_token(token)
        return claims is not None and bool(_set(claims.get("aud")) & _set(self.audience))

    def login(
        self, username: str, lifetime: float | None = None, *, client_id: str = "gateway", scope: str | None = None
    ) -> tuple[str, str]:
        """An access token, valid for ``lifetime`` seconds (negative: expired), and its refresh token. No HTTP."""
        family, refresh_token = self.families.open(
            username, client_id, scope or self.scope, self.now(), self.refresh_lifetime
        )
        twist = Twist(lifetime=lifetime)
        return self._access_token(username, client_id, family.scope, family.id, twist), refresh_token

    def checks_password(self, username: str, password: str) -> bool:
        """Whether this is a user and their password."""
        expected = PASSWORD if self.users is None else self.users.get(username)
        return bool(username) and expected == password

    def grant_login(self, client: Client, username: str, scope: str | None) -> dict[str, Any]:
        """The token response to a login.

        Raises:
            OAuthError: ``invalid_scope``.
        """
        granted = _narrowed(scope, self.scope)
        access, refresh_token = self.login(username, client_id=client.id, scope=granted)
        return self._response(access, granted, self.access_lifetime) | {"refresh_token": refresh_token}

    def grant_refresh(
        self,
        client: Client,
        refresh_token: str,
        scope: str | None = None,
        twist: Twist = PLAIN,
        *,
        rotate: bool = True,
    ) -> dict[str, Any]:
        """The token response to a refresh (RFC 6749 §6). A new refresh token keeps the family's whole scope.

        Raises:
            OAuthError: ``invalid_grant`` or ``invalid_scope``; then nothing was rotated.
        """
        now = self.now()
        try:
            known = self.families.check(refresh_token, client.id, now, self.rotation_grace)
        except InvalidGrant as refusal:
            raise OAuthError("invalid_grant", str(refusal)) from None
        family = known.family
        granted = _narrowed(scope, family.scope)
        access = self._access_token(family.subject, client.id, granted, family.id, twist)
        lifetime = twist.lifetime if twist.lifetime and twist.lifetime > 0 else self.access_lifetime
        response = self._response(access, granted, lifetime)
        if rotate and not twist.keep_refresh_token and (self.rotation or client.public):
            response["refresh_token"] = self.families.rotate(known, now, self.refresh_lifetime)
        if "openid" in granted.split():
            response["id_token"] = self._id_token(family.subject, client.id)
        merged = response | dict(twist.response)
        return {name: value for name, value in merged.items() if value is not None}

    def revoke_access_token(self, claims: Mapping[str, Any]) -> None:
        """Make introspection call this access token inactive."""
        self._revoked_access.add(claims["jti"])

    def access_token_revoked(self, claims: Mapping[str, Any]) -> bool:
        """Whether the token itself or its whole family was revoked."""
        family = self.families.family(claims.get("sid", ""))
        return claims.get("jti") in self._revoked_access or (family is not None and family.revoked)

    def _access_token(self, subject: str, client_id: str, scope: str, sid: str, twist: Twist) -> str:
        lifetime = self.access_lifetime if twist.lifetime is None else twist.lifetime
        now = self.now()
        issued = now if lifetime > 0 else now + lifetime - self.access_lifetime
        times = {"iat": int(issued), "exp": int(now) + lifetime}
        own = {"sub": subject, "client_id": client_id, "scope": scope, "sid": sid, **times}
        return self.mint(**tokens.styled(own | dict(twist.claims), self.style))

    def _response(self, access_token: str, scope: str, lifetime: float) -> dict[str, Any]:
        return {"access_token": access_token, "token_type": "Bearer", "expires_in": lifetime, "scope": scope}

    def _id_token(self, subject: str, client_id: str) -> str:
        claims = {"iss": self.issuer, "sub": subject, "aud": client_id}
        times = {"iat": int(self.now()), "exp": int(self.now()) + self.access_lifetime}
        return tokens.write(claims | times, self.keys[0], TokenStyle(typ="JWT"))


def _set(audience: object) -> set[str]:
    return {audience} if isinstance(audience, str) else set(audience) if isinstance(audience, list) else set()


def _narrowed(asked: str | None, allowed: str) -> str:
    """The scope that is granted: never more than was granted before (RFC 6749 §6)."""
    if asked is None:
        return allowed
    if not set(asked.split()) <= set(allowed.split()):
        raise OAuthError("invalid_scope", "the scope exceeds what was granted")
    return asked
