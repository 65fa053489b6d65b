from gateway.core.methods import IDEMPOTENT


def test_what_may_be_sent_again_without_asking():
    """B16: RFC 9110 §9.2.2"""
    assert IDEMPOTENT.isdisjoint({"POST", "PATCH", "CONNECT"})
    assert {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"} <= IDEMPOTENT
