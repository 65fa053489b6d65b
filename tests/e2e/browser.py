"""A real browser, headless, that runs one page and is heard by the page's own server."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.programs import program
from upstream_stub.serving import Serving

PATIENCE = 60.0
"""Seconds until a browser that says nothing counts as failed; it needs two on an idle machine."""

_FLAGS = (
    "--headless",
    "--no-sandbox",  # root in a container has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class Origin:
    """One origin: serves a page and collects what its script reports."""

    def __init__(self) -> None:
        self.page = ""
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        routes = [Route("/", self._show), Route("/report", self._report, methods=["POST"])]
        self._serving = Serving(Starlette(routes=routes))

    @property
    def url(self) -> str:
        return self._serving.url

    async def __aenter__(self) -> Self:
        await self._serving.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._serving.close()

    def run(self, script: str, *, frame: str = "", **constants: Any) -> None:
        """Let the page be this script, an async function's body that returns its report."""
        named = "".join(f"const {name} = {json.dumps(value)};" for name, value in constants.items())
        framed = f'<iframe src="{frame}"></iframe>' if frame else ""
        self.page = f"""<!doctype html><meta charset="utf-8"><title>test</title>{framed}<script>{named}
            (async () => {{ {script} }})()
                .catch(e => ({{thrown: String(e)}}))
                .then(report => fetch("/report", {{method: "POST", body: JSON.stringify(report)}}));
            </script>"""

    async def report(self) -> dict[str, Any]:
        """What the script returned; ``{"thrown": …}`` if it threw."""
        async with asyncio.timeout(PATIENCE):
            return await self._heard.get()

    async def _show(self, _: Request) -> Response:
        return HTMLResponse(self.page)

    async def _report(self, request: Request) -> Response:
        self._heard.put_nowait(json.loads(await request.body()))
        return Response()


@asynccontextmanager
async def browsing(url: str, profile: Path) -> AsyncIterator[None]:
    """A browser that looks at ``url``, with an empty profile; it ends with the block."""
    command = [program("chromium", "chromium-browser", "google-chrome"), *_FLAGS, f"--user-data-dir={profile}", url]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HOME": str(profile)},
        start_new_session=True,
    )
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
