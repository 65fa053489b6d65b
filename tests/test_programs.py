"""A program that a test needs is found, or its lack is told."""

import os

import pytest

from tests.programs import program


def test_an_installed_program_is_found():
    assert os.access(program("no-such-program", "sh"), os.X_OK)


def test_a_missing_program_skips_the_test_and_says_what_to_do():
    with pytest.raises(pytest.skip.Exception, match=r"NOT TESTED: no-such-program .*make test"):
        program("no-such-program", environ={"PATH": os.defpath})


def test_in_ci_a_missing_program_is_a_failure():
    with pytest.raises(pytest.fail.Exception, match="NOT TESTED"):
        program("no-such-program", environ={"PATH": os.defpath, "CI": "true"})
