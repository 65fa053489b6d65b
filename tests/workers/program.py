"""A program of two workers that do as they are told: ``python -m tests.workers.program BEHAVIOUR``.

Whoever connects is told the worker's process id.
"""

import os
import selectors
import signal
import sys
import time
from functools import partial
from pathlib import Path

from gateway.events import Noticed
from gateway.sockets import bound, several
from gateway.workers import INSIST, READY, Supervisor, slot, supervisor


def say(*words):
    """In one piece: others say something too."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def serve(sock, line, *, stubborn=False):
    """Until the first order; ``stubborn``: until one that insists."""
    line.say(READY)
    sock.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        selector.register(line, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is line:
                    words = list(line.heard())
                    say("heard", *words)
                    if not stubborn or words[-1] in {INSIST, b""}:
                        return 0
                    continue
                try:
                    client, _ = sock.accept()
                except BlockingIOError:
                    continue
                client.sendall(b"%d\n" % os.getpid())
                client.close()


def work(behaviour, flag, sock, line):
    match behaviour:
        case "serve" | "patient":
            return serve(sock, line)
        case "stubborn":
            return serve(sock, line, stubborn=True)
        case "cannot":
            return 7
        case "raises":
            raise RuntimeError("on purpose")
        case "deaf":
            line.say(READY)
            signal.pause()
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "one-cannot":
            try:
                flag.touch(exist_ok=False)
            except FileExistsError:
                return serve(sock, line)
            time.sleep(0.2)
            return 7
    raise AssertionError(behaviour)


def main(behaviour, flag):
    if behaviour == "patient":
        slot.SHORTEST = slot.LONGEST
    if behaviour == "deaf":
        supervisor.HURRY = 0.1

    def emit(event):
        assert isinstance(event, Noticed)
        say("notice", event.what, event.detail)

    sockets = several("127.0.0.1", 0, 2)
    address = sockets[0].getsockname()
    ready = partial(say, "ready", address[1])
    bind = partial(bound, *address, together=True)
    return Supervisor(partial(work, behaviour, Path(flag)), sockets, bind, ready=ready, emit=emit).run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
