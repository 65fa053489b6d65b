"""The gateway's own answers as bytes."""

import json

import pytest

from gateway.core import errors
from gateway.edge.problems import Problems


def rendered(problem, envelope="problem", realm="gateway", scheme="Bearer"):
    headers, body = Problems(envelope, realm, scheme).render(problem, "id-1")
    return dict(headers), json.loads(body)


def test_a_problem_has_the_members_of_rfc_9457_and_ours():
    fields, body = rendered(errors.NOT_FOUND)
    assert body == {
        "type": "urn:evergreen:problem:not_found",
        "title": "Not found",
        "status": 404,
        "detail": errors.NOT_FOUND.detail,
        "code": "not_found",
        "request_id": "id-1",
    }
    assert fields[b"content-type"] == b"application/problem+json"
    assert fields[b"cache-control"] == b"no-store"


def test_a_reason_is_a_member_of_its_own():
    """R10: ``answer_lost``, for machines."""
    _, body = rendered(errors.REFRESH_REJECTED.because("Lost.", reason="answer_lost"))
    assert (body["reason"], body["detail"]) == ("answer_lost", "Lost.")


def test_the_length_is_that_of_the_bytes():
    headers, body = Problems("problem", "g", "Bearer").render(errors.NOT_FOUND.because("naïve café"), "x")
    assert dict(headers)[b"content-length"] == str(len(body)).encode()


def test_the_other_envelope():
    fields, body = rendered(errors.EXPIRED_TOKEN, envelope="result")
    assert body == {"code": 401, "message": f"expired_token: {errors.EXPIRED_TOKEN.detail}", "data": None}
    assert fields[b"content-type"] == b"application/json"


@pytest.mark.parametrize(
    ("problem", "scheme", "challenge"),
    [
        (errors.MISSING_TOKEN, "Bearer", b'Bearer realm="shop"'),
        (errors.INVALID_TOKEN, "Bearer", b'Bearer realm="shop", error="invalid_token"'),
        (errors.INVALID_TOKEN, "", b'Bearer realm="shop", error="invalid_token"'),
        (errors.MISSING_TOKEN, "Token", b'Token realm="shop"'),
        (errors.refresh_required(401), "Bearer", b'Bearer realm="shop", error="invalid_token"'),
        (errors.refresh_required(511), "Bearer", None),
        (errors.OVERLOADED, "Bearer", None),
    ],
)
def test_every_401_has_a_challenge_and_nothing_else_has(problem, scheme, challenge):
    """RFC 9110 §15.5.2, RFC 6750 §3.1."""
    fields, _ = rendered(problem, realm="shop", scheme=scheme)
    assert fields.get(b"www-authenticate") == challenge


@pytest.mark.parametrize(
    ("seconds", "written"), [(None, None), (0, b"1"), (0.2, b"1"), (1, b"1"), (1.01, b"2"), (60, b"60")]
)
def test_retry_after_is_whole_seconds_and_never_too_early(seconds, written):
    """RFC 9110 §10.2.3."""
    fields, _ = rendered(errors.NOT_FOUND.retry(seconds))
    assert fields.get(b"retry-after") == written


def test_no_text_of_ours_names_a_thing_of_the_operators():
    """CONTRACT §5: a detail says what to do; every problem has one, and a code of its own."""
    problems = [value for value in vars(errors).values() if isinstance(value, errors.Problem)]
    assert len({p.code for p in problems}) == len(problems) > 20
    for problem in problems:
        assert problem.detail.endswith(".")
        assert "http://" not in problem.detail
