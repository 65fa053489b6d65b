"""``[server] workers``: several processes behind one address, which clients take for one gateway (CONTRACT §6, §8)."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.processes import ROOT
from tests.fleet.support import fleet, is_one_refresh, sealed, until
from tests.house import config_text, defaults
from tests.redis_servers import redis_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONNECTIONS = 64


@pytest.fixture(scope="module")
def redis():
    with redis_server() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(tmp_path_factory, redis):
    server = {"workers": 2, "shutdown_timeout": "30s", "idle_timeout": "60s"}
    async with fleet(tmp_path_factory.mktemp("workers"), sealed(redis.url), count=1, server=server) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def made(started):
    """One gateway of two workers, both of them young."""
    started.forget()
    (gateway,) = started.replicas
    if gateway.process is None or gateway.process.returncode is not None:
        gateway.port = 0
        await gateway.start()
    return started


def sockets(pid) -> int:
    """How many a process has open."""
    links = Path(f"/proc/{pid}/fd").iterdir()
    found = 0
    for link in links:
        with suppress(OSError):  # closed meanwhile
            found += str(link.readlink()).startswith("socket:")
    return found


def listening(port) -> int:
    """How many sockets do, on a port (/proc/net/tcp)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return sum(line[1].endswith(f":{port:04X}") and line[3] == "0A" for line in lines)


def alive(pid) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_clients_are_divided_and_all_are_one_gateway(made):
    """Connections reach every worker; a refresh is made once; ``Via`` has one name."""
    (gateway,) = made.replicas
    before = {pid: sockets(pid) for pid in gateway.workers()}
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS):
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            stack.callback(writer.close)
        await until(lambda: sum(map(sockets, before)) >= sum(before.values()) + CONNECTIONS)
        assert all(sockets(pid) > there + CONNECTIONS // 8 for pid, there in before.items())
    old = made.auth.login("ada", -60)
    is_one_refresh(made, await made.crowd(old, 50), old, "ada")
    names = {value for request in made.api.requests for value in request.values(b"via")}
    assert len(names) == 1


async def test_a_killed_worker_is_replaced_while_the_other_serves(made):
    (gateway,) = made.replicas
    victim, other = gateway.workers()
    pair = made.auth.login("ada")
    os.kill(victim, signal.SIGKILL)
    while victim in gateway.workers() or len(gateway.workers()) < 2:
        with suppress(OSError, EOFError):  # connections that the dead one had
            assert (await gateway.ask(pair)).status == 200
    assert other in gateway.workers()
    answers = await asyncio.gather(*(gateway.ask(pair) for _ in range(CONNECTIONS)))
    assert {answer.status for answer in answers} == {200}
    assert gateway.notices().count("worker_ended") == 1


async def test_a_worker_that_is_told_to_drain_is_replaced_and_takes_nobody_meanwhile(made):
    (gateway,) = made.replicas
    victim, _ = gateway.workers()
    old = made.auth.login("ada", -60)
    fault = made.auth.fault("hold")
    held = [asyncio.create_task(gateway.ask(old)) for _ in range(CONNECTIONS)]
    await fault.arrived.wait()
    os.kill(victim, signal.SIGTERM)
    pair = made.auth.login("bob")
    await until(lambda: listening(gateway.port) == 1)
    answers = await asyncio.gather(*(gateway.ask(pair) for _ in range(CONNECTIONS)))
    assert {answer.status for answer in answers} == {200}
    assert victim in gateway.workers()
    fault.release()
    is_one_refresh(made, await asyncio.gather(*held), old, "ada")
    await until(lambda: victim not in gateway.workers() and len(gateway.workers()) == 2)
    answers = await asyncio.gather(*(gateway.ask(pair) for _ in range(CONNECTIONS)))
    assert {answer.status for answer in answers} == {200}


async def test_a_stop_drains_all_of_them(made):
    """B23: requests under way at every worker are answered, with their new tokens; exit status 0."""
    (gateway,) = made.replicas
    olds = [made.auth.login(f"user-{number}", -60) for number in range(8)]
    fault = made.auth.fault("hold", times=None)
    held = [asyncio.create_task(gateway.ask(old)) for old in olds]
    await until(lambda: len(made.auth.token_requests) == len(olds))
    workers = gateway.workers()
    stopping = asyncio.create_task(gateway.stop())
    await until(lambda: listening(gateway.port) == 0)
    made.auth.clear()
    fault.release()
    answers = await asyncio.gather(*held)
    assert {answer.status for answer in answers} == {200}
    assert all(answer.pair(old) != old for answer, old in zip(answers, olds, strict=True))
    assert await stopping == 0
    assert not any(alive(pid) for pid in workers)


async def test_two_signals_wait_for_nothing(made):
    (gateway,) = made.replicas
    fault = made.auth.fault("hold")
    held = asyncio.create_task(gateway.ask(made.auth.login("ada", -60)))
    await fault.arrived.wait()
    gateway.signal(signal.SIGINT)
    gateway.signal(signal.SIGHUP)
    assert await gateway.stop(signal.SIGTERM) == 0
    with pytest.raises((EOFError, OSError)):
        await held
    assert gateway.notices().count("reload_not_supported") <= 1


async def test_workers_end_with_their_parent(made):
    """They drain as for a signal: nobody would supervise them."""
    (gateway,) = made.replicas
    workers = gateway.workers()
    fault = made.auth.fault("hold")
    held = asyncio.create_task(gateway.ask(made.auth.login("ada", -60)))
    await fault.arrived.wait()
    gateway.signal(signal.SIGKILL)
    await until(lambda: listening(gateway.port) == 0)
    fault.release()
    assert (await held).status == 200
    await until(lambda: not any(alive(pid) for pid in workers))
    await gateway.kill()


async def test_every_line_of_the_log_is_whole(started):
    """Of all the processes that the tests before have had."""
    (gateway,) = started.replicas
    if gateway.log.exists():
        assert all(line["timestamp"] for line in gateway.told())


def run(tmp_path, **server) -> subprocess.CompletedProcess:
    path = tmp_path / "gateway.toml"
    sections = defaults("http://127.0.0.1:9", "http://127.0.0.1:9")
    sections["server"] |= server
    sections["store"] = {"url": "memory://"} if "listen" not in server else sealed("redis://127.0.0.1:9")
    path.write_text(config_text(sections, []))
    words = [sys.executable, "-W", "error", "-m", "gateway", "run", "--config", str(path)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


async def test_workers_that_share_no_store_are_refused(tmp_path):
    """Issue 5: saying why."""
    result = await asyncio.to_thread(run, tmp_path, workers=2)
    assert (result.returncode, result.stdout) == (2, "")
    assert "server.workers" in result.stderr
    assert "memory://" in result.stderr


async def test_a_second_gateway_does_not_join_the_first_ones_workers(made, tmp_path):
    """O1: the kernel would divide the clients among both."""
    (gateway,) = made.replicas
    listen = f"127.0.0.1:{gateway.port}"
    result = await asyncio.to_thread(run, tmp_path, workers=2, listen=listen)
    assert result.returncode == 1
    assert f"cannot listen on {listen}: Address already in use" in result.stderr
