"""The gateway's own HTTP/1.1 client."""

from gateway.upstream.body import BodySource
from gateway.upstream.client import Upstream, UpstreamRequest
from gateway.upstream.fresh import FreshConnections
from gateway.upstream.response import UpstreamResponse
from gateway.upstream.settings import UpstreamSettings

__all__ = ["BodySource", "FreshConnections", "Upstream", "UpstreamRequest", "UpstreamResponse", "UpstreamSettings"]
