"""``[websocket]``, and what becomes of open streams."""

import pytest

from gateway import settings
from gateway.core.policy import OnOpenStream
from gateway.websocket import TunnelSettings
from tests.config.files import loaded, said


def test_the_defaults_are_those_of_the_tunnels(tmp_path):
    assert settings.tunnels(loaded(tmp_path)) == TunnelSettings()


def test_every_key_arrives(tmp_path):
    text = """
[websocket]
max_connections = 7
max_message = "1MiB"
ping_interval = "0s"
ping_timeout = "300ms"
close_timeout = "1s"
"""
    assert settings.tunnels(loaded(tmp_path, text)) == TunnelSettings(
        max_connections=7, max_message=1 << 20, ping_interval=0, ping_timeout=0.3, close_timeout=1
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("max_connections = 0", "from 1 to 1000000"),
        ("max_message = 5", "is not a size"),
        ('ping_interval = "soon"', "is not a duration"),
        ('ping_timeout = "0s"', "is zero"),
        ('close_timeout = "0s"', "is zero"),
        ("compression = true", "is not a key"),
    ],
)
def test_what_is_refused(tmp_path, line, words):
    ((path, sentence),) = said(tmp_path, f"[websocket]\n{line}")
    assert path == f"websocket.{line.partition(' ')[0]}"
    assert words in sentence


def test_open_streams_are_kept_unless_the_file_says_otherwise(tmp_path):
    config = loaded(tmp_path)
    assert settings.policy(config, None).on_open_stream is OnOpenStream.KEEP
    config = loaded(tmp_path, '[refresh]\non_open_stream = "close"')
    assert settings.policy(config, None).on_open_stream is OnOpenStream.CLOSE


def test_a_route_has_its_own_word(tmp_path):
    text = """
[refresh]
on_open_stream = "close"
[[routes]]
match = "/a"
on_open_stream = "keep"
[[routes]]
match = "/b"
"""
    config = loaded(tmp_path, text)
    first, second = (settings.policy(config, route).on_open_stream for route in config.routes)
    assert (first, second) == (OnOpenStream.KEEP, OnOpenStream.CLOSE)


@pytest.mark.parametrize("section", ["[refresh]", '[[routes]]\nmatch = "/a"'])
def test_only_two_words_are_known(tmp_path, section):
    ((path, sentence),) = said(tmp_path, f'{section}\non_open_stream = "drop"')
    assert path.endswith("on_open_stream")
    assert 'Write one of "keep", "close"' in sentence
