"""The program: two listeners, one line for each, and status 0 when told to end."""

import asyncio
import signal
import sys

import pytest

from upstream_stub import Api, Serving


async def start(*arguments):
    command = [sys.executable, "-m", "upstream_stub", *arguments]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_serves_both_until_it_is_told_to_end(http, number):
    program = await start("--auth-port=0", "--api-port=0", "--lifetime=60")
    try:
        async with asyncio.timeout(30):
            auth, api = [(await program.stdout.readline()).decode().split()[-1] for _ in range(2)]
        login = await http.post(f"{api}/auth/login", json={"username": "alice", "password": "password"})
        token = login.json()["data"]["token"]
        answer = await http.get(f"{api}/echo", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        assert (await http.get(f"{api}/echo")).status_code == 401
        assert (await http.get(f"{auth}/.well-known/oauth-authorization-server")).json()["issuer"] == auth
    finally:
        program.send_signal(number)
        output, errors = await program.communicate()
    assert (program.returncode, output, errors) == (0, b"", b"")


async def test_a_port_in_use_is_said_plainly():
    async with Serving(Api()) as listener:
        program = await start(f"--auth-port={listener.port}", "--api-port=0")
        _, errors = await program.communicate()
    assert program.returncode == 1
    assert b"cannot listen on 127.0.0.1, ports %d" % listener.port in errors
    assert errors.count(b"\n") == 1
