"""How well-known servers read a path: which segments they act on."""

import posixpath
import re
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler
from urllib.parse import unquote_to_bytes


def segments(path: bytes) -> list[bytes]:
    """The segments of a path that has been decoded and resolved."""
    return [s for s in path.split(b"/") if s]


def python(target: bytes) -> list[bytes]:
    """``http.server``'s own code."""
    handler = SimpleHTTPRequestHandler.__new__(SimpleHTTPRequestHandler)
    handler.directory = ""
    return segments(handler.translate_path(target.decode("latin-1")).encode("utf-8", "surrogatepass"))


def go(target: bytes) -> list[bytes]:
    """``net/http``: ``url.ParseRequestURI``, then ``ServeMux``'s ``cleanPath``."""
    return segments(posixpath.normpath(unquote_to_bytes(target.partition(b"?")[0])))


def servlet(target: bytes) -> list[bytes]:
    """Tomcat and its like: parameters of segments are cut off before anything is decoded."""
    return go(re.sub(rb";[^/]*", b"", target.partition(b"?")[0]))


def windows(target: bytes) -> list[bytes]:
    r"""IIS: ``\`` is a slash."""
    return segments(posixpath.normpath(unquote_to_bytes(target.partition(b"?")[0]).replace(b"\\", b"/")))


def twice(target: bytes) -> list[bytes]:
    """A chain of two servers that each decode."""
    return segments(posixpath.normpath(unquote_to_bytes(unquote_to_bytes(target.partition(b"?")[0]))))


READERS: dict[str, Callable[[bytes], list[bytes]]] = {
    "http.server": python,
    "Go": go,
    "servlets": servlet,
    "Windows": windows,
    "two in a row": twice,
}


def differing(target: bytes, reading: bytes) -> list[str]:
    """The servers that see other segments than ``reading``. What is no UTF-8 compares as a replacement character."""
    expected = _shown(segments(reading))
    return [name for name, read in READERS.items() if _shown(read(target)) != expected]


def _shown(found: list[bytes]) -> list[str]:
    return [segment.decode("utf-8", "replace") for segment in found]
