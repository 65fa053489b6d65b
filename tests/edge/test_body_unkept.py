"""B27: a body that cannot be kept is sent all the same, once."""

import pytest

from tests.edge.test_body import Client, body, whole
from tests.scarcity import no_descriptors

__all__ = ["body"]
PIECE = b"x" * 50_000


async def test_without_a_descriptor_for_its_file_a_body_still_passes(body):  # a fixture
    """B27, R18: it is only not replayable."""
    source = body(Client(*[PIECE] * 4), length=4 * len(PIECE))
    with no_descriptors():
        assert await whole(source) == PIECE * 4
    assert not source.replayable
    with pytest.raises(ValueError):
        await anext(aiter(source.chunks()))


async def test_a_body_that_needs_no_file_is_kept(body):  # a fixture
    """B27: memory is there."""
    source = body(Client(PIECE), length=len(PIECE))
    with no_descriptors():
        assert await whole(source) == PIECE
        assert source.replayable
        assert await whole(source) == PIECE
