"""A real nginx: in front of the gateway as a careless cache, or behind it as an upstream."""

import asyncio
import grp
import os
import pwd
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.programs import program

_HOME = """
pid {home}/pid;
error_log {home}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
"""
"""Everything in one folder. Either configuration goes on from here, inside of ``http``."""

CONFIGURATION = (
    """
daemon off;
master_process off;"""
    + _HOME
    + """
    proxy_cache_path {home}/cache keys_zone=all:1m;
    server {{
        listen unix:{socket};
        location / {{
            proxy_pass {gateway};
            proxy_cache all;
            proxy_cache_key $request_uri;
            proxy_cache_valid any 10m;
            proxy_ignore_headers Vary;
            proxy_set_header If-None-Match $http_if_none_match;
            add_header X-Cache $upstream_cache_status always;
        }}
    }}
}}
"""
)
"""The most careless cache: one key for all users, Vary ignored, every status kept, conditions passed on."""


FRAME = (
    """
daemon off;
worker_processes 1;
user {user};"""
    + _HOME
    + """
    keepalive_requests 100000;
    {settings}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            {location}
        }}
    }}
}}
"""
)


@asynccontextmanager
async def on_a_port(home: Path, location: str, settings: str = "") -> AsyncIterator[int]:
    """The port of an nginx that does what ``location`` says. ``home`` is an empty folder with a short path."""
    executable = program("nginx")
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        port = listener.getsockname()[1]
        configuration = home / "nginx.conf"
        user = f"{pwd.getpwuid(os.getuid()).pw_name} {grp.getgrgid(os.getgid()).gr_name}"
        text = FRAME.format(home=home, port=port, user=user, location=location, settings=settings)
        configuration.write_text(text)
        process = await asyncio.create_subprocess_exec(
            *(executable, "-p", str(home), "-c", str(configuration), "-e", str(home / "error.log")),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            # nginx takes its sockets over so from the nginx before it: no port can be lost in between.
            env={**os.environ, "NGINX": f"{listener.fileno()};"},
        )
    try:
        yield port
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


@asynccontextmanager
async def caching(gateway: str, home: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an nginx in front of ``gateway``. ``home`` is an empty folder with a short path."""
    executable = program("nginx")
    socket = home / "s"
    configuration = home / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(home=home, socket=socket, gateway=gateway))
    process = await asyncio.create_subprocess_exec(
        *(executable, "-p", str(home), "-c", str(configuration), "-e", str(home / "error.log")),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _listening(process, socket, home / "error.log")
        transport = httpx.AsyncHTTPTransport(uds=str(socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://nginx", timeout=60) as client:
            yield client
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def _listening(process: asyncio.subprocess.Process, socket: Path, errors: Path) -> None:
    async with asyncio.timeout(30):
        while True:
            if process.returncode is not None:
                raise RuntimeError(_last_words(errors))
            try:
                _, writer = await asyncio.open_unix_connection(str(socket))
            except (FileNotFoundError, ConnectionRefusedError):
                await asyncio.sleep(0.005)
                continue
            writer.close()
            await writer.wait_closed()
            return


def _last_words(errors: Path) -> str:
    return f"nginx ended: {errors.read_text() if errors.exists() else 'without a word'}"
