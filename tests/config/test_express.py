"""``[server] express``: whether plain requests may take the short way."""

import pytest

from gateway import settings
from gateway.edge.listener import ListenerSettings
from tests.config.files import loaded


def test_the_short_way_is_open_by_default(tmp_path):
    assert settings.listening(loaded(tmp_path)).express is ListenerSettings().express is True


@pytest.mark.parametrize("written", [True, False])
def test_what_the_file_says_reaches_the_listener(tmp_path, written):
    text = f"[server]\nexpress = {str(written).lower()}"
    assert settings.listening(loaded(tmp_path, text)).express is written


def test_the_environment_can_close_it(tmp_path):
    """CONTRACT §6: any key can be overridden."""
    environ = {"GATEWAY__SERVER__EXPRESS": "false"}
    assert settings.listening(loaded(tmp_path, "", environ)).express is False
