import pytest

from gateway.core import errors
from gateway.core.errors import Problem

PROBLEMS = {value.code: value for value in vars(errors).values() if isinstance(value, Problem)}

# CONTRACT §5; 426: RFC 6455 §4.4
TABLE = {
    400: {"bad_request", "ambiguous_path", "ambiguous_credentials"},
    401: {"missing_token", "invalid_token", "expired_token", "refresh_rejected", "subject_mismatch"},
    404: {"not_found"},
    408: {"request_timeout"},
    413: {"body_too_large"},
    414: {"target_too_long"},
    426: {"websocket_version"},
    429: {"rate_limited"},
    431: {"headers_too_large"},
    500: {"internal_error"},
    501: {"method_not_supported"},
    502: {"upstream_unreachable", "upstream_protocol_error"},
    503: {"auth_server_unavailable", "auth_server_misconfigured", "overloaded", "store_unavailable"},
    504: {"upstream_timeout"},
    508: {"loop_detected"},
    511: {"refresh_required"},
}


def test_every_answer_of_the_contract_has_its_status():
    found = {}
    for problem in PROBLEMS.values():
        found.setdefault(problem.status, set()).add(problem.code)
    assert found == TABLE


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_every_detail_tells_a_person_what_to_do(problem):
    """CONTRACT §5: sentences, the last of which says what to do next."""
    assert problem.title
    assert problem.detail.count(".") + problem.detail.count(";") >= 1
    assert problem.detail.endswith(".")


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_a_passing_trouble_says_when_to_come_back(problem):
    """R13: 429 and 503 carry Retry-After."""
    assert (problem.retry_after is not None) == (problem.status in (429, 503))


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_a_challenge_blames_the_token_only_where_one_was_presented(problem):
    """CONTRACT §5: RFC 6750 §3.1"""
    assert problem.token_presented == (problem.status == 401 and problem.code != "missing_token")


def test_a_problem_can_be_made_more_exact():
    exact = errors.REFRESH_REJECTED.because("Lost. Sign in again.", reason="answer_lost")
    assert (exact.detail, exact.reason, exact.code) == ("Lost. Sign in again.", "answer_lost", "refresh_rejected")
    assert exact.because("Again.").reason == "answer_lost"
    assert errors.OVERLOADED.retry(7).retry_after == 7


@pytest.mark.parametrize(("status", "presented"), [(511, False), (401, True), (499, False)])
def test_the_signal_is_a_challenge_only_as_a_401(status, presented):
    found = errors.refresh_required(status)
    assert (found.status, found.code, found.token_presented) == (status, "refresh_required", presented)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UpstreamUnreachable(), "upstream_unreachable"),
        (errors.UpstreamProtocolError(), "upstream_protocol_error"),
        (errors.UpstreamTimeout(), "upstream_timeout"),
        (errors.Overloaded(), "overloaded"),
        (errors.GatewayError(errors.LOOP_DETECTED), "loop_detected"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_exception_carries_its_answer(error, code):
    assert error.problem.code == str(error) == code


def test_whether_bytes_went_out_is_known():
    """B16"""
    assert not errors.UpstreamUnreachable().sent
    assert errors.UpstreamUnreachable(sent=True).sent
