"""The three procedural scenes as input of structure from motion."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from jaxtyping import Float32, UInt8
from scipy.ndimage import map_coordinates

from flows.commands.demo import TRAINING_PHOTOS
from tasks.cameras import Cameras
from tasks.procedural.build import HEIGHT, PHOTO_COUNT, WIDTH, ProceduralScene
from tasks.procedural.render import PreparedScene, prepare, render
from tasks.procedural.scenes import facade, interior, orbit
from tasks.procedural.trace import Shape
from tests.support.reprojection import lifted, projected, share_seen_again


@dataclass(frozen=True)
class Small:
    """A scene with coarse indirect light, and its cameras at a third of the size."""

    scene: ProceduralScene
    prepared: PreparedScene
    cameras: Cameras

    def photo(self, i: int) -> tuple[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "h w"]]:
        return render(self.prepared, self.cameras, i, samples=2)


def small_of(scene: ProceduralScene) -> Small:
    sizes = np.tile(np.array([160, 120]), (PHOTO_COUNT, 1))
    return Small(
        scene=scene,
        prepared=prepare(scene, strata=2),
        cameras=scene.cameras.resized(sizes),
    )


@pytest.fixture(scope="module", params=[interior, orbit, facade], ids=lambda f: f.__name__)
def small(request: pytest.FixtureRequest) -> Small:
    build: Callable[[], ProceduralScene] = request.param
    return small_of(build())


def seen_again(small: Small, i: int, j: int) -> float:
    return share_seen_again(small.cameras, i, j, small.photo(i)[1], small.photo(j)[1])


def test_depth_and_cameras_agree_across_photos(small: Small) -> None:
    """Fixes the pixel centre: 1 / z is affine on planes, so half a pixel's error would show."""
    i, j = 8, 9
    world = lifted(small.cameras, i, small.photo(i)[1])
    depth = small.photo(j)[1].astype(np.float64)
    x, y, z = projected(small.cameras, j, world)
    keep = (z > 0) & (x > 2) & (x < 158) & (y > 2) & (y < 118)
    inverse = np.divide(1.0, depth, out=np.zeros_like(depth), where=depth > 0)

    def error(centre: float) -> float:
        found = map_coordinates(inverse, [y[keep] - centre, x[keep] - centre], order=1)
        relative = np.abs(found * z[keep] - 1.0)
        return float(np.median(relative[relative < 0.05]))

    assert error(0.5) < 2e-4
    assert error(0.0) > 5 * error(0.5)


def test_colours_agree_across_photos(small: Small) -> None:
    i, j = 8, 9
    rgb_i, depth_i = small.photo(i)
    rgb_j, depth_j = small.photo(j)
    x, y, z = projected(small.cameras, j, lifted(small.cameras, i, depth_i))
    keep = (z > 0) & (x > 2) & (x < 158) & (y > 2) & (y < 118)
    place = [y[keep] - 0.5, x[keep] - 0.5]
    there = map_coordinates(depth_j, place, order=1)
    same = np.abs(there - z[keep]) < 0.01 * z[keep]
    own = rgb_i[depth_i > 0][keep][same].astype(float)
    other = np.stack(
        [map_coordinates(c, place, order=1)[same] for c in rgb_j.T.swapaxes(1, 2).astype(float)], 1
    )
    assert same.mean() > 0.5
    assert np.median(np.abs(own - other)) < 6.0
    assert np.corrcoef(own.ravel(), other.ravel())[0, 1] > 0.9


def test_neighbouring_photos_overlap(small: Small) -> None:
    overlaps = [seen_again(small, k, k + 1) for k in range(0, PHOTO_COUNT - 1, 2)]
    assert min(overlaps) > 0.55


def test_sparse_training_photos_overlap_where_they_should_cover_the_scene() -> None:
    small = small_of(facade())
    order = TRAINING_PHOTOS["facade"]
    overlaps = [seen_again(small, order[k], order[k + 1]) for k in range(0, len(order) - 1, 2)]
    assert min(overlaps) > 0.55


def test_nearly_every_block_has_texture(small: Small) -> None:
    blocks = []
    for i in (0, 9, 17):
        cameras = small.scene.cameras
        rgb, _ = render(small.prepared, cameras, i, samples=2)
        assert rgb.shape == (HEIGHT, WIDTH, 3)
        grey = rgb.astype(float).mean(2)[: HEIGHT // 16 * 16]
        blocks.append(grey.reshape(HEIGHT // 16, 16, WIDTH // 16, 16).std((1, 3)).ravel())
    assert np.mean(np.concatenate(blocks) > 2.0) > 0.93


def test_few_pixels_are_black_overexposed_or_sky(small: Small) -> None:
    for i in (2, 13, 20):
        rgb, depth = small.photo(i)
        assert 60 < rgb.mean() < 170
        assert (rgb.max(2) < 10).mean() < 0.03
        assert (rgb.min(2) > 250).mean() < 0.03
        assert (depth == 0).mean() < 0.2


def test_no_camera_stands_inside_a_solid(small: Small) -> None:
    for solid in small.scene.solids:
        unit = (small.cameras.centres - solid.centre) @ solid.world_from_solid / solid.half_size
        measure = {
            Shape.BOX: np.abs(unit).max(1),
            Shape.BALL: np.linalg.norm(unit, axis=1),
            Shape.CYLINDER: np.maximum(np.hypot(unit[:, 0], unit[:, 1]), np.abs(unit[:, 2])),
        }[solid.shape]
        assert (measure > 1.0).all()
