import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.policy import Auth, Policy
from gateway.core.routes import Router, Rule

DEFAULT = Rule(upstream="default")


def rule(match, *methods, name=None):
    return Rule(match=match.encode(), methods=frozenset(methods), upstream=name or match)


def found(rules, path, method="GET"):
    chosen = Router(rules, DEFAULT).find(method, path.encode())
    return None if chosen is None else chosen.upstream


RULES = [rule("/*"), rule("/a/*"), rule("/a/b/*"), rule("/a/b/c"), rule("/a/b"), rule("/login", "POST")]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/*"),
        ("/x", "/*"),
        ("/a", "/*"),
        ("/a/", "/a/*"),
        ("/a/x", "/a/*"),
        ("/ab/x", "/*"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/*"),
        ("/a/b/x/y/z", "/a/b/*"),
        ("/a/b/c", "/a/b/c"),
        ("/a/b/cd", "/a/b/*"),
        ("/a/b/c/", "/a/b/*"),
        ("/%61/b/c", "/a/b/c"),
        ("/A/b/c", "/*"),
    ],
)
def test_the_longest_match_wins(path, expected):
    """N3: anchored at both ends, or at a segment's end."""
    assert found(RULES, path) == expected
    assert found(list(reversed(RULES)), path) == expected


@pytest.mark.parametrize(("method", "expected"), [("POST", "/login"), ("GET", "/*"), ("post", "/*")])
def test_a_rule_for_other_methods_is_no_match(method, expected):
    """N3"""
    assert found(RULES, "/login", method) == expected


@pytest.mark.parametrize("match", ["/x", "/x/*"])
def test_of_two_rules_for_one_path_the_one_that_names_the_method_wins(match):
    rules = [rule(match, name="any"), rule(match, "PUT", "POST", name="writes")]
    path = match.replace("*", "y")
    assert [found(rules, path, method) for method in ("GET", "PUT", "POST")] == ["any", "writes", "writes"]


def test_what_no_rule_takes_has_the_defaults():
    assert found([rule("/a", "POST"), rule("/b/*", "POST")], "/a") == "default"
    assert found([rule("/a", "POST")], "/z") == "default"
    assert found([rule("/b/*", "POST")], "/b/x") == "default"


@pytest.mark.parametrize(
    "path", ["/a//login", "/x/../login", "/%2e%2e/login", "/login;x", "/login%2f", "/%256cogin"]
)
def test_an_ambiguous_path_has_no_rule(path):
    """N2: where rules exist, guessing which one is meant would be a way around them."""
    off = Rule(match=b"/login", policy=Policy(auth=Auth.OFF))
    assert Router([off], DEFAULT).find("GET", path.encode()) is None


def test_the_whole_server_has_no_path_and_so_no_rule():
    """RFC 9110 §9.3.7: ``OPTIONS *``."""
    assert found(RULES, "*", "OPTIONS") == "default"


def test_without_rules_no_path_is_ambiguous():
    """N2: "under a rule"."""
    assert found([], "/a//b/../%2e") == "default"


class Counting(dict):
    """A dictionary that counts how often it was asked."""

    asked = 0

    def get(self, key, default=None):
        self.asked += 1
        return super().get(key, default)


def look_ups(rules, path):
    router = Router(rules, DEFAULT)
    router._exact, router._prefix = Counting(router._exact), Counting(router._prefix)
    router.find("GET", path)
    return router._exact.asked + router._prefix.asked


def test_ten_thousand_rules_cost_no_more_than_ten():
    """Counted, not timed: one look-up for exact paths, one for each slash that a prefix could end at."""

    def rules(count):
        return [rule(f"/s{n:05}/x/*") for n in range(count)] + [rule(f"/s{n:05}/e") for n in range(count)]

    paths = [b"/s00003/x/1", b"/s00003/e", b"/none/a/b/c", b"/" + b"a/" * 1000]
    few, many = ([look_ups(rules(count), path) for path in paths] for count in (10, 10_000))
    assert few == many
    assert max(many) <= 7


SEGMENTS = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=3)


@given(st.lists(st.tuples(SEGMENTS, st.booleans()), max_size=6), SEGMENTS, st.booleans())
def test_the_router_agrees_with_trying_every_rule(rules, segments, slash):
    """N3: against the naive reading of CONTRACT §6."""
    matches = {
        "/" + "".join(s + "/" for s in parts) + "*" if wild else "/" + "/".join(parts) for parts, wild in rules
    }
    path = "/" + "/".join(segments) + ("/" if slash and segments else "")
    fitting = [m for m in matches if m == path or (m.endswith("/*") and path.startswith(m[:-1]))]
    exact = [m for m in fitting if m == path]
    expected = exact[0] if exact else max(fitting, key=len, default="default")
    assert found([rule(m) for m in sorted(matches)], path) == expected


@pytest.mark.parametrize("path", ["/../admin", "/%2e%2e/admin", "/x/..%2f..%2fadmin", "//x"])
def test_a_path_that_could_leave_an_upstreams_prefix_is_ambiguous_even_without_rules(path):
    """N2, N5: `/v1` + `/../admin` is `/admin` to a server that normalises."""
    assert Router([], DEFAULT, confined=True).find("GET", path.encode()) is None
    assert Router([], DEFAULT, confined=True).find("GET", b"/x") is DEFAULT


def test_a_prefix_to_be_stripped_stands_there_in_plain_bytes():
    """N2: encoded, it would be matched but not stripped: one route, two mappings."""
    router = Router([Rule(match=b"/api/*", strip_prefix=b"/api")], DEFAULT)
    assert router.find("GET", b"/api/x") is not None
    assert router.find("GET", b"/%61pi/x") is None
