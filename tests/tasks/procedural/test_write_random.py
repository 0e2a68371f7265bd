"""Random scenes as a dataset: what is kept, redone and read back."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tasks.errors import InputError
from tasks.procedural import write_random
from tasks.procedural.build import ProceduralScene
from tasks.procedural.facade import facade
from tasks.procedural.write_random import write_random_scenes


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds of the scenes that were drawn; every scene is three quick photos of the facade."""
    seeds: list[int] = []

    def quick(seed: int) -> ProceduralScene:
        seeds.append(seed)
        scene = facade().excerpt(f"random_{seed:06d}", range(3), (48, 32))
        return dataclasses.replace(scene, texel_m=1.0, bounces=1)

    monkeypatch.setattr(write_random, "random_scene", quick)
    return seeds


def ignore(name: str, done: int, total: int) -> None:
    pass


def test_a_dataset_with_given_poses_is_written(tmp_path: Path) -> None:
    folders = write_random_scenes(tmp_path / "d", [7, 3], long_side=24, progress=ignore)

    assert [f.name for f in folders] == ["random_000007", "random_000003"]
    manifest = yaml.safe_load((tmp_path / "d" / "dataset.yaml").read_text())
    assert [entry["folder"] for entry in manifest["scenes"]] == [f.name for f in folders]
    assert all(entry["config"] == {"sfm": {"poses": "given"}} for entry in manifest["scenes"])
    for folder in folders:
        records = json.loads((folder / "cameras_gt.json").read_text())
        assert [(r["width"], r["height"]) for r in records] == [(24, 16)] * 3
        for record in records:
            with Image.open(folder / "images" / record["image"]) as image:
                assert image.size == (24, 16)
            assert (folder / "depth" / record["image"]).with_suffix(".png").is_file()


def test_finished_scenes_are_kept_and_interrupted_scenes_are_rendered_again(
    tmp_path: Path, drawn: list[int]
) -> None:
    def die(name: str, done: int, total: int) -> None:
        if (name, done) == ("random_000002", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_random_scenes(tmp_path, [1, 2, 3], progress=die)
    assert not (tmp_path / "random_000002").exists()
    assert not (tmp_path / "dataset.yaml").exists()
    (tmp_path / "random_000001" / "images" / "0000.jpg").write_bytes(b"kept")

    write_random_scenes(tmp_path, [1, 2, 3], progress=ignore)
    assert drawn == [1, 2, 2, 3]
    assert (tmp_path / "random_000001" / "images" / "0000.jpg").read_bytes() == b"kept"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "dataset.yaml",
        "random_000001",
        "random_000002",
        "random_000003",
    ]


def test_another_size_or_other_effects_make_another_scene(tmp_path: Path, drawn: list[int]) -> None:
    write_random_scenes(tmp_path, [1], progress=ignore)
    write_random_scenes(tmp_path, [1], long_side=24, progress=ignore)
    write_random_scenes(tmp_path, [1], long_side=24, effects=True, progress=ignore)
    write_random_scenes(tmp_path, [1], long_side=24, effects=True, progress=ignore)
    assert drawn == [1, 1, 1]


def test_effects_change_only_the_photos(tmp_path: Path) -> None:
    (clean,) = write_random_scenes(tmp_path / "a", [1], progress=ignore)
    (worn,) = write_random_scenes(tmp_path / "b", [1], effects=True, progress=ignore)

    def pixels(path: Path) -> np.ndarray:
        with Image.open(path) as image:
            return np.asarray(image).astype(int)

    for name in ("0000", "0002"):
        difference = np.abs(
            pixels(clean / "images" / f"{name}.jpg") - pixels(worn / "images" / f"{name}.jpg")
        )
        assert 0.3 < difference.mean() < 40.0
        depth = f"depth/{name}.png"
        np.testing.assert_array_equal(pixels(clean / depth), pixels(worn / depth))
    assert (clean / "cameras_gt.json").read_bytes() == (worn / "cameras_gt.json").read_bytes()


@pytest.mark.parametrize("seeds", [[1, 1], [-1]])
def test_duplicate_or_invalid_seeds_are_refused(tmp_path: Path, seeds: list[int]) -> None:
    with pytest.raises(InputError, match="give every seed once"):
        write_random_scenes(tmp_path, seeds, progress=ignore)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_foreign_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "random_000001").mkdir()
    (tmp_path / "random_000001" / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(InputError, match="holds 1 entries"):
        write_random_scenes(tmp_path, [1], progress=ignore)
