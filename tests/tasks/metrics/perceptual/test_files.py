"""Weights of perceptual distances: found by content alone, and a part of the stage's key."""

from hashlib import sha256
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from tasks.caching import stage_key
from tasks.errors import InputError
from tasks.evaluate.task import EVALUATE
from tasks.metrics.perceptual import files
from tasks.metrics.perceptual.files import PerceptualWeights, find_perceptual_weights


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torch keeps what it downloads."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    checkpoints = tmp_path / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    return checkpoints


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both distributions as pip leaves them, with made-up weights that are known by digest."""
    for name, table in (("stlpips-pytorch", "ST_LPIPS"), ("lpips", "LPIPS_LINEAR")):
        place, _ = getattr(files, table)["alex"]
        path = tmp_path / "site" / place
        path.parent.mkdir(parents=True)
        path.write_bytes(name.encode())
        about = tmp_path / "site" / f"{name.replace('-', '_')}-9.dist-info" / "METADATA"
        about.parent.mkdir()
        about.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9\n")
        known = (place, sha256(name.encode()).hexdigest())
        monkeypatch.setitem(getattr(files, table), "alex", known)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is known by the digits in its name, as torchvision's are."""
    path = tmp_path / "mine.pth"
    path.write_bytes(b"backbone")
    name = f"alexnet-{sha256(b'backbone').hexdigest()[:8]}.pth"
    monkeypatch.setitem(files.BACKBONES, "alex", (name,))
    return path


def test_installed_weights_are_found_by_place_and_content(installed: Path) -> None:
    found = find_perceptual_weights("alex").st_lpips
    assert found is not None
    assert Path(found.folder) == installed / files.ST_LPIPS["alex"][0]
    assert found.digest == sha256(b"stlpips-pytorch").hexdigest()


def test_weights_of_other_content_are_not_taken(installed: Path) -> None:
    (installed / files.ST_LPIPS["alex"][0]).write_bytes(b"other weights")
    assert find_perceptual_weights("alex").st_lpips is None


def test_without_the_distributions_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(files, "distribution", none)
    assert find_perceptual_weights("alex") == PerceptualWeights(
        backbone="alex", st_lpips=None, lpips=None
    )


def test_lpips_needs_a_backbone_in_a_named_file_or_in_the_cache(
    installed: Path, backbone: Path, empty_cache: Path
) -> None:
    assert find_perceptual_weights("alex").lpips is None
    named = find_perceptual_weights("alex", backbone).lpips
    assert named is not None
    assert [Path(one.folder) for one in named] == [
        backbone,
        installed / files.LPIPS_LINEAR["alex"][0],
    ]
    cached = empty_cache / files.BACKBONES["alex"][0]
    backbone.rename(cached)
    found = find_perceptual_weights("alex").lpips
    assert found is not None
    assert Path(found[0].folder) == cached


def test_a_named_backbone_of_the_other_network_gives_no_figure(
    installed: Path, backbone: Path
) -> None:
    assert find_perceptual_weights("vgg", backbone).lpips is None


def test_a_named_file_that_is_no_backbone_is_refused(installed: Path, tmp_path: Path) -> None:
    file = tmp_path / "alexnet-owt-7be5be79.pth"  # the name alone does not do
    file.write_bytes(b"something else")
    for path in (file, tmp_path / "missing.pth"):
        with pytest.raises(InputError, match="UNSEEN_LPIPS_BACKBONE"):
            find_perceptual_weights("alex", path)


def test_scores_are_computed_again_when_weights_are_installed(
    installed: Path, backbone: Path
) -> None:
    def key(weights: PerceptualWeights | None) -> str:
        return stage_key(EVALUATE, "hall", {"perceptual": weights}, "cpu")

    nothing = PerceptualWeights(backbone="alex", st_lpips=None, lpips=None)
    every = (None, nothing, find_perceptual_weights("alex"))
    keys = [key(one) for one in (*every, find_perceptual_weights("alex", backbone))]
    assert len(set(keys)) == 4
