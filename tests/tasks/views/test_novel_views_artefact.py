"""Novel views of a wall through the store, and their selection."""

from pathlib import Path

import numpy as np
import pytest

from storage.handles import ArrayHandle
from storage.store import Store
from tasks.views.artefact import NovelViews, write_views
from tasks.views.config import ViewsConfig
from tasks.views.novel_views import novel_views
from tasks.views.renderer import ViewRenderer, render_view

CONFIG = ViewsConfig(count=8, gate=0.0)


@pytest.fixture(scope="module")
def stored(renderer: ViewRenderer, tmp_path_factory: pytest.TempPathFactory) -> ArrayHandle:
    store = Store(root=str(tmp_path_factory.mktemp("store")))
    with store.writer("wall", "views") as out:
        return out.commit(write_views(out, novel_views(renderer, CONFIG)))


def test_stored_views_are_read_back_unchanged(renderer: ViewRenderer, stored: ArrayHandle) -> None:
    views = NovelViews(stored)
    assert len(views) == 8
    for index in (0, 7):
        found = views.view(index)
        made = render_view(renderer, views.cameras.select([index]), CONFIG)
        assert (found.nearest, found.sources) == (made.nearest, made.sources)
        assert found.camera.names == made.camera.names
        np.testing.assert_array_equal(found.depth, made.depth)
        np.testing.assert_array_equal(found.swept.depth, made.swept.depth)
        for name in ("rgb", "alpha", "confidence", "warped", "warped_valid"):
            np.testing.assert_allclose(
                getattr(found, name), getattr(made, name), atol=0.5 / 255 + 1e-6, err_msg=name
            )
        for name in ("cost", "warped", "valid"):
            np.testing.assert_allclose(
                getattr(found.swept, name),
                getattr(made.swept, name),
                atol=0.5 / 255 + 1e-6,
                err_msg=name,
            )
        for name in ("gap", "error"):
            np.testing.assert_allclose(
                getattr(found.surface, name), getattr(made.surface, name), rtol=2**-10, atol=1e-7
            )


def test_interpolated_views_come_first_and_a_quarter_may_extrapolate(stored: ArrayHandle) -> None:
    cameras = NovelViews(stored).cameras
    assert [name[:7] for name in cameras.names] == ["between"] * 6 + ["beyond_"] * 2
    assert np.abs(cameras.centres[:6, 0]).max() < 1.5
    np.testing.assert_allclose(sorted(cameras.centres[6:, 0]), [-2.0, 2.0])


def test_equal_inputs_give_an_equal_artefact(
    renderer: ViewRenderer, stored: ArrayHandle, tmp_path: Path
) -> None:
    with Store(root=str(tmp_path)).writer("wall", "views") as out:
        again = out.commit(write_views(out, novel_views(renderer, CONFIG)))
    assert again.digest == stored.digest


def test_extrapolated_views_that_fail_the_gate_are_dropped(renderer: ViewRenderer) -> None:
    views = list(novel_views(renderer, ViewsConfig(count=8, gate=100.0)))
    assert all(view.camera.names[0].startswith("between") for view in views)


def test_extrapolation_rounds_continue_from_views_that_passed(renderer: ViewRenderer) -> None:
    # Two ways, and a quarter of 24 views: three rounds.
    names = [
        view.camera.names[0]
        for view in novel_views(renderer, ViewsConfig(count=24, steps=5, rounds=3, gate=0.0))
    ]
    assert names[18:] == [f"beyond_{way:04d}_{step}" for step in (1, 2, 3) for way in (0, 1)]


def test_extrapolation_can_be_disabled(renderer: ViewRenderer) -> None:
    views = list(novel_views(renderer, ViewsConfig(count=5, beyond=False)))
    assert len(views) == 5
    assert all(view.camera.names[0].startswith("between") for view in views)
