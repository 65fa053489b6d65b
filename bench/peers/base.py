"""What a peer is: a way to configure a proxy for a stage, and to start it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.programs import Command
from bench.stage import Setting, Stage

POOL = 8192
"""Connections to the upstream at once, wherever a proxy lets one say: none of them is to wait for another's."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one proxy runs: its own folder, its own port."""

    stage: Stage
    setting: Setting
    folder: Path
    port: int

    @property
    def upstream_port(self) -> int:
        """Of the API that it forwards to."""
        return self.stage.upstream_port(self.setting)


@dataclass(frozen=True, slots=True)
class Peer:
    """One proxy, or none (``command`` is None: clients ask the API itself)."""

    name: str
    about: str
    """One line for the documentation."""
    command: Callable[[Place], Command] | None
    refreshes: bool = False


def route_prefixes(count: int) -> list[str]:
    """The path prefixes of as many routes."""
    return [f"/routes/{number:05}/" for number in range(count)]
