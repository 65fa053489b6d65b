"""slowhttptest, the tool that attacks a server slowly, and what it found."""

import asyncio
import csv
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.programs import program

MODES = {
    "headers": ("-H", "-x", "10"),
    "body": ("-B", "-x", "10", "-s", "100000"),
    "read": ("-X", "-w", "512", "-y", "1024", "-z", "1000", "-n", "1"),
}
"""Slowloris: one field a second. R-U-Dead-Yet: ten bytes or so of a body a second. Slow read: a kilobyte a second; it
notices that it was cut when it has read what its own kernel still holds, which at five bytes would take minutes.
"""

CUT = "No open connections left"
"""How it ends when the server has closed every connection, where it would have gone on for ``LONGEST``."""
LONGEST = 60
"""Seconds."""


@dataclass(frozen=True)
class Report:
    """What slowhttptest said at its end."""

    ended: str
    most: int
    """Connections that were open at once, as seen once a second."""
    available: bool
    """Its own probes were answered, all the time."""


class Attack:
    """One run, as long as the block lasts or until all that it holds has been cut."""

    def __init__(self, process: asyncio.subprocess.Process, prefix: Path) -> None:
        self._process = process
        self._prefix = prefix
        self._output = asyncio.create_task(process.communicate())

    @property
    def over(self) -> bool:
        """It has ended by itself."""
        return self._output.done()

    async def report(self) -> Report:
        """Wait for the end."""
        said, complaints = await self._output
        assert self._process.returncode == 0, complaints
        found = re.search(r"Exit status:(.*)", _plain(said.decode()))
        assert found is not None
        seconds = _table(Path(f"{self._prefix}.csv"))
        return Report(
            ended=found[1].strip(),
            most=max(int(second["Connected"]) for second in seconds),
            available=all(int(second["Service Available"]) for second in seconds),
        )

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._output


def _table(path: Path) -> list[dict[str, str]]:
    """One row for each second."""
    return list(csv.DictReader(path.read_text(encoding="ascii").splitlines()))


def _plain(text: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)


@asynccontextmanager
async def attacking(folder: Path, mode: str, url: str, *, connections: int) -> AsyncIterator[Attack]:
    """Attack ``url`` with so many connections, opened within a second."""
    prefix = folder / f"slowhttptest-{mode}"
    process = await asyncio.create_subprocess_exec(
        *(program("slowhttptest"), *MODES[mode], "-u", url, "-c", str(connections), "-r", str(connections)),
        *("-i", "1", "-l", str(LONGEST), "-p", "30", "-g", "-o", str(prefix)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    attack = Attack(process, prefix)
    try:
        yield attack
    finally:
        await attack.stop()
