"""Structure from motion: photos right, wrong, called right though wrong, and left out.

    python benchmarks/sfm.py DATASET --store STORE [--scenes A B] [--systems ours plain main=PATH]
                             [--subsets 4 5 6] [--draws 5] [--seeds 3] [--config CONFIG.yaml]
                             [--markdown TABLE.md] [--json FIGURES.json]

Systems: ``ours``, the stages ingest and sfm of this checkout, with ``--config``; ``NAME=PATH``,
those of another checkout at its defaults; ``plain``, pycolmap at its defaults. All photos of a
scene are taken once for each seed, and of its subsets, evenly spread, one seed for each draw. The
systems take turns, each in a process of its own on one thread, and see the photos alone: neither
cameras nor masks that lie beside them. A subset as large as the scene is left out.

Right is a camera within 5 degrees and 5 % of the extent of its reference, by the similarity that
most cameras agree on. Without references two things tell, and neither proves: matches that the
model was not made from (``sfm_check.py``), and cameras that a model of another system or seed has
too. Of scenes by ``sfm_faults.py`` the table says whether they ended as they must.

Results are kept in STORE by the digest of the system's code and of the photos, so that a run that
was interrupted goes on.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from draws import subset
from sfm_faults import EXPECTED, Expected
from sfm_scores import Judged, judged
from sfm_tables import Row, tables

from tasks.cameras import Cameras
from tasks.ingest.given import camera_model_of_photo
from tasks.ingest.source import SceneFiles, find_files

ROOT = Path(__file__).parents[1]
VERSION = 1
"""Raised by hand when what is kept of a run changes."""
CODE = ("tasks/*.py", "tasks/ingest/*.py", "tasks/sfm/**/*.py", "tasks/pointmaps/**/*.py")
"""Of a checkout, whatever can change the cameras it finds."""
OWN_CODE = ("sfm_system.py", "sfm_check.py")
SECONDS = 3600.0
"""Limit of one run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What finds cameras."""

    name: str
    checkout: Path
    plain: bool = False
    config: Path | None = None

    def digest(self) -> str:
        """Of the code and options that it runs, sha256."""
        files = [] if self.plain else [one for code in CODE for one in self.checkout.glob(code)]
        files += [Path(__file__).parent / name for name in OWN_CODE]
        files += [self.config] if self.config else []
        found = sha256(f"{VERSION} {self.plain} {version('pycolmap')}".encode())
        for file in sorted(files):
            found.update(f"{file.name} {sha256(file.read_bytes()).hexdigest()}".encode())
        return found.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Photos of a scene, and a seed."""

    scene: str
    photos: tuple[str, ...]
    whole: bool
    which: int
    seed: int


def system_of(text: str, config: Path | None) -> System:
    """``ours``, ``plain`` or ``NAME=PATH``."""
    name, _, path = text.partition("=")
    if text == "plain":
        return System(name=text, checkout=ROOT, plain=True)
    if text == "ours":
        return System(name=text, checkout=ROOT, config=config)
    if not (Path(path) / "tasks" / "sfm").is_dir():
        raise SystemExit(f"'{text}' is no system; give 'ours', 'plain' or NAME=PATH of a checkout")
    return System(name=name, checkout=Path(path).absolute())


def draws_of(files: SceneFiles, subsets: Sequence[int], draws: int, seeds: int) -> Iterator[Draw]:
    """All photos with every seed, then the subsets."""
    scene, names = files.folder.name, tuple(photo.name for photo in files.photos)
    for seed in range(seeds):
        yield Draw(scene=scene, photos=names, whole=True, which=0, seed=seed)
    for count in subsets if not (files.folder / EXPECTED).exists() else ():
        for which in range(draws if count < len(names) else 0):
            chosen = subset(names, count, which, draws)
            yield Draw(scene=scene, photos=chosen, whole=False, which=which, seed=which)


