"""Light, shadow and depth of simple solids against analytic answers."""

import dataclasses
import math

import numba
import numpy as np
from jaxtyping import Float64

from tasks.cameras import Cameras
from tasks.procedural.build import ProceduralScene, look_at
from tasks.procedural.light import Light, bake
from tasks.procedural.materials import linear_rgb
from tasks.procedural.render import prepare, render
from tasks.procedural.trace import Shape, Solid, pack
from tests.support.handmade_solids import GREY, solid


def light(
    to_sun: tuple[float, float, float] = (0.0, 0.0, 1.0), sun: float = 0.0, sky: float = 0.0
) -> Light:
    return Light(
        to_sun=np.array(to_sun),
        sun=np.full(3, sun),
        sun_radius_rad=1e-6,
        zenith=np.full(3, sky),
        horizon=np.full(3, sky),
        clouds=0.0,
        exposure=1.0,
    )


def one_camera(
    eye: tuple[float, float, float],
    target: tuple[float, float, float],
    principal: tuple[float, float] = (40.0, 30.0),
) -> Cameras:
    return Cameras(
        names=("0000.jpg",),
        camera_from_world=look_at(eye, target)[None],
        intrinsics=np.array([[[70.0, 0.0, principal[0]], [0.0, 75.0, principal[1]], [0, 0, 1.0]]]),
        sizes=np.array([[80, 60]], np.int64),
    )


def scene(solids: list[Solid], cameras: Cameras, lit: Light) -> ProceduralScene:
    return ProceduralScene(
        name="test",
        solids=tuple(solids),
        light=lit,
        texel_m=0.5,
        bounces=1,
        cameras=cameras,
    )


def pixel_rays(cameras: Cameras) -> Float64[np.ndarray, "h w 3"]:
    """Ray of each pixel's centre in the camera's axes, with z = 1."""
    width, height = cameras.sizes[0]
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    k = cameras.intrinsics[0]
    return np.stack([(x - k[0, 2]) / k[0, 0], (y - k[1, 2]) / k[1, 1], np.ones_like(x)], -1)


def test_depth_of_a_plane_is_exact() -> None:
    cameras = one_camera((0.3, -4.0, 2.5), (0.1, 0.0, 0.0), principal=(37.2, 33.9))
    ground = solid(Shape.BOX, (0.0, 0.0, -1.0), (100.0, 100.0, 1.0))

    _, depth = render(prepare(scene([ground], cameras, light())), cameras, 0, samples=1)

    world = pixel_rays(cameras) @ cameras.camera_from_world[0, :3, :3]  # rows times R: R^T ray
    with np.errstate(divide="ignore"):
        expected = np.where(world[..., 2] < 0, -2.5 / world[..., 2], 0.0)
    seen = (expected > 0) & (expected < 90.0)
    assert seen.mean() > 0.6
    np.testing.assert_allclose(depth[seen], expected[seen], rtol=1e-6)
    assert (depth[expected == 0] == 0).all()


def test_depth_of_a_ball_is_exact() -> None:
    cameras = one_camera((0.0, -5.0, 1.0), (0.0, 0.0, 0.5))
    middle = cameras.camera_from_world[0] @ [0.2, 0.1, 0.4, 1.0]
    ball = solid(Shape.BALL, (0.2, 0.1, 0.4), (0.8, 0.8, 0.8))

    _, depth = render(prepare(scene([ball], cameras, light())), cameras, 0, samples=1)

    rays = pixel_rays(cameras)
    a, b = (rays**2).sum(-1), rays @ middle[:3]
    rest = b**2 - a * (middle[:3] @ middle[:3] - 0.64)
    expected = np.where(rest > 0, (b - np.sqrt(np.maximum(rest, 0))) / a, 0.0)
    np.testing.assert_allclose(depth, expected, rtol=1e-6)
    assert 0.05 < (depth > 0).mean() < 0.5


def displayed(radiance: float) -> float:
    """The film curve and the print's power, from their definitions."""
    return 255.0 * (radiance / math.sqrt(1 + radiance**2)) ** (1.2 / 2.2)


