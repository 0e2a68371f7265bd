"""The scores of a scene, and held-out photos with their pictures, as they lie in the store.

Arrays, for each held-out photo in the order of the attribute ``rendered``: ``photo_0000``, and the
pictures made of its pose: ``splat_0000``, and where those stages ran ``siblings_0000`` (the mean of
what the splat and its siblings show), ``control_0000``, ``refine_0000`` and ``distil_0000`` (uint8,
[h w 3]) and ``confidence_0000`` (uint8, [h w], 255 for 1). The other attributes are rows of the
tables of their names.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from storage.store import NamedArray
from tasks.cameras import Cameras
from tasks.errors import DegenerateGeometryError
from tasks.evaluate.held_out import RefineView
from tasks.evaluate.score import score, score_depths
from tasks.gaussians import Gaussians
from tasks.images import fitted_sizes, from_levels, levels, resized, resized_mask
from tasks.ingest.artefact import Photos
from tasks.metrics.calibration import ause_over_random, spearman
from tasks.metrics.gains import paired_gains
from tasks.metrics.poses import pose_errors, summarise_poses
from tasks.runtime.context import Device, Progress, no_progress
from tasks.sfm.artefact import Sparse
from tasks.splat.render import render

PAIRS = (
    ("splat", "ensemble"),
    ("splat", "refine"),
    ("splat", "control"),
    ("control", "distil"),
)
"""Stages whose pictures are compared view by view: what came before, and after."""


class EvaluationContent:
    """Scores splats while its arrays are taken; iterate once, then ask for ``attributes``."""

    def __init__(
        self,
        photos: Photos,
        sparse: Sparse,
        splats: Mapping[str, Gaussians],
        *,
        ensemble: Sequence[Gaussians] = (),
        training: Collection[str],
        held_out: Collection[str],
        not_fitted: Collection[str] = (),
        longest_edge: int,
        refine: RefineView | None = None,
        device: Device = "cpu",
        progress: Progress = no_progress,
    ) -> None:
        """
        Args:
            splats: by stage; that of ``splat`` is scored on all photos, others on held-out ones.
            siblings: splats fitted to the same photos as that of ``splat``.
            training: names of the photos that the splats were fitted to.
            held_out: names of the photos that nothing was fitted to or chosen by.
            not_fitted: names of those left out of the fit that the splat may know all the same.
            repair: of the splat's views; gives the refined pictures and the confidence.
        """
        self._photos = photos
        self._sparse = sparse
        self._splats = splats
        self._ensemble = ensemble
        self._training = frozenset(training)
        self._held_out = frozenset(held_out)
        self._not_fitted = frozenset(not_fitted)
        self._longest_edge = longest_edge
        self._repair = refine
        self._device: Device = device
        self._progress = progress
        self._rendered: list[str] = []
        self._views: list[dict[str, Any]] = []
        self._confidence: list[dict[str, Any]] = []

    def __iter__(self) -> Iterator[NamedArray]:
        cameras = self._sparse.cameras
        cameras = cameras.resized(fitted_sizes(cameras.sizes, self._longest_edge))
        for index, name in enumerate(cameras.names):
            self._progress(index / (len(cameras) + 1), f"scoring {name}")
            yield from self._scored(cameras, index)

    def _scored(self, cameras: Cameras, index: int) -> Iterator[NamedArray]:
        """Score the pictures of one camera; those of a held-out photo are kept."""
        name, size = cameras.names[index], cameras.size(index)
        photo = resized(self._sparse.photos[index], size)
        use = self._use(index, size)
        split = self._split(name)
        held_out = split == "held_out"
        shown = self._splats if held_out else {"splat": self._splats["splat"]}
        pictures = {stage: self._render(splat, cameras, index) for stage, splat in shown.items()}
        if held_out and self._ensemble:
            shown_too = [self._render(one, cameras, index) for one in self._ensemble]
            pictures["ensemble"] = np.mean([pictures["splat"], *shown_too], 0)
        if held_out and self._repair is not None:
            refined = self._repair(cameras.select([index]))
            if refined.refined is not None:
                pictures["refine"] = refined.refined
            error = np.abs(refined.rendered - from_levels(photo)).mean(2)
            counts = slice(None) if use is None else use
            trust, error = refined.confidence[counts], error[counts]
            calibration = {"spearman": spearman(trust, error)}
            calibration["ause_over_random"] = ause_over_random(trust, error)
            self._confidence.append({"view": name, **calibration})
            yield self._kept("confidence", levels(refined.confidence), ("y", "x"))
        for stage, picture in pictures.items():
            scores = asdict(score(picture, photo, use))
            self._views.append({"stage": stage, "view": name, "split": split, **scores})
            if held_out:
                yield self._kept(stage, levels(picture))
        if held_out:
            yield self._kept("photo", photo)
            self._rendered.append(name)

    def _render(self, splat: Gaussians, cameras: Cameras, index: int) -> np.ndarray:
        return render(splat, cameras, index, device=self._device).rgb.clamp(0, 1).cpu().numpy()

    def _kept(
        self, name: str, picture: np.ndarray, dims: tuple[str, ...] = ("y", "x", "channel")
    ) -> NamedArray:
        return NamedArray(name=f"{name}_{len(self._rendered):04d}", values=picture, dims=dims)

    def _use(self, index: int, size: tuple[int, int]) -> np.ndarray | None:
        """The photo's mask at the size it is scored at; a pixel counts if all of it does."""
        mask = self._sparse.masks[index]
        return None if mask is None else resized_mask(mask, size)

    def attributes(self) -> dict[str, Any]:
        """Rows of the tables, JSON-able; the views are complete once the arrays are taken."""
        found: dict[str, Any] = {
            "rendered": self._rendered,
            "views": self._views,
            "gains": [
                {"before": before, "after": after, **asdict(gain)}
                for before, after in PAIRS
                for gain in paired_gains(self._views, before=before, after=after)
            ],
            "confidence": self._confidence,
            "poses": [],
            "geometry": [],
            "pose_summary": None,
        }
        reference = self._photos.reference()
        if reference is not None:
            try:
                found |= self._against(reference)
            except DegenerateGeometryError as error:
                found["pose_summary_missing"] = str(error)
        self._progress(1.0, f"scored {len(self._sparse.cameras)} views")
        return found

    def _against(self, reference: Cameras) -> dict[str, Any]:
        """Errors of poses and depth against the reference cameras of the input."""
        errors = pose_errors(reference, self._sparse.cameras)
        depths = score_depths(
            self._splats["splat"],
            self._sparse.cameras,
            reference,
            self._photos.depth_m,
            self._photos.depth_names,
            metres_from_world=errors.reference_from_model.scale,
            device=self._device,
        )
        return {
            "pose_summary": asdict(summarise_poses(reference, self._sparse.cameras)),
            "poses": [
                {
                    "view": name,
                    "rotation_error_deg": float(errors.rotation_error_deg[index]),
                    "centre_error": float(errors.centre_error[index]),
                    "centre_error_relative": float(errors.centre_error_relative[index]),
                }
                for index, name in enumerate(errors.names)
            ],
            "geometry": [
                {
                    "view": name,
                    "split": self._split(name),
                    "pixels": score.pixels,
                    "coverage": score.coverage,
                    "depth_error_relative": score.median_relative_error,
                    "depth_share_within_5_percent": score.within_5_percent,
                }
                for name, score in depths
                if score.pixels
            ],
        }

    def _split(self, name: str) -> str:
        if name in self._held_out:
            return "held_out"
        if name in self._not_fitted:
            return "not_fitted"
        return "train" if name in self._training else "validation"