def result_of(
    system: System, draw: Draw, files: SceneFiles, store: Path, *, check: bool
) -> dict[str, Any]:
    """What a system makes of a draw; recalled where the store has it."""
    chosen = [photo for photo in files.photos if photo.name in draw.photos]
    key = sha256(f"{system.digest()} {draw.seed} {check}".encode())
    for photo in chosen:
        key.update(f"{photo.name} {sha256(photo.path.read_bytes()).hexdigest()}".encode())
    place = f"{len(draw.photos)}-{draw.which}-{draw.seed}-{system.name}-{key.hexdigest()[:16]}.json"
    kept = store / "sfm" / draw.scene / place
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    with TemporaryDirectory(prefix="unseen-benchmark-") as temporary:
        folder = Path(temporary)
        (folder / "photos" / "images").mkdir(parents=True)
        for photo in chosen:
            shutil.copy(photo.path, folder / "photos" / "images" / photo.name)
        result = _run(system, draw.seed, folder, check=check)
    if result.get("crashed"):
        return result  # and try again next time
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(".partial")
    partial.write_text(json.dumps(result))
    partial.replace(kept)
    return result


def _run(system: System, seed: int, folder: Path, *, check: bool) -> dict[str, Any]:
    keep, request = folder / "undistorted", folder / "request.json"
    asked = {
        "photos": str(folder / "photos"),
        "seed": seed,
        "plain": system.plain,
        "config": str(system.config.absolute()) if system.config else None,
        "keep": str(keep) if check else None,
        "out": str(folder / "result.json"),
    }
    request.write_text(json.dumps(asked))
    if failure := _child(system.checkout, "sfm_system.py", str(request)):
        return {"crashed": True, "error": failure, "seconds": None, "cpu_seconds": None}
    result = dict(json.loads((folder / "result.json").read_text()))
    if keep.exists():
        out = folder / "check.json"
        failure = _child(ROOT, "sfm_check.py", str(keep), str(out))
        result["check"] = {"error": failure} if failure else json.loads(out.read_text())
    return result


def _child(checkout: Path, script: str, *words: str) -> str:
    """Run a script beside this one on one thread; why it failed, or nothing."""
    environment = os.environ | {
        "PYTHONPATH": str(checkout),
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
    }
    command = [sys.executable, str(Path(__file__).with_name(script)), *words]
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"took more than {SECONDS:g} s"
    return "" if ended.returncode == 0 else (ended.stderr.strip() or "no message")[-400:]


def reference_of(files: SceneFiles, names: Sequence[str]) -> Cameras | None:
    """Cameras that lie beside the photos ``names``; None where fewer than two do."""
    given = [files.given[name] for name in names if name in files.given]
    known = [name for name in names if name in files.given]
    if len(known) < 2:
        return None
    sizes = [camera.size or (1000, 1000) for camera in given]
    models = [
        camera_model_of_photo(camera, name, size, size)
        for name, camera, size in zip(known, given, sizes, strict=True)
    ]
    return Cameras(
        names=tuple(known),
        camera_from_world=np.stack([camera.camera_from_world for camera in given]),
        intrinsics=np.stack([model.intrinsics for model in models]),
        sizes=np.array(sizes, dtype=np.int64),
    )


def model_of(result: dict[str, Any]) -> Cameras | None:
    if "cameras" not in result:
        return None
    found = result["cameras"]
    return Cameras(
        names=tuple(found["names"]),
        camera_from_world=np.array(found["camera_from_world"]),
        intrinsics=np.array(found["intrinsics"]),
        sizes=np.array(found["sizes"], dtype=np.int64),
    )


