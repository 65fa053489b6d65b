"""``make demo``: the story of the gateway, played in a terminal against a real gateway process."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import httpx
from rich.console import Console
from rich.table import Table

from upstream_stub.api import Api
from upstream_stub.auth import AuthServer
from upstream_stub.serving import Serving

CROWD = 100

_CONFIG = """
[server]
listen = "127.0.0.1:0"
[upstream]
url = "{api}"
[auth_server]
issuer = "{auth}"
client_id = "gateway"
client_secret = "gateway-secret"
timeout = "2s"
[access_token]
issuer = "{auth}"
audience = ["api"]
leeway = "0s"
[refresh]
ahead = "0s"
hard = "0s"
min_interval = "1s"
[log]
level = "error"
[[routes]]
match = "/auth/login"
methods = ["POST"]
auth = "off"
"""


@dataclass
class Phone:
    """A client as an app would write it: it sends its two tokens, and stores what comes back."""

    http: httpx.AsyncClient
    access: str = ""
    refresh: str = ""

    async def login(self) -> httpx.Response:
        """Sign in at the API's existing endpoint; the gateway lets it through."""
        form = {"username": "ada", "password": "password"}
        response = await self.http.post("/auth/login", json=form)
        data = response.json()["data"]
        self.access, self.refresh = data["token"], data["refreshToken"]
        return response

    async def call(self, path: str = "/echo", *, store: bool = True) -> httpx.Response:
        """Call the API through the gateway."""
        headers = {"Authorization": f"Bearer {self.access}", "X-Refresh-Token": self.refresh}
        response = await self.http.get(path, headers=headers)
        if store:
            self.store(response)
        return response

    def store(self, response: httpx.Response) -> None:
        """Keep the new tokens that an answer carries."""
        self.access = response.headers.get("x-access-token", self.access)
        self.refresh = response.headers.get("x-refresh-token", self.refresh)


