"""The wall as all tests of views look at it."""

import pytest

from tasks.views.renderer import ViewRenderer, prepare
from tests.support.cameras_by_hand import WIDTH
from tests.support.wall import photograph, training_cameras, wall


@pytest.fixture(scope="session")
def renderer() -> ViewRenderer:
    return prepare(wall(), training_cameras(), photograph(training_cameras()), longest_edge=WIDTH)
