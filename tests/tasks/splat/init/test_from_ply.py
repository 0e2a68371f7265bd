"""A fit that starts from a splat in a file."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.caching import stage_key
from tasks.cameras import Cameras
from tasks.errors import InputError
from tasks.gaussians import Gaussians
from tasks.splat.artefact import attributes_of
from tasks.splat.config import Default, EveryNth, Ply, Points, SplatConfig
from tasks.splat.export.ply import write_ply
from tasks.splat.fit import Splat, fit
from tasks.splat.init.from_ply import read_start, with_degree
from tasks.splat.init.ply_source import find_start
from tasks.splat.render import render
from tasks.splat.task import SPLAT
from tasks.splat.training_photos import PosedPhotos
from tests.support.painted_plane import photograph

SPLIT = EveryNth(n=4, offset=1, validation=1)
CONFIG = SplatConfig(
    iterations=150, sh_every=50, densify=Default(start=50, every=50), sh_degree=1, seed=3
)


@pytest.fixture(scope="module")
def scene() -> PosedPhotos:
    return photograph()


@pytest.fixture(scope="module")
def splat(scene: PosedPhotos) -> Splat:
    return fit(scene, SPLIT, CONFIG)


def shown(gaussians: Gaussians, cameras: Cameras) -> np.ndarray:
    return np.stack([render(gaussians, cameras, i).rgb.numpy() for i in range(len(cameras))])


def test_one_step_from_an_exported_splat_gives_the_same_render(
    scene: PosedPhotos, splat: Splat, tmp_path: Path
) -> None:
    write_ply(tmp_path / "splat.ply", splat.fitted.gaussians)
    start = read_start(find_start(tmp_path, Ply()), poses="given", config=SplatConfig(sh_degree=1))

    again = fit(
        scene,
        SPLIT,
        CONFIG.model_copy(update={"iterations": 1}),
        start=start,
    )

    before = shown(splat.fitted.gaussians, scene.cameras)
    after = shown(again.fitted.gaussians, scene.cameras)
    assert np.abs(before - after).mean() < 0.01
    assert again.initial_points == len(splat.fitted.gaussians)


def test_a_continued_fit_starts_at_the_loss_where_the_first_ended(
    scene: PosedPhotos, splat: Splat
) -> None:
    again = fit(
        scene,
        SPLIT,
        CONFIG.model_copy(update={"iterations": 50, "half_size_share": 1.0, "sh_every": 999}),
        start=splat.fitted.gaussians,
    )
    # Neither at half the size nor with a colour alone, where it would have to begin anew.
    assert again.fitted.curve.loss[0] < 1.2 * splat.fitted.curve.loss[-1]
    before, after = splat.fitted.gaussians.foreground, again.fitted.gaussians.foreground
    assert not torch.equal(after.sh[:50, 1:], before.sh[:50, 1:])


def test_photos_that_the_starting_splat_may_have_seen_are_not_held_out(
    scene: PosedPhotos, splat: Splat
) -> None:
    again = fit(
        scene,
        SPLIT,
        CONFIG.model_copy(update={"iterations": 50}),
        start=splat.fitted.gaussians,
    )
    assert (splat.held_out, splat.not_fitted) == (("1.png", "5.png"), ())
    assert (again.held_out, again.not_fitted) == ((), ("1.png", "5.png"))
    assert (again.training, again.validation) == (splat.training, splat.validation)
    assert np.isnan(again.fitted.curve.score).all()
    attributes = attributes_of(again)
    assert (attributes["held_out"], attributes["not_fitted"]) == ([], ["1.png", "5.png"])
    assert again.near_depths is attributes["begins"] is None  # no points are known


def test_a_starting_splat_above_the_gaussian_limit_is_refused(
    scene: PosedPhotos, splat: Splat
) -> None:
    config = CONFIG.model_copy(update={"max_gaussians": 100})
    with pytest.raises(InputError, match="room for 100"):
        fit(
            scene,
            SPLIT,
            config,
            start=splat.fitted.gaussians,
        )


@pytest.mark.parametrize("stored", [0, 1, 3])
@pytest.mark.parametrize("wanted", [0, 2, 3])
def test_harmonics_are_truncated_or_padded_with_zeros(stored: int, wanted: int) -> None:
    generator = torch.Generator().manual_seed(4)
    count = (stored + 1) ** 2
    given = Gaussians(
        means=torch.zeros(5, 3),
        quats=torch.ones(5, 4),
        log_scales=torch.zeros(5, 3),
        logit_opacities=torch.zeros(5),
        sh=torch.randn(5, count, 3, generator=generator),
    )
    found = with_degree(given, wanted)
    assert found.sh_degree == wanted
    common = min(count, (wanted + 1) ** 2)
    assert torch.equal(found.sh[:, :common], given.sh[:, :common])
    assert not found.sh[:, common:].any()
    assert found.means is given.means


@pytest.mark.parametrize("kind", ["link", "absolute", "parent"])
def test_a_file_outside_the_scene_is_read_only_within_allowed_roots(
    tmp_path: Path, kind: str
) -> None:
    scene, elsewhere = tmp_path / "scene", tmp_path / "elsewhere"
    scene.mkdir()
    elsewhere.mkdir()
    (elsewhere / "secret.ply").write_bytes(b"ply")
    (scene / "link.ply").symlink_to(elsewhere / "secret.ply")
    file = {
        "link": "link.ply",
        "absolute": str(elsewhere / "secret.ply"),
        "parent": "../elsewhere/secret.ply",
    }[kind]
    with pytest.raises(InputError, match="leads out of the scene's folder"):
        find_start(scene, Ply(file=file))
    found = find_start(scene, Ply(file=file), roots=[elsewhere])
    assert found is not None
    assert found.digest == sha256(b"ply").hexdigest()


def test_the_stage_key_depends_on_the_content_and_not_on_the_path(
    splat: Splat, tmp_path: Path
) -> None:
    keys = []
    for folder, gaussians in (
        ("one", splat.fitted.gaussians),
        ("other", splat.fitted.gaussians),
        ("third", with_degree(splat.fitted.gaussians, 0)),
    ):
        write_ply(tmp_path / folder / "mine.ply", gaussians)
        start = find_start(tmp_path / folder, Ply(file="mine.ply"))
        keys.append(stage_key(SPLAT, "hall", {"start": start}, "cpu"))
    assert keys[0] == keys[1] != keys[2]


def test_starting_from_points_needs_no_file(tmp_path: Path) -> None:
    assert find_start(tmp_path, Points()) is None
    assert read_start(None, poses="estimated", config=SplatConfig(sh_degree=1)) is None


def test_the_file_is_found_beside_a_video(splat: Splat, tmp_path: Path) -> None:
    (tmp_path / "walk.mp4").touch()
    write_ply(tmp_path / "splat.ply", splat.fitted.gaussians)
    found = find_start(tmp_path / "walk.mp4", Ply())
    assert found is not None
    assert found.folder == str(tmp_path / "splat.ply")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"splat\.ply' cannot be read \(No such file"):
        find_start(tmp_path, Ply())
    (tmp_path / "folder.ply").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        find_start(tmp_path, Ply(file="folder.ply"))


def test_a_starting_splat_with_estimated_cameras_is_refused(splat: Splat, tmp_path: Path) -> None:
    write_ply(tmp_path / "splat.ply", splat.fitted.gaussians)
    start = find_start(tmp_path, Ply())
    with pytest.raises(InputError, match=r"cameras of this scene were estimated.*splat\.ply"):
        read_start(start, poses="estimated", config=SplatConfig(sh_degree=1))


def test_a_file_that_is_no_splat_is_refused(tmp_path: Path) -> None:
    (tmp_path / "splat.ply").write_bytes(b"ply\nformat ascii 1.0\nend_header\n")
    with pytest.raises(InputError, match="format 'ascii"):
        read_start(find_start(tmp_path, Ply()), poses="given", config=SplatConfig(sh_degree=1))
