"""What libraries say through the standard library's logging comes out as ours does."""

import asyncio
import json
import logging

import pytest

from gateway import log
from gateway.core import strict_json

LIBRARY = logging.getLogger("library.part")


@pytest.fixture(autouse=True)
def undone():
    """What ``configure`` does to the process."""
    handlers = list(logging.root.handlers)
    yield
    logging.root.handlers[:] = handlers


def told(capfd):
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_a_warning_of_a_library_is_one_line_of_ours(capfd, caplog):
    """X9: its arguments are left out, because a token may be among them."""
    log.configure("info", "json")
    caplog.set_level(logging.DEBUG, LIBRARY.name)
    LIBRARY.warning("the peer said %s\nand more", "canary")
    LIBRARY.info("nothing that counts")
    [line] = told(capfd)
    assert (line["event"], line["level"], line["what"]) == ("notice", "warning", "library")
    assert line["detail"] == "library.part: the peer said %s"
    assert "timestamp" in line


def test_an_exception_in_a_library_is_told_by_its_class_and_place(capfd):
    """X9"""
    log.configure("info", "json")
    try:
        strict_json.parse(b"canary")
    except ValueError:
        LIBRARY.exception("it failed")
    [line] = told(capfd)
    assert (line["level"], line["detail"]) == ("error", "library.part: it failed: ValueError")
    assert line["where"].startswith("core/strict_json.py:")


async def test_what_asyncio_quotes_of_a_callback_is_not_told(capfd):
    """X9: it writes the arguments of the call into its message."""
    log.configure("info", "json")
    asyncio.get_running_loop().call_soon(int, "canary")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    output = capfd.readouterr().err
    [line] = [json.loads(text) for text in output.splitlines()]
    assert line["detail"] == "asyncio: Exception in callback int: ValueError"
    assert "canary" not in output


def test_the_configured_level_holds_for_libraries_too(capfd):
    log.configure("error", "json")
    LIBRARY.warning("not this")
    LIBRARY.error("this")
    assert [line["detail"] for line in told(capfd)] == ["library.part: this"]


def test_configured_twice_it_is_told_once(capfd):
    log.configure("info", "json")
    log.configure("info", "json")
    LIBRARY.warning("once")
    assert len(told(capfd)) == 1


def test_on_a_console_a_library_cannot_write_lines(capfd):
    """X9"""
    log.configure("info", "console")
    LIBRARY.warning("red \x1b[31m and\rback")
    [line] = capfd.readouterr().err.splitlines()
    assert "\x1b[31m and" not in line
    assert "library.part: red " in line
