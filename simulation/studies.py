"""Which runs are made, and what they are to show."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from simulation.run import Scenario
from simulation.users import Habits
from simulation.weather import FAIR, ROUGH, SLOW_AUTH, Delay

_CORRECT = ("spurious_logouts", "unlabelled_logouts", "answer_lost_logouts", "reuses", "at_once")
_WAITS = ("wait_p50", "wait_p99", "wait_most")

QUICK_USERS, QUICK_SECONDS = 200, 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A table: one run for each row."""

    id: str
    title: str
    about: str
    columns: tuple[str, ...]
    """Names of ``Figures``."""
    rows: tuple[tuple[str, Scenario], ...]

    def shortened(self) -> "Study":
        """Seconds instead of minutes. The sizes of fleets stay."""
        return replace(self, rows=tuple((label, _shortened(scenario)) for label, scenario in self.rows))


def _shortened(scenario: Scenario) -> Scenario:
    users, seconds = min(scenario.users, QUICK_USERS), min(scenario.seconds, QUICK_SECONDS)
    return replace(scenario, users=users, seconds=seconds)


def _replicas(count: int) -> str:
    return f"{count} replica{'s' * (count > 1)}"


def _size(replicas: int, users: int, seconds: float) -> tuple[str, Scenario]:
    label = f"{_replicas(replicas)}, {users:,} users"
    return label, Scenario(replicas=replicas, users=users, seconds=seconds)


SIZES = Study(
    id="sizes",
    title="Sizes of fleets",
    about="With the shipped defaults, in rough weather.",
    columns=(
        "refreshes",
        *_CORRECT,
        "foreign_tokens",
        "token_requests_per_refresh",
        "auth_rate",
        "auth_peak",
    ),
    rows=(
        _size(1, 1_000, 600),
        _size(3, 1_000, 600),
        _size(10, 10_000, 300),
        _size(50, 10_000, 300),
        _size(200, 10_000, 300),
        _size(200, 100_000, 100),
    ),
)

LOADS = Study(
    id="loads",
    title="What the store does, and how long requests wait",
    about="The same runs.",
    columns=(
        "requests",
        "store_rate",
        "store_peak",
        "claims_per_request",
        "commands_per_refresh",
        *_WAITS,
        "refused",
    ),
    rows=SIZES.rows,
)

_LOCKED = Scenario(replicas=200, users=2_500, seconds=600)


def _lock(label: str, lease: float, without: str = "") -> tuple[str, Scenario]:
    return label, replace(_LOCKED, settings=(("lease", lease),), without=without)


LOCKS = Study(
    id="locks",
    title="What keeps sessions alive",
    about="200 replicas and 2,500 users in rough weather, with parts of the design left out.",
    columns=("refreshes", *_CORRECT, "token_requests_per_refresh", "wait_p99"),
    rows=(
        ("as shipped", _LOCKED),
        _lock("lease of 2 s", 2.0),
        _lock("lease of 2 s, no renewal", 2.0, "no renewal"),
        _lock("lease of 2 s, no journal", 2.0, "no journal"),
        _lock("as shipped, no journal", 6.0, "no journal"),
        _lock("a plain lock of 2 s", 2.0, "plain lock"),
        _lock("a plain lock of 5 s", 5.0, "plain lock"),
        _lock("a plain lock of 30 s", 30.0, "plain lock"),
    ),
)

_TRIED = Scenario(replicas=20, users=1_000, seconds=600, weather=FAIR)


def _only(label: str, **mishap: float | Delay) -> tuple[str, Scenario]:
    return label, replace(_TRIED, weather=replace(FAIR, **mishap))  # type: ignore[arg-type]  # Weather's own fields


MISHAPS = Study(
    id="mishaps",
    title="One mishap at a time",
    about="20 replicas and 1,000 users with the shipped defaults; everything else works.",
    columns=("refreshes", *_CORRECT, "token_requests_per_refresh", *_WAITS, "refused"),
    rows=(
        ("none", _TRIED),
        ("one answer in fifty takes 2 to 12 s", replace(_TRIED, weather=SLOW_AUTH)),
        _only("a token request in twenty is answered 5xx", auth_5xx=0.05),
        _only("an answer in a hundred is lost", auth_lost=0.01),
        _only("a replica is killed every second", crashes=1.0, auth=Delay(usual=0.5)),
        _only("the store stops for 2 s, twice a minute", store_pauses=30.0),
        _only("a store command in fifty times out", store_lost=0.02),
        _only("all news is lost", news_lost=1.0),
        _only("a gateway's answer in ten is lost", client_lost=0.1),
        _only("the store restarts empty once a minute", store_restarts=60.0),
    ),
)

