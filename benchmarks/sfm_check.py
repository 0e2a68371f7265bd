"""Cameras against matches that they were not made from; a part of ``benchmarks/sfm.py``.

``python sfm_check.py FOLDER OUT.json`` with what ``sfm_system.keep_photos`` wrote. Features are
found anew, in reduced copies of the undistorted photos and at other scales than any of the systems
looks at, and matches of two photos are verified strictly. For a pair with enough of them, the
median distance of matches from the epipolar lines of the cameras should be about a pixel; a photo
most of whose matches lie in pairs where it is not is contradicted. Whatever moves a camera along
the epipolar lines alone, such as a fold along a straight walk, is not found.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pycolmap
from PIL import Image

LONG_EDGE = 720
LEAST_MATCHES = 30
LEAST_SHARE = 0.6
"""Of the matches of a pair that fit its own best geometry."""
MAX_ERROR_PX = 2.0
"""Of the verification, in the reduced photos."""
TOLERANCE_PX = 4.0
"""Median error at which a pair contradicts; pixels at a long edge of 1000."""


def epipolar_errors(first: np.ndarray, second: np.ndarray, fundamental: np.ndarray) -> np.ndarray:
    """Mean distance of each match from its epipolar lines in both photos, pixels [n].

    Args:
        first, second: pixels [n 2].
        fundamental: ``second^T F first = 0``.
    """
    ones = np.ones((len(first), 1))
    a, b = np.hstack([first, ones]), np.hstack([second, ones])
    lines_b, lines_a = a @ fundamental.T, b @ fundamental
    algebraic = np.abs((b * lines_b).sum(1))
    lengths = [
        np.maximum(np.linalg.norm(lines[:, :2], axis=1), 1e-12) for lines in (lines_a, lines_b)
    ]
    return (algebraic / lengths[0] + algebraic / lengths[1]) / 2


def fundamental_of(
    pose_a: np.ndarray, pose_b: np.ndarray, k_a: np.ndarray, k_b: np.ndarray
) -> np.ndarray:
    """Of two cameras, from ``camera_from_world`` [4 4] and intrinsics [3 3]."""
    b_from_a = pose_b @ np.linalg.inv(pose_a)
    x, y, z = b_from_a[:3, 3] / max(np.linalg.norm(b_from_a[:3, 3]), 1e-12)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.linalg.inv(k_b).T @ cross @ b_from_a[:3, :3] @ np.linalg.inv(k_a))


def matched_pairs(folder: Path, images: Path) -> list[tuple[int, int, np.ndarray, np.ndarray]]:
    """Strictly verified matches of the photos in ``images``: indices, and pixels of both."""
    database = str(folder / "check.db")
    extraction, matching = pycolmap.FeatureExtractionOptions(), pycolmap.FeatureMatchingOptions()
    extraction.num_threads = matching.num_threads = 1
    extraction.sift.first_octave = 0
    extraction.sift.octave_resolution = 4
    extraction.sift.max_num_features = 2048
    extraction.sift.normalization = pycolmap.Normalization.L2
    verification = pycolmap.TwoViewGeometryOptions()
    verification.min_num_inliers = LEAST_MATCHES
    verification.min_inlier_ratio = LEAST_SHARE
    verification.ransac.max_error = MAX_ERROR_PX
    verification.ransac.random_seed = 0
    cpu = pycolmap.Device.cpu
    pycolmap.extract_features(database, str(images), extraction_options=extraction, device=cpu)
    pycolmap.match_exhaustive(
        database, matching_options=matching, verification_options=verification, device=cpu
    )
    opened = pycolmap.Database.open(database)
    names = {image.image_id: int(Path(image.name).stem) for image in opened.read_all_images()}
    keypoints = {i: np.asarray(opened.read_keypoints(i))[:, :2].astype(float) for i in names}
    found = []
    for pair_id, geometry in zip(*opened.read_two_view_geometries(), strict=True):
        inliers = np.asarray(geometry.inlier_matches)
        if len(inliers) >= LEAST_MATCHES:
            a, b = pycolmap.pair_id_to_image_pair(pair_id)
            found.append(
                (names[a], names[b], keypoints[a][inliers[:, 0]], keypoints[b][inliers[:, 1]])
            )
    opened.close()
    return found


def check(folder: Path) -> dict[str, Any]:
    """``epipolar_px``: median over pairs of their median error, at a long edge of 1000; names of
    ``contradicted`` photos, and of ``unchecked`` ones, which no pair speaks of."""
    cameras = json.loads((folder / "cameras.json").read_text())
    names, poses = cameras["names"], np.array(cameras["camera_from_world"])
    intrinsics = np.array(cameras["intrinsics"])
    with TemporaryDirectory(prefix="unseen-benchmark-") as temporary:
        images = Path(temporary) / "images"
        images.mkdir()
        edges = []
        for index in range(len(names)):
            with Image.open(folder / f"{index:04d}.png") as photo:
                scale = min(LONG_EDGE / max(photo.size), 1.0)
                size = (round(photo.width * scale), round(photo.height * scale))
                reduced = photo.convert("L").resize(size, Image.Resampling.LANCZOS)
                reduced.save(images / f"{index:04d}.png")
                intrinsics[index][:2] *= (np.array(size) / photo.size)[:, None]
                edges.append(max(size))
        pairs = matched_pairs(Path(temporary), images)
    for_photo: dict[int, list[tuple[int, bool]]] = defaultdict(list)
    medians = []
    for a, b, first, second in pairs:
        fundamental = fundamental_of(poses[a], poses[b], intrinsics[a], intrinsics[b])
        error = float(np.median(epipolar_errors(first, second, fundamental)))
        medians.append(1000 * error / max(edges[a], edges[b]))
        for index in (a, b):
            for_photo[index].append((len(first), medians[-1] > TOLERANCE_PX))
    contradicted = [
        index
        for index, seen in for_photo.items()
        if 2 * sum(count for count, bad in seen if bad) > sum(count for count, _ in seen)
    ]
    return {
        "epipolar_px": float(np.median(medians)) if medians else None,
        "pairs": len(pairs),
        "contradicted": [names[index] for index in sorted(contradicted)],
        "unchecked": [name for index, name in enumerate(names) if index not in for_photo],
    }


if __name__ == "__main__":
    pycolmap.logging.minloglevel = 2
    Path(sys.argv[2]).write_text(json.dumps(check(Path(sys.argv[1]))))
