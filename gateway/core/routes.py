"""Which rule applies to a request: method and path, anchored; never query, fragment or User-Agent (N3).

The longest match wins. The look-up costs as much with ten thousand rules as with ten: one dictionary for exact
paths, one for prefixes, asked once for each slash of the path that some prefix could end at.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.core.paths import canonical
from gateway.core.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One ``[[routes]]`` entry, or the defaults."""

    match: bytes = b""
    """An exact path, or a prefix that ends in ``/*``. Decoded, as ``canonical`` gives it."""
    methods: frozenset[str] = frozenset()
    """Empty: every method."""
    policy: Policy = field(default_factory=Policy)
    upstream: str = ""
    """The name of the upstream; empty: the default one."""
    strip_prefix: bytes = b""
    response_timeout: float | None = None
    """Seconds; None: the upstream's own."""
    lane: int = 0
    """Its number among the rules: each has a share of its upstream's connections (D5). 0: the default."""

    def takes(self, method: str) -> bool:
        """The rule is for this method."""
        return not self.methods or method in self.methods


class Router:
    """All rules of one gateway."""

    def __init__(self, rules: Iterable[Rule], default: Rule, *, confined: bool = False) -> None:
        """Args:
        rules: in any order.
        default: what holds where none matches.
        confined: some upstream has a path prefix, which an ambiguous path could leave: that is a rule too.
        """
        self._default = default
        self._exact: dict[bytes, list[Rule]] = {}
        self._prefix: dict[bytes, list[Rule]] = {}
        for rule in rules:
            if rule.match.endswith(b"/*"):
                self._prefix.setdefault(rule.match[:-1], []).append(rule)
            else:
                self._exact.setdefault(rule.match, []).append(rule)
        for group in (*self._exact.values(), *self._prefix.values()):
            group.sort(key=lambda rule: not rule.methods)
        self._ruled = confined or bool(self._exact or self._prefix)
        self._longest = max((len(p) for p in self._prefix), default=0)

    def find(self, method: str, path: bytes) -> Rule | None:
        """The rule for a raw path; None where the path is ambiguous and a rule might hold for it (N2).

        A prefix to be stripped must stand there in plain bytes: encoded, it would be matched but not stripped.
        """
        if not self._ruled or path == b"*":  # the whole server (RFC 9110 §9.3.7): no path, no rule
            return self._default
        reading = canonical(path)
        if reading is None:
            return None
        rule = self._by_reading(method, reading)
        cut = rule.strip_prefix
        return rule if path.startswith(cut) or not reading.startswith(cut) else None

    def _by_reading(self, method: str, path: bytes) -> Rule:
        for rule in self._exact.get(path, ()):
            if rule.takes(method):
                return rule
        return self._by_prefix(method, path) if self._prefix else self._default

    def _by_prefix(self, method: str, path: bytes) -> Rule:
        end = path.rfind(b"/", 0, self._longest)
        while end >= 0:
            for rule in self._prefix.get(path[: end + 1], ()):
                if rule.takes(method):
                    return rule
            end = path.rfind(b"/", 0, end)
        return self._default
