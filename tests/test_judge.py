from gateway.core.secret import Secret
from gateway.core.tokens import AccessToken, KeysUnavailable, Obtained, Rejected, Windows
from gateway.judge import Judge
from tests.core.making import NOW, verified

WINDOWS = Windows(ahead=60, hard=5, leeway=0, max_expired_age=100)
AT = Secret("at")


class Verifier:
    """Judges as it is told, and remembers what it judged until its keys change."""

    def __init__(self, verdict=None):
        self.verdict = verdict or verified()
        self.asked = []
        self.memory = {}

    def remembered(self, token):
        return self.memory.get(token)

    async def verify(self, token, *, granted=False):
        self.asked.append(granted)
        if isinstance(self.verdict, Rejected | KeysUnavailable):
            return self.verdict
        return self.memory.setdefault(token.reveal(), self.verdict)


async def test_a_token_is_verified_once_and_looked_up_afterwards():
    judge = Judge(Verifier(), WINDOWS)
    assert judge.known("at") is None
    found = await judge.judge(AT)
    assert isinstance(found, AccessToken)
    assert found.schedule.ends_at == NOW + 3600
    assert judge.known("at") is found


async def test_once_the_keys_have_changed_a_known_token_is_unknown():
    """R22: its key may have left the set."""
    verifier = Verifier()
    judge = Judge(verifier, WINDOWS)
    old = await judge.judge(AT)
    verifier.memory.clear()
    assert judge.known("at") is None
    verifier.verdict = verified(key_retired=True)
    assert (await judge.judge(AT)).verified.key_retired
    assert judge.known("at") is not old


async def test_what_fails_is_told_and_not_remembered():
    for verdict in (Rejected("signature"), KeysUnavailable()):
        judge = Judge(Verifier(verdict), WINDOWS)
        assert await judge.judge(AT) is verdict
        assert judge.known("at") is None


async def test_a_grant_is_judged_like_any_other_and_remembered_as_ours():
    """R20, R21: also when a client presents it later."""
    verifier = Verifier()
    judge = Judge(verifier, WINDOWS)
    obtained = Obtained(NOW, 3600)
    assert (await judge.granted(AT, obtained)).obtained == obtained
    assert (await judge.judge(AT)).obtained == obtained
    assert judge.known("at").obtained == obtained
    assert verifier.asked == [True, False]


async def test_that_a_grant_is_ours_is_known_even_while_the_keys_are_not():
    """R2, R21"""
    verifier = Verifier(KeysUnavailable())
    judge = Judge(verifier, WINDOWS)
    await judge.granted(AT, Obtained(NOW, None))
    verifier.verdict = verified()
    assert (await judge.judge(AT)).obtained == Obtained(NOW, None)


async def test_a_grant_that_no_route_accepts_is_rejected():
    """R2, T9"""
    judge = Judge(Verifier(), WINDOWS, frozenset({"other"}))
    assert isinstance(await judge.granted(AT, Obtained(NOW, None)), Rejected)
    assert isinstance(await judge.judge(AT), AccessToken)
    open_to_all = Judge(Verifier(), WINDOWS, frozenset({"api", "other"}))
    assert isinstance(await open_to_all.granted(AT, Obtained(NOW, None)), AccessToken)


async def test_a_grant_inside_its_window_is_not_to_be_refreshed_again():
    """R20"""
    judge = Judge(Verifier(), WINDOWS)
    found = await judge.granted(AT, Obtained(NOW + 3590, None))
    assert found.schedule.hard_at == found.schedule.ends_at


async def test_both_memories_are_bounded():
    """D6"""
    judge = Judge(Verifier(), WINDOWS, limit=100)
    for n in range(2000):
        await judge.granted(Secret(str(n)), Obtained(NOW, None))
    assert (len(judge._known), len(judge._obtained)) == (100, 1000)
