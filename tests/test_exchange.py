"""One request through its states, with a line that notes what it is told to do."""

import pytest

from gateway.core import errors
from gateway.core.errors import ClientGone, GatewayError
from gateway.core.lifecycle import Alongside, Forward, Pass, Refresh, Refuse, UpstreamAnswer
from gateway.core.outcomes import Cause, Dead, Failed, Mismatched, Renewed
from gateway.core.policy import Policy
from gateway.core.secret import Secret
from gateway.core.tokens import Age, TokenSet
from gateway.exchange import drive
from tests.core.making import AT, NOW, access_token, living

OWN = access_token("own")
NEW = living("new", since=NOW - 900)
RENEWED = Renewed(TokenSet(NEW, Secret("rt2")), joined=False)
BUSY = Failed(errors.AUTH_SERVER_UNAVAILABLE)
OK = UpstreamAnswer(200, invalid_token=False)
REFUSED = UpstreamAnswer(401, invalid_token=True)


class Line:
    """Answers from a script; ``did`` is the transcript."""

    def __init__(self, *answers, outcome=RENEWED, replayable=True):
        self.answers = list(answers)
        self.found = outcome
        self.replayables = replayable if isinstance(replayable, list) else [replayable]
        self.did = []

    @property
    def replayable(self):
        return self.replayables[0] if len(self.replayables) == 1 else self.replayables.pop(0)

    async def send(self, token):
        self.did.append("send" if token is None else f"send {token.raw.reveal()}")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask(self):
        self.did.append("ask")

    async def outcome(self, state):
        self.did.append(f"wait in {type(state).__name__}")
        return self.found

    async def relay(self):
        self.did.append("relay")

    async def refuse(self, problem):
        self.did.append(f"refuse {problem.code}")


async def story(decision, line, now=AT[Age.HARD]):
    await drive(decision, line, lambda: now)
    return line.did


FORWARD = Forward(Policy(), OWN, has_refresh_token=True)
ALONGSIDE = Alongside(Policy(), OWN)
EXPIRED = Refresh(Policy(), OWN, Cause.EXPIRED)


async def test_a_request_without_credentials_goes_as_it_came():
    assert await story(Pass(), Line(OK)) == ["send", "relay"]


async def test_a_fresh_token_goes_straight_through():
    assert await story(FORWARD, Line(OK)) == ["send own", "relay"]


async def test_a_refusal_sends_nothing():
    """T1, O2"""
    assert await story(Refuse(errors.INVALID_TOKEN), Line()) == ["refuse invalid_token"]


async def test_an_expired_token_is_refreshed_and_then_the_request_is_sent():
    assert await story(EXPIRED, Line(OK), AT[Age.EXPIRED]) == ["ask", "wait in Refresh", "send new", "relay"]


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Dead(), "refresh_rejected"),
        (Mismatched(), "subject_mismatch"),
        (BUSY, "auth_server_unavailable"),
    ],
)
async def test_an_expired_token_without_successor_is_refused_unsent(outcome, code):
    """R1, R12, R13"""
    line = Line(outcome=outcome)
    assert await story(EXPIRED, line, AT[Age.EXPIRED]) == ["ask", "wait in Refresh", f"refuse {code}"]


async def test_a_token_that_still_lives_goes_on_without_the_refresh():
    """T11"""
    line = Line(OK, outcome=BUSY)
    assert await story(Refresh(Policy(), OWN, Cause.AHEAD), line) == ["ask", "wait in Refresh", "send own", "relay"]


async def test_a_refresh_alongside_is_asked_for_before_the_request_is_sent():
    """R23"""
    assert await story(ALONGSIDE, Line(OK)) == ["ask", "send own", "wait in Settle", "relay"]


async def test_a_refused_token_is_refreshed_and_the_request_replayed_once():
    """R18"""
    did = await story(FORWARD, Line(REFUSED, REFUSED))
    assert did == ["send own", "ask", "wait in Refresh", "send new", "relay"]


async def test_a_token_refused_alongside_waits_for_the_refresh_that_is_under_way():
    """R18: ``ask`` is asked again, and is the same one."""
    did = await story(ALONGSIDE, Line(REFUSED, OK))
    assert did == ["ask", "send own", "ask", "wait in Refresh", "send new", "relay"]


async def test_a_request_that_cannot_be_replayed_relays_its_401():
    """R18"""
    did = await story(FORWARD, Line(REFUSED, replayable=False))
    assert did == ["send own", "ask", "wait in Refresh", "relay"]


async def test_a_body_that_outgrew_its_room_during_the_refresh_is_not_replayed():
    """R18: what was kept at the 401 may have been let go by the end of the refresh."""
    did = await story(FORWARD, Line(REFUSED, replayable=[True, False]))
    assert did == ["send own", "ask", "wait in Refresh", "relay"]


async def test_without_new_tokens_the_apis_own_401_is_the_answer():
    """R18"""
    did = await story(FORWARD, Line(REFUSED, outcome=BUSY))
    assert did == ["send own", "ask", "wait in Refresh", "relay"]


@pytest.mark.parametrize("error", [errors.UpstreamUnreachable(), errors.UpstreamTimeout(), errors.Overloaded()])
@pytest.mark.parametrize("decision", [Pass(), FORWARD, EXPIRED])
async def test_an_upstream_that_fails_is_answered_for(decision, error):
    """B12, B13: new tokens go out with it, because ``refuse`` adds what ``outcome`` kept."""
    did = await story(decision, Line(error), AT[Age.EXPIRED])
    assert did[-1] == f"refuse {error.problem.code}"


async def test_an_upstream_that_fails_on_the_replay_is_answered_for():
    """B12"""
    did = await story(FORWARD, Line(REFUSED, errors.UpstreamTimeout()))
    assert did[-2:] == ["send new", "refuse upstream_timeout"]


async def test_an_upstream_that_fails_alongside_still_lets_the_new_tokens_out():
    """B12, R23"""
    did = await story(ALONGSIDE, Line(errors.UpstreamUnreachable()))
    assert did == ["ask", "send own", "wait in Settle", "refuse upstream_unreachable"]


async def test_a_client_that_left_is_not_answered():
    """B22"""
    line = Line(ClientGone())
    with pytest.raises(ClientGone):
        await story(FORWARD, line)
    assert line.did == ["send own"]


async def test_an_answer_that_breaks_off_is_not_followed_by_another():
    """P15"""

    class Breaking(Line):
        async def relay(self):
            await super().relay()
            raise GatewayError(errors.UPSTREAM_PROTOCOL_ERROR)

    line = Breaking(OK)
    with pytest.raises(GatewayError):
        await story(FORWARD, line)
    assert line.did == ["send own", "relay"]


async def test_a_bug_on_the_way_is_not_taken_for_an_answer():
    """O2: whoever drives fails closed."""
    line = Line(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await story(FORWARD, line)
    assert line.did == ["send own"]
