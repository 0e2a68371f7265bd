"""The mapper that no other test has, and the joining of two models, on real photos."""

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
from dataclasses import replace
from pathlib import Path
from tasks.sfm import mappers
from tasks.sfm.exchange import Request
from tasks.sfm.pieces import join_pieces
mappers.CLUSTER_PHOTOS = 6
folder = Path(sys.argv[1])
request, strict = Request.read(folder), folder / "sift-strict.db"

def model_of(mapper, photos, name):
    start, some = mappers.Start(mapper=mapper), replace(request, training=photos)
    return mappers.map_photos(some, strict, start, folder / name, lambda _: None)[0]

def show(model):
    images = sorted(model.reg_image_ids())
    poses = [[*model.image(one).cam_from_world().matrix().tolist(), [0, 0, 0, 1]] for one in images]
    print(json.dumps([images, poses]))

show(model_of("hierarchical", tuple(range(11)), "clusters"))
model = model_of("incremental", tuple(range(7)), "first")
join_pieces(model, [model_of("incremental", tuple(range(4, 11)), "second")])
show(model)
"""


@pytest.mark.slow
def test_clusters_and_pieces_of_photos_are_joined_to_one_model(tmp_path: Path) -> None:
    config = SfmConfig(features=Sift(max_features=2048), threads=1)
    whole = reconstruct(photos_of("fountain_p11"), config, work_folder=tmp_path)
    assert len(whole.cameras) == 11

    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], check=True, capture_output=True, text=True
    )
    for line in ended.stdout.splitlines()[-2:]:
        images, poses = json.loads(line)
        assert images == list(range(1, 12))  # none of the clusters or pieces has more than 7
        joined = replace(whole.cameras, camera_from_world=np.array(poses))
        assert pose_errors(reference_of("fountain_p11"), joined).right.all()
