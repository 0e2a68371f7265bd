"""Scenes with a planted fault end in the exclusion or the refusal that the fault deserves.

The scenes are rendered, so that every camera is known; the wrong ones among those called right are
found by :mod:`benchmarks.sfm_scores`, which aligns robustly.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.sfm_faults import (
    EXPECTED,
    Expected,
    faults,
    mirrored_camera,
    records_of,
    rendered_main,
    rendered_strangers,
    repeated_front,
)
from benchmarks.sfm_scores import judged
from benchmarks.sfm_system import project
from tasks.cameras import Cameras
from tasks.ingest.config import IngestConfig
from tasks.procedural.render import prepare, render
from tasks.procedural.write_random import write_random_scenes
from tasks.sfm.config import SfmConfig
from tests.support.cameras_by_hand import on_a_ring
from tests.support.ring_of_cameras import project as pixel_of


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[Path], Expected]]:
    folder = tmp_path_factory.mktemp("sources")
    return faults(rendered_main(folder / "main"), rendered_strangers(folder / "strangers"))


def complaints(scene: Path, expected: Expected) -> list[str]:
    """What is amiss with how the project ends on a scene."""
    found = project(scene, IngestConfig(), SfmConfig(threads=1))
    if "error" in found:
        return expected.complaints((), ())
    names = found["cameras"]["names"]
    sure = [name for name, yes in zip(names, found["sure"], strict=True) if yes]
    records = records_of(scene)
    if not records:
        return expected.complaints(sure, ())
    score = judged(reference_of(records), cameras_of(found["cameras"]))
    return expected.complaints(sure, [name for name in sure if name in score.wrong])


def cameras_of(found: dict[str, Any]) -> Cameras:
    return Cameras(
        names=tuple(found["names"]),
        camera_from_world=np.array(found["camera_from_world"]),
        intrinsics=np.array(found["intrinsics"]),
        sizes=np.array(found["sizes"], dtype=np.int64),
    )


def reference_of(records: dict[str, dict[str, Any]]) -> Cameras:
    poses = np.tile(np.eye(4), (len(records), 1, 1))
    for pose, record in zip(poses, records.values(), strict=True):
        pose[:3, :3], pose[:3, 3] = record["R"], record["t"]
    return Cameras(
        names=tuple(records),
        camera_from_world=poses,
        intrinsics=np.tile(np.eye(3), (len(records), 1, 1)),
        sizes=np.ones((len(records), 2), dtype=np.int64),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        "stranger",
        "fifth",
        "one_spot",
        "mirrored_some",
        "mirrored_all",
        "repeated",
        "gap",
    ],
)
def test_a_planted_fault_ends_as_it_must(
    fault: str, sources: dict[str, Callable[[Path], Expected]], tmp_path: Path
) -> None:
    scene = tmp_path / fault
    expected = sources[fault](scene)
    assert Expected.read(scene) == expected
    assert (scene / EXPECTED).exists()

    assert complaints(scene, expected) == []


@pytest.mark.slow
def test_a_focal_length_that_the_first_guess_misses_is_found(tmp_path: Path) -> None:
    # The incremental mapper ends 12 %, and the global one 46 % off from it; both fit every match.
    (room,) = write_random_scenes(tmp_path, [2000001], long_side=480, progress=lambda *_: None)
    names = tuple(sorted(path.name for path in (room / "images").iterdir()))
    expected = Expected(fault="a focal length", groups=(names,), least=len(names))

    assert complaints(room, expected) == []


def test_an_end_is_judged_by_who_is_called_right() -> None:
    expected = Expected(fault="a gap", groups=(("a", "b", "c"), ("d", "e", "f")), least=2)
    assert expected.complaints(["a", "b"], []) == []
    assert expected.complaints(["d", "e", "f"], []) == []
    assert "d" in expected.complaints(["a", "b", "d"], [])[0]
    assert "b" in expected.complaints(["a", "b"], ["b"])[0]
    assert "0 of 3 good photos" in expected.complaints([], [])[0]
    spot = Expected(fault="one spot", groups=(), least=0)
    assert spot.complaints([], []) == []
    assert spot.complaints(["a"], []) != []


def test_the_camera_of_a_mirrored_photo_sees_the_mirrored_world() -> None:
    cameras = on_a_ring(5)
    point = np.array([0.3, -0.2, 0.1])
    for index in range(5):
        width = int(cameras.sizes[index, 0])
        record = {
            "width": width,
            "cx": float(cameras.intrinsics[index, 0, 2]),
            "R": cameras.camera_from_world[index, :3, :3].tolist(),
            "t": cameras.camera_from_world[index, :3, 3].tolist(),
        }
        turned = mirrored_camera(record)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turned["R"], turned["t"]
        intrinsics = cameras.intrinsics[index].copy()
        intrinsics[0, 2] = turned["cx"]
        mirrored = Cameras(
            names=("0.jpg",),
            camera_from_world=pose[None],
            intrinsics=intrinsics[None],
            sizes=cameras.sizes[:1],
        )
        x, y = pixel_of(cameras, index, point)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
        np.testing.assert_allclose(
            pixel_of(mirrored, 0, point * [-1.0, 1.0, 1.0]), [width - x, y], atol=1e-9
        )


@pytest.mark.slow
def test_photos_of_the_repeated_front_are_equal_a_bay_apart_but_for_the_ground() -> None:
    front = repeated_front()
    pose = front.cameras.camera_from_world[4].copy()
    pose[:3, :3] = [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]
    poses = np.tile(pose, (3, 1, 1))
    for one, x in zip(poses, (-1.0, 1.4, 0.2), strict=True):  # the second is one bay further on
        one[:3, 3] = -one[:3, :3] @ [x, -6.0, 2.4]
    cameras = Cameras(
        names=("a", "b", "c"),
        camera_from_world=poses,
        intrinsics=front.cameras.intrinsics[:3],
        sizes=front.cameras.sizes[:3],
    ).resized(np.tile(np.array([120, 90], dtype=np.int64), (3, 1)))
    prepared = prepare(front, strata=4)
    here, further, between = (
        render(prepared, cameras, index, samples=2)[0].astype(float) for index in range(3)
    )

    def difference(one: np.ndarray, rows: slice) -> float:
        return float(np.abs(one[rows] - here[rows]).mean())

    walls, ground = slice(0, 65), slice(84, 90)
    assert difference(further, walls) < 3.0  # the noise of indirect light differs
    assert difference(between, walls) > 15.0
    assert difference(further, ground) > 10.0
