"""Where the client's tokens travel: ``[credentials]``."""

from typing import Annotated, Literal

from gateway.config.names import FieldName, Scheme
from gateway.config.scalars import Section, default, one_of


class Credentials(Section):
    """Where the client sends its tokens and receives new ones."""

    mode: Annotated[Literal["header"], one_of("header", later=("cookie", "session"))] = default("header")
    """Only `header`. Cookies and sessions are not built yet."""
    access: FieldName = default("Authorization")
    """The request header that carries the access token."""
    scheme: Scheme = default("Bearer")
    """The scheme before the token. `""`: the bare token; only where `access` is not Authorization."""
    refresh: FieldName = default("X-Refresh-Token")
    """The request header that carries the refresh token; never forwarded."""
    access_token: FieldName = default("X-Access-Token")
    """The response header of a new access token."""
    refresh_token: FieldName = default("X-Refresh-Token")
    """The response header of a new refresh token."""
    expires_at: FieldName = default("X-Access-Token-Expires-At")
    """The response header of the new access token's end, in Unix milliseconds."""
    refreshed: FieldName = default("X-Token-Refreshed")
    """The response header that says why there are new tokens: `joined`, `rejected`, `expired` or `ahead`."""
