"""Scores of a splat that is a formula: a wall of known colour and depth."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from storage.store import NamedArray, Store
from tasks.cameras import Cameras
from tasks.evaluate.artefact import write_evaluation
from tasks.evaluate.held_out import RefinedView, RefineView
from tasks.evaluate.score import FittedSplats, score_against_reference, score_views, scores_of
from tasks.gaussians import Gaussians
from tasks.ingest.artefact import Photos
from tasks.metrics.perceptual.load import Distance, DistanceTo
from tasks.sfm.artefact import Sparse
from tests.support.ingested import InMemory

WIDTH, HEIGHT, DEPTH = 40, 30, 2.0
SCALE = 2.5  # metres in a unit of the model
COLOUR = np.array([0.8, 0.4, 0.2])


def wall() -> Gaussians:
    """One flat Gaussian, far larger than any view, across the axis at depth ``DEPTH``."""
    sh = torch.tensor((COLOUR - 0.5) / 0.28209479177387814, dtype=torch.float32)
    return Gaussians(
        means=torch.tensor([[0.0, 0.0, DEPTH]]),
        quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        log_scales=torch.log(torch.tensor([[200.0, 200.0, 1e-3]])),
        logit_opacities=torch.tensor([20.0]),
        sh=sh[None, None],
    )


def cameras() -> Cameras:
    """Three places across the axis, one behind the others."""
    camera_from_world = np.tile(np.eye(4), (3, 1, 1))
    camera_from_world[:, :3, 3] = [[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0.25]]
    lens = np.array([[40.0, 0, WIDTH / 2], [0, 40.0, HEIGHT / 2], [0, 0, 1]])
    return Cameras(
        names=("a.jpg", "b.jpg", "c.jpg"),
        camera_from_world=camera_from_world,
        intrinsics=np.tile(lens, (3, 1, 1)),
        sizes=np.tile(np.array([[WIDTH, HEIGHT]], dtype=np.int64), (3, 1)),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(root=str(tmp_path))


def stored_photos(store: Store, *, with_reference: bool) -> Photos:
    """Ingested photos with references in metres, and a depth map of camera c."""
    found = cameras()
    arrays = [
        NamedArray(
            name=f"photo_{index:04d}",
            values=np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8),
            dims=("y", "x", "channel"),
        )
        for index in range(3)
    ]
    if with_reference:
        metric = found.camera_from_world.copy()
        metric[:, :3, 3] *= SCALE
        depth_m = (DEPTH + 0.25) * SCALE * 1.1  # the splat is a tenth too near
        levels = np.full((15, 20), round(1000 * depth_m), dtype=np.uint16)  # half the resolution
        arrays += [
            NamedArray(name="depth_0002", values=levels, dims=("y", "x")),
            NamedArray(name="reference_camera_from_world", values=metric, dims=("a", "b", "c")),
            NamedArray(name="reference_intrinsics", values=found.intrinsics, dims=("a", "b", "c")),
        ]
    infos = [
        {
            "name": name,
            "camera": "",
            "focal_px": None,
            "gps": None,
            "source_size": [WIDTH, HEIGHT],
            "size": [WIDTH, HEIGHT],
        }
        for name in found.names
    ]
    attributes = {
        "kind": "photos",
        "photos": infos,
        "rejected": [],
        "used": [],
        "reference_kind": "cameras_gt" if with_reference else None,
        "reference_lenses": [],
        "reference_ignored": [],
        "mask_names": [],
        "reference_names": list(found.names) if with_reference else [],
        "depth_names": ["c.jpg"] if with_reference else [],
        "depth_scale_m": 0.001,
    }
    return Photos(store.commit("wall", "photos", arrays, attributes))


def stored_sparse(store: Store) -> Sparse:
    """Photos of the wall's colour, but b, which is off by 0.1 in all channels."""
    found = cameras()
    empty = np.zeros(0, dtype=np.int32)
    arrays = [
        NamedArray(name="camera_from_world", values=found.camera_from_world, dims=("a", "b", "c")),
        NamedArray(name="intrinsics", values=found.intrinsics, dims=("a", "b", "c")),
        NamedArray(name="sizes", values=found.sizes, dims=("a", "b")),
        NamedArray(name="point_index", values=empty, dims=("o",)),
        NamedArray(name="photo_index", values=empty, dims=("o",)),
        NamedArray(name="xy", values=np.zeros((0, 2), dtype=np.float32), dims=("o", "xy")),
        NamedArray(name="keypoint_photo", values=empty, dims=("k",)),
        NamedArray(name="keypoint_xy", values=np.zeros((0, 2), np.float32), dims=("k", "xy")),
        NamedArray(name="pairs", values=np.zeros((0, 2), np.int32), dims=("m", "side")),
    ]
    for index, error in enumerate((0.0, 0.1, 0.0)):
        pixels = np.broadcast_to(np.round(255 * (COLOUR - error)), (HEIGHT, WIDTH, 3))
        arrays.append(
            NamedArray(
                name=f"photo_{index:04d}",
                values=pixels.astype(np.uint8),
                dims=("y", "x", "channel"),
            )
        )
    return Sparse(
        store.commit("wall", "sparse", arrays, {"names": list(found.names), "masked": []})
    )


