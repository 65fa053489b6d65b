"""A real nginx as the upstream that tells which path it reads out of a target: decoded, merged, resolved."""

import asyncio
import grp
import os
import pwd
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.programs import program

CONFIGURATION = """
daemon off;
worker_processes 1;
user {user};
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
    keepalive_requests 100000;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            return 200 "$uri";
        }}
    }}
}}
"""


@asynccontextmanager
async def uri_reader(home: Path) -> AsyncIterator[int]:
    """The port of an nginx that answers ``$uri``. ``home`` is an empty folder."""
    executable = program("nginx")
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        port = listener.getsockname()[1]
        configuration = home / "nginx.conf"
        user = f"{pwd.getpwuid(os.getuid()).pw_name} {grp.getgrgid(os.getgid()).gr_name}"
        configuration.write_text(CONFIGURATION.format(home=home, port=port, user=user))
        process = await asyncio.create_subprocess_exec(
            *(executable, "-p", str(home), "-c", str(configuration), "-e", str(home / "error.log")),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            # As from an nginx before it, so that no other process can take the port in between.
            env={**os.environ, "NGINX": f"{listener.fileno()};"},
        )
    try:
        yield port
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()
