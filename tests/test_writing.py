"""Log lines on their way to a descriptor: together or at once, in order, and never at the gateway's cost."""

import asyncio
import fcntl
import os
import select
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gateway.writing import BATCH, DELAY, MOST, MOST_URGENT, LineWriter, Turns


def lost_line(lines: int) -> bytes:
    return b"lost %d\n" % lines


class Pipe:
    """A pipe with a writer at its one end."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self.lines = LineWriter(self.writing, lost_line)

    def read(self) -> bytes:
        """All that is in it now."""
        data = b""
        try:
            while chunk := os.read(self.reading, 1 << 20):
                data += chunk
        except BlockingIOError:
            pass
        return data

    async def comes(self) -> bytes:
        """The next that comes."""
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.reading, heard.set)
        async with asyncio.timeout(30):
            await heard.wait()
        loop.remove_reader(self.reading)
        return self.read()

    def fill(self) -> int:
        """Leave no room in it, as a reader that sleeps does; the bytes that it holds."""
        size = fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, 8192)
        os.write(self.writing, b"x" * size)
        return size

    def widen(self) -> None:
        """Let a reader read more at a time."""
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, 1 << 20)

    def close(self) -> None:
        for descriptor in (self.reading, self.writing):
            os.close(descriptor)


@pytest.fixture
def pipe():
    made = Pipe()
    yield made
    made.close()


async def test_lines_that_are_not_urgent_come_together_and_soon(pipe):
    pipe.lines.write(b"1\n", urgent=False)
    pipe.lines.write(b"2\n", urgent=False)
    assert pipe.read() == b""
    assert await pipe.comes() == b"1\n2\n"
    pipe.lines.write(b"3\n", urgent=False)
    assert pipe.read() == b""
    assert await pipe.comes() == b"3\n"


async def test_an_urgent_line_comes_at_once_after_those_before_it(pipe):
    pipe.lines.write(b"1\n", urgent=False)
    pipe.lines.write(b"2\n", urgent=True)
    assert pipe.read() == b"1\n2\n"
    pipe.lines.write(b"3\n", urgent=False)
    assert await pipe.comes() == b"3\n"


async def test_many_lines_do_not_wait_for_the_time(pipe):
    line = b"x" * 99 + b"\n"
    for _ in range(BATCH // len(line) + 1):
        assert pipe.read() == b""
        pipe.lines.write(line, urgent=False)
    assert len(pipe.read()) >= BATCH


def test_where_no_loop_runs_nothing_is_held_back(pipe):
    """Before the start and after the end."""
    pipe.lines.write(b"1\n", urgent=False)
    assert pipe.read() == b"1\n"


def test_what_a_loop_has_left_behind_is_written_at_the_end(pipe):
    async def one_line():
        pipe.lines.write(b"1\n", urgent=False)

    asyncio.run(one_line())
    assert pipe.read() == b""
    pipe.lines.close()
    assert pipe.read() == b"1\n"


def test_a_timer_whose_loop_has_ended_holds_nothing_back_for_ever(pipe):
    """A later line finds it overdue."""

    async def one_line(line: bytes) -> None:
        pipe.lines.write(line, urgent=False)

    asyncio.run(one_line(b"1\n"))
    deadline = threading.Event()
    deadline.wait(2 * DELAY)
    asyncio.run(one_line(b"2\n"))
    assert pipe.read() == b"1\n2\n"


async def test_a_reader_that_sleeps_delays_nobody_and_loses_nothing(pipe):
    """An operator's pager, a full journal: this test would hang if a write waited."""
    size = pipe.fill()
    pipe.lines.write(b"1\n", urgent=True)
    pipe.lines.write(b"2\n", urgent=False)
    pipe.lines.write(b"3\n", urgent=True)
    assert len(pipe.read()) == size
    assert await pipe.comes() == b"1\n2\n3\n"