def test_brightness_follows_lamberts_cosine_law() -> None:
    ground = solid(Shape.BOX, (0.0, 0.0, -1.0), (50.0, 50.0, 1.0))
    cameras = one_camera((0.0, -2.0, 3.0), (0.0, 0.0, 0.0))
    grey = linear_rgb("#808080")[0]
    for height_deg in (90.0, 50.0, 20.0):
        tilt = math.radians(height_deg)
        sun = light((math.cos(tilt), 0.0, math.sin(tilt)), sun=1.4)
        rgb, _ = render(prepare(scene([ground], cameras, sun)), cameras, 0, samples=2)
        assert np.abs(rgb - displayed(grey * 1.4 * math.sin(tilt))).max() <= 1.0


def test_a_shadow_lies_along_the_sun_direction() -> None:
    """A pole's shadow under a sun 45 degrees high, as long as the pole is tall."""
    ground = solid(Shape.BOX, (0.0, 0.0, -1.0), (50.0, 50.0, 1.0))
    pole = solid(Shape.BOX, (0.0, 0.0, 1.0), (0.2, 0.2, 1.0))
    sun = light((-math.sqrt(0.5), 0.0, math.sqrt(0.5)), sun=1.0)
    cameras = one_camera((1.5, -2.5, 6.0), (1.5, 0.0, 0.0))

    rgb, _ = render(prepare(scene([ground, pole], cameras, sun)), cameras, 0, samples=1)

    def seen(x: float, y: float) -> int:
        p = cameras.camera_from_world[0, :3] @ [x, y, 0.0, 1.0]
        u, v = (cameras.intrinsics[0] @ (p / p[2]))[:2]
        return int(rgb[int(v), int(u), 1])

    lit = seen(1.2, 0.8)
    assert all(seen(x, 0.0) < 0.4 * lit for x in (0.5, 1.2, 1.8))
    assert all(seen(x, y) > 0.9 * lit for x, y in ((2.6, 0.0), (1.2, 0.5), (1.2, -0.5)))


def test_an_unoccluded_face_receives_the_whole_sky() -> None:
    """The furnace test: under an even sky, a level face sends back just the sky's radiance."""
    solids = pack([solid(Shape.BOX, (0.0, 0.0, 0.0), (1.0, 1.0, 0.2))])
    lightmap = bake(solids, light(sky=0.7), texel_m=np.array([0.5]), bounces=1, strata=4, seed=0)
    start, (nu, nv) = lightmap.start[0, 5], lightmap.size[0, 5]
    np.testing.assert_allclose(lightmap.texels[start : start + nu * nv], 0.7, rtol=1e-6)


def test_sky_light_beside_a_wall_follows_the_form_factor() -> None:
    """A long wall hides (1 - cos a) / 2 of the cosine-weighted sky, a being its elevation."""
    black = dataclasses.replace(GREY, colours=("#000000", "#000000", "#000000"))
    solids = pack(
        [
            solid(Shape.BOX, (2.0, 0.0, -0.5), (2.0, 4.0, 0.5), material=black),
            solid(Shape.BOX, (-1.0, 0.0, 0.0), (1.0, 400.0, 2.0), material=black),
        ]
    )
    lightmap = bake(
        solids, light(sky=1.0), texel_m=np.array([0.5, 50.0]), bounces=1, strata=24, seed=0
    )
    nu, nv = lightmap.size[0, 5]
    start = lightmap.start[0, 5]
    rows = lightmap.texels[start : start + nu * nv, 1].reshape(nv, nu)
    distance = 4.0 * (np.arange(nu) + 0.5) / nu
    expected = (1.0 + np.cos(np.arctan2(2.0, distance))) / 2.0
    inner = slice(1, -1)  # the outermost texels are averaged with one neighbour fewer
    np.testing.assert_allclose(rows.mean(0)[inner], expected[inner], atol=0.01)


def test_a_render_is_the_same_on_any_number_of_threads() -> None:
    rug = solid(Shape.BOX, (0.0, 0.0, -1.0), (50.0, 50.0, 1.0))
    ball = solid(Shape.BALL, (0.0, 0.0, 0.7), (0.7, 0.7, 0.7))
    cameras = one_camera((0.0, -4.0, 2.0), (0.0, 0.0, 0.5))
    lit = scene([rug, ball], cameras, light((0.6, 0.0, 0.8), sun=1.0, sky=0.4))
    threads = numba.get_num_threads()
    try:
        pictures = []
        for count in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(count)
            pictures.append(render(prepare(lit), cameras, 0, samples=2))
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(pictures[0][0], pictures[1][0])
    np.testing.assert_array_equal(pictures[0][1], pictures[1][1])
