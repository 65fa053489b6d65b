"""The API behind every proxy: nginx, with a header that differs in each answer, as those of real APIs do."""

import json
from pathlib import Path

from bench.programs import LOOPBACK, Command, find

DOCUMENT_BYTES = 1024
KIB_64 = 64 * 1024
GIB = 1024**3


def document(size: int = DOCUMENT_BYTES) -> bytes:
    """A JSON answer of exactly this many bytes; 64 at least."""
    items = [{"id": number, "name": f"item {number}", "price": 10 * number + 99} for number in range(size // 60)]
    text = json.dumps({"items": items, "padding": ""})
    while len(text) > size:
        items.pop()
        text = json.dumps({"items": items, "padding": ""})
    return json.dumps({"items": items, "padding": "x" * (size - len(text))}).encode()


def write_files(root: Path) -> None:
    """The bodies that are too large for nginx's own configuration. The largest is a hole: it takes no disk."""
    root.mkdir()
    (root / "64k").write_bytes(document(KIB_64))
    with (root / "1g").open("wb") as file:
        file.truncate(GIB)


def command(folder: Path, port: int) -> Command:
    """An API on nginx. It refuses what has no Authorization, so that a proxy that loses it is found out."""
    files = folder / "files"
    write_files(files)
    config = folder / "upstream.conf"
    config.write_text(_CONFIG.format(folder=folder, listen=f"{LOOPBACK}:{port}", files=files, doc=_return()))
    return Command([find("nginx"), "-c", str(config), "-e", str(folder / "upstream.err")])


def _return() -> str:
    return f"return 200 '{document().decode()}';"


_CONFIG = """
user root;
worker_processes 1;
worker_rlimit_nofile 65536;
daemon off;
pid {folder}/upstream.pid;
error_log {folder}/upstream.err;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    sendfile on;
    open_file_cache max=10 inactive=600s;
    default_type application/json;
    client_body_temp_path {folder}/upstream-body;
    proxy_temp_path {folder}/upstream-proxy;
    fastcgi_temp_path {folder}/upstream-fastcgi;
    uwsgi_temp_path {folder}/upstream-uwsgi;
    scgi_temp_path {folder}/upstream-scgi;
    server {{
        listen {listen} backlog=4096;
        add_header X-Request-Id $request_id;
        if ($http_authorization = "") {{ return 401 '{{"error":"invalid_token"}}'; }}
        location = /json {{ {doc} }}
        location /routes/ {{ {doc} }}
        location / {{ root {files}; }}
    }}
}}
"""
