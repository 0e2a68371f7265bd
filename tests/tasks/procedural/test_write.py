"""Scene folders: sidecars read back, and the state after a kill."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import InputError
from tasks.procedural.build import ProceduralScene
from tasks.procedural.facade import facade
from tasks.procedural.render import prepare, render
from tasks.procedural.write import SAMPLES, STAMP, write_scene


@pytest.fixture(scope="module")
def tiny() -> ProceduralScene:
    scene = facade()
    sizes = np.tile(np.array([64, 48]), (24, 1))
    return dataclasses.replace(
        scene,
        texel_m=1.0,
        bounces=1,
        cameras=scene.cameras.resized(sizes).select([0, 11, 23]),
    )


def ignore(done: int, total: int) -> None:
    pass


def test_sidecars_are_read_back_unchanged(tiny: ProceduralScene, tmp_path: Path) -> None:
    folder = tmp_path / "a facade"
    write_scene(tiny, folder, ignore)

    records = json.loads((folder / "cameras_gt.json").read_text())
    assert [r["image"] for r in records] == ["0000.jpg", "0011.jpg", "0023.jpg"]
    prepared = prepare(tiny)
    for i, record in enumerate(records):
        np.testing.assert_array_equal(record["R"], tiny.cameras.camera_from_world[i, :3, :3])
        np.testing.assert_array_equal(record["t"], tiny.cameras.camera_from_world[i, :3, 3])
        k = tiny.cameras.intrinsics[i]
        assert [record[n] for n in ("fx", "fy", "cx", "cy")] == [k[0, 0], k[1, 1], k[0, 2], k[1, 2]]
        with Image.open(folder / "images" / record["image"]) as photo:
            assert photo.size == (record["width"], record["height"]) == (64, 48)
            rgb = np.asarray(photo).astype(int)
        with Image.open(folder / "depth" / record["image"].replace("jpg", "png")) as png:
            millimetres = np.asarray(png)
        exact_rgb, exact_depth = render(prepared, tiny.cameras, i, samples=SAMPLES)
        assert np.abs(rgb - exact_rgb).mean() < 4.0
        assert millimetres.dtype == np.uint16
        np.testing.assert_allclose(millimetres / 1000.0, exact_depth, atol=0.00051)


def test_progress_is_reported_for_every_photo(tiny: ProceduralScene, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_scene(tiny, tmp_path / "s", lambda done, total: calls.append((done, total)))
    assert calls == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_killed_write_leaves_no_scene_and_can_be_repeated(
    tiny: ProceduralScene, tmp_path: Path
) -> None:
    folder = tmp_path / "s"

    def die(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_scene(tiny, folder, die)
    assert not folder.exists()

    write_scene(tiny, folder, ignore)
    assert len(list((folder / "images").iterdir())) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_a_complete_scene_is_not_rendered_again(tiny: ProceduralScene, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    write_scene(tiny, folder, ignore)
    (folder / "images" / "0000.jpg").write_bytes(b"left alone")
    write_scene(tiny, folder, ignore)
    assert (folder / "images" / "0000.jpg").read_bytes() == b"left alone"


def test_a_scene_of_another_version_is_replaced(tiny: ProceduralScene, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    write_scene(tiny, folder, ignore)
    (folder / STAMP).write_text(json.dumps({"scene": "facade", "version": 0}))
    (folder / "images" / "0000.jpg").write_bytes(b"old")
    write_scene(tiny, folder, ignore)
    assert (folder / "images" / "0000.jpg").read_bytes() != b"old"


def test_a_folder_with_foreign_files_is_refused(tiny: ProceduralScene, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(InputError, match="holds 1 entries"):
        write_scene(tiny, tmp_path, ignore)
    assert (tmp_path / "holiday.jpg").read_bytes() == b"mine"
