"""Combinations of keys that are unsafe, senseless or contradict one another."""

from collections.abc import Iterator

from gateway.config.auth_rules import auth_server_rules, refresh_endpoint_rules
from gateway.config.environment import Tree
from gateway.config.http_rules import header_rules, route_rules, upstream_rules
from gateway.config.key_rules import key_rules
from gateway.config.model import Config
from gateway.config.problems import Problem
from gateway.config.store_rules import store_rules


def findings(config: Config, tree: Tree) -> Iterator[Problem]:
    """Everything that is wrong with a file whose keys are right one by one.

    ``tree`` is the file as written: it tells a literal secret from a referenced one.
    """
    yield from auth_server_rules(config, tree)
    yield from refresh_endpoint_rules(config)
    yield from key_rules(config)
    yield from header_rules(config)
    yield from upstream_rules(config)
    yield from route_rules(config)
    yield from store_rules(config, tree)
