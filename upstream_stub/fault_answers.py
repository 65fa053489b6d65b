"""How each fault looks on the wire."""

import asyncio
from collections.abc import Awaitable, Callable

from upstream_stub.asgi import Exchange
from upstream_stub.faults import Fault
from upstream_stub.oauth import Answer, OAuthError, json_answer

Process = Callable[[], Answer]
_BLOCK = b"x" * 65536
_DRIPPED = json_answer({"padding": "x" * 600})
_PAGE = b"<!doctype html><html><head><title>Maintenance</title></head><body>Back soon.</body></html>"


async def send(exchange: Exchange, answer: Answer) -> None:
    """Send a whole answer."""
    await exchange.answer(answer.status, answer.body, answer.headers, answer.content_type)


async def perform(fault: Fault, exchange: Exchange, process: Process) -> None:
    """Show the fault. ``process`` lets the request take effect and returns the answer that it would have got."""
    answer = process() if fault.processed else None
    fault.arrived.set()
    if fault.kind in _PLAIN_ANSWERS:
        await send(exchange, _PLAIN_ANSWERS[fault.kind](fault))
    elif fault.kind in {"slow", "hold"}:
        await _wait(fault)
        await send(exchange, answer or process())
    else:
        await _WIRE_FAULTS[fault.kind](fault, exchange, answer)


async def _wait(fault: Fault) -> None:
    if fault.kind == "hold":
        await fault.released()
    else:
        await asyncio.sleep(fault.options["delay"])


async def _abort(fault: Fault, exchange: Exchange, _: Answer | None) -> None:
    await exchange.abort(reset=fault.options["reset"])


async def _hang(_fault: Fault, _exchange: Exchange, _answer: Answer | None) -> None:
    await asyncio.Event().wait()


async def _drip(fault: Fault, exchange: Exchange, answer: Answer | None) -> None:
    answer = answer or _DRIPPED
    length = (b"content-length", b"%d" % len(answer.body))
    await exchange.start(answer.status, [(b"content-type", answer.content_type), length, *answer.headers])
    for at in range(len(answer.body)):
        await exchange.write(answer.body[at : at + 1])
        await asyncio.sleep(fault.options["interval"])
    await exchange.end()


async def _huge(fault: Fault, exchange: Exchange, _: Answer | None) -> None:
    await exchange.start(200, [(b"content-type", b"application/json")])
    for _number in range(fault.options["size"] // len(_BLOCK)):
        await exchange.write(_BLOCK)
    await exchange.end()


def _json(fault: Fault) -> Answer:
    return json_answer(fault.options["value"], fault.options["status"])


def _throttle(fault: Fault) -> Answer:
    retry_after = (b"retry-after", str(fault.options["retry_after"]).encode())
    return Answer(429, b"Too Many Requests", [retry_after], b"text/plain")


def _redirect(fault: Fault) -> Answer:
    return Answer(fault.options["status"], b"", [(b"location", fault.options["to"].encode())])


def _error(fault: Fault) -> Answer:
    options = fault.options
    return OAuthError(options["error"], options["description"], options["status"]).answer()


_PLAIN_ANSWERS: dict[str, Callable[[Fault], Answer]] = {
    "status": lambda f: Answer(f.options["status"], f.options["body"].encode(), [], b"text/plain"),
    "html": lambda f: Answer(f.options["status"], _PAGE, [], b"text/html; charset=utf-8"),
    "garbage": lambda f: Answer(f.options["status"], b'{"access_token": "cut'),
    "empty": lambda f: Answer(f.options["status"]),
    "json": _json,
    "list": _json,
    "no_keys": _json,
    "throttle": _throttle,
    "redirect": _redirect,
    "error": _error,
}
_WIRE_FAULTS: dict[str, Callable[[Fault, Exchange, Answer | None], Awaitable[None]]] = {
    "down": _abort,
    "lost": _abort,
    "hang": _hang,
    "drip": _drip,
    "huge": _huge,
}
