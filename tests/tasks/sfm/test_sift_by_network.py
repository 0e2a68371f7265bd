"""SIFT features that a network matches: its matches, and no others, reach the database."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.sfm.features.config import Sift
from tasks.sfm.features.files import find_feature_weights
from tests.support.small_matcher import small_matcher

PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
import pycolmap
from tasks.sfm.config import SfmConfig
from tasks.sfm.database import write_photo_list
from tasks.sfm.exchange import Request, SharedCamera
from tasks.sfm.features.files import FeatureWeights
from tasks.sfm.pairs.choose import Pairing
from tasks.sfm.sift import extract_features, match_features
from tasks.sfm.sift_cache import SiftCache
from tasks.source import Source

folder, weights = Path(sys.argv[1]), sys.argv[2]
request = Request(
    folder=folder,
    config=SfmConfig(features={"kind": "sift", "max_features": 256, "min_score": 0.05}),
    cameras=(SharedCamera(width=200, height=160, focal_px=None),),
    camera_of_photo=(0, 0),
    weights=FeatureWeights(sift_matcher=Source(folder=weights, digest="")) if weights else None,
)
write_photo_list(request, request.database)
cache = SiftCache.of(request)
extract_features(request, cache, lambda share, doing: None)
pairing = Pairing(kind="exhaustive", pairs=((0, 1),))
match_features(request, pairing, cache, lambda share, doing: None)
database = pycolmap.Database.open(str(request.database))
print(json.dumps(np.asarray(database.read_matches(1, 2)).tolist()))
"""


def matches_in(folder: Path, weights: str) -> list[list[int]]:
    """Of two photos that are equal."""
    (folder / "photos").mkdir(parents=True)
    (folder / "masks").mkdir()
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    photo = small.resize((200, 160), Image.Resampling.BICUBIC)
    for number in range(2):
        photo.save(folder / f"photos/{number:06d}.png")
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), weights],
        check=True,
        capture_output=True,
        text=True,
    )
    found: list[list[int]] = json.loads(ended.stdout.splitlines()[-1])
    return found


def test_a_network_matches_sift_in_place_of_nearest_neighbours(tmp_path: Path) -> None:
    file = small_matcher(tmp_path / "sift.pth", places=4)
    found = find_feature_weights(Sift(matcher_weights="sift.pth"), tmp_path)
    assert found is not None
    assert found.sift_matcher is not None
    assert found.sift_matcher.folder == str(file)

    by_neighbours = matches_in(tmp_path / "plain", "")
    by_network = matches_in(tmp_path / "network", str(file))

    assert len(by_neighbours) > 50
    # Made-up weights match nearly nothing, as equal as the photos are.
    assert len(by_network) < len(by_neighbours) / 2