_STALLED = replace(ROUGH, auth=Delay(usual=1.0, slow=0.05, tail=(3.0, 15.0)), crashes=1.0, store_pauses=20.0)

LEASES = Study(
    id="leases",
    title="The lease",
    about="20 replicas and 1,000 users; a replica is killed every second, the store stops for 2 s three times a "
    "minute, the authorization server takes a second and often more.",
    columns=(*_CORRECT, "leases_lost", "takeovers", "renewals_per_refresh", "wait_mean", "wait_p99", "refused"),
    rows=tuple(
        (f"{lease:g} s", replace(_TRIED, weather=_STALLED, settings=(("lease", lease),)))
        for lease in (1.0, 2.0, 4.0, 6.0, 9.0, 15.0, 30.0)
    ),
)


def _polls() -> Iterator[tuple[str, Scenario]]:
    for lost, (poll, most) in product((0.0, 1.0), ((0.05, 0.2), (0.1, 0.5), (0.25, 1.0), (0.5, 2.0), (1.0, 4.0))):
        weather = replace(FAIR, news_lost=lost)
        label = f"{poll:g} to {most:g} s, {'no news' if lost else 'news'}"
        yield label, replace(_TRIED, weather=weather, settings=(("poll", poll), ("poll_most", most)))


POLLS = Study(
    id="polls",
    title="The poll",
    about="20 replicas and 1,000 users, with pub/sub that works or does not.",
    columns=("commands_per_refresh", "store_peak", "wait_mean", *_WAITS),
    rows=tuple(_polls()),
)

JITTERS = Study(
    id="jitters",
    title="The herd, and the jitter of `ahead`",
    about="20 replicas and 4,000 users who have all signed in within five seconds, and then come every five.",
    columns=("refreshes", "auth_rate", "auth_peak", "store_peak", "blocked", *_WAITS),
    rows=tuple(
        (
            f"{jitter:.0%}",
            Scenario(
                replicas=20,
                users=4_000,
                seconds=130,
                lifetime=120.0,
                weather=FAIR,
                jitter=jitter,
                habits=Habits(herd=5.0, think=5.0, burst=1),
            ),
        )
        for jitter in (0.0, 0.1, 0.2, 0.35, 0.5, 1.0)
    ),
)

WINDOWS = Study(
    id="windows",
    title="The window: `ahead`",
    about="20 replicas and 1,000 users with tokens of ten minutes; the authorization server is slow now and then.",
    columns=("refreshes", "waiting", "blocked", "wait_mean", *_WAITS, "refused"),
    rows=tuple(
        (f"{ahead:g} s", replace(_TRIED, weather=SLOW_AUTH, ahead=ahead, lifetime=600.0, seconds=600.0))
        for ahead in (0.0, 5.0, 15.0, 30.0, 60.0, 120.0, 240.0)
    ),
)

TRAFFIC = Study(
    id="traffic",
    title="How store traffic grows",
    about="1,000 users, everything works. A page loads so many parts at once, each from any replica.",
    columns=(
        "refreshes",
        "requests_per_refresh",
        "claims_per_request",
        "commands_per_refresh",
        "waits_per_refresh",
    ),
    rows=tuple(
        (
            f"{_replicas(replicas)}, {burst} at once",
            Scenario(replicas=replicas, users=1_000, seconds=300, weather=FAIR, habits=Habits(burst=burst)),
        )
        for replicas, burst in (
            (1, 1),
            (1, 4),
            (3, 1),
            (3, 4),
            (20, 1),
            (20, 4),
            (200, 1),
            (200, 2),
            (200, 4),
            (200, 8),
        )
    ),
)

ALL = (SIZES, LOADS, LOCKS, MISHAPS, LEASES, POLLS, JITTERS, WINDOWS, TRAFFIC)
