"""The mapper that no other test has, on real photos."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks.metrics.poses import pose_errors
from tasks.sfm.config import SfmConfig
from tasks.sfm.features.config import Sift
from tasks.sfm.reconstruct import reconstruct
from tests.tasks.sfm.conftest import photos_of, reference_of

PROGRAM = """
import json, sys
from pathlib import Path
from tasks.sfm import mappers
from tasks.sfm.exchange import Request
mappers.CLUSTER_PHOTOS = 6
folder = Path(sys.argv[1])
start = mappers.Start(mapper="hierarchical")
request, strict = Request.read(folder), folder / "sift-strict.db"
model = mappers.map_photos(request, strict, start, folder / "clusters", lambda _: None)[0]
images = sorted(model.reg_image_ids())
poses = [[*model.image(one).cam_from_world().matrix().tolist(), [0, 0, 0, 1]] for one in images]
print(json.dumps([images, poses]))
"""


@pytest.mark.slow
def test_clusters_of_photos_are_joined_to_one_model(tmp_path: Path) -> None:
    config = SfmConfig(features=Sift(max_features=2048), threads=1)
    whole = reconstruct(photos_of("fountain_p11"), config, work_folder=tmp_path)
    assert len(whole.cameras) == 11

    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], check=True, capture_output=True, text=True
    )
    images, poses = json.loads(ended.stdout.splitlines()[-1])

    assert images == list(range(1, 12))  # none of the clusters has more than 6
    joined = replace(whole.cameras, camera_from_world=np.array(poses))
    assert pose_errors(reference_of("fountain_p11"), joined).right.all()
