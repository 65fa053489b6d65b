"""One proxy that runs, or the API itself, for one scenario."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench import proc
from bench.peers.base import Peer, Place
from bench.programs import LOOPBACK, Program, free_port
from bench.stage import USUAL, Setting, Stage


@dataclass(frozen=True, slots=True)
class Entry:
    """A peer as it takes part in a scenario."""

    peer: Peer
    setting: Setting = USUAL
    note: str = ""
    """What sets it apart from the same peer's other entries."""

    @property
    def label(self) -> str:
        """Its row."""
        return f"{self.peer.name} · {self.note}" if self.note else self.peer.name


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests are sent to."""

    entry: Entry
    stage: Stage
    port: int
    program: Program | None
    """None: nothing stands in between."""

    @property
    def label(self) -> str:
        """Its row."""
        return self.entry.label

    @property
    def host(self) -> str:
        """Of the Host field."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def tls(self) -> bool:
        """Clients have to speak TLS."""
        return self.entry.setting.tls and self.program is not None

    @property
    def url(self) -> str:
        """Without a path."""
        return f"{'https' if self.tls else 'http'}://{self.host}"

    def cpu_seconds(self) -> float:
        """What the proxy has used so far."""
        return proc.cpu_seconds(self.program.pid) if self.program else 0.0

    def resident(self) -> int:
        """Bytes that it holds."""
        return proc.resident(self.program.pid) if self.program else 0

    def peak(self) -> int:
        """The most bytes that it has held since ``forget_peak``."""
        return proc.peak(self.program.pid) if self.program else 0

    def forget_peak(self) -> None:
        """Count ``peak`` from now."""
        if self.program:
            proc.forget_peak(self.program.pid)


@contextmanager
def running(stage: Stage, entries: Sequence[Entry]) -> Iterator[list[Target]]:
    """Start all of them at once; each listens when this yields.

    Raises:
        BenchError: one does not start.
    """
    with ExitStack() as stack:
        targets = [_start(stack, stage, entry) for entry in entries]
        for target in targets:
            if target.program:
                target.program.await_port(target.port)
        yield targets


def _start(stack: ExitStack, stage: Stage, entry: Entry) -> Target:
    if entry.peer.command is None:
        return Target(entry, stage, stage.upstream_port(entry.setting), None)
    place = Place(stage, entry.setting, stage.new_folder("proxy"), free_port())
    program = Program(entry.peer.command(place), stage.proxy_core, place.folder / "gateway.log")
    return Target(entry, stage, place.port, stack.enter_context(program))
