"""The descriptors that the system gives this process: how many clients fit in, and what it looks like to have none.

Each connection, be it of a client, to an upstream or to the authorization server, is one. libuv, below uvloop,
meets ``EMFILE`` in ``accept`` with a spare descriptor: it lets the waiting clients in and closes them at once,
without a word, and spins for as long as another thread has taken the spare one. So the gateway stops earlier, by
itself, with a 503 (B27).
"""

import errno
import os
import resource
from collections.abc import Iterable, Iterator
from typing import Final

RESERVE: Final = 128
"""Neither clients nor pools: the event loop's, the listener, logs, resolvers, bodies kept in files, and clients
that are being told that there is no room. A quarter, where that is less."""

_MANY: Final = 1 << 20
"""Where the system knows no limit: Linux' own largest, ``fs.nr_open``."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""No descriptor, no buffer, no local port: our own want, which says nothing of the other side."""

_DEPTH: Final = 8
"""Libraries wrap errors in errors; none so often."""


def raise_limit() -> int:
    """Ask for as many descriptors as this process may have (the hard limit). Returns how many it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MANY if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError):  # macOS: not more than kern.maxfilesperproc, whatever it says
            pass
    return _MANY if soft == resource.RLIM_INFINITY else soft


def client_connections(descriptors: int, pools: Iterable[int]) -> int:
    """The most clients that can be served at once; at least 1.

    Args:
        descriptors: what the process may have open.
        pools: the most connections that may be open on behalf of clients, for each upstream, for WebSockets (whose
            upstream's connections are in no pool), and for the authorization server.

    Each pool takes its own limit or one for each client, whichever is less. So the answer is the largest ``n`` with
    ``n + sum(min(pool, n) for pool in pools) <= descriptors - reserve``.
    """
    room = descriptors - min(RESERVE, descriptors // 4)
    sizes = sorted(pools)
    found, whole = 1, 0
    for rank, size in enumerate([0, *sizes]):
        whole += size  # this pool and the smaller ones are open in full, the larger ones once for each client
        found = max(found, (room - whole) // (1 + len(sizes) - rank))
    return found


def exhausted(error: BaseException) -> bool:
    """``error`` was for want of descriptors, buffers or ports.

    A resolver that can open no socket reports a name that does not exist: hence the look at the descriptors.
    """
    return any(getattr(cause, "errno", None) in _EXHAUSTED for cause in _causes(error)) or not _has_descriptors()


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(_DEPTH):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def _has_descriptors() -> bool:
    try:
        os.close(os.dup(0))
    except OSError as error:
        return error.errno not in _EXHAUSTED
    return True
