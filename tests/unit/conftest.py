"""What the unit tests share."""

import pytest


@pytest.fixture
def one_thread():
    """One torch thread: tiny models are much slower with several that wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
