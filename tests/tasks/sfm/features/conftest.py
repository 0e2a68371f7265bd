"""Networks on one thread: their tests are small, and the machine may be busy."""

from collections.abc import Iterator

import pytest

from tasks.runtime.threads import torch_threads


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    with torch_threads(1):
        yield
