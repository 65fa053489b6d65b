"""The documents tell the truth: their commands and configurations are run."""

import asyncio
import os
import re
import sys
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def block(language: str) -> str:
    """The first fenced block of this language."""
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


@asynccontextmanager
async def process(*arguments: str, lines: int, **environ: str):
    """A program of ours; yields the URLs that it says it listens on."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        cwd=ROOT,
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            said = [(await child.stdout.readline()).decode() for _ in range(lines)]
        yield [line.split()[-1] for line in said]
    finally:
        child.terminate()
        assert await child.wait() == 0


async def shell(script: str) -> str:
    child = await asyncio.create_subprocess_exec(
        "bash", "-euc", script, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    out, _ = await child.communicate()
    assert child.returncode == 0
    return out.decode()


async def test_the_curl_lines_show_a_refresh_in_flight():
    """The README's «Try it», with the shipped gateway.toml, on free ports and with tokens that live for 4 s."""
    script = block("sh")
    assert "sleep 6" in script
    stub = process("upstream_stub", "--auth-port", "0", "--api-port", "0", "--lifetime", "4", lines=2)
    async with stub as (auth, api):
        settings = {
            "GATEWAY__SERVER__LISTEN": "127.0.0.1:0",
            "GATEWAY__UPSTREAM__URL": api,
            "GATEWAY__AUTH_SERVER__ISSUER": auth,
            "GATEWAY__AUTH_SERVER__TOKEN_ENDPOINT": f"{auth}/token",
            "GATEWAY__AUTH_SERVER__JWKS_URI": f"{auth}/jwks",
            "GATEWAY__ACCESS_TOKEN__ISSUER": auth,
        }
        async with process("gateway", "run", lines=1, **settings) as (url,):
            script = script.replace("http://", "").replace("localhost:8080", url).replace("sleep 6", "sleep 5")
            last = script.strip().splitlines()[-1]
            without = last.split(' -H "X-Refresh-Token')[0]
            told = await shell(f"{script}\necho; echo again; {last}\necho; echo without; {without}")
    first, _, rest = told.partition("again\n")
    again, _, without = rest.partition("without\n")
    assert first.startswith("HTTP/1.1 200 OK")
    assert "x-token-refreshed: expired" in first
    assert "x-access-token: ey" in first
    assert "x-refresh-token: " in first
    assert '"target": "/orders"' in first
    assert "x-token-refreshed: joined" in again
    assert without.startswith("HTTP/1.1 401")
    assert "Send its refresh token too" in without


async def test_the_configuration_in_the_readme_is_valid(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text(block("toml"))
    told = await shell(f"GATEWAY_CLIENT_SECRET=s {sys.executable} -m gateway check --config {path}")
    assert "gateway.toml is valid" in told


async def test_the_demo_plays_to_its_end():
    """`make demo`: each scene checks itself."""
    told = await shell(f"{sys.executable} -m upstream_stub.demo --lifetime 4")
    assert "That is all" in told
    assert "100 × 200" in told  # noqa: RUF001


def test_the_first_thirty_lines_of_the_readme_hold_what_a_newcomer_needs():
    head = "\n".join(README.splitlines()[:30])
    for needed in ("in flight", "make run", "make test", "Guaranteed", "Refused", "x-token-refreshed"):
        assert needed in head


def test_no_document_names_a_path_of_a_machine_or_a_registry():
    for path in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        assert str(ROOT) not in path.read_text()
    for path in ROOT.glob("requirements*.txt"):
        assert "://" not in path.read_text()
