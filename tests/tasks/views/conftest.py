"""The wall as all tests of views look at it."""

import pytest
from cameras_by_hand import WIDTH
from wall import photograph, training_cameras, wall

from tasks.views.view import Observer, prepare


@pytest.fixture(scope="session")
def observer() -> Observer:
    return prepare(wall(), training_cameras(), photograph(training_cameras()), longest_edge=WIDTH)
