"""The scores of a scene, and held-out photos with their renders, as they lie in the store.

Arrays: ``photo_0000`` and ``render_0000`` (uint8, [h w 3]), one pair for each held-out photo, in
the order of the attribute ``rendered``. The other attributes are rows of the tables of their names.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from storage.arrays import NamedArray
from tasks.cameras import Cameras
from tasks.errors import DegenerateGeometryError
from tasks.evaluate.poses import pose_errors, summarise_poses
from tasks.evaluate.views import score_depths, score_views
from tasks.gaussians import Gaussians
from tasks.ingest.artefact import Photos
from tasks.sfm.artefact import Sparse
from tasks.site import Device, Progress, no_progress


class EvaluationContent:
    """Scores a splat while its arrays are taken; iterate once, then ask for ``attributes``."""

    def __init__(
        self,
        photos: Photos,
        sparse: Sparse,
        gaussians: Gaussians,
        *,
        held_out: tuple[str, ...],
        longest_edge: int,
        device: Device = "cpu",
        progress: Progress = no_progress,
    ) -> None:
        self._photos = photos
        self._sparse = sparse
        self._gaussians = gaussians
        self._held_out = frozenset(held_out)
        self._longest_edge = longest_edge
        self._device: Device = device
        self._progress = progress
        self._rendered: list[str] = []
        self._views: list[dict[str, Any]] = []

    def __iter__(self) -> Iterator[NamedArray]:
        cameras = self._sparse.cameras
        views = score_views(
            self._gaussians,
            cameras,
            self._sparse.photos,
            longest_edge=self._longest_edge,
            device=self._device,
        )
        for index, view in enumerate(views):
            self._progress((index + 1) / (len(cameras) + 1), f"scored {view.name}")
            split = self._split(view.name)
            self._views.append(
                {"view": view.name, "split": split, "psnr_db": view.psnr_db, "ssim": view.ssim}
            )
            if split == "held_out":
                number = f"{len(self._rendered):04d}"
                self._rendered.append(view.name)
                dims = ("y", "x", "channel")
                yield NamedArray(name=f"photo_{number}", values=view.photo, dims=dims)
                yield NamedArray(name=f"render_{number}", values=view.rendered, dims=dims)

    def attributes(self) -> dict[str, Any]:
        """Rows of the tables, JSON-able; the views are complete once the arrays are taken."""
        found: dict[str, Any] = {
            "rendered": self._rendered,
            "views": self._views,
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
        self._progress(1.0, f"scored {len(self._views)} views")
        return found

    def _against(self, reference: Cameras) -> dict[str, Any]:
        """Errors of poses and depth against the reference cameras of the input."""
        errors = pose_errors(reference, self._sparse.cameras)
        depths = score_depths(
            self._gaussians,
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
        return "held_out" if name in self._held_out else "train"
