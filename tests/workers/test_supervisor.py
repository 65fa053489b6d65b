"""A parent and its workers, as processes: how they come, go and are replaced (CONTRACT §6, §8)."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.processes import ROOT

PATIENCE = 30.0


def launch(tmp_path, behaviour):
    words = [sys.executable, "-W", "error", "-m", "tests.workers.program", behaviour, str(tmp_path / "flag")]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    )


@contextmanager
def running(tmp_path, behaviour="serve"):
    """The parent once all workers are ready, and the port."""
    process = launch(tmp_path, behaviour)
    try:
        word, port = process.stdout.readline().split()
        assert word == "ready"
        yield process, int(port)
    finally:
        process.kill()
        process.communicate()


def asked(port) -> int:
    """The process id of the worker that answers."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        return int(client.makefile().readline())


def eventually(condition):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def both(port) -> set[int]:
    """All workers that answer, once they are two."""
    found: set[int] = set()
    eventually(lambda: found.add(asked(port)) or len(found) == 2)
    return found


def alive(pid) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def rest(process) -> list[str]:
    """What it says until its end."""
    return process.communicate(timeout=PATIENCE)[0].splitlines()


def test_it_is_ready_once_all_are_and_says_so_once(tmp_path):
    with running(tmp_path) as (process, port):
        assert len(both(port)) == 2
        process.terminate()
        assert sorted(rest(process)) == ["heard b's'", "heard b's'"]
        assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_everybody_is_one_order(tmp_path, number):
    """systemd signals every process of a service, a terminal every process of a job: that is not "at once"."""
    with running(tmp_path, "stubborn") as (process, port):
        workers = both(port)
        os.killpg(process.pid, number)
        assert process.stdout.readline() == process.stdout.readline() == "heard b's'\n"
        assert process.poll() is None
        assert all(alive(pid) for pid in workers)
        process.send_signal(number)
        assert rest(process) == ["heard b'i'"] * 2
        assert process.returncode == 0


def test_workers_that_hear_nothing_hold_nobody_up_who_insists(tmp_path):
    """One that hangs would keep its parent, and whoever started that, for ever."""
    with running(tmp_path, "deaf") as (process, _):
        process.terminate()
        process.send_signal(signal.SIGINT)
        assert rest(process) == []
        assert process.returncode == 0


def test_a_worker_that_dies_is_replaced_and_the_other_serves_on(tmp_path):
    with running(tmp_path) as (process, port):
        victim, other = both(port)
        os.kill(victim, signal.SIGKILL)
        said = process.stdout.readline()
        assert said.startswith("notice worker_ended worker ")
        assert f"process {victim} was killed by signal 9; another one is started now" in said
        after = both(port)
        assert other in after
        assert victim not in after
        process.terminate()
        rest(process)
        assert process.returncode == 0


def test_one_that_dies_again_and_again_leaves_its_clients_to_the_others(tmp_path):
    """Nobody waits at the socket of a worker that is started later only."""
    with running(tmp_path, "patient") as (process, port):
        victim, other = both(port)
        for when in ("now", "in 30.0 s"):
            os.kill(victim, signal.SIGKILL)
            assert when in process.stdout.readline()
            if when == "now":
                (victim,) = both(port) - {other}
        assert {asked(port) for _ in range(20)} == {other}


def test_workers_end_with_their_parent(tmp_path):
    """No orphans: the port is free, and nobody spends tokens whom nobody supervises."""
    with running(tmp_path) as (process, port):
        workers = both(port)
        process.kill()
        eventually(lambda: not any(alive(pid) for pid in workers))
        with pytest.raises(ConnectionRefusedError):
            asked(port)


def test_a_reload_is_told_once(tmp_path):
    with running(tmp_path) as (process, port):
        workers = both(port)
        os.killpg(process.pid, signal.SIGHUP)
        assert process.stdout.readline().startswith("notice reload_not_supported ")
        assert both(port) == workers
        process.terminate()
        assert sorted(rest(process)) == ["heard b's'", "heard b's'"]


@pytest.mark.parametrize(("behaviour", "status"), [("cannot", 7), ("one-cannot", 7), ("raises", 1), ("killed", 1)])
def test_a_worker_that_cannot_start_ends_all_with_its_status(tmp_path, behaviour, status):
    process = launch(tmp_path, behaviour)
    said, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == status
    assert "ready" not in said
    assert ("on purpose" in errors) == (behaviour == "raises")
