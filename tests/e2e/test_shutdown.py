"""``gateway run`` as a process: it says where it listens, loses no rotated token when it is told to stop, and ends
with status 0 (CONTRACT §8, §4.5).
"""

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests import lanes
from tests.e2e.support import until
from tests.house import bearer, config_text, defaults
from upstream_stub.api import Api
from upstream_stub.auth import AuthServer
from upstream_stub.serving import Serving

pytestmark = lanes.BOTH


@dataclass
class Running:
    """A gateway's process, and what stands around it."""

    process: asyncio.subprocess.Process
    url: str
    auth: AuthServer
    client: httpx.AsyncClient

    async def get(self, path, pair):
        return await self.client.get(self.url + path, headers=bearer(pair))

    async def refuses_connections(self):
        """The listener is closed: the gateway is on its way down."""
        port = int(self.url.rpartition(":")[2])
        async with asyncio.timeout(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    await writer.wait_closed()
                except ConnectionRefusedError:
                    return
                except ConnectionError:
                    continue  # closed between its arrival and its acceptance

    async def ended(self):
        """Exit status and everything on standard error."""
        async with asyncio.timeout(30):
            _, errors = await self.process.communicate()
        return self.process.returncode, errors.decode()


async def start(path):
    arguments = (sys.executable, "-m", "gateway", "run", "--config", str(path))
    piped = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    return await asyncio.create_subprocess_exec(*arguments, **piped, env=dict(os.environ))


@asynccontextmanager
async def running(tmp_path, **sections):
    auth = AuthServer(access_lifetime=3600)
    async with auth.serve() as auth_server, Serving(Api()) as api:
        merged = defaults(auth_server.url, api.url) | {"log": {"level": "debug", "format": "json"}}
        for name, keys in sections.items():
            merged[name] = {**merged.get(name, {}), **keys}
        path = tmp_path / "gateway.toml"
        path.write_text(config_text(merged, []))
        process = await start(path)
        try:
            async with asyncio.timeout(60):
                line = (await process.stdout.readline()).decode()
            assert line.startswith("gateway: listening on http://127.0.0.1:")
            async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
                yield Running(process, line.split()[-1], auth, client)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()
            await until(process._transport.is_closing)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_request_under_way_is_answered_before_the_end(tmp_path, number):
    """B23, R9: with its new tokens; exit status 0; no token in any line of the log at debug."""
    async with running(tmp_path, server={"shutdown_timeout": "30s"}) as gateway:
        old = gateway.auth.login("ada", -60)
        fault = gateway.auth.fault("hold")
        asking = asyncio.create_task(gateway.get("/echo", old))
        await fault.arrived.wait()
        gateway.process.send_signal(number)
        await gateway.refuses_connections()
        fault.release()
        answer = await asking
        assert answer.status_code == 200
        assert answer.headers["x-token-refreshed"] == "expired"
        status, errors = await gateway.ended()
        assert status == 0
        assert '"outcome": "granted"' in errors
        for token in (*old, answer.headers["x-access-token"], answer.headers["x-refresh-token"], "gateway-secret"):
            assert token not in errors


async def test_an_open_flight_is_awaited_though_nobody_waits_for_it(tmp_path):
    """R9, B23, CONTRACT §6: flights outlive ``shutdown_timeout``, so that a rotated token is not thrown away. The
    request that waits is cut: no answer of the server's own takes the place of ours."""
    async with running(tmp_path, server={"shutdown_timeout": "0s"}) as gateway:
        fault = gateway.auth.fault("hold")
        asking = asyncio.create_task(gateway.get("/echo", gateway.auth.login("ada", -60)))
        await fault.arrived.wait()
        gateway.process.terminate()
        await gateway.refuses_connections()
        with pytest.raises(httpx.HTTPError):
            await asking
        assert gateway.process.returncode is None
        fault.release()
        status, errors = await gateway.ended()
        assert status == 0
        assert '"outcome": "granted"' in errors


async def test_a_flight_that_never_lands_ends_with_late_answer(tmp_path):
    """B2, B23: it holds the end up no longer than that."""
    clocks = {"timeout": "300ms", "late_answer": "600ms"}
    async with running(tmp_path, auth_server=clocks, server={"shutdown_timeout": "1s"}) as gateway:
        fault = gateway.auth.fault("hang")
        asking = asyncio.create_task(gateway.get("/echo", gateway.auth.login("ada", -60)))
        await fault.arrived.wait()
        gateway.process.terminate()
        assert (await asking).status_code == 503
        status, errors = await gateway.ended()
        assert status == 0
        assert '"ambiguous": true' in errors


async def test_a_second_gateway_on_the_same_port_says_what_to_do(tmp_path):
    """O1: it names the address, the reason and the key, and the first one is not disturbed."""
    async with running(tmp_path) as gateway:
        taken = gateway.url.removeprefix("http://")
        path = tmp_path / "second.toml"
        path.write_text((tmp_path / "gateway.toml").read_text().replace("127.0.0.1:0", taken))
        second = await start(path)
        async with asyncio.timeout(60):
            said, complained = await second.communicate()
        assert second.returncode == 1
        assert not said
        assert f"cannot listen on {taken}: Address already in use" in complained.decode()
        assert "server.listen" in complained.decode()
        assert "Traceback" not in complained.decode()
        assert (await gateway.get("/echo", gateway.auth.login("ada"))).status_code == 200
