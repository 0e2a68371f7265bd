"""What ``benchmarks/sfm.py`` calls right and wrong, on cameras made by hand."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from benchmarks.sfm_check import epipolar_errors, fundamental_of
from benchmarks.sfm_scores import judged
from benchmarks.sfm_system import keep_photos
from benchmarks.sfm_tables import Row, tables
from tasks.cameras import Cameras, cameras_from_poses
from tasks.ingest.source import find_files
from tasks.procedural.render import prepare, render
from tasks.procedural.scenes import facade
from tests.support.cameras_by_hand import on_a_line, on_a_ring
from tests.support.ring_of_cameras import project

ROOT = Path(__file__).parents[1]
TURN = Rotation.from_rotvec([0.4, -1.1, 0.3]).as_matrix()


def elsewhere(cameras: Cameras) -> Cameras:
    """The same cameras in another world, three times as large."""
    world_from_camera = cameras.world_from_camera
    return cameras_from_poses(
        cameras.names,
        TURN @ world_from_camera[:, :3, :3],
        3.0 * cameras.centres @ TURN.T + [5.0, -2.0, 9.0],
        cameras.intrinsics,
        cameras.sizes,
    )


def astray(cameras: Cameras, *indices: int) -> Cameras:
    """Some of the cameras turned by 40 degrees and moved by a quarter of the extent."""
    world_from_camera = cameras.world_from_camera.copy()
    turn = Rotation.from_rotvec([0.0, np.deg2rad(40.0), 0.0]).as_matrix()
    for index in indices:
        world_from_camera[index, :3, :3] = world_from_camera[index, :3, :3] @ turn
        world_from_camera[index, :3, 3] += [1.0, 0.0, 0.3 * index]
    return cameras_from_poses(
        cameras.names,
        world_from_camera[:, :3, :3],
        world_from_camera[:, :3, 3],
        cameras.intrinsics,
        cameras.sizes,
    )


def test_cameras_in_another_world_are_all_right() -> None:
    ring = on_a_ring(8)
    found = judged(ring, elsewhere(ring))
    assert found.right == ring.names
    assert found.rotation_deg == pytest.approx(0.0, abs=1e-5)
    assert found.auc == pytest.approx((1.0, 1.0, 1.0), abs=1e-5)


@pytest.mark.parametrize("strays", [(2,), (1, 4, 6)])
def test_strays_are_named_and_do_not_spoil_the_others(strays: tuple[int, ...]) -> None:
    ring = on_a_ring(8)
    found = judged(ring, elsewhere(astray(ring, *strays)))
    assert found.wrong == tuple(f"{index}.jpg" for index in strays)
    assert found.rotation_deg == pytest.approx(0.0, abs=1e-5)
    good = 8 - len(strays)
    assert found.auc[2] == pytest.approx(good * (good - 1) / (8 * 7), abs=1e-5)


def test_a_stray_on_a_straight_path_is_found() -> None:
    line = on_a_line(6)
    assert judged(line, elsewhere(astray(line, 3))).wrong == ("3.jpg",)


def test_a_mirrored_model_is_not_right() -> None:
    ring = on_a_ring(8, height=0.5)
    mirror = np.diag([-1.0, 1.0, 1.0])
    poses = ring.world_from_camera
    turned = cameras_from_poses(
        ring.names,
        mirror @ poses[:, :3, :3] @ mirror,
        poses[:, :3, 3] @ mirror,
        ring.intrinsics,
        ring.sizes,
    )
    assert len(judged(ring, turned).right) < 8


def test_missing_cameras_count_against_the_areas_and_one_alone_is_not_right() -> None:
    ring = on_a_ring(8)
    half = judged(ring, elsewhere(ring).select(range(4)))
    assert half.auc == pytest.approx(tuple([6 / 28] * 3), abs=1e-5)
    assert half.wrong == ()
    alone = judged(ring, elsewhere(ring).select([0]))
    assert alone.right == ()
    assert alone.wrong == ("0.jpg",)


def test_two_cameras_that_agree_are_no_evidence_among_four() -> None:
    ring = on_a_ring(8)
    model = elsewhere(astray(ring, 2, 5)).select([0, 2, 4, 5])
    assert judged(ring, model).right == ()
    assert len(judged(ring, model.select([0, 1, 2])).right) == 2  # but two of three are


def test_a_match_off_its_epipolar_line_by_a_pixel_has_that_error() -> None:
    line = on_a_line(2)  # epipolar lines are rows
    first, second = (
        np.array([project(line, photo, np.array(point)) for point in [(0.4, 0.2, 3.0), (1, 0, 5)]])
        for photo in (0, 1)
    )
    fundamental = fundamental_of(
        line.camera_from_world[0],
        line.camera_from_world[1],
        line.intrinsics[0],
        line.intrinsics[1],
    )
    np.testing.assert_allclose(epipolar_errors(first, second, fundamental), 0.0, atol=1e-9)
    moved = second + np.array([7.0, 1.5])
    np.testing.assert_allclose(epipolar_errors(first, moved, fundamental), 1.5, atol=1e-9)


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """``benchmarks/sfm.py``, imported as when it is run."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    yield importlib.import_module("sfm")
    for name in ("sfm", "sfm_tables", "sfm_scores", "sfm_faults", "draws"):
        sys.modules.pop(name, None)


