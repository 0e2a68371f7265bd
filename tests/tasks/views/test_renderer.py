"""Views of a textured wall, whose depth, warp and confidence are closed forms."""

from dataclasses import replace

import numpy as np
import pytest

from tasks.cameras import Cameras
from tasks.gaussians import joined
from tasks.splat.init.points import gaussians_of
from tasks.views.config import ViewsConfig
from tasks.views.renderer import NovelView, ViewRenderer, prepare, render_view
from tests.support.cameras_by_hand import HEIGHT, WIDTH, cameras_at
from tests.support.wall import DEPTH, paint, photograph, training_cameras, wall


@pytest.fixture(scope="module")
def view(renderer: ViewRenderer) -> NovelView:
    """A little to the right of the second camera."""
    return render_view(renderer, novel(-0.3), ViewsConfig())


def novel(x: float) -> Cameras:
    return cameras_at(np.array([[x, 0.0, 0.0]]))


def test_the_render_shows_the_wall_at_its_depth(view: NovelView) -> None:
    np.testing.assert_allclose(view.depth, DEPTH, rtol=1e-4)
    assert view.alpha.min() > 0.99
    np.testing.assert_allclose(view.rgb, photograph(view.camera)[0] / 255, atol=0.05)


def test_sources_are_the_photos_beside_the_view_nearest_first(view: NovelView) -> None:
    # At x = -1.5, -0.5, 0.5, 1.5; the view is at -0.3.
    assert view.nearest == "1.jpg"
    assert view.sources == ("1.jpg", "2.jpg", "0.jpg")
    assert view.swept.warped.shape == (3, HEIGHT, WIDTH, 3)


def test_the_number_of_sources_follows_the_config(renderer: ViewRenderer) -> None:
    found = render_view(renderer, novel(0.9), ViewsConfig(sources=1))
    assert found.sources == ("2.jpg",)


def test_the_nearest_photo_is_warped_onto_the_wall(view: NovelView) -> None:
    seen = view.warped_valid > 0.9
    shift_px = 0.2 * 50 / DEPTH  # the view is 0.2 to the right: photo 1 lacks the right border
    assert seen[:, : WIDTH - 4].all()
    assert not view.warped_valid[:, WIDTH - int(shift_px) :].any()
    truth = photograph(view.camera)[0] / 255
    np.testing.assert_allclose(view.warped[seen], truth[seen], atol=0.02)


def test_a_view_that_agrees_with_photos_has_high_confidence(view: NovelView) -> None:
    # The splat's colours are off by 0.01 or so, and confidence by exp(-(0.01 + 0.01) / 0.05).
    assert view.confidence.mean() > 0.5


def test_a_view_contradicted_by_photos_has_low_confidence() -> None:
    spoilt = photograph(training_cameras())
    for photo in spoilt:
        photo[:, :] = 255 - photo
    contradicted = prepare(wall(), training_cameras(), spoilt, longest_edge=WIDTH)
    found = render_view(contradicted, novel(-0.3), ViewsConfig())
    assert found.confidence.mean() < 0.1


def test_photos_warped_by_the_swept_depth_affect_confidence(renderer: ViewRenderer) -> None:
    # Nobody but the third source is spoilt: neither the nearest nor the second photo, nor, as the
    # residuals are those of the unspoilt photos, the Gaussians.
    photos = renderer.stack.photos.copy()
    photos[0] = 255 - photos[0]
    spoilt = replace(renderer, stack=replace(renderer.stack, photos=photos))
    before = render_view(renderer, novel(-0.3), ViewsConfig())
    after = render_view(spoilt, novel(-0.3), ViewsConfig())
    assert after.sources == before.sources == ("1.jpg", "2.jpg", "0.jpg")
    assert after.confidence.mean() < before.confidence.mean() - 0.02


def test_a_view_without_gaussians_has_zero_confidence_and_a_positive_depth(
    renderer: ViewRenderer,
) -> None:
    away = cameras_at(np.array([[0.0, 0, 2 * DEPTH]]))
    found = render_view(renderer, away, ViewsConfig())
    assert found.alpha.max() == 0
    assert found.confidence.max() == 0
    assert found.depth.min() > 0