class Demo:
    """The scenes, in order."""

    def __init__(self, console: Console, auth: AuthServer, listener: Serving, api: Api, phone: Phone) -> None:
        self._out = console
        self._lifetime = auth.access_lifetime
        self._auth = auth
        self._listener = listener
        self._api = api
        self._phone = phone
        self._scene = 0

    async def play(self) -> None:
        """Every scene; raises AssertionError where the story is not true."""
        await self._login()
        await self._expiry()
        await self._crowd()
        await self._own_401()
        await self._outage()
        await self._lost_answer()
        self._out.rule("[bold]That is all")
        self._out.print(
            "Nobody clicked twice and nobody was logged out. Every line above came from a real gateway process, "
            "a real authorization server with rotation and reuse detection, and a real API.\n"
        )

    async def _login(self) -> None:
        self._title("Ada signs in", 'The API\'s own login endpoint; the route is `auth = "off"`.')
        self._show(await self._phone.login(), "POST /auth/login")
        self._show(await self._phone.call(), "GET  /echo   with the fresh token")

    async def _expiry(self) -> None:
        self._title(
            f"Her token expires after {self._lifetime:g} s", "One call: the original result, new tokens beside it."
        )
        await self._expire()
        self._show(await self._phone.call(), "GET  /echo   with the expired token")

    async def _crowd(self) -> None:
        self._title(
            f"It expires again, and {CROWD} requests are sent at once",
            "A rotating server revokes the whole session when it sees one refresh token twice. It sees it once.",
        )
        await self._expire()
        before = len(self._auth.token_requests)
        answers = await asyncio.gather(*(self._phone.call(store=False) for _ in range(CROWD)))
        self._phone.store(answers[0])
        table = Table(show_header=False, box=None, padding=(0, 2))
        table.add_row("answers", f"{sum(a.status_code == httpx.codes.OK for a in answers)} × 200")  # noqa: RUF001
        table.add_row("token requests at the authorization server", str(len(self._auth.token_requests) - before))
        table.add_row("different successors", str(len({a.headers["x-refresh-token"] for a in answers})))
        self._out.print(table)
        _expect(len(self._auth.token_requests) - before == 1, "exactly one token request")
        _expect(len({a.headers["x-refresh-token"] for a in answers}) == 1, "one successor for all")

    async def _own_401(self) -> None:
        self._title(
            "The API itself refuses a token that looks fine",
            "A session was revoked on the API's side. The gateway refreshes and replays the request, once.",
        )
        await asyncio.sleep(1.1)
        before = self._api.count
        self._show(await self._phone.call("/deny-once?key=demo"), "GET  /deny-once")
        self._out.print(f"  the API saw the request {self._api.count - before} times; Ada saw one answer")

    async def _outage(self) -> None:
        self._title(
            "The authorization server goes away", "Valid tokens pass; expired ones wait; nobody is logged out."
        )
        await self._listener.stop()
        self._show(await self._phone.call(), "GET  /echo   token still valid")
        await self._expire()
        self._show(await self._phone.call(), "GET  /echo   token expired", expect=503)
        self._out.print("  … and comes back:")
        await self._listener.start()
        await asyncio.sleep(1)
        self._show(await self._phone.call(), "GET  /echo   the same old tokens")

    async def _lost_answer(self) -> None:
        self._title(
            "Ada's phone enters a tunnel and loses the answer with her new tokens",
            "They are kept until she has them. She comes back with the old pair and gets the same successor.",
        )
        await self._expire()
        before = len(self._auth.token_requests)
        await self._phone.call(store=False)
        self._out.print("  [dim]the first answer is lost[/dim]")
        answer = await self._phone.call()
        self._show(answer, "GET  /echo   the old pair again")
        _expect(len(self._auth.token_requests) - before == 1, "no second token request")

    async def _expire(self) -> None:
        with self._out.status(f"waiting {self._lifetime:g} s for the token to expire …"):
            await asyncio.sleep(self._lifetime + 0.3)

    def _title(self, title: str, why: str) -> None:
        self._scene += 1
        self._out.print()
        self._out.rule(f"[bold]{self._scene}. {title}", align="left")
        self._out.print(f"[dim]{why}[/dim]")

    def _show(self, answer: httpx.Response, what: str, expect: int = 200) -> None:
        ok = answer.status_code == expect
        colour = "green" if answer.is_success else "yellow"
        line = f"  {what}  →  [{colour}]{answer.status_code}[/{colour}]"
        if cause := answer.headers.get("x-token-refreshed"):
            line += f"   new tokens: [cyan]{cause}[/cyan]"
        if answer.is_error:
            problem = answer.json()
            line += f"   [yellow]{problem.get('code')}[/yellow]: {problem.get('detail')}"
        self._out.print(line)
        _expect(ok, f"{what} answers {expect}, not {answer.status_code}")


def _expect(holds: bool, what: str) -> None:  # noqa: FBT001  # reads as an assertion
    if not holds:
        raise AssertionError(what)


@asynccontextmanager
async def _gateway(auth: str, api: str) -> AsyncIterator[str]:
    """A gateway process; yields its URL."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "gateway.toml")
        path.write_text(_CONFIG.format(auth=auth, api=api))  # noqa: ASYNC240  # a few bytes, before anything runs
        command = (sys.executable, "-m", "gateway", "run", "--config", str(path))
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            if process.stdout is None:
                raise RuntimeError("the gateway has no output")
            line = (await process.stdout.readline()).decode()
            if "listening on" not in line:
                raise RuntimeError("the gateway did not start; what it said is above")
            yield line.split()[-1]
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _run(lifetime: float) -> None:
    console = Console()
    auth = AuthServer(access_lifetime=lifetime)
    api = Api(auth.accepts, open_routes={"/auth/login": auth.login_app})
    async with (
        auth.serve() as listener,
        Serving(api) as serving,
        _gateway(listener.url, serving.url) as url,
        httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http,
    ):
        console.print(
            f"[bold]Evergreen[/bold]  {url}  in front of an API ({serving.url}) and its authorization server "
            f"({listener.url})"
        )
        await Demo(console, auth, listener, api, Phone(http)).play()


@click.command()
@click.option("--lifetime", default=3.0, show_default=True, help="Seconds that an access token lives.")
def main(lifetime: float) -> None:
    """Play the story of the gateway in this terminal."""
    asyncio.run(_run(lifetime))


if __name__ == "__main__":
    main()