async def test_the_room_that_there_is_is_used(pipe):
    """In whole lines, so that another writer's lines do not get between."""
    pipe.fill()
    line = b"x" * 999 + b"\n"
    for _ in range(20):
        pipe.lines.write(line, urgent=True)
    os.read(pipe.reading, select.PIPE_BUF)
    pipe.lines.flush()
    assert pipe.read().lstrip(b"x" + b"\n") == b""
    pipe.lines.flush()
    first = pipe.read()
    assert first
    assert first == line * (len(first) // 1000)
    assert len(first) % 1000 == 0


async def test_a_line_longer_than_the_pipe_takes_comes_in_pieces(pipe):
    long = b"y" * (3 * BATCH) + b"\n"
    pipe.lines.write(b"1\n", urgent=False)
    pipe.lines.write(long, urgent=True)
    pipe.lines.write(b"2\n", urgent=False)
    got = pipe.read()
    while not got.endswith(b"2\n"):
        got += await pipe.comes()
    assert got == b"1\n" + long + b"2\n"


async def test_what_may_wait_is_bounded_and_what_is_lost_is_told(pipe):
    """Lines of plain requests go first; a refusal or a refresh is kept sixteen times as long."""
    pipe.fill()
    plain, urgent = b"p" * 999 + b"\n", b"u" * 999 + b"\n"
    for _ in range(2 * MOST // 1000):
        pipe.lines.write(plain, urgent=False)
    for _ in range(100):
        pipe.lines.write(urgent, urgent=True)
    pipe.widen()
    got = pipe.read()
    while b"lost" not in got:
        got += await pipe.comes()
    kept = got.count(plain)
    assert MOST // 1000 <= kept <= MOST // 1000 + 2
    assert got.count(urgent) == 100
    assert got.endswith(b"lost %d\n" % (2 * MOST // 1000 - kept))
    pipe.lines.write(b"after\n", urgent=True)
    assert pipe.read() == b"after\n"


async def test_urgent_lines_are_bounded_too(pipe):
    pipe.fill()
    line = b"u" * (MOST - 1) + b"\n"
    for _ in range(20):
        pipe.lines.write(line, urgent=True)
    pipe.widen()
    got = pipe.read()
    while b"lost" not in got:
        got += await pipe.comes()
    assert got.count(line) == MOST_URGENT // MOST + 1
    assert got.endswith(b"lost 3\n")


def test_a_reader_that_is_gone_ends_nothing(pipe):
    """EPIPE: `gateway run 2>&1 | head`."""
    os.close(pipe.reading)
    for _ in range(3):
        pipe.lines.write(b"x\n", urgent=True)
    pipe.lines.close()
    pipe.reading = os.open(os.devnull, os.O_RDONLY)


def test_a_descriptor_that_is_closed_ends_nothing(pipe):
    """EBADF; and where one can be written to again, the loss is told."""
    number = pipe.writing
    elsewhere = os.dup(number)
    os.close(number)
    for _ in range(3):
        pipe.lines.write(b"x\n", urgent=True)
    os.dup2(elsewhere, number)
    os.close(elsewhere)
    pipe.lines.write(b"back\n", urgent=True)
    assert pipe.read() == b"back\nlost 3\n"


def test_a_disk_that_is_full_ends_nothing():
    """ENOSPC."""
    full = os.open("/dev/full", os.O_WRONLY)
    lines = LineWriter(full, lost_line)
    for _ in range(3):
        lines.write(b"x\n", urgent=True)
    lines.close()
    os.close(full)


async def test_a_descriptor_that_does_not_block_is_no_different(pipe):
    """EAGAIN: somebody has made it so, and another writer was quicker."""
    os.set_blocking(pipe.writing, False)
    size = pipe.fill()
    pipe.lines.write(b"1\n", urgent=True)
    assert len(pipe.read()) == size
    assert await pipe.comes() == b"1\n"


def test_the_end_waits_for_a_slow_reader_and_not_for_one_that_sleeps(pipe):
    size = pipe.fill()
    pipe.lines.write(b"last\n", urgent=True)
    got = []
    reader = threading.Thread(target=lambda: got.append(os.read(pipe.reading, size)))
    reader.start()
    pipe.lines.close()
    reader.join()
    assert got == [b"x" * size]
    assert pipe.read() == b"last\n"
    pipe.fill()
    pipe.lines.write(b"never\n", urgent=True)
    pipe.lines.close()
    assert b"never" not in pipe.read()


async def test_many_threads_lose_no_line(pipe):
    """A library may log from a thread of its own."""

    def write(name: int) -> None:
        for n in range(200):
            pipe.lines.write(b"%d %d\n" % (name, n), urgent=n % 3 == 0)

    await asyncio.gather(*(asyncio.to_thread(write, name) for name in range(4)))
    pipe.lines.close()
    got = pipe.read().decode().splitlines()
    assert sorted(got) == sorted(f"{name} {n}" for name in range(4) for n in range(200))


_FORKED = """
import os, sys
from gateway.writing import LineWriter, Turns
turns = Turns()
for name in "abc":
    if os.fork() == 0:
        lines = LineWriter(1, lambda n: b"lost\\n", turns)
        for size in range(1, 40):
            lines.write(name.encode() * size * 1000 + b"\\n", urgent=True)
            lines.close()
        os._exit(0)
for _ in "abc":
    os.wait()
"""


def test_processes_that_take_turns_tear_no_line_apart():
    """Lines that are longer than a pipe takes in one piece (PIPE_BUF)."""
    words = [sys.executable, "-W", "error", "-c", _FORKED]
    done = subprocess.run(words, cwd=Path(__file__).parent.parent, capture_output=True, timeout=60, check=True)
    lines = done.stdout.splitlines()
    expected = [name * size * 1000 for name in (b"a", b"b", b"c") for size in range(1, 40)]
    assert sorted(lines) == sorted(expected)


_DEAD = """
import os, signal
from gateway.writing import LineWriter, Turns
turns = Turns()
reading, writing = os.pipe()
if os.fork() == 0:
    lines = LineWriter(writing, lambda n: b"lost\\n", turns)
    lines.write(b"x" * 100_000 + b"\\n", urgent=True)
    assert lines._torn
    os.kill(os.getpid(), signal.SIGKILL)
os.wait()
os.read(reading, 1 << 20)
lines = LineWriter(writing, lambda n: b"lost\\n", turns)
lines.write(b"hello\\n", urgent=True)
assert os.read(reading, 1 << 20).endswith(b"hello\\n")
"""


def test_a_process_that_dies_in_the_middle_of_a_line_leaves_its_turn_to_the_others():
    words = [sys.executable, "-W", "error", "-c", _DEAD]
    subprocess.run(words, cwd=Path(__file__).parent.parent, timeout=60, check=True)


def test_where_there_is_no_memory_file_turns_are_taken_in_an_unnamed_one(monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    turns = Turns()
    assert turns.take()
    turns.give()
    os.close(turns._descriptor)
