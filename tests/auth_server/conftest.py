import pytest

from .support import outbound, token_transport


@pytest.fixture(params=[outbound, token_transport])
def sender(request):
    """Documents and tokens go different ways, and both keep what is promised of a ``Sender``."""
    return request.param()
