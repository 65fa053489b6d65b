"""What request methods promise (RFC 9110 §9.2)."""

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""§9.2.2: a request lost on a stale connection may be sent again (B16), so its body is kept."""