def test_the_background_is_rendered_with_zero_alpha_and_confidence() -> None:
    behind = gaussians_of(
        np.array([[0.0, 0, 20 * DEPTH]]),
        np.array([[0.2, 0.4, 0.6]]),
        np.array([5 * DEPTH]),
        opacity=0.999,
        sh_degree=0,
        seed=0,
    )
    splat = joined([replace(behind, num_background=1), wall()])
    prepared = prepare(
        splat, training_cameras(), photograph(training_cameras()), longest_edge=WIDTH
    )
    past_the_wall = cameras_at(np.array([[0.0, 0, 2 * DEPTH]]))
    empty = render_view(prepared, past_the_wall, ViewsConfig())
    np.testing.assert_allclose(empty.rgb[HEIGHT // 2, WIDTH // 2], [0.2, 0.4, 0.6], atol=0.01)
    assert empty.alpha.max() == 0
    assert empty.confidence.max() == 0
    before_it = render_view(prepared, novel(-0.3), ViewsConfig())
    np.testing.assert_allclose(before_it.depth, DEPTH, rtol=1e-4)


def test_masked_pixels_are_neither_warped_nor_counted_in_residuals() -> None:
    photos = photograph(training_cameras())
    masks = [np.ones((HEIGHT, WIDTH), bool) for _ in photos]
    for photo, mask in zip(photos, masks, strict=True):
        photo[:10] = 255 - photo[:10]  # somebody walks through
        mask[:10] = False
    unmasked = prepare(wall(), training_cameras(), photos, longest_edge=WIDTH)
    masked = prepare(wall(), training_cameras(), photos, longest_edge=WIDTH, masks=masks)
    found = render_view(masked, novel(-0.3), ViewsConfig())
    assert found.warped_valid[:9].max() == 0
    assert found.warped_valid[11:, : WIDTH - 4].min() > 0.9
    residual = masked.residuals.sh - unmasked.residuals.sh
    assert residual[:, 0, 0].min() < -0.1  # the walker's errors are not the wall's


def test_photos_are_reduced_to_the_renders_size() -> None:
    cameras = training_cameras()
    double = cameras.resized(2 * cameras.sizes)
    prepared = prepare(wall(), double, photograph(double), longest_edge=WIDTH)
    assert prepared.stack.photos.shape == (4, HEIGHT, WIDTH, 3)
    found = render_view(prepared, novel(-0.3), ViewsConfig())
    seen = found.warped_valid > 0.9
    np.testing.assert_allclose(
        found.warped[seen], photograph(found.camera)[0][seen] / 255, atol=0.02
    )


def test_photos_of_several_sizes_are_warped_with_their_own_intrinsics() -> None:
    wide = training_cameras()
    turned = wide.sizes.copy()
    turned[1] = [HEIGHT, WIDTH]
    lenses = wide.intrinsics.copy()
    lenses[1, :2, 2] = [HEIGHT / 2, WIDTH / 2]
    cameras = Cameras(
        names=wide.names,
        camera_from_world=wide.camera_from_world,
        intrinsics=lenses,
        sizes=turned,
    )
    prepared = prepare(wall(), cameras, photograph(cameras), longest_edge=WIDTH)
    found = render_view(prepared, novel(-0.5), ViewsConfig())
    assert found.nearest == "1.jpg"
    side = (WIDTH - HEIGHT) // 2
    inside = (slice(None), slice(side + 1, WIDTH - side - 1))
    assert found.warped_valid[inside].min() > 0.9
    assert found.warped_valid[:, : side - 1].max() == 0
    truth = photograph(found.camera)[0] / 255
    np.testing.assert_allclose(found.warped[inside], truth[inside], atol=0.02)


def test_the_test_texture_has_contrast() -> None:
    x, y = np.meshgrid(np.linspace(-2, 2, 20), np.linspace(-2, 2, 20))
    assert paint(x, y).std() > 0.15
