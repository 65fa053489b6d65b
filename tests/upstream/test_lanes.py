"""The shares of the routes of one upstream, without any connection."""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Overloaded
from gateway.upstream.lanes import Lanes


@pytest.fixture
def loop():
    with asyncio.Runner() as runner:
        yield runner.get_loop()


def lanes_of(places: int, lanes: int, *, seats: int = 100, **limits: int) -> Lanes:
    return Lanes(places, seats, {number: limits.get(f"lane{number}") for number in range(lanes)})


def fill(lanes: Lanes, number: int) -> int:
    """Take what is open to a lane, and count it."""
    taken = 0
    while lanes.open_to(lanes[number]):
        lanes.take(lanes[number])
        taken += 1
    return taken


@pytest.mark.parametrize(
    ("places", "lanes", "taken"),
    [
        (256, 1, [256]),
        (256, 2, [192, 64]),
        (256, 3, [192, 32, 32]),
        (8, 3, [6, 1, 1]),
        (4, 2, [3, 1]),
        (3, 2, [2, 1]),
        (2, 2, [1, 1]),
        (2, 3, [1, 1, 0]),
        (1, 1, [1]),
        (1, 2, [1, 0]),
    ],
)
def test_no_lane_takes_all_and_each_finds_what_it_is_sure_of(places, lanes, taken):
    """D5: the first comer takes what it can, then the next."""
    shared = lanes_of(places, lanes)
    assert [fill(shared, number) for number in range(lanes)] == taken
    assert shared.taken == sum(taken)


def test_many_greedy_lanes_leave_a_place_for_each_of_the_others():
    """D5: sixty lanes of 256 places are each sure of one, whoever came before."""
    shared = lanes_of(256, 60)
    for number in range(30):
        fill(shared, number)
    for number in range(30, 60):
        assert fill(shared, number) == 1


def test_more_lanes_than_can_be_sure_of_a_place_still_do_not_starve_each_other_by_one():
    """D5: ten thousand routes; one of them hangs."""
    shared = lanes_of(256, 10_000)
    assert fill(shared, 7) == 192
    assert shared.open_to(shared[8])


def test_a_limit_of_its_own_holds_and_the_rest_is_free_for_others():
    """D5: routes.max_connections"""
    shared = lanes_of(256, 2, lane1=2)
    assert fill(shared, 1) == 2
    assert fill(shared, 0) == 192
    shared = lanes_of(256, 2, lane1=2)
    assert fill(shared, 0) == 192
    assert fill(shared, 1) == 2


def test_a_limit_as_large_as_all_does_not_take_what_others_are_sure_of():
    """D5"""
    shared = lanes_of(256, 2, lane1=256)
    assert fill(shared, 1) == 192
    assert fill(shared, 0) == 64


def test_the_queue_is_shared_in_the_same_way(loop):
    """D5: a lane that waits too long a time does not fill the others' seats."""
    shared = lanes_of(1, 2, seats=8)
    shared.take(shared[0])
    for _ in range(6):
        shared.queue(shared[0], loop.create_future())
    with pytest.raises(Overloaded):
        shared.queue(shared[0], loop.create_future())
    for _ in range(2):
        shared.queue(shared[1], loop.create_future())
    with pytest.raises(Overloaded):
        shared.queue(shared[1], loop.create_future())
    assert shared.waiting == 8


def test_no_seats_means_no_waiting(loop):
    """D5: max_waiting = 0."""
    for shared in (lanes_of(1, 1, seats=0), lanes_of(1, 3, seats=0)):
        with pytest.raises(Overloaded):
            shared.queue(shared[0], loop.create_future())


def test_a_free_place_goes_to_the_lanes_in_turn(loop):
    """D5: however many of one of them wait."""
    shared = lanes_of(12, 3)
    owners = [number for number in range(3) for _ in range(4)]
    for number in owners:
        shared.take(shared[number])
    asked = {loop.create_future(): number for number in (0, 0, 0, 0, 0, 0, 1, 2)}
    for turn, number in asked.items():
        shared.queue(shared[number], turn)
    served = []
    for _ in range(8):
        shared.give(shared[0] if len(served) % 2 else shared[1])
        _, turn = shared.next()
        turn.set_result(None)
        served.append(asked[turn])
    assert set(served[:3]) == {0, 1, 2}
    assert served[3:] == [0] * 5


