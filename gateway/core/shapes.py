"""The names of a message's fields, in their order. Pure, but for what it remembers.

A peer sends the same few lists of names again and again, with other values. What depends on the names alone is
decided once for each list, and looked up from then on.
"""

from collections.abc import Sequence

from gateway.core.bounded import Learnt

_MOST = 1024
_LONGEST = 2048
"""Bytes of a list that is remembered: a peer that makes up names fills no memory (D6)."""


class Shape:
    """One list of names. Two of the same names are the same object as long as they are remembered."""

    __slots__ = ("at", "lasting", "names")

    def __init__(self, names: tuple[bytes, ...]) -> None:
        self.names = names
        """As sent."""
        self.at: dict[bytes, tuple[int, ...]] = {}
        """The places of each name, which is in lower case."""
        for place, name in enumerate(names):
            lowered = name.lower()
            self.at[lowered] = (*self.at.get(lowered, ()), place)
        self.lasting = sum(map(len, names)) <= _LONGEST
        """It may be remembered, and so may what is known of it."""

    def values(self, headers: Sequence[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
        """Every value of the field ``name`` (given in lower case) in ``headers`` of this shape, in order."""
        return [headers[place][1] for place in self.at.get(name, ())]


_shapes: Learnt[tuple[bytes, ...], Shape] = Learnt(_MOST)


def shape_of(names: tuple[bytes, ...]) -> Shape:
    """The shape with these names."""
    shape = _shapes.get(names)
    if shape is None:
        shape = Shape(names)
        if shape.lasting:
            _shapes.learn(names, shape)
    return shape
