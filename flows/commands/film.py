"""Flights through a run's splats, as video files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from flows.runs.results import artefacts_with, selected_splat
from flows.settings import Settings
from flows.stages.pipeline import SceneArtefacts
from tasks.cameras import Cameras
from tasks.film.encode import write_film
from tasks.film.paths import Up, along, ellipse, spiral, spline
from tasks.gaussians import Gaussians
from tasks.images import fitted_sizes, to_uint8
from tasks.runtime.context import Device, Machine
from tasks.runtime.progress import progress_line
from tasks.runtime.threads import limit_threads
from tasks.sfm.artefact import Sparse
from tasks.splat.render import render
from tasks.splat.task import SPLAT

Flight = Literal["auto", "spline", "ellipse", "spiral"]
FRAMES_PER_SECOND = 30


def film_scenes(
    settings: Settings,
    run: str | None,
    scenes: tuple[str, ...],
    folder: Path,
    *,
    path: Flight,
    seconds: float,
    longest_edge: int,
) -> Iterator[Path]:
    """Write a film of each scene; each file once it is written.

    Raises:
        InputError: a scene has no splat yet.
        MachineError: a film cannot be written.
        DegenerateGeometryError: the cameras do not allow the path.
    """
    machine = settings.machine()
    limit_threads(machine.threads)
    for scene, artefacts in artefacts_with(machine.store, run, scenes, SPLAT).items():
        file = folder / f"{scene}.mp4"
        frames = max(2, round(seconds * FRAMES_PER_SECOND))
        gaussians, cameras = selected_splat(artefacts), _training_cameras(artefacts, longest_edge)
        flight = _flight(path, cameras, gaussians, frames, machine.device, up=_up(artefacts))
        pictures = _pictures(gaussians, flight, machine, scene)
        write_film(file, pictures, frames_per_second=FRAMES_PER_SECOND)
        yield file


def _training_cameras(artefacts: SceneArtefacts, longest_edge: int) -> Cameras:
    assert artefacts.sparse
    assert artefacts.splat
    cameras = Sparse(artefacts.sparse).cameras
    cameras = cameras.select(cameras.indices_of(artefacts.splat.attributes["training"]))
    return cameras.resized(fitted_sizes(cameras.sizes, longest_edge))


def _up(artefacts: SceneArtefacts) -> Up | None:
    """The z axis, where the world is upright."""
    assert artefacts.sparse
    upright = artefacts.sparse.attributes["world"]["upright"]
    return np.array([0.0, 0.0, 1.0]) if upright else None


def _flight(
    path: Flight,
    cameras: Cameras,
    gaussians: Gaussians,
    frames: int,
    device: Device,
    *,
    up: Up | None,
) -> Cameras:
    if path == "spline":
        return spline(cameras, frames)
    if path == "ellipse":
        return ellipse(cameras, frames, up=up)
    middle = render(
        gaussians.foreground, cameras, len(cameras) // 2, with_depth=True, device=device
    )
    assert middle.depth is not None
    focus_depth = float(middle.depth[middle.alpha > 0].median())
    if path == "spiral":
        return spiral(cameras, frames, focus_depth=focus_depth)
    return along(cameras, frames, focus_depth=focus_depth, up=up)


def _pictures(
    gaussians: Gaussians, flight: Cameras, machine: Machine, scene: str
) -> Iterator[np.ndarray]:
    show = progress_line(scene)
    for index in range(len(flight)):
        rgb = render(gaussians, flight, index, device=machine.device).rgb.clamp(0, 1)
        show((index + 1) / len(flight), f"frame {index + 1} of {len(flight)}")
        yield to_uint8(rgb.cpu().numpy())