def test_a_lane_below_what_it_is_sure_of_goes_first(loop):
    """D5: its own place, that it has just given back, is for its own next request, not for whoever holds more."""
    shared = lanes_of(8, 3)
    for number in (0, 0, 0, 0, 0, 2, 2, 1):
        assert shared.open_to(shared[number])
        shared.take(shared[number])
    turns = {number: loop.create_future() for number in (2, 1)}
    for number, turn in turns.items():
        shared.queue(shared[number], turn)
    shared.give(shared[1])
    assert shared.next() == (shared[1], turns[1])
    shared.give(shared[0])
    assert shared.next() == (shared[2], turns[2])


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["ask", "give", "leave", "cancel"]), st.integers(0, 3), st.integers(0, 9)),
    max_size=120,
)


@dataclass
class Model:
    """The plain reading of the rules, in linear time."""

    lanes: Lanes
    loop: asyncio.AbstractEventLoop
    held: Counter = field(default_factory=Counter)
    waiting: dict[int, deque] = field(default_factory=lambda: {n: deque() for n in range(4)})

    def ask(self, number: int, _: int) -> None:
        lane = self.lanes[number]
        if self.lanes.open_to(lane):
            assert not [t for t in self.waiting[number] if not t.done()], "nobody is overtaken"
            self.lanes.take(lane)
            self.held[number] += 1
            return
        turn = self.loop.create_future()
        try:
            self.lanes.queue(lane, turn)
        except Overloaded:
            return
        self.waiting[number].append(turn)

    def give(self, number: int, _: int) -> None:
        if self.held[number]:
            self.held[number] -= 1
            self.lanes.give(self.lanes[number])
            self.serve()

    def serve(self) -> None:
        following = self.lanes.next()
        if following is None:
            return
        lane, turn = following
        number = next(n for n in range(4) if self.lanes[n] is lane)
        queue = self.waiting[number]
        while queue[0].done():
            queue.popleft()
        assert queue.popleft() is turn, "first come, first served"
        turn.set_result(None)
        self.held[number] += 1

    def leave(self, number: int, which: int) -> None:
        """Cancelled, and gone from the queue."""
        queue = self.waiting[number]
        if queue:
            turn = queue[which % len(queue)]
            queue.remove(turn)
            turn.cancel()
            self.lanes.unqueue(self.lanes[number], turn)

    def cancel(self, number: int, which: int) -> None:
        """Cancelled, but the task that waits has not run yet."""
        queue = self.waiting[number]
        if queue:
            queue[which % len(queue)].cancel()

    def check(self, places: int) -> None:
        assert self.lanes.taken == sum(self.held.values()) <= places
        for number, queue in self.waiting.items():
            lane = self.lanes[number]
            if any(not turn.done() for turn in queue):
                assert not self.lanes.open_to(lane), "who may have a place has it"
            if self.lanes.taken < places and self.held[number] == 0 and places >= 16:
                assert self.lanes.open_to(lane), "nobody starves"
        if places >= 16:
            assert max(self.held.values(), default=0) <= places * 3 // 4


@given(st.integers(1, 24), st.integers(0, 12), OPERATIONS)
def test_whatever_happens_nobody_starves_is_overtaken_or_forgotten(places, seats, operations):
    """D5"""
    with asyncio.Runner() as runner:
        model = Model(Lanes(places, seats, dict.fromkeys(range(4))), runner.get_loop())
        for name, number, which in operations:
            getattr(model, name)(number, which)
            model.check(places)
        for number in range(4):
            for turn in model.waiting[number]:
                turn.cancel()
                model.lanes.unqueue(model.lanes[number], turn)
            while model.held[number]:
                model.give(number, 0)
        assert (model.lanes.taken, model.lanes.waiting, model.lanes.next()) == (0, 0, None)
        assert fill(model.lanes, 0) == (places - max(places // 4, 1) if places > 1 else 1)
