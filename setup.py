"""Builds the wheel. With ``GATEWAY_COMPILE=1`` the way of every request is machine code, by mypyc (docs/adr/0011).

The source is the same either way: without the variable the wheel is pure Python, and so is every checkout. What
else there is to say of the package stands in pyproject.toml; here is what is compiled, and why the rest is not.
"""

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

COMPILED = {
    "": "deadline events exchange judge tally",
    "core": "answers cors credentials forwarding headers heads hops lifecycle methods outcomes pace paths places"
    " policy response_head routes shapes tokens websocket wire",
    "credentials": "header",
    "edge": "block call client_time cors crossing cycle express fittings http_date line listener options parser"
    " passage paused pipeline place protocol proxy raw_head reception scope sending telling transport upstreams"
    " watch",
    "upstream": "client connection fresh heads lanes parser pool response wire",
}
"""By folder: where plain requests pass, in either lane."""

UNCOMPILED = {
    "core/bounded": "its classes are an OrderedDict and a dict: compiled, they write beyond their memory",
    "core/claims": "new tokens only",
    "core/errors": "exceptions are Python's own classes, and rare",
    "core/families": "refreshes only",
    "core/grants": "refreshes only",
    "core/jws": "new tokens only",
    "core/keys": "refreshes only",
    "core/records": "refreshes only",
    "core/secret": "what keeps secrets out of logs runs as it is read",
    "core/strict_json": "refreshes only",
    "core/token_requests": "refreshes only",
    "edge/asgi": "other servers ask of its __call__ whether it is a coroutine function, which compiled ones deny",
    "edge/body": "an async generator",
    "edge/cycle_ports": "types only",
    "edge/ports": "types only",
    "edge/endpoints": "Starlette's; not on a request's way",
    "edge/problems": "refusals only",
    "edge/refusal": "refusals only; a Protocol that is looked at while it runs",
    "edge/upgrade": "WebSockets only",
    "upstream/body": "async generators",
    "upstream/dial": "new connections only; it waits within `async with`",
    "upstream/names": "new connections only",
    "upstream/ports": "a transport that derives from asyncio's",
    "upstream/salvage": "broken connections only",
    "upstream/settings": "read at start",
    "upstream/tls": "protocols that derive from asyncio's",
    "duplex": "WebSockets only; a protocol that derives from asyncio's",
}
"""Neighbours of those, and why they are not among them. Modules of other folders are on no plain request's way."""

OLDEST_MYPYC = (2, 4)
"""Earlier ones leak what exceptions hold, and lose references to properties (python/mypy#21716, #21230)."""


def modules() -> list[str]:
    """The files to compile, in order."""
    named = [f"gateway/{folder}/{name}" for folder, names in COMPILED.items() for name in names.split()]
    return sorted(f"{name.replace('//', '/')}.py" for name in named)


def extensions() -> list[Extension]:
    """C, generated and to be compiled. Exits, saying what is missing or which type does not fit."""
    try:
        found = version("mypy")
    except PackageNotFoundError:
        sys.exit("GATEWAY_COMPILE needs mypy beside setuptools: build with `make wheel`, or --no-build-isolation.")
    if tuple(map(int, found.split(".")[:2])) < OLDEST_MYPYC:
        sys.exit(f"GATEWAY_COMPILE needs mypy {OLDEST_MYPYC[0]}.{OLDEST_MYPYC[1]} or newer; this is {found}.")
    if shutil.which(os.environ.get("CC", "cc").split()[0]) is None and shutil.which("gcc") is None:
        sys.exit("GATEWAY_COMPILE needs a C compiler, and Python's headers (on Debian: gcc, python3-dev).")
    from mypyc.build import mypycify  # noqa: PLC0415  # only where it is needed is it there

    return list(
        mypycify(
            ["--config-file=pyproject.toml", *modules()],
            opt_level="2",
            debug_level="0",
            group_name="evergreen_gateway",
        )
    )


class Relocatable(build_ext):
    """Leaves this machine's folders out of the binaries: what loads them has the interpreter's library already."""

    def build_extensions(self) -> None:
        """Compile, with all processors."""
        linker = self.compiler.linker_so
        self.compiler.linker_so = [word for word in linker if not word.startswith(("-Wl,-rpath", "-L"))]
        self.parallel = self.parallel or os.cpu_count()
        super().build_extensions()


if __name__ == "__main__":
    asked = os.environ.get("GATEWAY_COMPILE", "") not in ("", "0")
    described = not {"egg_info", "dist_info"}.isdisjoint(sys.argv)  # pip asks for that first; it needs no C
    setup(ext_modules=extensions() if asked and not described else [], cmdclass={"build_ext": Relocatable})