def refined(camera: Cameras) -> RefinedView:
    """The photo of camera b but for a tenth of the error; trusted on the left half alone."""
    assert camera.names == ("b.jpg",)
    rendered = np.broadcast_to(COLOUR, (HEIGHT, WIDTH, 3)).astype(np.float32).copy()
    rendered[:, : WIDTH // 2] -= 0.1
    confidence = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
    confidence[:, : WIDTH // 2] = 1.0
    photo = np.round(255 * (COLOUR - 0.1)) / 255
    refined = np.broadcast_to(photo + 0.01, (HEIGHT, WIDTH, 3)).astype(np.float32)
    return RefinedView(rendered=rendered, confidence=confidence, refined=refined)


def evaluated(
    store: Store,
    *,
    with_reference: bool = True,
    splats: dict[str, Gaussians] | None = None,
    ensemble: Sequence[Gaussians] = (),
    held_out: str = "b.jpg",
    not_fitted: str = "",
    refine: RefineView | None = None,
    perceptual: dict[str, DistanceTo] | None = None,
) -> tuple[dict, dict[str, np.ndarray]]:
    out, sparse = InMemory(), stored_sparse(store)
    fitted = FittedSplats(
        stages=splats or {"splat": wall()},
        ensemble=ensemble,
        training=frozenset({"a.jpg"}),
        held_out=frozenset({held_out}),
        not_fitted=frozenset({not_fitted}),
        longest_edge=WIDTH,
    )
    attributes = write_evaluation(
        out, score_views(sparse, fitted, refine=refine, perceptual=perceptual or {})
    )
    photos = stored_photos(store, with_reference=with_reference)
    return attributes | score_against_reference(photos, sparse, fitted), out.arrays


def test_view_psnr_matches_the_closed_form(store: Store) -> None:
    attributes, _ = evaluated(store)
    rows = {row["view"]: row for row in attributes["views"]}
    assert {name: row["split"] for name, row in rows.items()} == {
        "a.jpg": "train",
        "b.jpg": "held_out",
        "c.jpg": "validation",
    }
    error = 0.999 * COLOUR - np.round(255 * (COLOUR - 0.1)) / 255  # opacity stops at 0.999
    expected_db = -10 * np.log10((error**2).mean())
    assert rows["b.jpg"]["psnr_db"] == pytest.approx(expected_db, abs=1e-3)
    assert rows["a.jpg"]["psnr_db"] > 45


def test_photos_seen_by_the_starting_splat_are_scored_as_not_fitted(store: Store) -> None:
    attributes, kept = evaluated(store, held_out="", not_fitted="b.jpg")
    assert not kept  # pictures are those of held-out photos
    rows = {row["view"]: row["split"] for row in attributes["views"]}
    assert rows == {"a.jpg": "train", "b.jpg": "not_fitted", "c.jpg": "validation"}


def test_held_out_photos_are_stored_with_their_renders(store: Store) -> None:
    attributes, kept = evaluated(store)
    assert attributes["rendered"] == ["b.jpg"]
    assert set(kept) == {"photo_0000", "splat_0000"}
    assert np.abs(kept["splat_0000"] - 255 * COLOUR).max() <= 1.5
    assert np.abs(kept["photo_0000"] - 255 * (COLOUR - 0.1)).max() <= 0.5


def test_exact_poses_have_no_error_and_the_scale_is_found(store: Store) -> None:
    attributes, _ = evaluated(store)
    assert attributes["pose_summary"]["scale"] == pytest.approx(SCALE, rel=1e-9)
    assert max(row["rotation_error_deg"] for row in attributes["poses"]) < 1e-5
    assert max(row["centre_error"] for row in attributes["poses"]) < 1e-9
    assert [row["verdict"] for row in attributes["poses"]] == ["right"] * 3


def test_depth_is_compared_in_metres_at_the_maps_resolution(store: Store) -> None:
    attributes, _ = evaluated(store)
    (row,) = attributes["geometry"]
    assert row["view"] == "c.jpg"
    assert row["pixels"] == 15 * 20
    assert row["coverage"] == 1.0
    assert row["depth_error_relative"] == pytest.approx(1 - 1 / 1.1, rel=1e-3)
    assert row["depth_share_within_5_percent"] == 0.0


def test_without_references_only_views_are_scored(store: Store) -> None:
    attributes, _ = evaluated(store, with_reference=False)
    assert len(attributes["views"]) == 3
    assert [row["view"] for row in attributes["poses"]] == ["a.jpg", "b.jpg", "c.jpg"]
    assert all(value is None for row in attributes["poses"] for value in list(row.values())[1:])
    assert attributes["geometry"] == []
    assert attributes["pose_summary"] is None


def test_every_stage_is_scored_and_compared_on_held_out_photos(store: Store) -> None:
    wrong = replace(wall(), sh=torch.zeros_like(wall().sh))
    splats = {"splat": wall(), "control": wrong, "distil": wall()}
    attributes, kept = evaluated(store, splats=splats, refine=refined)
    scored = {(row["stage"], row["view"]): row["psnr_db"] for row in attributes["views"]}
    assert [view for stage, view in scored if stage != "splat"] == ["b.jpg"] * 3
    assert scored["refine", "b.jpg"] == pytest.approx(40, abs=1e-3)  # an error of 0.01
    gains = {(row["before"], row["after"]): row for row in attributes["gains"]}
    base, control = scored["splat", "b.jpg"], scored["control", "b.jpg"]
    assert gains["splat", "refine"]["psnr_db"] == scored["refine", "b.jpg"] - base
    assert gains["splat", "control"]["psnr_db"] == control - base < 0
    assert gains["control", "distil"]["psnr_db"] == base - control
    names = ("photo", "splat", "control", "distil", "refine", "confidence")
    assert set(kept) == {f"{name}_0000" for name in names}


def test_the_mean_of_a_splat_and_its_ensemble_is_scored_on_held_out_photos(store: Store) -> None:
    # The photo is darker by 0.1 than the splat: two that are darker by 0.15 make up for it.
    darker = replace(wall(), sh=wall().sh - 0.15 / 0.28209479177387814)
    attributes, kept = evaluated(store, with_reference=False, ensemble=[darker, darker])
    rows = {(row["stage"], row["view"]): row["psnr_db"] for row in attributes["views"]}
    assert {view for stage, view in rows if stage == "ensemble"} == {"b.jpg"}
    assert rows["ensemble", "b.jpg"] > 45 > rows["splat", "b.jpg"] + 20
    (gain,) = (row for row in attributes["gains"] if row["after"] == "ensemble")
    assert gain["psnr_db"] == rows["ensemble", "b.jpg"] - rows["splat", "b.jpg"]
    assert np.abs(kept["ensemble_0000"] - 255 * (COLOUR - 0.1)).max() <= 1


def test_confidence_is_scored_against_the_true_error(store: Store) -> None:
    attributes, _ = evaluated(store, refine=refined)
    (row,) = attributes["confidence"]
    assert row["view"] == "b.jpg"
    assert row["spearman"] > 0.99  # the trusted half is the right one
    assert row["ause_over_random"] == pytest.approx(0.0, abs=0.02)


def test_perceptual_distances_are_scored_on_held_out_photos_alone(store: Store) -> None:
    def difference_to(photo: np.ndarray, use: np.ndarray | None) -> Distance:
        return lambda picture: float(abs(picture.mean() - photo.mean()))

    attributes, _ = evaluated(store, refine=refined, perceptual={"st_lpips": difference_to})
    rows = {(row["stage"], row["view"]): row for row in attributes["views"]}
    assert rows["splat", "b.jpg"]["st_lpips"] == pytest.approx(0.1, abs=0.003)
    assert rows["refine", "b.jpg"]["st_lpips"] == pytest.approx(0.01, abs=1e-6)
    assert {row["lpips"] for row in rows.values()} == {None}
    assert rows["splat", "a.jpg"]["st_lpips"] is None
    (gain,) = (row for row in attributes["gains"] if row["after"] == "refine")
    assert gain["st_lpips"] == pytest.approx(-0.09, abs=0.003)
    assert gain["lpips"] is None


def test_edge_energy_is_that_of_the_picture_over_that_of_the_photo() -> None:
    ramp = np.broadcast_to(4 * np.arange(40, dtype=np.uint8)[None, :, None], (30, 40, 3)).copy()
    half = ramp.astype(np.float32) / 255 / 2
    assert scores_of({"splat": half}, ramp)["splat"].edge_energy == pytest.approx(0.25)
    # A photo of one colour has no edges.
    assert scores_of({"splat": half}, np.full_like(ramp, 9))["splat"].edge_energy is None
