"""docs/fleet.md: its configurations are loaded, and the ACL that it gives is enough for a refresh."""

import base64
import re
from pathlib import Path

import pytest
import trustme

from gateway.core.secret import Secret
from tests.config.files import loaded
from tests.redis_servers import redis_server
from tests.store.support import KEY, direct, opened
from tests.store.test_redis_news import subscribed
from tests.store.test_redis_records import every_operation

PAGE = (Path(__file__).parent.parent / "docs" / "fleet.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
URLS = [
    url.partition(";")[0].strip() for url in re.findall(r"^\| [^|]+ \| `(\w[\w+]+://[^`]+)`", PAGE, re.MULTILINE)
]


def keys() -> dict[str, str]:
    """One for each name that the page has."""
    names = sorted(set(re.findall(r'env = "(\w+)"', PAGE)))
    return {name: base64.b64encode(bytes([number]) * 32).decode() for number, name in enumerate(names, 1)}


def test_the_page_has_configurations_and_urls():
    assert len(BLOCKS) == 3
    assert len(URLS) == 4


@pytest.mark.parametrize("number", range(3))
def test_a_configuration_on_the_page_is_valid(tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    trustme.CA().cert_pem.write_to_path(tmp_path / "redis-ca.pem")
    (tmp_path / "store-password").write_text("a password")
    config = loaded(tmp_path, BLOCKS[number], keys())
    assert config.store.url.is_shared
    assert config.server.workers == (4 if number == 0 else 1)


@pytest.mark.parametrize("url", URLS)
def test_a_url_on_the_page_is_one(tmp_path, url):
    block = BLOCKS[0].replace("redis://redis.internal:6379/0", url)
    assert loaded(tmp_path, block, keys()).store.url.is_shared


async def test_the_acl_on_the_page_is_enough():
    (rule,) = re.findall(r"`(user gateway [^`]+)`", PAGE)
    name, *rules = rule.removeprefix("user ").replace("\u2026", "secret").split()
    with redis_server() as redis:
        redis.ask("ACL", "SETUSER", name, *rules)
        redis.ask("ACL", "SETUSER", "default", "on", "nopass")
        access = {"username": name, "password": Secret("secret")}
        async with opened(direct(redis, **access)) as store:
            assert await every_operation(store)
            await store.acquire(KEY, "me", 60)
            async with store.news(KEY) as event:
                await subscribed(event)
                await store.release(KEY, "me")
                await subscribed(event)
