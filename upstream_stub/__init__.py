"""An API and an OAuth 2.0 authorization server to run, demo and test the gateway against.

They know nothing of the gateway: they follow RFC 6749, 7009, 7662, 8414, 9068 and 9700, and misbehave only
where a fault was asked for. Run both with ``python -m upstream_stub``, or serve them in a test's own loop::

    auth = AuthServer()
    async with auth.serve() as auth_listener, Serving(Api(auth.accepts)) as api_listener:
        access, refresh = auth.login("alice")
"""

from upstream_stub.api import Api, ApiRequest
from upstream_stub.auth import AuthServer, TokenRequest
from upstream_stub.families import token_id
from upstream_stub.faults import Fault
from upstream_stub.serving import Serving
from upstream_stub.tokens import TokenStyle

__all__ = ["Api", "ApiRequest", "AuthServer", "Fault", "Serving", "TokenRequest", "TokenStyle", "token_id"]