def row_of(
    system: System,
    draw: Draw,
    result: dict[str, Any],
    reference: Cameras | None,
    expected: Expected | None,
    others: Sequence[Cameras],
) -> Row:
    """One run, scored."""
    model = model_of(result)
    sure = _sure(result)
    score: Judged | None = None
    if model is not None and reference is not None:
        score = judged(reference, model)
    wrong = [name for name in sure if score is not None and name in score.wrong]
    agreed: set[str] = set()
    for other in others if model is not None else ():
        agreed.update(judged(other, model).right)
    return Row(
        scene=draw.scene,
        photos=len(draw.photos),
        whole=draw.whole,
        which=draw.which,
        seed=draw.seed,
        system=system.name,
        has_truth=reference is not None,
        registered=len(model) if model is not None else 0,
        right=len(score.right) if score else 0,
        wrong=tuple(score.wrong) if score else (),
        sure=len(sure),
        sure_wrong=tuple(wrong),
        rotation_deg=score.rotation_deg if score else None,
        centre_share=score.centre_share if score else None,
        auc=score.auc if score else ((0.0, 0.0, 0.0) if reference is not None else None),
        agreed=len(agreed),
        check=result.get("check"),
        error=result.get("error", ""),
        crashed=result.get("crashed", False),
        seconds=result["seconds"],
        cpu_seconds=result["cpu_seconds"],
        rung=_rung(result),
        believed=_believed(result, score) if score else (),
        left_out_because=tuple(reason for _, reason in result.get("left_out", ())),
        fault=expected.fault if expected else "",
        complaints=tuple(expected.complaints(sure, wrong)) if expected else (),
    )


def _rung(result: dict[str, Any]) -> str:
    """The attempt that gave the model."""
    for rung in result.get("rungs", ()):
        if rung.get("chosen"):
            return f"{rung.get('features', '')} {rung.get('mapper', '')}".strip()
    return "relaxed" if result.get("relaxed") else ""


def _believed(result: dict[str, Any], score: Judged) -> tuple[tuple[float, bool], ...]:
    """Confidence of every pose that has a reference, and whether it is right."""
    named = zip(result["cameras"]["names"], result["confidence"], strict=True)
    known = {*score.right, *score.wrong}
    return tuple((value, name in score.right) for name, value in named if name in known)


def _sure(result: dict[str, Any]) -> list[str]:
    """Photos whose pose is called right; every one with a pose where nothing is said of it."""
    if "cameras" not in result:
        return []
    names = result["cameras"]["names"]
    return [name for name, yes in zip(names, result["sure"], strict=True) if yes]


def rows_of_scene(
    folder: Path,
    systems: Sequence[System],
    store: Path,
    draws: Callable[[SceneFiles], Iterator[Draw]],
) -> list[Row]:
    """Run every system on every draw of a scene; each is told of on standard error meanwhile."""
    files = find_files(folder)
    expected = Expected.read(folder) if (folder / EXPECTED).exists() else None
    runs = []
    for draw in draws(files):
        reference = reference_of(files, draw.photos)
        check = reference is None and expected is None
        for system in systems:
            result = result_of(system, draw, files, store, check=check)
            runs.append((system, draw, result, reference))
            row = row_of(system, draw, result, reference, expected, ())
            print(row.line(), file=sys.stderr, flush=True)
    models = [(system, draw, model_of(result)) for system, draw, result, _ in runs]
    rows = []
    for system, draw, result, reference in runs:
        others = [  # of the same photos, by which those without a reference are judged
            model
            for one, other, model in models
            if reference is None
            and model is not None
            and other.photos == draw.photos
            and (one, other.seed) != (system, draw.seed)
        ]
        rows.append(row_of(system, draw, result, reference, expected, others))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--scenes", nargs="+", default=[], help="default: all of the dataset")
    parser.add_argument("--systems", nargs="+", default=["ours", "plain"])
    parser.add_argument("--subsets", nargs="*", type=int, default=[4, 5, 6], help="photos of each")
    parser.add_argument("--draws", type=int, default=5, help="choices of photos for each subset")
    parser.add_argument("--seeds", type=int, default=3, help="runs on all photos; 0 for none")
    parser.add_argument("--config", type=Path, help="of 'ours'")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    systems = [system_of(text, options.config) for text in options.systems]
    folders = [one for one in sorted(options.dataset.iterdir()) if one.is_dir()]
    folders = [one for one in folders if not options.scenes or one.name in options.scenes]
    rows: list[Row] = []
    for folder in folders:
        rows += rows_of_scene(
            folder,
            systems,
            options.store,
            lambda files: draws_of(files, options.subsets, options.draws, options.seeds),
        )
        if options.markdown:
            options.markdown.write_text(tables(rows))
        if options.json:
            options.json.write_text(json.dumps([row.fields() for row in rows], indent=1))
    print(tables(rows))


if __name__ == "__main__":
    main()
