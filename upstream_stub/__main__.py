"""``python -m upstream_stub``: the API and the authorization server in one process."""

import asyncio
import signal
import sys
from contextlib import AsyncExitStack

import click
import uvloop

from upstream_stub.api import Api
from upstream_stub.auth import AuthServer
from upstream_stub.serving import Serving


async def _until_signalled() -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()


async def _run(auth: AuthServer, host: str, auth_port: int, api_port: int) -> None:
    api = Api(auth.accepts, open_routes={"/auth/login": auth.login_app})
    async with AsyncExitStack() as stack:
        auth_listener = await stack.enter_async_context(auth.serve(host=host, port=auth_port))
        api_listener = await stack.enter_async_context(Serving(api, host=host, port=api_port))
        click.echo(f"authorization server listening on {auth_listener.url}")
        click.echo(f"API listening on {api_listener.url}")
        await _until_signalled()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of both listeners.")
@click.option("--auth-port", default=9000, show_default=True, help="Port of the authorization server; 0: any.")
@click.option("--api-port", default=9001, show_default=True, help="Port of the API; 0: any.")
@click.option("--issuer", default="", help="Issuer identifier. [default: the authorization server's URL]")
@click.option("--lifetime", default=5.0, show_default=True, help="Seconds an access token lives.")
@click.option("--refresh-lifetime", default=86400.0, show_default=True, help="Seconds a refresh token lives.")
@click.option("--rotation-grace", default=0.0, show_default=True, help="Seconds a rotated token still works.")
@click.option("--rotation/--no-rotation", default=True, show_default=True, help="New refresh token on each use.")
@click.option(
    "--algorithm",
    type=click.Choice(["RS256", "ES256", "EdDSA", "HS256"]),
    default="RS256",
    show_default=True,
    help="How access tokens are signed.",
)
def main(
    *,
    host: str,
    auth_port: int,
    api_port: int,
    issuer: str,
    lifetime: float,
    refresh_lifetime: float,
    rotation_grace: float,
    rotation: bool,
    algorithm: str,
) -> None:
    """Run an API and an OAuth 2.0 authorization server.

    Any user may log in with the password "password". The client is "gateway" with the secret "gateway-secret".
    SIGTERM and SIGINT end both, with status 0.
    """
    auth = AuthServer(
        issuer=issuer,
        algorithm=algorithm,
        access_lifetime=int(lifetime) if lifetime.is_integer() else lifetime,
        refresh_lifetime=refresh_lifetime,
        rotation=rotation,
        rotation_grace=rotation_grace,
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(auth, host, auth_port, api_port))
    except OSError as error:
        ports = f"{auth_port} (--auth-port) and {api_port} (--api-port)"
        click.echo(f"the stub cannot listen on {host}, ports {ports}: {error.strerror}. Free both.", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