def scene(folder: Path, count: int) -> Path:
    """Photos of noise, and their cameras on a ring."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    ring, records = on_a_ring(count), []
    for index in range(count):
        pixels = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{index}.jpg")
        records.append(
            {
                "image": f"{index}.jpg",
                **{"width": 60, "height": 40, "fx": 50.0, "fy": 50.0, "cx": 30.0, "cy": 20.0},
                "R": ring.camera_from_world[index, :3, :3].tolist(),
                "t": ring.camera_from_world[index, :3, 3].tolist(),
            }
        )
    (folder / "cameras_gt.json").write_text(json.dumps(records))
    return folder


def ended(names: tuple[str, ...], *, sure: list[bool] | None = None) -> dict[str, Any]:
    """What a run keeps of a model of these photos."""
    ring = elsewhere(astray(on_a_ring(6), 1))
    model = ring.select(ring.indices_of(names))
    return {
        "cameras": {
            "names": list(names),
            "camera_from_world": model.camera_from_world.tolist(),
            "intrinsics": model.intrinsics.tolist(),
            "sizes": model.sizes.tolist(),
        },
        "sure": sure or [True] * len(names),
        "confidence": [0.3 if name == "1.jpg" else 1.0 for name in names],
        "rungs": [{"features": "sift", "mapper": "global", "chosen": True}],
        "left_out": [["5.jpg", "no match"]],
        "seconds": 2.0,
        "cpu_seconds": 3.0,
    }


def row(benchmark: ModuleType, folder: Path, result: dict[str, Any]) -> Row:
    files = find_files(scene(folder / "attic", 6))
    (draw,) = benchmark.draws_of(files, (), 5, 1)
    reference = benchmark.reference_of(files, draw.photos)
    system = benchmark.system_of("ours", None)
    found: Row = benchmark.row_of(system, draw, result, reference, None, ())
    return found


def test_a_stray_that_is_called_right_is_told_from_one_that_is_not(
    benchmark: ModuleType, tmp_path: Path
) -> None:
    names = ("0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg")
    believed = row(benchmark, tmp_path / "a", ended(names))
    assert (believed.right, believed.wrong, believed.sure_wrong) == (4, ("1.jpg",), ("1.jpg",))
    assert believed.left_out == 1
    assert believed.rung == "sift global"
    doubted = row(benchmark, tmp_path / "b", ended(names, sure=[True, False, True, True, True]))
    assert (doubted.right, doubted.wrong, doubted.sure_wrong) == (4, ("1.jpg",), ())


def test_a_refused_scene_has_neither_right_nor_wrong_photos(
    benchmark: ModuleType, tmp_path: Path
) -> None:
    refused = {"error": "too few", "seconds": 1.0, "cpu_seconds": 1.0}
    found = row(benchmark, tmp_path, refused)
    assert (found.right, found.wrong, found.left_out, found.auc) == (0, (), 6, (0.0, 0.0, 0.0))


def test_the_tables_sum_over_seeds_and_tell_subsets_apart(
    benchmark: ModuleType, tmp_path: Path
) -> None:
    whole = row(benchmark, tmp_path, ended(("0.jpg", "1.jpg", "2.jpg", "3.jpg")))
    again = replace(whole, seed=1, seconds=4.0)
    few = replace(whole, whole=False, photos=4, scene="cellar")
    text = tables([whole, again, few])
    line = next(one for one in text.splitlines() if one.startswith("| attic"))
    cells = [one.strip() for one in line.strip("|").split("|")]
    assert cells[:9] == ["attic", "6", "ours", "2", "0", "6", "2", "2", "4"]
    assert cells[-3:] == ["3.0", "3.0", "sift global"]
    assert text.index("## All photos") < text.index("attic") < text.index("## Spaced subsets")
    assert text.index("## Spaced subsets") < text.index("cellar")
    assert "9 photos right, 3 called right but wrong in 3 runs" in text
    assert "| ours | 0 to 0.5 | 3 | 0.0 % |" in text
    assert "| ours | 0.99 to 1 | 9 | 100.0 % |" in text
    assert "Ratios" not in text


def test_ratios_to_plain_are_shown_where_plain_places_every_photo_rightly(
    benchmark: ModuleType, tmp_path: Path
) -> None:
    found = row(benchmark, tmp_path, ended(("0.jpg", "2.jpg", "3.jpg")))
    plain = replace(
        found, system="plain", right=6, centre_share=0.02, auc=(0.5, 0.8, 0.9), seconds=4.0
    )
    ours = replace(plain, system="ours", centre_share=0.01, auc=(0.6, 0.8, 0.9), seconds=6.0)
    fails = replace(plain, scene="cellar", right=5)
    text = tables([plain, ours, fails, replace(ours, scene="cellar")])
    ratios = text[text.index("## Ratios") :]
    assert "| attic | ours | 0.50 | 1.200/1.000/1.000 | 1.50 | 1.00 | sift global |" in ratios
    assert "| cellar" not in ratios[: ratios.index("- plain:")]


def test_subsets_are_spread_evenly_and_differ_between_draws(
    benchmark: ModuleType, tmp_path: Path
) -> None:
    files = find_files(scene(tmp_path / "attic", 12))
    draws = list(benchmark.draws_of(files, (4, 30), 3, 2))
    assert [one.seed for one in draws if one.whole] == [0, 1]
    few = [one for one in draws if not one.whole]
    assert len({one.photos for one in few}) == 3
    assert all(len(one.photos) == 4 for one in few)


def test_an_interrupted_run_goes_on_with_what_the_store_has(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = find_files(scene(tmp_path / "attic", 3))
    (draw,) = benchmark.draws_of(files, (), 1, 1)
    system = benchmark.system_of("ours", None)
    first = benchmark.result_of(system, draw, files, tmp_path / "store", check=False)
    # Noise: no pair shows the same scene, which the stage says in its own words.
    assert first["error"].startswith("none of the 3 photos could be registered")
    assert first["cpu_seconds"] > 0.0

    monkeypatch.setattr(benchmark, "_child", lambda *_: "not to be called")
    again = benchmark.result_of(system, draw, files, tmp_path / "store", check=False)
    other = benchmark.result_of(
        system, replace(draw, seed=1), files, tmp_path / "store", check=False
    )
    assert again == first
    assert other["error"] == "not to be called"

    monkeypatch.setattr(benchmark, "_child", lambda *_: "not again")
    retried = benchmark.result_of(
        system, replace(draw, seed=1), files, tmp_path / "store", check=False
    )
    assert retried["error"] == "not again"  # a crash is no result


@pytest.mark.slow
def test_matches_found_anew_contradict_a_turned_camera_and_no_true_one(tmp_path: Path) -> None:
    front = facade().excerpt("front", range(8, 13), (480, 360))
    prepared = prepare(front, strata=2)
    photos = [render(prepared, front.cameras, index, samples=2)[0] for index in range(5)]
    poses = front.cameras.camera_from_world.copy()
    found = []
    for attempt in ("true", "turned"):
        keep_photos(
            tmp_path / attempt, photos, front.cameras.names, poses, front.cameras.intrinsics
        )
        out = tmp_path / f"{attempt}.json"
        script = ROOT / "benchmarks" / "sfm_check.py"
        subprocess.run([sys.executable, script, tmp_path / attempt, out], check=True, timeout=300)
        found.append(json.loads(out.read_text()))
        turn = Rotation.from_rotvec([np.deg2rad(6.0), 0.0, 0.0]).as_matrix()
        poses[2, :3] = turn @ poses[2, :3]
    true, turned = found
    assert true["pairs"] >= 4
    assert true["epipolar_px"] < 1.0
    assert true["contradicted"] == true["unchecked"] == []
    assert turned["contradicted"] == [front.cameras.names[2]]
