"""B27: a gateway that has run out of descriptors, as a process of its own. The test is its clients and its API."""

import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.e2e.processes import Running, connection, gateway
from tests.e2e.raw_client import head_bytes

OPEN = [{"match": "/*", "auth": "off"}]
DESCRIPTORS = 160
API = {"max_connections": 16}
SERVER = {"header_timeout": "60s", "idle_timeout": "60s"}
"""Nothing ends by itself while a test looks."""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def api() -> Iterator[int]:
    """An API in threads, at the port that it yields: 200 to everything."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:

        def serve(peer: socket.socket) -> None:
            data = b""
            with peer, suppress(OSError):
                while piece := peer.recv(65536):
                    data += piece
                    head, found, body = data.partition(b"\r\n\r\n")
                    if found and len(body) >= length_in(head):
                        peer.sendall(OK)
                        data = b""

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()


@contextmanager
def narrow(folder: Path, **server: object) -> Iterator[Running]:
    with api() as port:
        sections = {
            "server": {**SERVER, **server},
            "upstream": {"url": f"http://127.0.0.1:{port}", **API},
            "websocket": {"max_connections": 16},
        }
        with gateway(folder, sections, OPEN, descriptors=DESCRIPTORS) as running:
            yield running


def length_in(head: bytes) -> int:
    return int(head.lower().partition(b"\r\ncontent-length: ")[2].split(b"\r\n")[0] or 0)


def status(client: socket.socket) -> int:
    """Of one more request on this connection; 0: it was closed instead."""
    with suppress(OSError):
        client.sendall(head_bytes())
        return status_of(answer(client))
    return 0


def answer(client: socket.socket) -> bytes:
    """One whole answer, or what came until the connection ended."""
    data = b""
    with suppress(ConnectionError):
        while piece := client.recv(65536):
            data += piece
            head, found, body = data.partition(b"\r\n\r\n")
            if found and len(body) >= length_in(head):
                break
    return data


def status_of(said: bytes) -> int:
    return int(said.split(b" ")[1]) if said else 0


def eventually(condition: Callable[[], object], within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def fresh(running: Running) -> int:
    """The status of a request on a connection of its own."""
    with connection(running) as client:
        return status(client)


def crowd(running: Running, stack: ExitStack, number: int) -> list[socket.socket]:
    """Clients that connect and say nothing."""
    return [stack.enter_context(connection(running)) for _ in range(number)]


def untouched(client: socket.socket) -> bool:
    """Nothing was said to this client, and it is not closed."""
    client.setblocking(False)
    try:
        return bool(client.recv(1, socket.MSG_PEEK)) and False
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    finally:
        client.settimeout(30)


def notices(running: Running) -> list[dict[str, str]]:
    """What it has logged; here nothing but notices."""
    return [json.loads(line) for line in running.log.read_text().splitlines()]


@pytest.mark.parametrize("said", ["", "a limit of its own"])
def test_clients_beyond_the_descriptors_are_refused_and_the_others_served(tmp_path, said):
    """B27: 503 and closed at once; who was there before is served, API and all; and nothing of it stays."""
    with narrow(tmp_path, **({"max_connections": 40} if said else {})) as running:
        with connection(running) as early:
            assert status(early) == 200
            before = running.descriptors()
            with ExitStack() as stack:
                clients = crowd(running, stack, 400)
                with connection(running) as late:
                    refusal = answer(late)
                assert status_of(refusal) == 503
                assert b'"overloaded"' in refusal
                assert b"\r\nretry-after: " in refusal.lower()
                kept = [client for client in clients if untouched(client)]
                assert len(kept) == 39 if said else 30 < len(kept) < DESCRIPTORS
                assert running.descriptors() < DESCRIPTORS
                assert [status(early) for _ in range(3)] == [200] * 3
                assert {status(client) for client in kept[:10]} == {200}
            eventually(lambda: running.descriptors() <= before + API["max_connections"])
            assert [fresh(running) for _ in range(50)] == [200] * 50
            assert status(early) == 200
        assert running.stop() == 0
        told = [notice["what"] for notice in notices(running)]
        assert 1 <= told.count("too_many_clients") <= 5
        assert len(told) <= 20


def test_a_limit_that_does_not_fit_in_is_told_at_the_start(tmp_path):
    """B27: and not believed."""
    with narrow(tmp_path, max_connections=10_000) as running:
        (told,) = [notice for notice in notices(running) if notice["what"] == "few_descriptors"]
        assert "10000" in told["detail"]
        assert "ulimit -n" in told["detail"]
        with ExitStack() as stack:
            crowd(running, stack, 200)
            with connection(running) as late:
                assert status_of(answer(late)) == 503


@contextmanager
def none_left(running: Running) -> Iterator[None]:
    """The system gives the process nothing more, whatever it counted on."""
    pid = running.process.pid
    given = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    numbers = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    lowest = next(n for n in range(len(numbers) + 1) if n not in numbers)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, given[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, given)


def test_a_system_without_descriptors_is_survived(tmp_path):
    """B27: accept and connect fail; what is open goes on, in peace; then everything works again."""
    with narrow(tmp_path) as running:
        with connection(running) as one, connection(running) as slow:
            assert status(one) == 200  # and so there is one connection to the API
            with none_left(running):
                slow.sendall(head_bytes("POST", headers=[(b"Content-Length", b"5"), (b"Expect", b"100-continue")]))
                assert slow.recv(65536).startswith(b"HTTP/1.1 100 ")  # its way is open, and its body asked for
                slow.sendall(b"ha")
                assert status(one) == 503  # the slow upload holds that one, and there is no second
                one.sendall(head_bytes())
                assert b'"overloaded"' in answer(one)
                refused = [fresh(running) for _ in range(20)]
                assert refused == [0] * 20  # nobody can be let in, not even to be told
                spent = running.cpu()
                with ExitStack() as stack:
                    crowd(running, stack, 50)
                    time.sleep(0.5)  # what is measured is what it does meanwhile
                assert running.cpu() - spent < 0.4
                slow.sendall(b"lo!")
                assert status_of(answer(slow)) == 200
                assert status(one) == 200
            assert [fresh(running) for _ in range(20)] == [200] * 20
        assert len(notices(running)) <= 20
        assert running.stop() == 0
