"""nginx ``proxy_pass`` with kept upstream connections: what no Python proxy can pass, since it checks no token."""

from bench.peers.base import POOL, Peer, Place, route_prefixes
from bench.programs import LOOPBACK, Command, find


def command(place: Place) -> Command:
    """Its buffers hold whole answers of 64 KB, and it spools nothing to disk: both in its favour."""
    config = place.folder / "nginx.conf"
    routes = [f"location {prefix} {{ proxy_pass http://api; }}" for prefix in route_prefixes(place.setting.routes)]
    config.write_text(
        _CONFIG.format(
            folder=place.folder,
            listen=f"{LOOPBACK}:{place.port} backlog=4096" + (" ssl" if place.setting.tls else ""),
            tls=_tls(place) if place.setting.tls else "",
            upstream=f"{LOOPBACK}:{place.upstream_port}",
            pool=POOL,
            routes="\n".join(routes if place.setting.routes > 1 else []),
        )
    )
    return Command([find("nginx"), "-c", str(config), "-e", str(place.folder / "nginx.err")])


def _tls(place: Place) -> str:
    certificate, key = place.stage.certificate
    return f"ssl_certificate {certificate}; ssl_certificate_key {key};"


_CONFIG = """
user root;
worker_processes 1;
worker_rlimit_nofile 65536;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.err;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    proxy_buffers 16 8k;
    upstream api {{ server {upstream}; keepalive {pool}; keepalive_requests 1000000000; }}
    server {{
        listen {listen};
        {tls}
        location / {{ proxy_pass http://api; }}
        {routes}
    }}
}}
"""

NGINX = Peer("nginx", "`proxy_pass` with kept upstream connections; checks no token", command)
