"""Sources of refiner weights, and their part in the stage key."""

from hashlib import sha256
from pathlib import Path

import pytest

from tasks.caching import stage_key
from tasks.errors import InputError
from tasks.refine import weights
from tasks.refine.config import RefineConfig, Reproject, Residual
from tasks.refine.task import REFINE
from tasks.refine.weights import find_weights

NAMED = RefineConfig(refiner=Residual(weights="mine.safetensors"))


def test_reproject_needs_no_weights(tmp_path: Path) -> None:
    assert find_weights(tmp_path, RefineConfig(refiner=Reproject())) is None


def test_weights_are_identified_by_their_digest(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"weights")

    found = find_weights(tmp_path, NAMED)

    assert found.folder == str(tmp_path / "mine.safetensors")
    assert found.digest == sha256(b"weights").hexdigest()


def test_other_weights_change_the_stage_key(tmp_path: Path) -> None:
    keys = set()
    for content in (b"some", b"others"):
        (tmp_path / "mine.safetensors").write_bytes(content)
        inputs = {"config": NAMED, "weights": find_weights(tmp_path, NAMED)}
        keys.add(stage_key(REFINE, "a", inputs, "cpu"))
    assert len(keys) == 2


def test_weights_for_a_video_are_found_beside_it(tmp_path: Path) -> None:
    (tmp_path / "walk.mp4").touch()
    (tmp_path / "mine.safetensors").write_bytes(b"weights")
    assert find_weights(tmp_path / "walk.mp4", NAMED).digest == sha256(b"weights").hexdigest()


def test_packaged_weights_are_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    selected = tmp_path / "residual.safetensors"
    selected.write_bytes(b"weights")
    monkeypatch.setattr(weights, "SHIPPED", selected)
    found = find_weights(tmp_path / "scene", RefineConfig(refiner=Residual()))
    assert found.folder == str(selected)


def test_missing_packaged_weights_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "none.safetensors")
    with pytest.raises(InputError, match=r"refine\.refiner\.kind to 'reproject', which needs none"):
        find_weights(tmp_path, RefineConfig(refiner=Residual()))


def test_a_missing_weights_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mine\.safetensors' cannot be read \(No such file"):
        find_weights(tmp_path, NAMED)


def test_weights_outside_the_scene_are_read_only_within_allowed_roots(tmp_path: Path) -> None:
    scene, elsewhere = tmp_path / "scene", tmp_path / "elsewhere"
    scene.mkdir()
    elsewhere.mkdir()
    file = elsewhere / "mine.safetensors"
    file.write_bytes(b"weights")
    config = RefineConfig(refiner=Residual(weights=str(file)))

    with pytest.raises(InputError, match="leads out of the scene's folder"):
        find_weights(scene, config)
    assert find_weights(scene, config, roots=[elsewhere]).folder == str(file)
